"""Followers that do not read cost one response each, and others nothing."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import AsyncExitStack

import pytest
from tests.support import http2 as h2
from tests.support.deadlines import DEADLINE, within
from tests.support.http2 import http2_peer
from tests.support.logs import Log

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.transport.http2.limits import Limits

from .conftest import fanout_server

STALLED = 100
FOREVER = 100 * DEADLINE
"""Seconds after which a server may end what is stalled or silent; no test takes so long, on a busy machine neither."""
WHOLE_LOG = StreamEventsRequest(resume_after=0)


async def read_to(peer: h2.Peer, newest: int, stream: int = 1) -> list[int]:
    """Return the sequences that a follower receives, up to `newest`."""
    found: list[int] = []
    while not found or found[-1] < newest:
        response = StreamEventsResponse.FromString(await peer.message(stream))
        found.extend(event.sequence for event in response.events if not event.HasField("heartbeat"))
        peer.send(h2.window_update(stream, 1 << 20), h2.window_update(0, 1 << 20))
    return found


@pytest.mark.untraced
@pytest.mark.parametrize("how", ["no window", "full socket"])
async def test_stalled_followers_delay_no_other_and_take_bounded_memory(how: str) -> None:
    """Megabytes are pending for each stalled follower, but at most one response is kept in memory for it."""
    log = await Log.with_entries(0)
    windows = {h2.INITIAL_WINDOW_SIZE: 0 if how == "no window" else 2**31 - 1}
    limits = Limits(keepalive_seconds=FOREVER)
    async with fanout_server(log, FOREVER, limits) as server, AsyncExitStack() as stack:
        for _ in range(STALLED):
            peer = await stack.enter_async_context(http2_peer(server.port, windows, receive_buffer=4096))
            peer.send(h2.window_update(0, 2**31 - 1 - 65_535), h2.request(1))
            await peer.headers(1)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a whole transport
        healthy = [await stack.enter_async_context(http2_peer(server.port)) for _ in range(5)]
        for peer in healthy:
            peer.send(h2.request(1, WHOLE_LOG))
            await peer.headers(1)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(60):
            log.append(64)
            for each in await asyncio.gather(*(read_to(peer, log.newest) for peer in healthy)):
                assert each == list(range(log.newest - 63, log.newest + 1))
        kept = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        log_bytes = sum(len(entry.payload) + 1000 for entry in log.store.entries)
        pending = STALLED * sum(len(entry.payload) for entry in log.store.entries)
        assert kept - log_bytes < pending / 4, (kept, log_bytes, pending)
        assert server.streams == STALLED + len(healthy)


async def test_stalled_follower_resumes_without_a_gap_once_it_reads() -> None:
    log = await Log.with_entries(1000)
    async with fanout_server(log) as server, http2_peer(server.port, {h2.INITIAL_WINDOW_SIZE: 100}) as peer:
        peer.send(h2.request(1, WHOLE_LOG))
        await peer.headers(1)
        for _ in range(20):
            log.append(100)
            peer.send(h2.frame(h2.PING, 0, 0, bytes(8)))
            await peer.next(h2.PING)  # so that each was notified separately
        peer.send(h2.window_update(1, 1 << 20))
        assert await read_to(peer, log.newest) == list(range(1, 3001))


async def test_stalled_stream_does_not_block_others_of_its_connection() -> None:
    log = await Log.with_entries(0)
    async with fanout_server(log) as server, http2_peer(server.port, {h2.INITIAL_WINDOW_SIZE: 0}) as peer:
        peer.send(h2.request(1), h2.request(3), h2.window_update(3, 1 << 20))
        await peer.headers(3)
        for number in range(1, 20):
            log.append()
            assert await read_to(peer, number, stream=3) == [number]


async def test_stalled_stream_is_ended_after_the_time_limit() -> None:
    log = await Log.with_entries(10)
    async with (
        fanout_server(log, stall_seconds=0.5) as server,
        http2_peer(server.port, {h2.INITIAL_WINDOW_SIZE: 50}) as peer,
    ):
        peer.send(h2.request(1, WHOLE_LOG))
        await peer.headers(1)
        ended = await peer.headers(1)
        assert (ended["grpc-status"], ended["grpc-message"][:23]) == ("8", "nothing was taken for 0")
        assert server.streams == 0
        peer.send(h2.request(3))
        await peer.headers(3)
        log.append()
        assert (await within(peer.next(h2.DATA, 3))).payload, "the connection stays open"
