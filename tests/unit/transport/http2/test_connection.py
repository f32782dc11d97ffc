"""However bytes come, and whatever they are: the same answers, never a crash, never a hang."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import http2 as h2

from tradingsignals_server.transport.http2 import headers
from tradingsignals_server.transport.http2.connection import Connection
from tradingsignals_server.transport.http2.headers import Request
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.http2.stream import Stream

MESSAGE = b"m" * 40_000


class Transport:
    """A socket that takes everything and remembers it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_closed = False

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data

    def write_eof(self) -> None:
        self.is_closed = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class Echo:
    """A listener that answers every whole request with one message, its request's length, and trailers."""

    def __init__(self) -> None:
        self.open: dict[Stream, bytearray] = {}
        self.gone_: list[int] = []

    def connected(self, connection: Connection) -> None:
        pass

    def disconnected(self, connection: Connection) -> None:
        pass

    def requested(self, stream: Stream, request: Request) -> None:
        self.open[stream] = bytearray()

    def received(self, stream: Stream, body: bytes, *, ends: bool) -> None:
        self.open[stream] += body
        if ends:
            whole = self.open.pop(stream)
            stream.send_headers(headers.answer(()))
            stream.send(MESSAGE + str(len(whole)).encode())
            stream.finish(headers.block([(b"grpc-status", b"0")]))

    def gone(self, stream: Stream) -> None:
        self.open.pop(stream, None)
        self.gone_.append(stream.number)

    def overdue(self, stream: Stream) -> None:
        stream.finish(b"")

    def drained(self, stream: Stream) -> None:
        pass

    def writable(self, connection: Connection) -> None:
        pass


def opened(echo: Echo | None = None) -> tuple[Connection, Transport]:
    transport = Transport()
    connection = Connection(echo or Echo(), Limits(turn_seconds=math.inf))
    connection.connection_made(cast(asyncio.BaseTransport, transport))
    return connection, transport


def answers(written: bytes) -> dict[int, bytes]:
    """What came on each stream, all of it."""
    found: dict[int, bytes] = {}
    for frame in h2.Frames().feed(written):
        if frame.kind == h2.DATA:
            found[frame.stream] = found.get(frame.stream, b"") + frame.payload
        elif frame.kind == h2.HEADERS and frame.flags & h2.END_STREAM:
            found[frame.stream] = found.get(frame.stream, b"") + b"."
    return found


def whole_session(sizes: Iterable[int], grants: Iterable[tuple[int, int]]) -> bytes:
    out = [h2.PREFACE, h2.settings({h2.INITIAL_WINDOW_SIZE: 1000})]
    for n, size in enumerate(sizes):
        number = 2 * n + 1
        block = h2.block(h2.headers())
        out.append(h2.frame(h2.HEADERS, 0, number, block[:20]))
        out.append(h2.frame(h2.CONTINUATION, h2.END_HEADERS, number, block[20:]))
        out.append(h2.frame(h2.DATA, h2.PADDED | h2.END_STREAM, number, bytes((3,)) + b"b" * size + b"\0\0\0"))
    for n, more in grants:
        out.append(h2.window_update(2 * n + 1 if n >= 0 else 0, more))
    return b"".join(out)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4),
    grants=st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 50_000)), max_size=8),
    cuts=st.lists(st.integers(0, 20_000), max_size=30),
)
async def test_the_answer_does_not_hang_on_where_bytes_are_cut(
    sizes: list[int], grants: list[tuple[int, int]], cuts: list[int]
) -> None:
    session = whole_session(sizes, [(n, more) for n, more in grants if n < len(sizes)])
    whole, at_once = opened()
    whole.data_received(session)
    cut, in_pieces = opened()
    places = sorted({min(place, len(session)) for place in cuts} | {0, len(session)})
    for start, end in pairwise(places):
        cut.data_received(session[start:end])
    single, byte_by_byte = opened()
    for byte in session:
        single.data_received(bytes((byte,)))
    # Which of the streams a window of the connection went to may differ, so they are compared when all have enough.
    enough = h2.window_update(0, 1 << 30)
    enough += b"".join(h2.window_update(2 * n + 1, 1 << 20) for n in range(len(sizes)))
    for connection in (whole, cut, single):
        connection.data_received(enough)
    assert answers(bytes(in_pieces.written)) == answers(bytes(at_once.written))
    assert answers(bytes(byte_by_byte.written)) == answers(bytes(at_once.written))
    assert len(answers(bytes(at_once.written))) == len(sizes)
    assert not any(transport.is_closed for transport in (at_once, in_pieces, byte_by_byte))


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4),
    grants=st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 50_000)), max_size=12),
)
async def test_no_byte_beyond_a_window_and_all_of_them_in_the_end(
    sizes: list[int], grants: list[tuple[int, int]]
) -> None:
    connection, transport = opened()
    connection.data_received(whole_session(sizes, ()))
    granted = {0: 65_535, **{2 * n + 1: 1000 for n in range(len(sizes))}}
    for n, more in grants:
        stream = 2 * n + 1 if n >= 0 else 0
        if stream in granted:
            granted[stream] += more
            connection.data_received(h2.window_update(stream, more))
        came = answers(bytes(transport.written))
        sent = {stream: len(body.removesuffix(b".")) for stream, body in came.items()}
        assert sum(sent.values()) <= granted[0]
        assert all(count <= granted[stream] for stream, count in sent.items())
    connection.data_received(h2.window_update(0, 10_000_000))
    for stream in granted.keys() - {0}:
        connection.data_received(h2.window_update(stream, 1_000_000))
    expected = {2 * n + 1: MESSAGE + str(size).encode() + b"." for n, size in enumerate(sizes)}
    assert answers(bytes(transport.written)) == expected
    assert not connection.streams
    assert not connection.owing


