"""Connections of followers: they subscribe, and pass received events to the tally.

They parse the frames around the responses and count the events in them, no more: a client library would cost
many times as much, and the generator would be measured instead of the server. Flow control never blocks the server.
"""

from __future__ import annotations

import asyncio
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from . import frames
from .tally import SignalCount, Tally, signals_in_json, signals_in_message, through_sequence

_BUFFER_BYTES = 1 << 18
_OPEN_WINDOW = 2**31 - 1
_GRANT_BYTES = 1 << 30
_HEAD = struct.Struct(">HBBBI")
_MESSAGE_HEAD_BYTES = 5
_EVENTS_METHOD = "/tradingsignals.v1.EventService/StreamEvents"

Count = Callable[[int, bytes | bytearray | memoryview], int]
"""Count the events in a response that a follower received."""


def counting(path: str, tally: Tally, after: int) -> Count:
    """A function that counts the events of the stream at `path`.

    Streams of signals are counted by the items in each response. Streams of all events, which have no gap, by the
    advance of `through_sequence` from response to response; the first one begins after the sequence `after`.
    """
    if path != _EVENTS_METHOD:
        count = SignalCount(signals_in_message)
        return lambda _, response: count.of(response)
    reached = [after] * tally.followers

    def advance(follower: int, response: bytes | bytearray | memoryview) -> int:
        through, before = through_sequence(response), reached[follower]
        reached[follower] = through
        return through - before

    return advance


class Http2Followers(asyncio.BufferedProtocol):
    """Streams of gRPC on one connection. With `stalls` it extends no window and stops reading once it is subscribed."""

    def __init__(
        self, tally: Tally, followers: Sequence[int], headers: bytes, request: bytes, count: Count, *, stalls: bool
    ) -> None:
        self._tally = tally
        self._followers = {2 * place + 1: follower for place, follower in enumerate(followers)}
        self._headers = headers
        self._request = b"\0" + len(request).to_bytes(4, "big") + request
        self._count = count
        self._stalls = stalls
        self._subscribed: set[int] = set()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._end = 0
        self._begun: dict[int, bytearray] = {}
        self._since_grant = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        opening = [frames.PREFACE]
        if self._stalls:
            opening.append(frames.settings({}))
        else:
            opening.append(frames.settings({frames.INITIAL_WINDOW_SIZE: _OPEN_WINDOW}))
            opening.append(frames.window_update(_OPEN_WINDOW - frames.INITIAL_WINDOW))
        for stream in self._followers:
            opening.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, self._headers))
            opening.append(frames.frame(frames.DATA, frames.END_STREAM, stream, self._request))
        self._transport.write(b"".join(opening))

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.end(f"a connection was lost: {exc}")

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        now = perf_counter()
        view, end, at = self._view, self._end + nbytes, 0
        while end - at >= _HEAD.size:
            high, low, kind, flags, stream = _HEAD.unpack_from(view, at)
            start = at + _HEAD.size
            stop = start + (high << 8 | low)
            if stop > end:
                break
            if kind == frames.DATA:
                self._take(stream, view[start:stop], now)
            else:
                self._handle_control_frame(kind, flags, stream, bytes(view[start:stop]))
            at = stop
        if at:
            self._buffer[: end - at] = self._buffer[at:end]
        self._end = end - at
        self._since_grant += nbytes
        if self._since_grant > _GRANT_BYTES and not self._stalls:
            self._transport.write(frames.window_update(self._since_grant))
            self._since_grant = 0

    def _take(self, stream: int, payload: memoryview, now: float) -> None:
        begun = self._begun.get(stream)
        if begun is None:
            if _message_bytes(payload) == len(payload) - _MESSAGE_HEAD_BYTES:
                self._count_events(stream, payload[_MESSAGE_HEAD_BYTES:], now)
                return
            begun = self._begun[stream] = bytearray()
        begun += payload
        while (size := _message_bytes(begun)) >= 0 and len(begun) >= _MESSAGE_HEAD_BYTES + size:
            response = bytes(begun[_MESSAGE_HEAD_BYTES : _MESSAGE_HEAD_BYTES + size])
            del begun[: _MESSAGE_HEAD_BYTES + size]
            self._count_events(stream, response, now)
        if not begun:
            del self._begun[stream]

    def _count_events(self, stream: int, response: bytes | memoryview, now: float) -> None:
        follower = self._followers[stream]
        self._tally.take(follower, self._count(follower, response), len(response), now)

    def _handle_control_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.HEADERS and not flags & frames.END_STREAM:
            self._subscribed.add(stream)
            self._tally.subscribe()
            if self._stalls and len(self._subscribed) == len(self._followers):
                self._transport.pause_reading()
        elif kind in {frames.HEADERS, frames.RST_STREAM, frames.GOAWAY}:
            self._tally.end(f"a stream was ended: {payload!r}")
        elif kind in {frames.SETTINGS, frames.PING} and not flags & frames.ACK:
            self._transport.write(frames.frame(kind, frames.ACK, 0, payload if kind == frames.PING else b""))


