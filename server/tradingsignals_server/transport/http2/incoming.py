"""Frames as they come in, and what each does to the connection; see the tables in README.md.

Every frame that leads to nothing takes a token. A well-behaved peer earns more than it spends: by the requests that it
completes, and by the bytes that it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import frames
from .blocks import HeaderBlock, HeaderBlocks
from .frames import ConnectionFailed, ErrorCode, Frame, StreamFailed
from .headers import Malformed, parse_request, require_trailers
from .limits import Limits
from .meter import Meter
from .stream import Listener, Stream

if TYPE_CHECKING:
    from .connection import Connection

GRANTED_BYTES: Final = 1 << 20
"""Bytes of requests that a peer may send before it has to wait for more window."""
TOKENS_A_REQUEST: Final = 4.0
"""Earned by a request that has come whole: its client may send it in several pieces."""
TOKENS_A_FAILED_STREAM: Final = 8.0
"""Spent by a stream error: more than the request has earned, so that none of them is for nothing."""
BYTES_A_TOKEN: Final = 64
"""Bytes of DATA sent that earn a token: a peer grants them anew by WINDOW_UPDATE."""
SETTINGS_A_TOKEN: Final = 8
STREAMS_A_TOKEN: Final = 64
"""Streams whose window a SETTINGS frame changes, for a token."""


class Incoming:
    """The receiving half of a connection."""

    def __init__(self, connection: Connection, listener: Listener, limits: Limits, now: float) -> None:
        self.blocks = HeaderBlocks(limits.header_block_bytes)
        self.last_stream = 0
        self.is_first_frame = True
        self.half_sent: dict[Stream, None] = {}
        """Streams whose request has not come to its end, the oldest first."""
        self.granted: list[Stream] = []
        """Streams that may send more than before."""
        self.may_write_more = False
        """True if any stream of the connection may be able to send more than before."""
        self._connection = connection
        self._listener = listener
        self._limits = limits
        self._meter = Meter(limits.idle_frames, limits.idle_frames_per_second, now)
        self._initial_window = frames.INITIAL_WINDOW
        self._consumed = 0
        self._half_sent_bytes = 0
        self._granted_bytes = frames.INITIAL_WINDOW
        self._paid_bytes = 0
        self._ended_early: dict[int, None] = {}

    def take(self, frame: Frame, now: float) -> None:
        """Take one frame.

        Raises:
            ConnectionFailed: the peer has broken the protocol, or asks for too much.
        """
        if self.is_first_frame:
            if frame.kind != frames.SETTINGS or frame.flags & frames.ACK:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self.is_first_frame = False
        if self.blocks.is_cut_by(frame):
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a header block is cut in two by another frame")
        take = _TAKERS.get(frame.kind)
        if take is None:
            self._spend(1.0, now)  # frames of an unknown type are to be ignored
            return
        try:
            take(self, frame, now)
        except StreamFailed as failure:
            is_refusal = failure.code is ErrorCode.REFUSED_STREAM
            self._spend(1.0 if is_refusal else TOKENS_A_FAILED_STREAM, now)
            self._connection.fail_stream(failure)

    def forget(self, stream: Stream) -> None:
        """Keep nothing of a stream that has ended, but its id if the peer may still be sending on it."""
        if not stream.requested:
            self._release(stream)
            self._expect_more(stream.number)

    def _whole(self, stream: Stream) -> None:
        """The request has come to its end."""
        stream.requested = True
        self._meter.level += TOKENS_A_REQUEST
        self._release(stream)

    def _release(self, stream: Stream) -> None:
        del self.half_sent[stream]
        self._half_sent_bytes -= stream.received_bytes

    def _expect_more(self, number: int) -> None:
        """What comes on a stream that was ended before its request is not the peer's fault."""
        self._ended_early[number] = None
        if len(self._ended_early) > self._limits.streams:
            del self._ended_early[next(iter(self._ended_early))]

    def _spend(self, tokens: float, now: float) -> None:
        sent = self._granted_bytes - self._connection.window
        self._meter.level += (sent - self._paid_bytes) / BYTES_A_TOKEN
        self._paid_bytes = sent
        if not self._meter.spend(tokens, now):
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that lead to nothing")

    # --------------------------------------------------------------------------------------------------- requests

    def _take_headers(self, frame: Frame, now: float) -> None:
        if not frame.stream % 2:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that no client opens")
        block = self.blocks.begin(frame, now)
        if block is not None:
            self._take_block(block, now)

    def _take_continuation(self, frame: Frame, now: float) -> None:
        self._spend(1.0, now)
        block = self.blocks.go_on(frame)
        if block is not None:
            self._take_block(block, now)

    def _take_block(self, block: HeaderBlock, now: float) -> None:
        if block.stream > self.last_stream:
            self._open(block, now)
        elif (stream := self._connection.streams.get(block.stream)) is not None:
            self._take_trailers(stream, block)
        elif block.stream in self._ended_early:
            self._spend(1.0, now)
            if block.ends:
                del self._ended_early[block.stream]
        else:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that is closed")

    def _open(self, block: HeaderBlock, now: float) -> None:
        number, connection = block.stream, self._connection
        self.last_stream = number
        try:
            if connection.is_draining or len(connection.streams) >= self._limits.streams:
                raise StreamFailed(number, ErrorCode.REFUSED_STREAM, "no more streams")
            try:
                request = parse_request(block.headers, ends=block.ends)
            except Malformed as error:
                raise StreamFailed(number, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        except StreamFailed:
            if not block.ends:
                self._expect_more(number)
            raise
        stream = Stream(connection, number, self._initial_window, now, request.content_length)
        connection.streams[number] = stream
        self.half_sent[stream] = None
        if block.ends:
            self._whole(stream)
        self._listener.requested(stream, request)
        if block.ends and stream.is_open:
            self._listener.received(stream, b"", ends=True)

    def _take_trailers(self, stream: Stream, block: HeaderBlock) -> None:
        number = stream.number
        if stream.requested:
            raise StreamFailed(number, ErrorCode.STREAM_CLOSED, "HEADERS after the end")
        if not block.ends:
            raise StreamFailed(number, ErrorCode.PROTOCOL_ERROR, "trailers that are not the end")
        try:
            require_trailers(block.headers, self._limits.header_bytes)
        except Malformed as error:
            raise StreamFailed(number, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        self._require_length(stream, b"", ends=True)
        self._whole(stream)
        self._listener.received(stream, b"", ends=True)

    def _take_data(self, frame: Frame, now: float) -> None:
        body = frames.without_padding(frame)
        self._require_known(frame)
        self._consumed += len(frame.payload)
        if self._consumed >= GRANTED_BYTES // 2:
            self._connection.write(frames.window_update(0, self._consumed))
            self._consumed = 0
        ends = bool(frame.flags & frames.END_STREAM)
        stream = self._connection.streams.get(frame.stream)
        if stream is None and frame.stream in self._ended_early:
            self._spend(1.0, now)
            if ends:
                del self._ended_early[frame.stream]
            return
        if stream is None or stream.requested:
            raise StreamFailed(frame.stream, ErrorCode.STREAM_CLOSED, "DATA after the end")
        self._require_length(stream, body, ends=ends)
        if ends:
            self._whole(stream)
        else:
            self._spend(1.0, now)
            stream.received_bytes += len(body)
            self._half_sent_bytes += len(body)
        self._listener.received(stream, body, ends=ends)
        if self._half_sent_bytes > self._limits.half_sent_bytes:
            self._end_oldest()

    def _require_length(self, stream: Stream, body: bytes, *, ends: bool) -> None:
        if stream.content_length is None:
            return
        stream.content_length -= len(body)
        if stream.content_length < 0 or (ends and stream.content_length):
            raise StreamFailed(stream.number, ErrorCode.PROTOCOL_ERROR, "the length is not what content-length says")

    def _end_oldest(self) -> None:
        for stream in list(self.half_sent):
            if self._half_sent_bytes <= self._limits.half_sent_bytes:
                return
            self._listener.overdue(stream)

    def end_overdue(self, now: float) -> None:
        """End the requests that have not come to their end in time."""
        for stream in list(self.half_sent):
            if now - stream.opened_at < self._limits.request_seconds:
                return
            self._listener.overdue(stream)

    # ------------------------------------------------------------------------------------------------ flow control

    def _take_window_update(self, frame: Frame, now: float) -> None:
        _require_size(frame, 4)
        self._spend(1.0, now)
        more = int.from_bytes(frame.payload, "big") & frames.LARGEST_WINDOW
        connection = self._connection
        if frame.stream == 0:
            _require(more > 0, "a window that opens by nothing")
            self._granted_bytes += more
            connection.window += more
            if connection.window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
            self.may_write_more = True
            return
        self._require_known(frame)
        if not more:
            raise StreamFailed(frame.stream, ErrorCode.PROTOCOL_ERROR, "a window that opens by nothing")
        stream = connection.streams.get(frame.stream)
        if stream is None:
            return
        stream.window += more
        if stream.window > frames.LARGEST_WINDOW:
            raise StreamFailed(frame.stream, ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
        self.granted.append(stream)

    def _take_settings(self, frame: Frame, now: float) -> None:
        _require(frame.stream == 0, "SETTINGS on a stream")
        self._spend(1.0 + len(frame.payload) // (6 * SETTINGS_A_TOKEN), now)
        if frame.flags & frames.ACK:
            _require_size(frame, 0)
            return
        found = frames.settings_in(frame.payload)
        if found.get(frames.HEADER_TABLE_SIZE, frames.INITIAL_TABLE) < frames.INITIAL_TABLE:
            self._connection.shrink_table()
        window = found.get(frames.INITIAL_WINDOW_SIZE, self._initial_window)
        if window != self._initial_window:
            self._spend(len(self._connection.streams) / STREAMS_A_TOKEN, now)
            self._change_initial_window(window)
        self._connection.write(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _change_initial_window(self, window: int) -> None:
        more, self._initial_window = window - self._initial_window, window
        for stream in self._connection.streams.values():
            stream.window += more
            if stream.window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
        self.may_write_more = True

    # -------------------------------------------------------------------------------------------------- all others

    def _take_priority(self, frame: Frame, now: float) -> None:
        _require(frame.stream != 0, "PRIORITY on the connection")
        if len(frame.payload) != 5:
            raise StreamFailed(frame.stream, ErrorCode.FRAME_SIZE_ERROR, "a PRIORITY of the wrong size")
        self._spend(1.0, now)

    def _take_reset(self, frame: Frame, now: float) -> None:
        _require_size(frame, 4)
        self._require_known(frame)
        stream = self._connection.streams.get(frame.stream)
        if stream is None:
            self._spend(1.0, now)
            self._ended_early.pop(frame.stream, None)
        else:
            self._connection.lose(stream)
            self._ended_early.pop(frame.stream, None)

    def _take_push(self, _: Frame, __: float) -> None:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a client that pushes")

    def _take_ping(self, frame: Frame, now: float) -> None:
        _require(frame.stream == 0, "PING on a stream")
        _require_size(frame, 8)
        self._spend(1.0, now)
        if not frame.flags & frames.ACK:
            self._connection.write(frames.frame(frames.PING, frames.ACK, 0, frame.payload))

    def _take_goaway(self, frame: Frame, now: float) -> None:
        _require(frame.stream == 0, "GOAWAY on a stream")
        if len(frame.payload) < 8:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY of the wrong size")
        self._spend(1.0, now)
        self._connection.close_when_unused()

    def _require_known(self, frame: Frame) -> None:
        known = frame.stream % 2 == 1 and frame.stream <= self.last_stream
        _require(known, "a frame on a stream that was never opened")


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, why)


def _require_size(frame: Frame, size: int) -> None:
    if len(frame.payload) != size:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, f"a frame of type {frame.kind} of the wrong size")


_TAKERS: Final = {
    frames.DATA: Incoming._take_data,
    frames.HEADERS: Incoming._take_headers,
    frames.PRIORITY: Incoming._take_priority,
    frames.RST_STREAM: Incoming._take_reset,
    frames.SETTINGS: Incoming._take_settings,
    frames.PUSH_PROMISE: Incoming._take_push,
    frames.PING: Incoming._take_ping,
    frames.GOAWAY: Incoming._take_goaway,
    frames.WINDOW_UPDATE: Incoming._take_window_update,
    frames.CONTINUATION: Incoming._take_continuation,
}
