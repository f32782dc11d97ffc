"""Floods of one caller do not break the shared connection to the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from tests.support import http2 as h2
from tests.support.deadlines import DEADLINE
from tests.support.http2 import frame, http2_peer, request

from tradingsignals_server.adapters.envoy.process import Edge

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub


@asynccontextmanager
async def unaffected_follower(stub: Stub, rest: httpx.AsyncClient, released: asyncio.Event) -> AsyncIterator[None]:
    """Run a stream, and check at the end of the block that it is still open and delivers all events."""
    await stub.follow(0)
    async with asyncio.timeout(3 * DEADLINE), rest.stream("GET", "/api/signals/stream") as response:
        lines = response.aiter_lines()
        assert json.loads(await anext(lines)) == {"through_sequence": "0"}
        yield
        await stub.follow(1)
        released.set()
        assert [json.loads(line)["through_sequence"] async for line in lines] == ["1", "2"]


def streams(count: int) -> range:
    """Return the ids of `count` streams of a connection."""
    return range(1, 2 * count, 2)


async def test_1500_streams_ending_at_once_affect_no_other(
    stub: Stub, edge: Edge, rest: httpx.AsyncClient, released: asyncio.Event
) -> None:
    async with unaffected_follower(stub, rest, released), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(http2_peer(edge.port)) for _ in range(3)]
        for peer in peers:
            peer.send(*(request(stream) for stream in streams(500)))
        await stub.follow(1501)
        # Their connections are closed, so Envoy resets all of their streams.


async def test_bursts_of_cancelled_streams_affect_no_other(
    stub: Stub, edge: Edge, rest: httpx.AsyncClient, released: asyncio.Event
) -> None:
    async with unaffected_follower(stub, rest, released), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(http2_peer(edge.port)) for _ in range(4)]
        cancel = h2.CANCEL.to_bytes(4, "big")
        for peer in peers:
            peer.send(*(request(stream) for stream in streams(480)))
        await asyncio.gather(*(peer.next(h2.HEADERS, 1) for peer in peers))  # served
        for peer in peers:
            peer.send(*(frame(h2.RST_STREAM, 0, stream, cancel) for stream in streams(480)))


async def test_connection_is_limited_to_1000_concurrent_streams(edge: Edge) -> None:
    async with http2_peer(edge.port) as peer:
        settings = await peer.next(h2.SETTINGS)
        values = [settings.payload[at : at + 6] for at in range(0, len(settings.payload), 6)]
        found = {int.from_bytes(value[:2]): int.from_bytes(value[2:]) for value in values}
        assert found[3] == 1_000  # SETTINGS_MAX_CONCURRENT_STREAMS


async def test_malformed_request_is_a_stream_error(stub: Stub, edge: Edge, released: asyncio.Event) -> None:
    await stub.follow(0)
    async with http2_peer(edge.port) as peer:
        peer.send(request(1))
        await peer.headers(1)
        head = h2.block([*h2.headers(), ("connection", "close")])  # not allowed in HTTP/2
        peer.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, head))
        assert (await peer.next(h2.RST_STREAM, 3)).code == h2.PROTOCOL_ERROR
        released.set()
        await peer.message(1)
