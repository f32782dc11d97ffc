"""Whatever one caller does at once, the connection to the server that all share goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from tests.support import http2 as h2
from tests.support.http2 import frame, http2_peer, request

from tradingsignals_server.adapters.envoy.process import Edge

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub

DEADLINE = 20.0  # seconds, for anything that is waited for


@asynccontextmanager
async def follower_who_stays(stub: Stub, rest: httpx.AsyncClient, told: asyncio.Event) -> AsyncIterator[None]:
    """A follower that must still be there, with all its events, when the block has ended."""
    await stub.follow(0)
    async with asyncio.timeout(3 * DEADLINE), rest.stream("GET", "/api/signals/stream") as answer:
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines)) == {"through_sequence": "0"}
        yield
        await stub.follow(1)
        told.set()
        assert [json.loads(line)["through_sequence"] async for line in lines] == ["1", "2"]


def streams(count: int) -> range:
    """The ids of so many streams of one connection."""
    return range(1, 2 * count, 2)


async def test_1500_streams_may_end_at_once(
    stub: Stub, edge: Edge, rest: httpx.AsyncClient, told: asyncio.Event
) -> None:
    async with follower_who_stays(stub, rest, told), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(http2_peer(edge.port)) for _ in range(3)]
        for peer in peers:
            peer.send(*(request(stream) for stream in streams(500)))
        await stub.follow(1501)
        # Their connections are gone, so Envoy resets every one of their streams.


async def test_bursts_of_subscriptions_that_are_cancelled_at_once(
    stub: Stub, edge: Edge, rest: httpx.AsyncClient, told: asyncio.Event
) -> None:
    async with follower_who_stays(stub, rest, told), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(http2_peer(edge.port)) for _ in range(4)]
        cancel = h2.CANCEL.to_bytes(4, "big")
        for peer in peers:
            peer.send(*(request(stream) for stream in streams(480)))
        await asyncio.gather(*(peer.next(h2.HEADERS, 1) for peer in peers))  # served
        for peer in peers:
            peer.send(*(frame(h2.RST_STREAM, 0, stream, cancel) for stream in streams(480)))


async def test_a_connection_has_so_many_streams_at_a_time(edge: Edge) -> None:
    async with http2_peer(edge.port) as peer:
        settings = await peer.next(h2.SETTINGS)
        values = [settings.payload[at : at + 6] for at in range(0, len(settings.payload), 6)]
        found = {int.from_bytes(value[:2]): int.from_bytes(value[2:]) for value in values}
        assert found[3] == 1_000  # SETTINGS_MAX_CONCURRENT_STREAMS


async def test_a_malformed_request_ends_itself_and_not_the_streams_beside_it(
    stub: Stub, edge: Edge, told: asyncio.Event
) -> None:
    await stub.follow(0)
    async with http2_peer(edge.port) as peer:
        peer.send(request(1))
        await peer.headers(1)
        head = h2.block([*h2.headers(), ("connection", "close")])  # has no place in HTTP/2
        peer.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, head))
        assert (await peer.next(h2.RST_STREAM, 3)).code == h2.PROTOCOL_ERROR
        told.set()
        await peer.message(1)
