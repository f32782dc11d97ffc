"""`buf curl`: an independent client, which gets the contract by reflection."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from .deadlines import within

_BUF = Path(sys.executable).with_name("buf")
PROTOCOLS = ("grpc", "grpcweb")


class CurlFailed(Exception):
    """A call ended with an error; `body` has code, message and details as buf curl prints them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.body: dict[str, Any] = json.loads(text) if text.lstrip().startswith("{") else {}


async def curl(address: str, method: str, body: object = None, *, protocol: str = "grpc") -> Any:
    """Call `Service/Method` and return the response as JSON."""
    process = await _start(address, method, body, protocol)
    out, errors = await within(process.communicate())
    if process.returncode:
        raise CurlFailed(errors.decode())
    return json.loads(out)


@asynccontextmanager
async def curl_stream(
    address: str, method: str, body: object = None, *, protocol: str = "grpc"
) -> AsyncIterator[AsyncIterator[Any]]:
    """Yield the responses of a stream."""
    process = await _start(address, method, body, protocol)
    assert process.stdout is not None
    try:
        yield _responses(process.stdout)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await within(process.communicate())


async def _responses(output: asyncio.StreamReader) -> AsyncIterator[Any]:
    """Yield responses, each of which is printed on several lines."""
    text, decoder = "", json.JSONDecoder()
    while block := await within(output.read(1 << 16)):
        text += block.decode()
        while text := text.lstrip():
            try:
                response, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break  # the rest of it is still to come
            text = text[end:]
            yield response


async def _start(address: str, method: str, body: object, protocol: str) -> asyncio.subprocess.Process:
    arguments = ["--protocol", protocol, "--http2-prior-knowledge", "--emit-defaults"]
    if body is not None:
        arguments += ["--data", json.dumps(body)]
    return await asyncio.create_subprocess_exec(
        _BUF,
        "curl",
        *arguments,
        f"http://{address}/tradingsignals.v1.{method}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
