"""The connection without I/O: bytes in, events and bytes out, whatever the bytes are and however they are split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import http2 as h2

from tradingsignals_server.transport.http2.connection import Connection
from tradingsignals_server.transport.http2.errors import ErrorCode
from tradingsignals_server.transport.http2.events import (
    ConnectionWritable,
    DataReceived,
    Event,
    RequestOverdue,
    RequestReceived,
    StreamClosed,
    StreamFlushed,
)
from tradingsignals_server.transport.http2.header_blocks import encode_headers
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.http2.stream import Stream

MESSAGE = b"m" * 40_000
HEADERS = encode_headers([(b":status", b"200")])
TRAILERS = encode_headers([(b"grpc-status", b"0")])
NO_WINDOW = h2.settings({h2.INITIAL_WINDOW_SIZE: 0})


class Peer:
    """A connection, its output, and a server above it that responds to each complete request."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.output = h2.RecordingTransport()
        self.connection = Connection(self.output, limits or Limits(), 0.0)
        self.open: dict[Stream, bytearray] = {}

    def receive(self, data: bytes, now: float = 0.0) -> list[Event]:
        """Give bytes to the connection; return its events."""
        self.connection.receive(data)
        found: list[Event] = []
        while (events := self.connection.process_frame(now)) is not None:
            found += events
        return [*found, *self.connection.end_turn()]

    def respond(self, data: bytes) -> list[Event]:
        """Give bytes to the connection, and respond to the requests in them."""
        self.connection.receive(data)
        found: list[Event] = []
        while (events := self.connection.process_frame(0.0)) is not None:
            found += events
            self._handle(events)
        events = self.connection.end_turn()
        self._handle(events)
        return [*found, *events]

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived):
                self.open[event.stream] = bytearray()
            if isinstance(event, StreamClosed):
                self.open.pop(event.stream, None)
            if isinstance(event, DataReceived):
                self.open[event.stream] += event.data
            if isinstance(event, RequestReceived | DataReceived) and event.end_stream:
                body = self.open.pop(event.stream)
                event.stream.send_headers(HEADERS)
                event.stream.send(MESSAGE + str(len(body)).encode())
                event.stream.finish(TRAILERS)

    @property
    def written(self) -> list[h2.Frame]:
        """The frames written since the last time."""
        found = h2.Frames().feed(bytes(self.output.written))
        self.output.written.clear()
        return found

    @property
    def bodies(self) -> dict[int, bytes]:
        """The bodies of all responses so far."""
        return h2.bodies(bytes(self.output.written))


def opened(sent: bytes = b"", limits: Limits | None = None, values: dict[int, int] | None = None) -> Peer:
    """A connection after the preface and SETTINGS."""
    peer = Peer(limits)
    peer.receive(h2.PREFACE + h2.settings(values) + sent)
    peer.output.written.clear()
    return peer


def opening(stream_id: int, *, end_stream: bool = False, **more: str | None) -> bytes:
    """The HEADERS of a request."""
    flags = h2.END_HEADERS | (h2.END_STREAM if end_stream else 0)
    return h2.frame(h2.HEADERS, flags, stream_id, h2.block(h2.headers(**more)))


def stream_of(peer: Peer, stream_id: int = 1) -> Stream:
    """An open stream."""
    return peer.connection.streams[stream_id]


def described(events: Iterable[Event]) -> list[tuple[object, ...]]:
    """Events by type, stream and content; DATA that is split is joined."""
    found: list[tuple[object, ...]] = []
    for event in events:
        stream_id = None if isinstance(event, ConnectionWritable) else event.stream.stream_id
        values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        values.pop("stream", None)
        found.append((type(event).__name__, stream_id, *values.values()))
    return found


# ------------------------------------------------------------------------------------------------------ properties


