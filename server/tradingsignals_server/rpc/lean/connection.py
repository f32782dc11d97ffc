"""One connection of HTTP/2, the server's side: frames in, streams and their flow control, frames out.

Nothing is written beyond the windows that the peer has granted. What a stream could not send yet of one message it
keeps; it is handed no other before that is gone. So nothing here grows with what is committed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from hpack import Decoder
from hpack.exceptions import HPACKError

from . import frames
from .frames import ConnectionFailed, ErrorCode, Frame, StreamFailed
from .headers import Header, Malformed, parse_request
from .limits import Limits
from .stream import Listener, Stream

_GRANTED_BYTES: Final = 1 << 20
"""Bytes of requests that a connection may have under way."""
_SOON_BYTES: Final = 2048
"""Bytes of small answers that wait for others: a few, so that the peer is at work on them while the rest are made."""


class Connection(asyncio.Protocol):
    """One connection. `window` is how many bytes may be sent over it; while it is `paused` its socket takes none."""

    def __init__(self, listener: Listener, limits: Limits) -> None:
        self.window = frames.INITIAL_WINDOW
        self.paused = False
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
        self._decoder = Decoder(max_header_list_size=limits.header_bytes)
        self._initial_window = frames.INITIAL_WINDOW
        self._last_stream = 0
        self._block: tuple[int, bool, bytearray] | None = None  # stream, whether it ends, headers so far
        self._is_first_frame = True
        self._is_draining = False
        self._closed_at: float | None = None
        self._consumed = 0
        self._heard_at = self._loop.time()
        self._asked_at: float | None = None
        self._period_began = self._heard_at
        self._idle_frames = 0
        self._may_write_more = False
        self._granted: list[Stream] = []
        self._soon: list[bytes] = []
        self._soon_bytes = 0

    # ------------------------------------------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=self._limits.buffer_bytes)
        ours = {
            frames.MAX_CONCURRENT_STREAMS: self._limits.streams,
            frames.MAX_HEADER_LIST_SIZE: self._limits.header_bytes // 2,
        }
        self.write(frames.settings(ours) + frames.window_update(0, _GRANTED_BYTES - frames.INITIAL_WINDOW))
        self._listener.connected(self)

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._closed_at = self._closed_at or self._loop.time()
        for stream in list(self.streams.values()):
            self._lose(stream)
        self._listener.disconnected(self)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = False
        self._write_more()

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

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard_at = self._loop.time()
        self._asked_at = None
        try:
            for frame in self._splitter.feed(data):
                if self._closed_at is not None:
                    return
                self._take(frame)
        except ConnectionFailed as failure:
            self._fail(failure)
            return
        granted, self._granted = self._granted, []
        if self._may_write_more:
            self._write_more()
        else:
            for stream in granted:
                if stream in self.owing:
                    stream.flush()

    def _write_more(self) -> None:
        self._may_write_more = False
        for stream in list(self.owing):
            if self.paused or self.window <= 0:
                return
            if stream.window > 0:
                stream.flush()
        self._listener.writable(self)

    def tell_drained(self, stream: Stream) -> None:
        """All that was left to send on a stream is sent."""
        self._listener.drained(stream)

    # ---------------------------------------------------------------------------------------------- how it ends

    def drain(self) -> None:
        """Take no new stream, say so, and close when the last one has ended."""
        if not self._is_draining:
            self._is_draining = True
            self.write(frames.goaway(self._last_stream, ErrorCode.NO_ERROR))
        if not self.streams:
            self._close()

    def abort(self) -> None:
        """Cut it off."""
        self._transport.abort()

    def look_after(self, now: float) -> None:
        """Be called now and then: asks a silent peer whether it is there, and lets go of one that is not."""
        limits = self._limits
        if self._closed_at is not None:
            if now - self._closed_at > limits.keepalive_timeout_seconds:
                self.abort()  # it does not take even our last words
            return
        if now - self._period_began > limits.period_seconds:
            self._period_began, self._idle_frames = now, 0
        if self._asked_at is not None:
            if now - self._asked_at > limits.keepalive_timeout_seconds:
                self.abort()
        elif now - self._heard_at > limits.keepalive_seconds:
            self._asked_at = now
            self.write(frames.frame(frames.PING, 0, 0, b"anyone?!"))
        for stream in list(self.owing):
            if stream.ended_at is not None and now - stream.ended_at > limits.keepalive_timeout_seconds:
                stream.reset(ErrorCode.CANCEL)  # it does not take our last words

    def forget(self, stream: Stream) -> None:
        """Let go of a stream that has ended."""
        self.streams.pop(stream.number, None)
        self.owing.pop(stream, None)
        stream.wake()
        if self._is_draining and not self.streams:
            self._close()

    def _lose(self, stream: Stream) -> None:
        """A stream ends without our doing."""
        self.streams.pop(stream.number, None)
        self.owing.pop(stream, None)
        stream.wake()
        self._listener.gone(stream)

    def _fail(self, failure: ConnectionFailed) -> None:
        self.write(frames.goaway(self._last_stream, failure.code, failure.why))
        self._close()
        for stream in list(self.streams.values()):
            self._lose(stream)

    def _close(self) -> None:
        self._write_what_waits()
        if self._closed_at is None:
            self._closed_at = self._loop.time()
            self._transport.close()

    # ------------------------------------------------------------------------------------------------ what comes in

    def _take(self, frame: Frame) -> None:
        if self._is_first_frame:
            self._is_first_frame = False
            if frame.kind != frames.SETTINGS or frame.flags & frames.ACK:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._block is not None and (frame.kind != frames.CONTINUATION or frame.stream != self._block[0]):
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "headers are cut in two by another frame")
        take = _TAKERS.get(frame.kind)
        if take is None:
            self._count_idle()
            return  # kinds that we do not know are to be ignored
        try:
            take(self, frame)
        except StreamFailed as failure:
            self._count_idle()
            stream = self.streams.get(failure.stream)
            self.write(frames.rst_stream(failure.stream, failure.code))
            if stream is not None:
                self._lose(stream)

    def _take_data(self, frame: Frame) -> None:
        body = frames.without_padding(frame)
        self._require_known(frame)
        self._consumed += len(frame.payload)
        if self._consumed >= _GRANTED_BYTES // 2:
            self.write(frames.window_update(0, self._consumed))
            self._consumed = 0
        stream = self.streams.get(frame.stream)
        if stream is None or stream.requested:
            raise StreamFailed(frame.stream, ErrorCode.STREAM_CLOSED, "data after the end")
        ends = bool(frame.flags & frames.END_STREAM)
        if not body and not ends:
            self._count_idle()
        stream.requested = ends
        self._listener.received(stream, body, ends=ends)

    def _take_headers(self, frame: Frame) -> None:
        block = bytearray(frames.without_padding(frame))
        if not frame.stream % 2:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "headers on a stream that no client opens")
        ends = bool(frame.flags & frames.END_STREAM)
        if frame.flags & frames.END_HEADERS:
            self._end_headers(frame.stream, block, ends=ends)
        else:
            self._block = frame.stream, ends, block

    def _take_continuation(self, frame: Frame) -> None:
        if self._block is None:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a continuation of nothing")
        self._count_idle()
        number, ends, block = self._block
        block += frame.payload
        if len(block) > self._limits.header_bytes:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "headers without end")
        if frame.flags & frames.END_HEADERS:
            self._block = None
            self._end_headers(number, block, ends=ends)

    def _end_headers(self, number: int, block: bytearray, *, ends: bool) -> None:
        try:
            headers: list[Header] = [(name, value) for name, value in self._decoder.decode(bytes(block), raw=True)]
        except (HPACKError, IndexError, ValueError) as error:
            raise ConnectionFailed(ErrorCode.COMPRESSION_ERROR, "headers that cannot be decoded") from error
        stream = self.streams.get(number)
        if stream is not None or number <= self._last_stream:
            self._take_trailers(number, stream, ends=ends)
            return
        self._last_stream = number
        if self._is_draining or len(self.streams) >= self._limits.streams:
            raise StreamFailed(number, ErrorCode.REFUSED_STREAM, "no more streams")
        try:
            request = parse_request(headers)
        except Malformed as error:
            raise StreamFailed(number, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        stream = Stream(self, number, self._initial_window, self._loop.time())
        stream.requested = ends
        self.streams[number] = stream
        self._listener.requested(stream, request)
        if ends and stream.is_open:
            self._listener.received(stream, b"", ends=True)

    def _take_trailers(self, number: int, stream: Stream | None, *, ends: bool) -> None:
        if stream is None or stream.requested:
            raise StreamFailed(number, ErrorCode.STREAM_CLOSED, "headers after the end")
        if not ends:
            raise StreamFailed(number, ErrorCode.PROTOCOL_ERROR, "trailers that are not the end")
        stream.requested = True
        self._listener.received(stream, b"", ends=True)

    def _take_priority(self, frame: Frame) -> None:
        _require(frame.stream != 0, "PRIORITY on the connection")
        if len(frame.payload) != 5:
            raise StreamFailed(frame.stream, ErrorCode.FRAME_SIZE_ERROR, "a PRIORITY of the wrong size")
        self._count_idle()

    def _take_reset(self, frame: Frame) -> None:
        _require_size(frame, 4)
        self._require_known(frame)
        stream = self.streams.get(frame.stream)
        if stream is None:
            return
        self._lose(stream)
        if self._is_draining and not self.streams:
            self._close()

    def _take_settings(self, frame: Frame) -> None:
        _require(frame.stream == 0, "SETTINGS on a stream")
        if frame.flags & frames.ACK:
            _require_size(frame, 0)
            return
        self._count_idle()
        for name, value in frames.settings_in(frame.payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                more, self._initial_window = value - self._initial_window, value
                for stream in self.streams.values():
                    stream.window += more
                    if stream.window > frames.LARGEST_WINDOW:
                        raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
                self._may_write_more = True
        self.write(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _take_push(self, _: Frame) -> None:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a client that pushes")

    def _take_ping(self, frame: Frame) -> None:
        _require(frame.stream == 0, "PING on a stream")
        _require_size(frame, 8)
        if not frame.flags & frames.ACK:
            self._count_idle()
            self.write(frames.frame(frames.PING, frames.ACK, 0, frame.payload))

    def _take_goaway(self, frame: Frame) -> None:
        _require(frame.stream == 0, "GOAWAY on a stream")
        if len(frame.payload) < 8:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY of the wrong size")
        self._is_draining = True
        if not self.streams:
            self._close()

    def _take_window_update(self, frame: Frame) -> None:
        _require_size(frame, 4)
        more = int.from_bytes(frame.payload, "big") & frames.LARGEST_WINDOW
        if frame.stream == 0:
            _require(more > 0, "a window that opens by nothing")
            self.window += more
            if self.window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
            self._may_write_more = True
            return
        self._require_known(frame)
        if not more:
            raise StreamFailed(frame.stream, ErrorCode.PROTOCOL_ERROR, "a window that opens by nothing")
        stream = self.streams.get(frame.stream)
        if stream is None:
            return
        stream.window += more
        if stream.window > frames.LARGEST_WINDOW:
            raise StreamFailed(frame.stream, ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
        self._granted.append(stream)

    def _require_known(self, frame: Frame) -> None:
        known = frame.stream % 2 == 1 and frame.stream <= self._last_stream
        _require(known, "a frame on a stream that was never opened")

    def _count_idle(self) -> None:
        self._idle_frames += 1
        waiting = self._transport.get_write_buffer_size()
        if self._idle_frames > self._limits.idle_frames or (self.paused and waiting > self._limits.answer_bytes):
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that lead to nothing")


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, why)


def _require_size(frame: Frame, size: int) -> None:
    if len(frame.payload) != size:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, f"a frame of kind {frame.kind} of the wrong size")


_TAKERS: Final = {
    frames.DATA: Connection._take_data,
    frames.HEADERS: Connection._take_headers,
    frames.PRIORITY: Connection._take_priority,
    frames.RST_STREAM: Connection._take_reset,
    frames.SETTINGS: Connection._take_settings,
    frames.PUSH_PROMISE: Connection._take_push,
    frames.PING: Connection._take_ping,
    frames.GOAWAY: Connection._take_goaway,
    frames.WINDOW_UPDATE: Connection._take_window_update,
    frames.CONTINUATION: Connection._take_continuation,
}