def _message_bytes(message: bytearray | memoryview) -> int:
    """Length of the gRPC message that begins here; -1 if it is not complete."""
    return int.from_bytes(message[1:_MESSAGE_HEAD_BYTES], "big") if len(message) >= _MESSAGE_HEAD_BYTES else -1


class _Http1Follower(asyncio.Protocol, ABC):
    """A follower on a connection of its own, by HTTP/1.1."""

    STATUS = b"200"

    def __init__(self, tally: Tally, follower: int, request: bytes, *, stalls: bool) -> None:
        self._tally = tally
        self._follower = follower
        self._request = request
        self._stalls = stalls
        self._received = bytearray()
        self._is_subscribed = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.end(f"a connection was lost: {exc}")

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self._received += data
        if not self._is_subscribed:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            if head[9:12] != self.STATUS:
                self._tally.end(bytes(self._received).decode(errors="replace"))
                return
            self._received = rest
            self._is_subscribed = True
            self._tally.subscribe()
            if self._stalls:
                self._transport.pause_reading()
        self._read(now)

    def _took(self, events: int, size: int, now: float) -> None:
        self._tally.take(self._follower, events, size, now)

    @abstractmethod
    def _read(self, now: float) -> None: ...


class _ChunkedFollower(_Http1Follower):
    """A chunked body."""

    def __init__(self, tally: Tally, follower: int, request: bytes, count: SignalCount, *, stalls: bool) -> None:
        super().__init__(tally, follower, request, stalls=stalls)
        self._body = bytearray()
        self._count = count

    def _read(self, now: float) -> None:
        received, at = self._received, 0
        while (line_end := received.find(b"\r\n", at)) >= 0:
            size = int(received[at:line_end], 16)
            stop = line_end + 2 + size
            if len(received) < stop + 2:
                break
            if size == 0:
                self._tally.end("a body has ended")
                break
            self._body += received[line_end + 2 : stop]
            at = stop + 2
        if at:
            del received[:at]
            self._read_body(now)

    @abstractmethod
    def _read_body(self, now: float) -> None: ...


class GrpcWebFollower(_ChunkedFollower):
    """gRPC messages in the body."""

    def _read_body(self, now: float) -> None:
        body = self._body
        while (size := _message_bytes(body)) >= 0 and len(body) >= _MESSAGE_HEAD_BYTES + size:
            response = bytes(body[_MESSAGE_HEAD_BYTES : _MESSAGE_HEAD_BYTES + size])
            if body[0] & 0x80:
                self._tally.end(f"a stream was ended: {response!r}")
                return
            del body[: _MESSAGE_HEAD_BYTES + size]
            self._took(self._count.of(response), size, now)


class SseFollower(_ChunkedFollower):
    """Server-sent events."""

    def _read_body(self, now: float) -> None:
        *whole, rest = self._body.split(b"\n\n")
        self._body = rest
        for event in whole:
            response = event.partition(b"data: ")[2]
            self._took(self._count.of(response), len(response), now)


class WebSocketFollower(_Http1Follower):
    """The older design's stream: a message is a signal."""

    STATUS = b"101"
    _TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10

    def _read(self, now: float) -> None:
        received, at = self._received, 0
        while len(received) >= at + 2:
            size, start = received[at + 1], at + 2
            if size >= 126:
                length_bytes = 2 if size == 126 else 8
                start += length_bytes
                if len(received) < start:
                    break
                size = int.from_bytes(received[at + 2 : start], "big")
            if len(received) < start + size:
                break
            kind = received[at] & 0x0F
            if kind == self._TEXT:
                self._took(1, size, now)
            elif kind == self._PING:
                # A client's frames are masked; a mask of zeros leaves the payload unchanged.
                self._transport.write(
                    bytes((0x80 | self._PONG, 0x80 | size)) + bytes(4) + bytes(received[start : start + size])
                )
            elif kind == self._CLOSE:
                self._tally.end("a WebSocket was closed")
            at = start + size
        if at:
            del received[:at]


def http1_follower(
    kind: str, path: str, request: bytes, port: int, tally: Tally, *, stalls: bool
) -> Callable[[int], _Http1Follower]:
    """The class of followers of a kind: "grpc-web", "sse" or "websocket"."""
    host = f"host: 127.0.0.1:{port}\r\n"
    if kind == "websocket":
        opening = (
            f"GET {path} HTTP/1.1\r\n{host}connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        return lambda follower: WebSocketFollower(tally, follower, opening, stalls=stalls)
    if kind == "sse":
        opening = f"GET {path} HTTP/1.1\r\n{host}accept: text/event-stream\r\n\r\n".encode()
        in_json = SignalCount(signals_in_json)
        return lambda follower: SseFollower(tally, follower, opening, in_json, stalls=stalls)
    message = b"\0" + len(request).to_bytes(4, "big") + request
    head = (
        f"POST {path} HTTP/1.1\r\n{host}content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n"
        f"content-length: {len(message)}\r\n\r\n"
    )
    in_messages = SignalCount(signals_in_message)
    return lambda follower: GrpcWebFollower(tally, follower, head.encode() + message, in_messages, stalls=stalls)
