"""A receiver of webhooks on loopback, which verifies each message, and fails as its script says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook

from .deadlines import within

RESET = "reset"
"""The connection is reset once the request is there."""
SILENT = "silent"
"""There is no response."""
ENDLESS = "endless"
"""204 without an end of the headers' connection: a body that never ends."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request: the headers in lower case, and the body as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Id of the message."""
        return self.headers["webhook-id"]

    @property
    def content(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def sequence(self) -> int:
        """Sequence of the entry."""
        return int(self.content["data"]["sequence"])

    def verify(self, secret: str) -> None:
        """Check the signature with the package of Standard Webhooks."""
        Webhook(secret).verify(self.body, dict(self.headers))


class Receiver:
    """Responds to each request with the next of `script`, and with 204 once that is empty.

    A step is a status, a whole response as bytes, or one of RESET, SILENT and ENDLESS. `accepted` has what got a 2xx.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.script: list[int | bytes | str] = []
        self.always: int | str = 204
        self.received: list[Received] = []
        self.accepted: list[Received] = []
        self._more = asyncio.Condition()

    async def until(self, count: int) -> list[Received]:
        """Wait until `count` messages have been accepted, and return all of them."""
        async with self._more:
            await within(self._more.wait_for(lambda: len(self.accepted) >= count))
        return list(self.accepted)

    async def until_received(self, count: int) -> list[Received]:
        """Wait until `count` requests have come, and return all of them."""
        async with self._more:
            await within(self._more.wait_for(lambda: len(self.received) >= count))
        return list(self.received)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            message = Received(headers, await reader.readexactly(int(headers["content-length"])))
            step = self.script.pop(0) if self.script else self.always
            await self._note(message, step)
            await self._respond(writer, step)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _note(self, message: Received, step: int | bytes | str) -> None:
        async with self._more:
            self.received.append(message)
            if step == ENDLESS or (isinstance(step, int) and 200 <= step < 300):
                self.accepted.append(message)
            self._more.notify_all()

    async def _respond(self, writer: asyncio.StreamWriter, step: int | bytes | str) -> None:
        if step == RESET:
            writer.transport.abort()
        elif step == SILENT:
            await asyncio.Event().wait()
        elif step == ENDLESS:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbegun")
            await asyncio.Event().wait()
        else:
            writer.write(
                step if isinstance(step, bytes) else f"HTTP/1.1 {step} X\r\ncontent-length: 0\r\n\r\n".encode()
            )
            await writer.drain()


@asynccontextmanager
async def running_receiver(context: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver until the end of the context, with TLS if there is a context for it."""
    receiver = Receiver(port)
    tasks = set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(receiver.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
