"""The asyncio protocol: events reach the handlers, frames are processed in turns, full sockets get no DATA."""

from __future__ import annotations

import asyncio
import math

from tests.support import http2 as h2

from tradingsignals_server.transport.http2.header_blocks import encode_headers
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.http2.protocol import Http2Protocol
from tradingsignals_server.transport.http2.request_headers import Request
from tradingsignals_server.transport.http2.stream import Stream, StreamOwner

TRAILERS = encode_headers([(b"grpc-status", b"0")])


class Echo:
    """Responds to a request with its body."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.reported: list[str] = []
        self._body = b""

    def data_received(self, data: bytes, *, end_stream: bool) -> None:
        self._body += data
        if end_stream:
            self.stream.send(self._body + b"!")
            self.stream.finish(TRAILERS)

    def request_overdue(self) -> None:
        self.reported.append("overdue")
        self.stream.finish(TRAILERS)

    def stream_closed(self) -> None:
        self.reported.append("closed")

    def stream_flushed(self) -> None:
        self.reported.append("flushed")


class Listener:
    """Creates an Echo for each request."""

    def __init__(self) -> None:
        self.connections: list[Http2Protocol] = []
        self.handlers: dict[int, Echo] = {}
        self.writable = 0

    def connection_made(self, protocol: Http2Protocol) -> None:
        self.connections.append(protocol)

    def connection_lost(self, protocol: Http2Protocol) -> None:
        self.connections.remove(protocol)

    def connection_writable(self, connection: StreamOwner) -> None:
        self.writable += 1

    def request_received(self, stream: Stream, request: Request) -> Echo:
        handler = self.handlers[stream.stream_id] = Echo(stream)
        if request.path == "/refused":
            stream.finish(TRAILERS)
        return handler


def opened(sent: bytes = b"", limits: Limits | None = None) -> tuple[Http2Protocol, h2.RecordingTransport, Listener]:
    """A protocol that has received the preface, SETTINGS, and these bytes."""
    listener, transport = Listener(), h2.RecordingTransport()
    protocol = Http2Protocol(listener, limits or Limits(turn_seconds=math.inf))
    protocol.connection_made(transport)
    protocol.data_received(h2.PREFACE + h2.settings() + sent)
    return protocol, transport, listener


def bodies(transport: h2.RecordingTransport) -> dict[int, bytes]:
    return h2.bodies(bytes(transport.written))


async def test_request_reaches_its_handler_and_gets_its_response() -> None:
    _, transport, _ = opened(h2.request(1, b"x") + h2.request(3))
    assert bodies(transport) == {1: h2.framed(b"x") + b"!.", 3: h2.framed(b"") + b"!."}


async def test_request_without_a_body_ends_at_once_unless_it_was_refused() -> None:
    flags = h2.END_HEADERS | h2.END_STREAM
    blocks = [h2.block(h2.headers(path)) for path in ("/x", "/refused")]
    _, transport, _ = opened(h2.frame(h2.HEADERS, flags, 1, blocks[0]) + h2.frame(h2.HEADERS, flags, 3, blocks[1]))
    assert bodies(transport) == {1: b"!.", 3: b"."}


async def test_lost_connection_closes_its_streams_first() -> None:
    protocol, _, listener = opened(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers())))
    protocol.connection_lost(None)
    assert listener.handlers[1].reported == ["closed"]
    assert listener.connections == []


async def test_full_socket_gets_no_data_until_writing_resumes() -> None:
    protocol, transport, listener = opened()
    protocol.pause_writing()
    protocol.data_received(h2.request(1, b"x"))
    assert bodies(transport) == {}
    protocol.resume_writing()
    assert bodies(transport)[1].endswith(b"x!.")
    assert listener.writable == 1


async def test_frames_beyond_a_turn_are_processed_in_the_next_iterations() -> None:
    protocol, _, listener = opened(limits=Limits(turn_seconds=0.0))
    await asyncio.sleep(0.001)
    protocol.data_received(h2.request(1, b"x") + h2.request(3, b"y"))
    assert list(listener.handlers) == [1]
    assert not protocol.is_reading
    for _ in range(10):
        await asyncio.sleep(0)
    assert list(listener.handlers) == [1, 3]
    assert protocol.is_reading


async def test_overdue_request_is_reported_to_its_handler() -> None:
    limits = Limits(turn_seconds=math.inf, request_seconds=0.0)
    protocol, transport, listener = opened(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers())), limits)
    await asyncio.sleep(0.001)
    protocol.check_timeouts()
    assert listener.handlers[1].reported == ["overdue"]
    assert bodies(transport) == {1: b"."}
