"""Streams through the edge: without delay, event by event, and without blocking other calls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from tests.support.deadlines import DEADLINE, within

from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub

PATHS = ("/api/signals/stream", "/api/signals/stream/", "/api/signals/positions/stream", "/api/events")


class Form(NamedTuple):
    """An encoding of REST streams: the request that selects it, and the form of its response."""

    accept: str
    content_type: str
    prefix: str
    first: list[str]


WHERE = '{"through_sequence":"0"}'
SSE = Form("text/event-stream", "text/event-stream", "data: ", ["id: 0", f"data: {WHERE}", ""])
NDJSON = Form("*/*", "application/x-ndjson", "", [WHERE])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", [SSE, NDJSON], ids=["SSE", "NDJSON"])
async def test_streams_deliver_headers_and_each_event_without_delay(
    rest: httpx.AsyncClient, released: asyncio.Event, path: str, form: Form
) -> None:
    async with asyncio.timeout(DEADLINE), rest.stream("GET", path, headers={"accept": form.accept}) as response:
        # The headers have arrived, and the server has sent nothing but its sequence.
        assert (response.status_code, response.headers["content-type"]) == (200, form.content_type)
        assert (
            response.headers["cache-control"] == "no-store, no-transform"
        )  # no proxy on the way may cache or compress it
        assert response.headers["x-accel-buffering"] == "no"
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in form.first] == form.first
        released.set()
        later = [line async for line in lines if line and not line.startswith("id: ")]
    assert all(line.startswith(form.prefix) for line in later)
    events = [json.loads(line.removeprefix(form.prefix)) for line in later]
    assert [event["through_sequence"] for event in events] == ["1", "2"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/event-stream;q=0", NDJSON),
        ("Text/Event-Stream ; Q=0.000, */*", NDJSON),
        ("*/*, text/event-stream;charset=utf-8;q=0.", NDJSON),
        ("text/event-stream;q=0.1, */*;q=0", SSE),
        ("application/json;q=0, text/event-stream", SSE),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_weight_of_0_refuses_server_sent_events(
    rest: httpx.AsyncClient, method: str, accept: str, form: Form
) -> None:
    async with rest.stream(method, PATHS[0], headers={"accept": accept}) as response:
        assert response.headers["content-type"] == form.content_type


async def test_parameters_of_streams_are_parsed(rest: httpx.AsyncClient, released: asyncio.Event) -> None:
    released.set()
    query = "symbols=A&symbols=B,C&actions=buy&resume_after=9007199254740993"
    response = await rest.get(f"/api/signals/stream?{query}")
    signal = json.loads(response.text.splitlines()[1])["signals"][0]
    assert json.loads(signal["reasoning"][0]) == {
        "symbols": ["A", "B,C"],
        "actions": ["BUY"],
        "resume_after": "9007199254740993",
    }


async def test_stalled_followers_do_not_block_others(stub: Stub, edge: Edge, rest: httpx.AsyncClient) -> None:
    url = f"{edge.url}/api/events?symbols=FLOOD"
    async with asyncio.timeout(6 * DEADLINE), httpx.AsyncClient(timeout=DEADLINE) as stalled:
        responses = [await stalled.send(stalled.build_request("GET", url), stream=True) for _ in range(30)]
        try:
            # Until the server could not send a response for half a second: all buffers on the way are full.
            while True:
                stub.flooded.clear()
                try:
                    await asyncio.wait_for(stub.flooded.wait(), 0.5)
                except TimeoutError:
                    break
            for _ in range(5):
                assert (await rest.get("/health")).json()["status"] == "healthy"
            assert (await rest.post("/api/signals/generate", content=b"{}")).status_code == 200
        finally:
            for response in responses:
                await response.aclose()


async def test_streams_can_end_during_the_drain_of_the_edge(
    stub: Stub, released: asyncio.Event, tmp_path: Path
) -> None:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port))
    async with asyncio.timeout(DEADLINE), httpx.AsyncClient(timeout=DEADLINE) as client:
        async with running_edge(config, tmp_path / "edge", drain_seconds=20.0) as edge:
            await within(edge.sees_all_healthy())
            request = client.build_request("GET", f"{edge.url}/api/signals/stream")
            response = await client.send(request, stream=True)

            async def release_when_draining() -> None:
                while (await client.get(f"{edge.url}/openapi.json")).headers.get("connection") != "close":
                    pass
                released.set()

            releaser = asyncio.create_task(release_when_draining())
        await releaser
        lines = [line async for line in response.aiter_lines()]
    assert [json.loads(line)["through_sequence"] for line in lines] == ["0", "1", "2"]
