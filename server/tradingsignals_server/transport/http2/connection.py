"""One connection of HTTP/2, the server's side: its socket, its streams, what is written, and how it ends.

Nothing is written beyond the windows that the peer has granted. What a stream could not send yet of one message it
keeps; it is handed no other before that is gone. So nothing here grows with what is committed. What comes in is taken
by `Incoming`, for some milliseconds at a time, and not at all while the peer takes nothing. So nothing grows with what
is asked either.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from . import frames
from .frames import ConnectionFailed, ErrorCode, StreamFailed
from .incoming import GRANTED_BYTES, Incoming
from .limits import Limits
from .stream import Listener, Stream

_SOON_BYTES: Final = 2048
"""Bytes of small answers that wait for others: a few, so that the peer is at work on them while the rest are made."""
_EMPTY_TABLE: Final = b"\x20"
"""Begins a header block: the encoder has no dynamic table any more (RFC 7541, 6.3)."""


class Connection(asyncio.Protocol):
    """One connection. `window` is how many bytes may be sent over it; while it is `paused` its socket takes none."""

    def __init__(self, listener: Listener, limits: Limits) -> None:
        self.window = frames.INITIAL_WINDOW
        self.paused = False
        self.is_draining = False
        """True once no new stream is taken."""
        self.streams: dict[int, Stream] = {}
        self.owing: dict[Stream, None] = {}
        """The streams with a rest to send."""
        self.lane: Any = None
        """What the fan-out keeps with it."""
        self._listener = listener
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._splitter = frames.Splitter()
        self._opened_at = self._heard_at = self._used_at = self._loop.time()
        self._incoming = Incoming(self, listener, limits, self._opened_at)
        self._turn: asyncio.Handle | None = None
        self._is_reading = True
        self._announced: int | None = None  # the last stream that the peer was told of
        self._closed_at: float | None = None
        self._asked_at: float | None = None
        self._owes_table_update = False
        self._has_table = True
        self._soon: list[bytes] = []
        self._soon_bytes = 0

    # ------------------------------------------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=self._limits.buffer_bytes)
        ours = {
            frames.MAX_CONCURRENT_STREAMS: self._limits.streams,
            frames.MAX_HEADER_LIST_SIZE: self._limits.header_bytes,
        }
        self.write(frames.settings(ours) + frames.window_update(0, GRANTED_BYTES - frames.INITIAL_WINDOW))
        self._listener.connected(self)

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._closed_at = self._closed_at or self._loop.time()
        if self._turn is not None:
            self._turn.cancel()
        for stream in list(self.streams.values()):
            self.lose(stream)
        self._listener.disconnected(self)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = False
        self._write_more()
        if not self._is_reading and self._turn is None:
            self._take_turn()

    def write(self, out: bytes) -> None:
        """Send frames. It is for the caller to have looked at the windows, and at `paused` before it sends DATA."""
        if self._soon:
            out = b"".join((*self._soon, out))
            self._soon.clear()
            self._soon_bytes = 0
        if self._closed_at is None:
            self._transport.write(out)

    def write_soon(self, out: bytes) -> None:
        """Send frames together with all that is sent in this turn of the event loop; for answers that are small."""
        if not self._soon:
            self._loop.call_soon(self._write_what_waits)
        self._soon.append(out)
        self._soon_bytes += len(out)
        if self._soon_bytes >= _SOON_BYTES:
            self.write(b"")

    def _write_what_waits(self) -> None:
        if self._soon:
            self.write(b"")

    def header_frames(self, stream: int, block: bytes, *, ends: bool) -> bytes:
        """Frames of a header block, to be written before any other block is made."""
        if self._owes_table_update:
            self._owes_table_update = False
            block = _EMPTY_TABLE + block
        return frames.header_frames(stream, block, ends=ends)

    def shrink_table(self) -> None:
        """Have no dynamic table from the next header block on: we never use it, so any limit of the peer's holds."""
        self._owes_table_update = self._owes_table_update or self._has_table
        self._has_table = False

    def _write_more(self) -> None:
        for stream in list(self.owing):
            if self.paused or self.window <= 0:
                return
            if stream.window > 0:
                stream.flush()
        self._listener.writable(self)

    def tell_drained(self, stream: Stream) -> None:
        """All that was left to send on a stream is sent."""
        self._listener.drained(stream)

    # -------------------------------------------------------------------------------------------- what comes in

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._closed_at is not None:
            return
        try:
            self._splitter.feed(data)
        except ConnectionFailed as failure:
            self._fail(failure)
            return
        if self._turn is None:
            self._take_turn()

    def _take_turn(self) -> None:
        """Take frames for a while; go on in the next turn of the event loop if there are more."""
        self._turn = None
        until = self._loop.time() + self._limits.turn_seconds
        incoming, now = self._incoming, 0.0
        try:
            while now < until and self._closed_at is None and not self._is_blocked():
                frame = self._splitter.next()
                if frame is None:
                    break
                now = self._loop.time()
                incoming.take(frame, now)
        except ConnectionFailed as failure:
            self._fail(failure)
        if now:
            self._heard_at, self._asked_at = now, None
        if self._closed_at is None:
            self._flush_granted()
            self._read_on(has_more=now >= until)

    def _is_blocked(self) -> bool:
        """True while the peer does not take what it has asked for already."""
        return self.paused and self._transport.get_write_buffer_size() > self._limits.answer_bytes

    def _flush_granted(self) -> None:
        incoming = self._incoming
        granted, incoming.granted = incoming.granted, []
        if incoming.may_write_more:
            incoming.may_write_more = False
            self._write_more()
        else:
            for stream in granted:
                if stream in self.owing:
                    stream.flush()

    def _read_on(self, *, has_more: bool) -> None:
        if has_more:
            self._turn = self._loop.call_soon(self._take_turn)
        is_reading = not has_more and not self._is_blocked()
        if is_reading != self._is_reading:
            self._is_reading = is_reading
            if is_reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # ---------------------------------------------------------------------------------------------- how it ends

    def drain(self) -> None:
        """Take no new stream, say so, and close when the last one has ended."""
        if not self.is_draining and self._closed_at is None:
            self._announced = self._incoming.last_stream
            self.write(frames.goaway(self._announced, ErrorCode.NO_ERROR))
        self.close_when_unused()

    def close_when_unused(self) -> None:
        """Take no new stream, and close when the last one has ended."""
        self.is_draining = True
        if not self.streams:
            self._close()

    @property
    def is_unused(self) -> bool:
        """True while it is open and has no stream."""
        return not self.streams and self._closed_at is None

    def abort(self) -> None:
        """Cut it off."""
        self._closed_at = self._closed_at or self._loop.time()
        self._transport.abort()

    def look_after(self, now: float) -> None:
        """Be called now and then: ends what has had its time, and finds out whether a silent peer is there."""
        limits = self._limits
        if self._closed_at is not None:
            if now - self._closed_at > limits.keepalive_timeout_seconds:
                self.abort()  # it does not take even our last words
            return
        self._incoming.end_overdue(now)
        begun_at = self._incoming.blocks.begun_at
        if self._incoming.is_first_frame and now - self._opened_at > limits.preface_seconds:
            self.abort()
        elif begun_at is not None and now - begun_at > limits.request_seconds:
            self._fail(ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "a header block that does not end"))
        elif self._asked_at is not None:
            if now - self._asked_at > limits.keepalive_timeout_seconds:
                self.abort()
        elif now - self._heard_at > limits.keepalive_seconds:
            self._asked_at = now
            self.write(frames.frame(frames.PING, 0, 0, b"anyone?!"))
        if self.streams:
            self._used_at = now
        elif now - self._used_at > limits.unused_seconds:
            self.drain()
        for stream in list(self.owing):
            if stream.is_overdue(now, limits):
                stream.reset(ErrorCode.CANCEL)  # it does not take our last words

    def forget(self, stream: Stream) -> None:
        """Let go of a stream that has ended."""
        if self.streams.pop(stream.number, None) is None:
            return
        self.owing.pop(stream, None)
        self._incoming.forget(stream)
        stream.wake()
        if self.is_draining and not self.streams:
            self._close()

    def lose(self, stream: Stream) -> None:
        """Let go of a stream that the peer has ended, or the loss of the connection."""
        self.forget(stream)
        self._listener.gone(stream)

    def fail_stream(self, failure: StreamFailed) -> None:
        """End a stream on which the peer has broken the protocol."""
        self.write(frames.rst_stream(failure.stream, failure.code))
        stream = self.streams.get(failure.stream)
        if stream is not None:
            self.lose(stream)

    def _fail(self, failure: ConnectionFailed) -> None:
        last = self._incoming.last_stream
        self.write(frames.goaway(last if self._announced is None else self._announced, failure.code, failure.why))
        if self._closed_at is None:
            self._closed_at = self._loop.time()
            # Were the socket closed with bytes in it that were not read, the peer would not see why.
            self._transport.write_eof()
        for stream in list(self.streams.values()):
            self.lose(stream)

    def _close(self) -> None:
        self._write_what_waits()
        if self._closed_at is None:
            self._closed_at = self._loop.time()
            self._transport.close()
