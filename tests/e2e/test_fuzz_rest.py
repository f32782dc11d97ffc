"""Generated REST requests: no response is a failure of the service, each is as documented, and nothing is lost.

More of them, new ones each time: pytest tests/e2e/test_fuzz_rest.py --hypothesis-profile=explore
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from tests.support.bars import messages
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.openapi import validate_against
from tests.support.service import RunningService, kept_environment, running_service
from tests.support.unharmed import unharmed

from tradingsignals_server.domain.bars import Bar

pytestmark = pytest.mark.slow

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
DOCUMENT = json.loads((Path(__file__).parents[2] / "envoy" / "openapi.json").read_text(encoding="utf-8"))
STREAMS = {
    path: operations["get"]
    for path, operations in DOCUMENT["paths"].items()
    if "x-server-stream" in operations.get("get", {})
}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
HOSTILE = (
    *("", " ", "0", "-1", "1e999", "NaN", "18446744073709551616", "9" * 400, "1,2", "null", "true"),
    *("'; DROP TABLE events; --", "\x00", "a\r\nb: c", "\u202e", "\U0001f600", "%25", "../..", "{}", "x" * 3000),
)


@pytest.fixture(scope="module")
async def fuzzed(known_bars: list[Bar]) -> AsyncIterator[RunningService]:
    """A service that no other test uses, with bars, signals and positions."""
    with scratch_folder() as folder:
        async with running_service(folder) as service, service.client() as client:
            await client.publish_bars(messages(known_bars))
            yield service
            assert not await client.list_endpoints(), "a generated URL may be one of the internet"


def options() -> list[str]:
    """Return how much is generated: ten requests an operation, the same each time, or what the profile asks for."""
    if settings.get_current_profile_name() == "explore":
        return ["--phases=examples,coverage,fuzzing", f"--max-examples={settings().max_examples}"]
    return ["--phases=examples,fuzzing", "--max-examples=10", "--generation-deterministic"]


async def test_generated_requests_have_documented_responses_and_lose_nothing(fuzzed: RunningService) -> None:
    # Streams do not end; they are tested below.
    never_ending = [f"--exclude-path={path}" for path in STREAMS]
    command = (
        *("run", f"http://{fuzzed.address}/openapi.json", f"--checks={','.join(CHECKS)}", *never_ending),
        "--exclude-operation-id=CreateEndpoint",  # its example would be delivered to
    )
    async with unharmed(fuzzed):
        process = await asyncio.create_subprocess_exec(
            SCHEMATHESIS,
            *command,
            *options(),
            "--no-color",
            "--suppress-health-check=all",
            f"--request-timeout={DEADLINE}",
            cwd=fuzzed.folder,
            env=kept_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, printed.decode()


def stream_requests() -> Iterator[tuple[str, dict[str, str]]]:
    for path, operation in STREAMS.items():
        for parameter in operation["parameters"]:
            for value in HOSTILE:
                yield path, {parameter["name"]: value}


async def test_streams_begin_or_are_refused_as_documented(fuzzed: RunningService) -> None:
    statuses = set()
    async with unharmed(fuzzed), fuzzed.rest() as rest:
        for path, query in stream_requests():
            statuses.add(await within(documented_status(rest, path, query)))
    assert statuses == {200, 400}


async def documented_status(rest: httpx.AsyncClient, path: str, query: dict[str, str]) -> int:
    """Return the status of a stream after its first line, or its error, was found valid by its schema."""
    responses: Any = STREAMS[path]["responses"]
    async with rest.stream("GET", path, params=query) as response:
        assert str(response.status_code) in responses, (path, query, response.status_code)
        if response.status_code == 200:
            schema = responses["200"]["content"]["application/x-ndjson"]["schema"]
            validate_against(DOCUMENT, schema, json.loads(await anext(response.aiter_lines())))
        else:
            await response.aread()
            validate_against(DOCUMENT, {"$ref": "#/components/schemas/Error"}, response.json())
    return response.status_code