def _frames() -> st.SearchStrategy[bytes]:
    """Frames that are nearly right."""
    block = h2.block(h2.headers())
    return st.builds(
        h2.frame,
        st.integers(0, 11),
        st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x2D, 0xFF]),
        st.sampled_from([0, 1, 1, 1, 2, 3, 5, 2**31 - 1, 2**32 - 1]),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"", block, block[:10], bytes(4), bytes(8), b"\0\0\0\1", b"\x7f\xff\xff\xff", bytes(6)]),
        ),
    )


@settings(deadline=None)
@given(frames=st.lists(_frames(), max_size=30), tail=st.binary(max_size=50), piece=st.integers(1, 60))
async def test_garbage_ends_the_connection_at_worst(frames: list[bytes], tail: bytes, piece: int) -> None:
    echo = Echo()
    connection, transport = opened(echo)
    begun = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers())) + h2.request(3, MESSAGE[:9000])
    session = h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 100}) + begun + b"".join(frames) + tail
    for at in range(0, len(session), piece):
        connection.data_received(session[at : at + piece])
    came = h2.Frames().feed(bytes(transport.written))
    is_over = transport.is_closed
    assert is_over == any(frame.kind == h2.GOAWAY for frame in came) or (is_over and not connection.streams)
    connection.connection_lost(None)
    assert not connection.streams
    assert not echo.open, "nobody is told of a stream and then left alone"


@settings(deadline=None)
@given(noise=st.binary(max_size=200))
async def test_what_is_no_http2_is_refused(noise: bytes) -> None:
    connection, transport = opened()
    connection.data_received(noise)
    assert transport.is_closed == (noise[:24] != h2.PREFACE[: len(noise)])


async def test_a_lost_connection_loses_its_streams() -> None:
    echo = Echo()
    connection, _ = opened(echo)
    begun = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers()))
    connection.data_received(h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 0}) + begun + h2.request(3))
    connection.connection_lost(None)
    assert echo.gone_ == [1, 3]
    assert not connection.streams
    assert not connection.owing


async def test_a_socket_that_is_full_gets_no_data() -> None:
    connection, transport = opened()
    connection.data_received(h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 1 << 20}))
    connection.pause_writing()
    connection.data_received(h2.request(1, b"x"))
    assert answers(bytes(transport.written)) == {}
    connection.resume_writing()
    assert answers(bytes(transport.written))[1].endswith(b"6.")


async def test_whoever_waits_for_a_stream_to_drain_is_not_left_waiting() -> None:
    class Keeper(Echo):
        stream: Any = None

        def requested(self, stream: Stream, request: Request) -> None:
            super().requested(stream, request)
            Keeper.stream = stream

    connection, _ = opened(Keeper())
    head = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers()))
    connection.data_received(h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 0}) + head)
    for ending in (h2.window_update(1, 5), h2.frame(h2.RST_STREAM, 0, 1, bytes(4))):
        Keeper.stream.rest = None
        Keeper.stream.send(b"12345")
        waiting = asyncio.create_task(Keeper.stream.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        connection.data_received(ending)
        async with asyncio.timeout(10.0):
            await waiting
