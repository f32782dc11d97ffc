"""The asyncio protocol that drives a connection: its socket, its turns on the event loop, and the server above."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol, cast

from .connection import Connection
from .events import (
    ConnectionWritable,
    DataReceived,
    Event,
    RequestOverdue,
    RequestReceived,
    StreamClosed,
    StreamFlushed,
)
from .limits import Limits
from .request_headers import Request
from .stream import Stream, StreamHandler, StreamOwner


class ConnectionListener(Protocol):
    """The server above: it is informed of connections and handles requests."""

    def connection_made(self, protocol: Http2Protocol) -> None:
        """Take a new connection."""

    def connection_lost(self, protocol: Http2Protocol) -> None:
        """Forget a connection, whose streams are closed already."""

    def connection_writable(self, connection: StreamOwner) -> None:
        """Continue to write DATA to a connection."""

    def request_received(self, stream: Stream, request: Request) -> StreamHandler:
        """Handle a new request; return what handles the rest of its stream. The stream may end meanwhile."""


class Http2Protocol(asyncio.Protocol):
    """One connection of a server.

    Frames are processed for `turn_seconds` at a time, and not at all while the peer does not take its responses. So one
    peer neither holds up others nor makes the buffer of its socket grow.
    """

    connection: Connection
    """The connection without I/O, once it is made."""

    def __init__(self, listener: ConnectionListener, limits: Limits) -> None:
        self._listener = listener
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        # Reading.
        self._next_turn: asyncio.Handle | None = None
        """Scheduled if there are frames that the last turn did not process."""
        self._is_reading = True

    @property
    def is_reading(self) -> bool:
        """False while frames are pending, or the peer does not take its responses."""
        return self._is_reading

    @property
    def pending_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        return self._transport.get_write_buffer_size()

    def check_timeouts(self) -> None:
        """Apply the limits of time; call it a few times a second."""
        self._dispatch(self.connection.check_timeouts(self._loop.time()))

    # --------------------------------------------------------------------------------------- see asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.buffer_bytes)
        name = transport.get_extra_info("peername")
        peer = str(name[0]) if isinstance(name, tuple) else ""
        self.connection = Connection(self._transport, self._limits, self._loop.time(), peer)
        self._listener.connection_made(self)

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._dispatch(self.connection.lost())
        self._listener.connection_lost(self)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._dispatch(self.connection.resume_writing())
        if not self._is_reading and self._next_turn is None:
            self._take_turn()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.connection.receive(data)
        if self._next_turn is None:
            self._take_turn()

    # ---------------------------------------------------------------------------------------------------- reading

    def _take_turn(self) -> None:
        """Process frames for a while; continue in the next iteration of the event loop if there are more."""
        self._next_turn = None
        connection, clock = self.connection, self._loop.time
        now = clock()
        end = now + self._limits.turn_seconds
        has_more = False
        while not has_more and not self._is_blocked():
            events = connection.process_frame(now)
            if events is None:
                break
            self._dispatch(events)
            now = clock()
            has_more = now >= end
        if not connection.is_closed:
            self._dispatch(connection.end_turn())
            self._read_on(has_more=has_more)

    def _is_blocked(self) -> bool:
        """Return whether the peer does not take the responses to its requests."""
        return self.connection.flow.paused and self.pending_bytes > self._limits.response_bytes

    def _read_on(self, *, has_more: bool) -> None:
        if has_more:
            self._next_turn = self._loop.call_soon(self._take_turn)
        is_reading = not has_more and not self._is_blocked()
        if is_reading != self._is_reading:
            self._is_reading = is_reading
            if is_reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # ----------------------------------------------------------------------------------------------------- events

    def _dispatch(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ConnectionWritable):
                self._listener.connection_writable(self.connection)
                continue
            stream = event.stream
            if isinstance(event, RequestReceived):
                handler = self._listener.request_received(stream, event.request)
                if stream.is_open:
                    stream.handler = handler
                    if event.end_stream:
                        handler.data_received(b"", end_stream=True)
            elif stream.handler is not None:
                _report(event, stream.handler)


def _report(event: DataReceived | RequestOverdue | StreamClosed | StreamFlushed, handler: StreamHandler) -> None:
    if isinstance(event, DataReceived):
        handler.data_received(event.data, end_stream=event.end_stream)
    elif isinstance(event, StreamClosed):
        handler.stream_closed()
    elif isinstance(event, StreamFlushed):
        handler.stream_flushed()
    else:
        handler.request_overdue()
