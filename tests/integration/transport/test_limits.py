"""The limits of one peer: the table in README.md of transport/http2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support import http2 as h2
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.http2 import Peer, http2_peer
from tests.support.logs import Log
from tests.support.sockets import connected

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.transport.fanout.server import FanoutServer
from tradingsignals_server.transport.http2.limits import Limits

from .conftest import fanout_server, followers

HEAD = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers()))


@pytest.fixture
async def log() -> Log:
    return await Log.with_entries(0)


@pytest.fixture
async def server(log: Log) -> AsyncIterator[FanoutServer]:
    async with fanout_server(log) as server:
        yield server


def sequences(message: bytes) -> list[int]:
    return [event.sequence for event in StreamEventsResponse.FromString(message).events]


async def processed(peer: Peer, *what: bytes) -> None:
    """Send, and wait until the server has processed all of it."""
    peer.send(*what, h2.frame(h2.PING, 0, 0, b"ordering"))
    while (found := await peer.next(h2.PING)).payload != b"ordering" or not found.flags & h2.ACK:
        pass


async def called(peer: Peer, stream: int) -> None:
    """Make a call that has a response."""
    peer.send(h2.request(stream, b"", "/grpc.health.v1.Health/Check"))
    assert (await peer.headers(stream))[":status"] == "200"


async def test_streams_beyond_the_limit_are_refused(log: Log) -> None:
    async with fanout_server(log, limits=Limits(streams=2)) as server, http2_peer(server.port) as peer:
        peer.send(h2.request(1), h2.request(3), h2.request(5))
        reset = await peer.next(h2.RST_STREAM)
        assert (reset.stream, reset.code) == (5, h2.REFUSED_STREAM)
        await followers(server, 2)


@pytest.mark.parametrize(
    "abuse",
    [
        lambda _: h2.frame(h2.PING, 0, 0, bytes(8)),
        lambda _: h2.settings(),
        lambda _: h2.frame(h2.PRIORITY, 0, 1, bytes(5)),
        lambda n: (HEAD if n == 0 else b"") + h2.frame(h2.DATA, 0, 1, b""),
        lambda n: h2.request(2 * n + 1) + h2.frame(h2.DATA, 0, 2 * n + 1, b"x"),
        lambda _: h2.frame(h2.PING, h2.ACK, 0, bytes(8)),
        lambda _: h2.frame(h2.SETTINGS, h2.ACK, 0),
        lambda _: h2.window_update(0, 1),
        lambda n: (h2.request(1) if n == 0 else b"") + h2.window_update(1, 1),
        lambda n: (h2.request(1) if n == 0 else b"") + h2.frame(h2.RST_STREAM, 0, 1, bytes(4)),
        lambda _: h2.frame(0xEE, 0, 0, b""),
        lambda n: h2.frame(h2.HEADERS, 0, 1, b"") if n == 0 else h2.frame(h2.CONTINUATION, 0, 1, b""),
        lambda n: (HEAD if n == 0 else b"") + h2.frame(h2.DATA, 0, 1, b"\0" if n == 0 else b""),
    ],
    ids=[
        "PING",
        "SETTINGS",
        "PRIORITY",
        "empty DATA",
        "refused by RST_STREAM",
        "acknowledged PING",
        "acknowledged SETTINGS",
        "WINDOW_UPDATE of the connection",
        "WINDOW_UPDATE of a stream",
        "RST_STREAM of a closed stream",
        "an unknown type",
        "CONTINUATION without bytes",
        "DATA of a byte",
    ],
)
async def test_flood_of_frames_without_effect_ends_the_connection(log: Log, abuse: object) -> None:
    assert callable(abuse)
    async with (
        fanout_server(log, limits=Limits(idle_frames=50, idle_frames_per_second=0.0)) as server,
        http2_peer(server.port) as peer,
    ):
        for n in range(60):
            peer.send(abuse(n))
        assert (await peer.next(h2.GOAWAY)).code == h2.ENHANCE_YOUR_CALM
        await peer.closed()
        await followers(server, 0)


async def test_many_streams_opened_and_reset_leave_other_streams_open(server: FanoutServer, log: Log) -> None:
    """All callers behind an edge share one connection: many that leave at once must not end it."""
    async with http2_peer(server.port) as peer:
        peer.send(h2.request(1))
        await peer.headers(1)
        head, body, code = h2.block(h2.headers()), h2.framed(StreamEventsRequest()), h2.CANCEL.to_bytes(4, "big")
        for stream in range(3, 2 * 6_000, 2):
            peer.send(
                h2.frame(h2.HEADERS, h2.END_HEADERS, stream, head),
                h2.frame(h2.DATA, h2.END_STREAM, stream, body),
                h2.frame(h2.RST_STREAM, 0, stream, code),
            )
            if stream % 500 == 1:
                await within(peer.writer.drain())
        peer.send(h2.frame(h2.PING, 0, 0, b"ordering"))
        while not (await peer.next(h2.PING)).flags & h2.ACK:
            pass
        assert server.streams == 1
        log.append()
        assert sequences(await peer.message(1)) == [1]


async def test_header_block_that_decodes_to_too_much_is_refused(server: FanoutServer) -> None:
    """Repeated references to one entry of the dynamic table: a few bytes that would decode to megabytes."""
    bomb = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 200
    async with http2_peer(server.port) as peer:
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, bomb))
        assert (await peer.next(h2.GOAWAY)).code == h2.COMPRESSION_ERROR


async def test_silent_peer_gets_a_ping_and_is_then_disconnected(log: Log) -> None:
    limits = Limits(keepalive_seconds=0.3, keepalive_timeout_seconds=0.3)
    async with fanout_server(log, limits=limits) as server, http2_peer(server.port) as peer:
        peer.send(h2.request(1))
        await peer.headers(1)
        ping = await peer.next(h2.PING)
        assert ping.flags == 0
        await peer.closed()
        await followers(server, 0)


# ------------------------------------------------------------------------------------------------------------- timeouts


async def test_incomplete_preface_is_disconnected_after_its_timeout(log: Log) -> None:
    async with (
        fanout_server(log, limits=Limits(preface_seconds=0.3)) as server,
        connected(server.port) as (reader, writer),
    ):
        writer.write(h2.PREFACE[:10])
        await Peer(reader, writer).closed()


async def test_incomplete_header_block_ends_the_connection_after_its_timeout(log: Log) -> None:
    async with fanout_server(log, limits=Limits(request_seconds=0.3)) as server, http2_peer(server.port) as peer:
        peer.send(h2.frame(h2.HEADERS, 0, 1, b""))
        assert (await peer.next(h2.GOAWAY)).code == h2.ENHANCE_YOUR_CALM
        await peer.closed()


async def test_incomplete_frame_counts_as_silence(log: Log) -> None:
    limits = Limits(keepalive_seconds=0.4, keepalive_timeout_seconds=0.4)
    async with fanout_server(log, limits=limits) as server, http2_peer(server.port) as peer:
        await peer.next(h2.SETTINGS)
        peer.send(h2.frame(h2.DATA, 0, 1, bytes(100))[:50])
        closing = asyncio.create_task(peer.closed())
        while not closing.done():
            peer.send(b"x")
            await asyncio.wait([closing], timeout=0.1)
        await closing


async def test_request_sent_byte_by_byte_is_ended_after_its_timeout(log: Log) -> None:
    async with fanout_server(log, limits=Limits(request_seconds=0.3)) as server, http2_peer(server.port) as peer:
        peer.send(h2.request(1), h2.frame(h2.HEADERS, h2.END_HEADERS, 3, h2.block(h2.headers())))
        peer.send(h2.frame(h2.DATA, 0, 3, b"\0"))
        ended = await peer.headers(3)
        assert ended["grpc-status"] == "4"
        reset = await peer.next(h2.RST_STREAM, 3)
        assert reset.code == h2.NO_ERROR
        peer.send(h2.frame(h2.DATA, 0, 3, b"\0"), h2.frame(h2.HEADERS, 5, 3, h2.block([("x", "y")])))
        await called(peer, 5)
        assert server.streams == 1, "its request is complete"


async def test_unused_connection_is_closed_with_goaway(log: Log) -> None:
    async with (
        fanout_server(log, limits=Limits(unused_seconds=1.0)) as server,
        http2_peer(server.port) as used,
    ):
        used.send(h2.request(1))
        await used.headers(1)
        async with http2_peer(server.port) as unused:
            assert (await unused.next(h2.GOAWAY)).code == h2.NO_ERROR
            await unused.closed()
        await called(used, 3)


# --------------------------------------------------------------------------------------------------------------- counts


async def test_oldest_unused_connection_is_closed_beyond_the_limit(log: Log) -> None:
    async with (
        fanout_server(log, limits=Limits(connections=3)) as server,
        http2_peer(server.port) as used,
        http2_peer(server.port) as unused,
        http2_peer(server.port) as third,
    ):
        for peer in (used, third):
            peer.send(h2.request(1))
            await peer.headers(1)
        await unused.next(h2.SETTINGS)
        async with http2_peer(server.port) as new:
            await unused.closed()
            new.send(h2.request(1))
            await new.headers(1)
            async with http2_peer(server.port) as refused:
                with pytest.raises((AssertionError, ConnectionError)):
                    await refused.next(h2.PING)
        await called(used, 3)


async def test_oldest_incomplete_requests_are_ended_beyond_the_limit_of_bytes(log: Log) -> None:
    """Complete requests are served meanwhile."""
    limits = Limits(incomplete_request_bytes=100_000, request_seconds=DEADLINE)
    async with fanout_server(log, limits=limits) as server, http2_peer(server.port) as peer:
        part = b"\0\0\0\xbf\0" + bytes(9_995)
        for stream in range(1, 41, 2):
            peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.block(h2.headers())))
            peer.send(h2.frame(h2.DATA, 0, stream, part))
        for stream in range(1, 21, 2):
            assert (await peer.headers(stream))["grpc-status"] == "4"
        await called(peer, 41)
        assert await incomplete(server) == 10


async def incomplete(server: FanoutServer) -> int:
    """Return the number of requests that have not ended."""
    return sum(len(protocol.connection._requests.incomplete) for protocol in server._connections)


async def test_settings_cost_tokens_by_the_open_streams_they_change(log: Log) -> None:
    """A frame of 2,730 windows is one change of each stream, and each change costs a token."""
    many = b"".join(b"\0\4" + (65_535 + n % 2).to_bytes(4, "big") for n in range(2_730))
    limits = Limits(idle_frames=3_000, idle_frames_per_second=0.0)
    async with fanout_server(log, limits=limits) as server, http2_peer(server.port) as peer:
        for first in range(1, 2_000, 400):
            peer.send(*(h2.request(stream) for stream in range(first, first + 400, 2)))
        await followers(server, 1_000)
        await processed(peer, h2.frame(h2.SETTINGS, 0, 0, many))
        changes = [h2.settings({h2.INITIAL_WINDOW_SIZE: 70_000 + n}) for n in range(400)]
        peer.send(*changes)
        assert (await peer.next(h2.GOAWAY)).code == h2.ENHANCE_YOUR_CALM
    await followers(server, 0)


async def test_flood_on_one_connection_delays_others_by_one_turn_at_most(server: FanoutServer, log: Log) -> None:
    async with http2_peer(server.port) as flood, http2_peer(server.port) as peer:
        await processed(flood)
        await processed(peer)
        block = h2.block(h2.headers(path="/none"))
        flood.send(*(h2.frame(h2.HEADERS, 5, stream, block) for stream in range(1, 24_000, 2)))
        await called(peer, 1)
        assert max(each.connection._requests.last_stream_id for each in server._connections) < 23_999, (
            "the flood has not been processed yet"
        )


async def test_peer_that_does_not_take_its_responses_is_not_read_from(log: Log) -> None:
    """Refusals are not subject to flow control, so they would grow without a bound."""
    limits = Limits(response_bytes=100_000)
    async with fanout_server(log, limits=limits) as server, http2_peer(server.port, receive_buffer=4096) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a whole transport
        block = h2.block(h2.headers(path="/none"))
        for first in range(1, 60_000, 2_000):
            peer.send(*(h2.frame(h2.HEADERS, 5, stream, block) for stream in range(first, first + 2_000, 2)))
        async with asyncio.timeout(DEADLINE):
            while not (held := pending(server)):
                await poll()
        async with http2_peer(server.port) as other:
            for stream in range(1, 100, 2):
                await called(other, stream)
        assert held <= pending(server) < 400_000


def pending(server: FanoutServer) -> int:
    """Bytes pending for the sockets of connections that are not read from."""
    blocked = [each for each in server._connections if not each.is_reading and each._next_turn is None]
    return sum(each.pending_bytes for each in blocked)


# ---------------------------------------------------------------------------------------------- the header table


@pytest.mark.parametrize("sizes", [[0], [100], [4095], [0, 4096], [0, 1 << 20], [4096, 8192]], ids=str)
async def test_smaller_header_table_is_signalled_once(server: FanoutServer, sizes: list[int]) -> None:
    """By the first block after the acknowledgement (RFC 7541, 4.2)."""
    async with http2_peer(server.port) as peer:
        await processed(peer)
        for size in sizes:
            peer.send(h2.settings({1: size}))
        await processed(peer)
        peer.send(h2.request(1))
        first = await peer.next(h2.HEADERS, 1)
        assert (first.payload[:1] == b"\x20") == (min(sizes) < 4096)
        peer.send(h2.request(3))
        second = await peer.next(h2.HEADERS, 3)
        assert second.payload[:1] != b"\x20"