def session(sizes: Iterable[int], grants: Iterable[tuple[int, int]] = ()) -> bytes:
    """A client that makes calls whose headers and bodies are padded and split."""
    out = [h2.PREFACE, h2.settings({h2.INITIAL_WINDOW_SIZE: 1000})]
    for n, size in enumerate(sizes):
        stream_id, block = 2 * n + 1, h2.block(h2.headers())
        out.append(h2.frame(h2.HEADERS, 0, stream_id, block[:20]))
        out.append(h2.frame(h2.CONTINUATION, h2.END_HEADERS, stream_id, block[20:]))
        out.append(h2.frame(h2.DATA, h2.PADDED | h2.END_STREAM, stream_id, bytes((3,)) + b"b" * size + b"\0\0\0"))
    out += [h2.window_update(2 * n + 1 if n >= 0 else 0, increment) for n, increment in grants]
    return b"".join(out)


def nearly_valid_frames() -> st.SearchStrategy[bytes]:
    """Frames of all types, many of which break the protocol."""
    block = h2.block(h2.headers())
    payloads = [b"", block, block[:10], bytes(4), bytes(8), b"\0\0\0\1", b"\x7f\xff\xff\xff", bytes(6)]
    return st.builds(
        h2.frame,
        st.integers(0, 11),
        st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x2D, 0xFF]),
        st.sampled_from([0, 1, 1, 1, 2, 3, 5, 2**31 - 1, 2**32 - 1]),
        st.one_of(st.binary(max_size=40), st.sampled_from(payloads)),
    )


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Bytes cut at these places."""
    places = sorted({min(place, len(data)) for place in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4),
    grants=st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 50_000)), max_size=8),
    cuts=st.lists(st.integers(0, 20_000), max_size=30),
)
def test_responses_do_not_depend_on_where_bytes_are_split(
    sizes: list[int], grants: list[tuple[int, int]], cuts: list[int]
) -> None:
    data = session(sizes, [(n, increment) for n, increment in grants if n < len(sizes)])
    # Which streams share a window of the connection may differ, so responses are compared once all have enough.
    enough = h2.window_update(0, 1 << 30)
    enough += b"".join(h2.window_update(2 * n + 1, 1 << 20) for n in range(len(sizes)))
    whole, pieces, single = Peer(), Peer(), Peer()
    for peer, parts in ((whole, [data]), (pieces, split(data, cuts)), (single, [bytes((byte,)) for byte in data])):
        for part in parts:
            peer.respond(part)
        peer.respond(enough)
        assert not peer.output.is_closed
    assert pieces.bodies == whole.bodies
    assert single.bodies == whole.bodies
    assert len(whole.bodies) == len(sizes)


@settings(deadline=None)
@given(
    garbage=st.lists(nearly_valid_frames(), max_size=30),
    tail=st.binary(max_size=50),
    cuts=st.lists(st.integers(0, 2000), max_size=30),
)
def test_any_bytes_give_the_same_events_however_they_are_split(
    garbage: list[bytes], tail: bytes, cuts: list[int]
) -> None:
    data = h2.PREFACE + h2.settings() + opening(1) + h2.request(3, b"abc") + b"".join(garbage) + tail
    whole, pieces = Peer(), Peer()
    expected = whole.receive(data)
    events = [event for part in split(data, cuts) for event in pieces.receive(part)]

    def of_frames(found: list[Event]) -> list[tuple[object, ...]]:
        return described(event for event in found if not isinstance(event, ConnectionWritable))

    assert of_frames(events) == of_frames(expected)
    assert bytes(pieces.output.written) == bytes(whole.output.written)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4),
    grants=st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 50_000)), max_size=12),
)
def test_no_byte_is_sent_beyond_a_window_and_all_are_sent_eventually(
    sizes: list[int], grants: list[tuple[int, int]]
) -> None:
    peer = Peer()
    peer.respond(session(sizes))
    granted = {0: 65_535, **{2 * n + 1: 1000 for n in range(len(sizes))}}
    for n, increment in grants:
        stream_id = 2 * n + 1 if n >= 0 else 0
        if stream_id in granted:
            granted[stream_id] += increment
            peer.respond(h2.window_update(stream_id, increment))
        sent = {stream_id: len(body.removesuffix(b".")) for stream_id, body in peer.bodies.items()}
        assert sum(sent.values()) <= granted[0]
        assert all(count <= granted[stream_id] for stream_id, count in sent.items())
    peer.respond(h2.window_update(0, 10_000_000))
    for stream_id in granted.keys() - {0}:
        peer.respond(h2.window_update(stream_id, 1_000_000))
    assert peer.bodies == {2 * n + 1: MESSAGE + str(size).encode() + b"." for n, size in enumerate(sizes)}
    assert not peer.connection.streams
    assert not peer.connection.blocked_streams


@settings(deadline=None)
@given(
    garbage=st.lists(nearly_valid_frames(), max_size=60),
    tail=st.binary(max_size=50),
    limits=st.sampled_from([Limits(), Limits(streams=2, incomplete_request_bytes=20, idle_frames=30)]),
)
def test_garbage_is_at_worst_a_connection_error_and_leaves_nothing(
    garbage: list[bytes], tail: bytes, limits: Limits
) -> None:
    peer = Peer(limits)
    begun = opening(1) + h2.request(3, MESSAGE[:9000])
    peer.respond(h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 100}) + begun)
    for each in [*garbage, tail]:
        peer.respond(each)
        assert len(peer.connection.streams) <= limits.streams
        assert len(peer.connection._requests.incomplete) <= len(peer.connection.streams)
        assert len(peer.connection._requests.incomplete._closed_early) <= limits.streams
        assert peer.connection.flow.window <= 2**31 - 1
    is_closed, came = peer.output.is_closed, peer.written
    assert is_closed == any(frame.type == h2.GOAWAY for frame in came) or (is_closed and not peer.connection.streams)
    peer._handle(peer.connection.lost())
    assert not peer.connection.streams
    assert not peer.open, "each stream that was reported had a response or was reported as closed"


@settings(deadline=None)
@given(noise=st.binary(max_size=200))
def test_bytes_that_are_not_http2_are_refused(noise: bytes) -> None:
    peer = Peer()
    peer.receive(noise)
    assert peer.output.is_closed == (noise[:24] != h2.PREFACE[: len(noise)])


# ---------------------------------------------------------------------------------------------------------- events


def test_request_is_reported_as_headers_and_data() -> None:
    peer = opened()
    events = peer.receive(
        opening(1, path="/x", x_request_id="7")
        + h2.frame(h2.DATA, 0, 1, b"ab")
        + h2.frame(h2.DATA, h2.END_STREAM, 1, b"c")
    )
    stream = stream_of(peer)
    begun = events[0]
    assert isinstance(begun, RequestReceived)
    assert (begun.request.method, begun.request.path) == (b"POST", "/x")
    assert begun.request.headers[b"x-request-id"] == b"7"
    assert not begun.end_stream
    assert events[1:] == [DataReceived(stream, b"ab", False), DataReceived(stream, b"c", True)]
    assert stream.request_ended


def test_request_may_end_with_its_headers_or_with_trailers() -> None:
    peer = opened()
    (begun,) = peer.receive(opening(1, end_stream=True))
    assert isinstance(begun, RequestReceived)
    assert begun.end_stream
    trailers = h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, h2.block([("x", "y")]))
    assert peer.receive(opening(3) + trailers)[1:] == [DataReceived(stream_of(peer, 3), b"", True)]


def test_reset_stream_is_reported_as_closed_once() -> None:
    peer = opened(opening(1))
    stream, reset = stream_of(peer), h2.frame(h2.RST_STREAM, 0, 1, bytes(4))
    assert peer.receive(reset + reset) == [StreamClosed(stream)]
    assert not stream.is_open
    assert not peer.connection.streams


def test_connection_error_sends_goaway_and_closes_all_streams() -> None:
    peer = opened(opening(1) + opening(3))
    streams = list(peer.connection.streams.values())
    assert peer.receive(h2.frame(h2.PING, 0, 1, bytes(8))) == [StreamClosed(stream) for stream in streams]
    (goaway,) = peer.written
    assert (goaway.type, goaway.code, goaway.payload[:4]) == (h2.GOAWAY, h2.PROTOCOL_ERROR, b"\0\0\0\3")
    assert peer.output.is_closed
    assert peer.receive(opening(5)) == []


def test_lost_connection_closes_all_streams() -> None:
    peer = opened(NO_WINDOW + opening(1) + h2.request(3))
    streams = list(peer.connection.streams.values())
    assert peer.connection.lost() == [StreamClosed(stream) for stream in streams]
    assert not peer.connection.streams
    assert not peer.connection.blocked_streams


def test_blocked_message_is_reported_when_it_is_sent() -> None:
    peer = opened(NO_WINDOW + opening(1))
    stream = stream_of(peer)
    stream.send(b"12345")
    assert bytes(stream.pending or b"") == b"12345"
    assert peer.receive(h2.window_update(1, 2)) == []
    assert bytes(stream.pending or b"") == b"345"
    assert peer.receive(h2.window_update(1, 3)) == [StreamFlushed(stream)]
    assert stream.pending is None
    assert [frame.payload for frame in peer.written] == [b"12", b"345"]


def test_paused_socket_gets_no_data_until_it_resumes() -> None:
    peer = opened(opening(1))
    stream = stream_of(peer)
    peer.connection.pause_writing()
    assert not peer.connection.flow.is_open
    assert not stream.send_whole(HEADERS, b"x", TRAILERS)
    stream.send(b"x")
    assert peer.written == []
    assert peer.connection.resume_writing() == [StreamFlushed(stream), ConnectionWritable()]
    assert [frame.payload for frame in peer.written] == [b"x"]


def test_window_of_the_connection_makes_it_writable() -> None:
    peer = opened(h2.settings({h2.INITIAL_WINDOW_SIZE: 1 << 20}) + opening(1))
    stream = stream_of(peer)
    assert stream.reserve(65_535)
    assert not stream.reserve(1)
    assert not peer.connection.flow.is_open
    assert peer.receive(h2.window_update(0, 1)) == [ConnectionWritable()]
    assert peer.connection.flow.is_open


def test_response_that_ends_before_its_request_resets_the_rest_of_it() -> None:
    peer = opened(opening(1))
    stream_of(peer).finish(TRAILERS)
    ended, reset = peer.written
    assert (ended.type, ended.flags & h2.END_STREAM) == (h2.HEADERS, h2.END_STREAM)
    assert (reset.type, reset.code) == (h2.RST_STREAM, h2.NO_ERROR)
    assert peer.receive(h2.frame(h2.DATA, 0, 1, b"late") + h2.frame(h2.DATA, h2.END_STREAM, 1, b"!")) == []
    assert peer.written == []
    peer.receive(h2.frame(h2.DATA, 0, 1, b"after the end"))
    assert [frame.code for frame in peer.written] == [h2.STREAM_CLOSED]


def test_drained_connection_refuses_streams_and_closes_with_the_last() -> None:
    peer = opened(opening(1, end_stream=True))
    stream = stream_of(peer)
    peer.connection.drain()
    peer.connection.drain()
    assert [(frame.type, frame.code) for frame in peer.written] == [(h2.GOAWAY, h2.NO_ERROR)]
    peer.receive(opening(3))
    assert [(frame.type, frame.code) for frame in peer.written] == [(h2.RST_STREAM, h2.REFUSED_STREAM)]
    assert not peer.output.is_closed
    stream.finish(TRAILERS)
    assert peer.output.is_closed


# ---------------------------------------------------------------------------------------------------------- limits


def test_received_data_renews_the_window_in_halves() -> None:
    peer = opened(opening(1))
    data = h2.frame(h2.DATA, 0, 1, bytes(16_384))
    peer.receive(data * 31)
    assert peer.written == []
    peer.receive(data)
    assert [frame.payload for frame in peer.written] == [(1 << 19).to_bytes(4, "big")]


def test_oldest_incomplete_requests_are_overdue_beyond_the_limit_of_bytes() -> None:
    peer = opened(limits=Limits(incomplete_request_bytes=100))
    peer.receive(b"".join(opening(n) + h2.frame(h2.DATA, 0, n, bytes(50)) for n in (1, 3)))
    oldest = stream_of(peer, 1)
    events = peer.receive(opening(5) + h2.frame(h2.DATA, 0, 5, bytes(50)))
    assert events[1:] == [DataReceived(stream_of(peer, 5), bytes(50), False), RequestOverdue(oldest)]


def test_incomplete_request_is_overdue_after_its_timeout() -> None:
    peer = opened(opening(1) + h2.request(3))
    assert not peer.connection.check_timeouts(9.9)
    assert peer.connection.check_timeouts(10.1) == [RequestOverdue(stream_of(peer, 1))]


def test_silent_peer_gets_a_ping_and_is_disconnected_without_an_ack() -> None:
    peer = opened(opening(1))
    peer.connection.check_timeouts(29.0)
    assert peer.written == []
    peer.connection.check_timeouts(31.0)
    assert [(frame.type, frame.flags) for frame in peer.written] == [(h2.PING, 0)]
    peer.receive(h2.frame(h2.PING, h2.ACK, 0, bytes(8)), now=32.0)
    peer.connection.check_timeouts(61.0)
    peer.connection.check_timeouts(63.0)
    peer.connection.check_timeouts(72.0)
    assert not peer.output.is_closed
    peer.connection.check_timeouts(74.0)
    assert peer.output.is_closed


@pytest.mark.parametrize("sent", [b"", h2.PREFACE[:10], h2.PREFACE])
def test_peer_that_sends_no_settings_is_disconnected(sent: bytes) -> None:
    peer = Peer()
    peer.receive(sent)
    peer.connection.check_timeouts(4.9)
    assert not peer.output.is_closed
    peer.connection.check_timeouts(5.1)
    assert peer.output.is_closed


def test_unused_connection_is_closed_and_a_used_one_is_not() -> None:
    unused, used = opened(), opened(opening(1, end_stream=True))
    for peer in (unused, used):
        for now in range(0, 400, 10):
            peer.connection.check_timeouts(float(now))
            peer.receive(h2.frame(h2.PING, h2.ACK, 0, bytes(8)), float(now))
    assert unused.output.is_closed
    assert not used.output.is_closed


def test_response_that_is_not_taken_is_reset() -> None:
    limits = Limits(keepalive_timeout_seconds=10.0, min_bytes_per_second=100.0)
    peer = opened(NO_WINDOW + opening(1, end_stream=True), limits)
    stream = stream_of(peer)
    stream.send(bytes(1000))
    peer.connection.check_timeouts(20.0)
    stream.finish(TRAILERS)
    peer.written  # noqa: B018 - frames before the reset
    peer.connection.check_timeouts(21.0)
    peer.connection.check_timeouts(40.9)
    assert not stream.is_closed
    peer.connection.check_timeouts(41.1)
    assert stream.is_closed
    assert (h2.RST_STREAM, ErrorCode.CANCEL) in [(frame.type, frame.code) for frame in peer.written]


def test_tokens_are_regained_with_time_and_with_sent_bytes() -> None:
    ping = h2.frame(h2.PING, 0, 0, bytes(8))
    peer = opened(opening(1), Limits(idle_frames=10, idle_frames_per_second=1.0))  # SETTINGS spends one of the ten
    peer.receive(ping * 9)
    assert not peer.output.is_closed
    peer.receive(ping * 5, now=5.0)
    assert not peer.output.is_closed
    stream_of(peer).send(bytes(64 * 3))
    peer.receive(ping * 3, now=5.0)
    assert not peer.output.is_closed
    peer.receive(ping, now=5.0)
    assert peer.output.is_closed
