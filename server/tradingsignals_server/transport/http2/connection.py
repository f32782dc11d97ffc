"""One connection, server side, without I/O: received bytes and the time go in, events and bytes to send come out.

    connection.receive(data)
    while (events := connection.process_frame(now)) is not None:
        ...
    events = connection.end_turn()

Memory is bounded: no DATA is written beyond the windows that the peer has granted, and what a stream could not send of
one message stays pending on it, where it takes no other. Work is bounded by `abuse`, one frame at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from . import frames
from .abuse import SETTINGS_PER_TOKEN, STREAM_ERROR_TOKENS, STREAMS_PER_TOKEN, FrameBudget
from .errors import ErrorCode, Http2ConnectionError, StreamError
from .events import ConnectionWritable, Event, RequestOverdue, StreamClosed, StreamFlushed
from .flow_control import RECEIVE_WINDOW, FlowControl, require_window
from .frames import Frame
from .header_blocks import HeaderBlockReader, HeaderBlockWriter
from .keepalive import Keepalive
from .limits import Limits
from .request_receiver import RequestReceiver
from .stream import Stream

_PING_PAYLOAD: Final = b"liveness"


class Output(Protocol):
    """Where a connection sends its bytes. asyncio.Transport is one, but for `close_sending`."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def write_eof(self) -> None:
        """Send what is pending, then close the sending side; the peer may still be sending."""

    def close(self) -> None:
        """Send what is pending, then close."""

    def abort(self) -> None:
        """Close at once."""


class Connection:
    """One connection. Nothing is written once `is_closed`."""

    def __init__(self, output: Output, limits: Limits, now: float, peer: str = "") -> None:
        """Send SETTINGS; `now` is in seconds on any monotonic clock, the same in each call. `peer`: see StreamOwner."""
        # The connection.
        self.peer = peer
        self.is_closed = False
        self._output = output
        self._limits = limits
        self._keepalive = Keepalive(limits, now)
        self._events: list[Event] = []
        self._announced_stream_id: int | None = None
        """Last stream identifier of the GOAWAY that was sent: it must not grow."""
        # Receiving.
        self.flow = FlowControl()
        self._frame_reader = frames.FrameReader()
        self._settings_received = False
        self._budget = FrameBudget(limits, self.flow, now)
        self._header_blocks = HeaderBlockReader(limits.header_block_bytes)
        self._requests = RequestReceiver(self, limits, self._budget, self._header_blocks)
        self.streams: Mapping[int, Stream] = self._requests.streams
        # Sending.
        self.blocked_streams: dict[Stream, None] = {}
        """The streams on which a message is pending."""
        self._header_block_writer = HeaderBlockWriter()
        self._enlarged_streams: list[Stream] = []
        """Streams whose window was enlarged in this turn."""
        self._is_enlarged = False
        """True if the window of the connection, or of all streams, was enlarged in this turn."""
        settings = {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        self.write(frames.settings(settings) + frames.window_update(0, RECEIVE_WINDOW - frames.DEFAULT_WINDOW))

    # -------------------------------------------------------------------------------------------------- receiving

    def receive(self, data: bytes) -> None:
        """Take received bytes; `process_frame` processes them."""
        if not self.is_closed:
            try:
                self._frame_reader.feed(data)
            except Http2ConnectionError as error:
                self._fail(error)

    def process_frame(self, now: float) -> Sequence[Event] | None:
        """Process one frame; return its events, or None if none has been received whole.

        A connection error sends GOAWAY and closes all streams.
        """
        try:
            frame = None if self.is_closed else self._frame_reader.next_frame()
            if frame is None:
                return None
            self._keepalive.frame_received(now)
            self._process(frame, now)
        except Http2ConnectionError as error:
            self._fail(error)
        return self._take_events()

    def end_turn(self) -> Sequence[Event]:
        """Send what the windows let through that were enlarged since the last call, in one pass over the streams."""
        enlarged, self._enlarged_streams = self._enlarged_streams, []
        if self._is_enlarged:
            self._is_enlarged = False
            self._flush_streams()
        else:
            for stream in enlarged:
                if stream in self.blocked_streams:
                    stream.flush()
        return self._take_events()

    def _process(self, frame: Frame, now: float) -> None:
        if not self._settings_received:
            is_settings = frame.frame_type == frames.SETTINGS and not frame.flags & frames.ACK
            _require(is_settings, "the first frame is not SETTINGS")
            self._settings_received = True
        if self._header_blocks.is_interrupted_by(frame):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "another frame inside a header block")
        process = _PROCESSORS.get(frame.frame_type)
        if process is None:
            self._budget.spend(1.0, now)  # frames of an unknown type are ignored
            return
        try:
            process(self, frame, now)
        except StreamError as error:
            is_refusal = error.code is ErrorCode.REFUSED_STREAM
            self._budget.spend(1.0 if is_refusal else STREAM_ERROR_TOKENS, now)
            self.write(frames.rst_stream(error.stream_id, error.code))
            stream = self.streams.get(error.stream_id)
            if stream is not None:
                self._close_stream(stream)

    def _take_events(self) -> Sequence[Event]:
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    # --------------------------------------------------------------------------------------- receiving: requests

    def _process_headers(self, frame: Frame, now: float) -> None:
        event = self._requests.process_headers(frame, now)
        if event is not None:
            self._events.append(event)

    def _process_data(self, frame: Frame, now: float) -> None:
        self._require_not_idle(frame)
        increment = self.flow.receive(len(frame.payload))
        if increment:
            self.write(frames.window_update(0, increment))
        event = self._requests.process_data(frame, now)
        if event is not None:
            self._events.append(event)
            if not event.end_stream:
                overdue = self._requests.incomplete.excess(self._limits.incomplete_request_bytes)
                self._events += [RequestOverdue(stream) for stream in overdue]

    # ----------------------------------------------------------------------------------- receiving: flow control

    def _process_window_update(self, frame: Frame, now: float) -> None:
        _require_size(frame, 4)
        self._budget.spend(1.0, now)
        increment = int.from_bytes(frame.payload, "big") & frames.MAX_WINDOW
        if frame.stream_id == 0:
            _require(increment > 0, "a window that is enlarged by 0")
            self.flow.enlarge(increment)
            self._is_enlarged = True
            return
        self._require_not_idle(frame)
        if not increment:
            raise StreamError(frame.stream_id, ErrorCode.PROTOCOL_ERROR, "a window that is enlarged by 0")
        stream = self.streams.get(frame.stream_id)
        if stream is not None:
            stream.enlarge_window(increment)
            self._enlarged_streams.append(stream)

    def _process_settings(self, frame: Frame, now: float) -> None:
        _require(frame.stream_id == 0, "SETTINGS on a stream")
        self._budget.spend(1.0 + len(frame.payload) // (6 * SETTINGS_PER_TOKEN), now)
        if frame.flags & frames.ACK:
            _require_size(frame, 0)
            return
        settings = frames.parse_settings(frame.payload)
        if frames.HEADER_TABLE_SIZE in settings:
            self._header_block_writer.limit_table(settings[frames.HEADER_TABLE_SIZE])
        growth = self.flow.change_initial_stream_window(
            settings.get(frames.INITIAL_WINDOW_SIZE, self.flow.initial_stream_window)
        )
        if growth:
            self._budget.spend(len(self.streams) / STREAMS_PER_TOKEN, now)
            for stream in self.streams.values():
                stream.window += growth
                require_window(stream.window)
            self._is_enlarged = True
        self.write(frames.frame(frames.SETTINGS, frames.ACK, 0))

    # ---------------------------------------------------------------------------------- receiving: other frames

    def _process_priority(self, frame: Frame, now: float) -> None:
        _require(frame.stream_id != 0, "PRIORITY on the connection")
        if len(frame.payload) != 5:
            raise StreamError(frame.stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of the wrong size")
        self._budget.spend(1.0, now)

    def _process_rst_stream(self, frame: Frame, now: float) -> None:
        _require_size(frame, 4)
        self._require_not_idle(frame)
        stream = self.streams.get(frame.stream_id)
        if stream is None:
            self._budget.spend(1.0, now)
        else:
            self._close_stream(stream)
        self._requests.incomplete.forget_early(frame.stream_id)

    def _process_push_promise(self, _: Frame, __: float) -> None:
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a client must not push")

    def _process_ping(self, frame: Frame, now: float) -> None:
        _require(frame.stream_id == 0, "PING on a stream")
        _require_size(frame, 8)
        self._budget.spend(1.0, now)
        if not frame.flags & frames.ACK:
            self.write(frames.frame(frames.PING, frames.ACK, 0, frame.payload))

    def _process_goaway(self, frame: Frame, now: float) -> None:
        _require(frame.stream_id == 0, "GOAWAY on a stream")
        if len(frame.payload) < 8:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of the wrong size")
        self._budget.spend(1.0, now)
        self._close_when_unused()

    def _require_not_idle(self, frame: Frame) -> None:
        _require(not self._requests.is_idle(frame.stream_id), "a frame on an idle stream")

    # ---------------------------------------------------------------------------------------------------- sending

    def write(self, data: bytes) -> None:
        """Send frames. The caller has reserved the windows for the DATA among them."""
        if not self.is_closed:
            self._output.write(data)

    def header_frames(self, stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
        """Return the frames of a header block, which must be written before those of any later block."""
        return self._header_block_writer.frames(stream_id, block, end_stream=end_stream)

    def pause_writing(self) -> None:
        """Write no DATA: the buffer of the socket is full."""
        self.flow.paused = True

    def resume_writing(self) -> Sequence[Event]:
        """Write DATA again."""
        self.flow.paused = False
        self._flush_streams()
        return self._take_events()

    def stream_flushed(self, stream: Stream) -> None:
        """Report that no message is pending on the stream any more."""
        self._events.append(StreamFlushed(stream))

    def _flush_streams(self) -> None:
        for stream in list(self.blocked_streams):
            if not self.flow.is_open:
                return
            if stream.window > 0:
                stream.flush()
        self._events.append(ConnectionWritable())

    # ---------------------------------------------------------------------------------------------------- the end

    @property
    def is_unused(self) -> bool:
        """True while it is open and has no stream."""
        return not self.streams and not self.is_closed

    def drain(self) -> None:
        """Accept no new stream, announce it by GOAWAY, and close when the last stream has ended."""
        if self._requests.accepts_streams:
            self._announced_stream_id = self._requests.last_stream_id
            self.write(frames.goaway(self._requests.last_stream_id, ErrorCode.NO_ERROR))
        self._close_when_unused()

    def abort(self) -> None:
        """Close at once, whatever is pending."""
        self.is_closed = True
        self._output.abort()

    def lost(self) -> Sequence[Event]:
        """Close all streams: the socket is closed."""
        self.is_closed = True
        for stream in list(self.streams.values()):
            self._close_stream(stream)
        return self._take_events()

    def check_timeouts(self, now: float) -> Sequence[Event]:
        """Apply the limits of time; call it a few times a second."""
        keepalive = self._keepalive
        if self.is_closed:
            if keepalive.is_closed_too_long(now):
                self.abort()
            return ()
        for stream in self._requests.incomplete.overdue(now - self._limits.request_seconds):
            self._events.append(RequestOverdue(stream))
        block_started_at = self._header_blocks.started_at
        if (not self._settings_received and keepalive.is_late_to_start(now)) or keepalive.is_dead(now):
            self.abort()
        elif block_started_at is not None and now - block_started_at > self._limits.request_seconds:
            self._fail(Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that does not end"))
        elif keepalive.is_ping_due(now):
            self.write(frames.frame(frames.PING, 0, 0, _PING_PAYLOAD))
        if keepalive.is_unused(now, has_streams=bool(self.streams)):
            self.drain()
        for stream in list(self.blocked_streams):
            if stream.is_taken_too_slowly(now, self._limits):
                stream.reset(ErrorCode.CANCEL)
        return self._take_events()

    def forget(self, stream: Stream) -> None:
        """Remove a stream that has ended."""
        if not self._requests.remove(stream):
            return
        stream.is_closed = True
        self.blocked_streams.pop(stream, None)
        if not self._requests.accepts_streams and not self.streams:
            self._close()

    def _close_stream(self, stream: Stream) -> None:
        """Remove a stream that did not end by the server above."""
        self.forget(stream)
        self._events.append(StreamClosed(stream))

    def _close_when_unused(self) -> None:
        self._requests.accepts_streams = False
        if not self.streams:
            self._close()

    def _close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._output.close()

    def _fail(self, error: Http2ConnectionError) -> None:
        last_id = self._requests.last_stream_id if self._announced_stream_id is None else self._announced_stream_id
        self.write(frames.goaway(last_id, error.code, error.reason))
        if not self.is_closed:
            self.is_closed = True
            # A socket that is closed with bytes unread is reset, and the peer would not receive GOAWAY.
            self._output.write_eof()
        for stream in list(self.streams.values()):
            self._close_stream(stream)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, reason)


def _require_size(frame: Frame, size: int) -> None:
    if len(frame.payload) != size:
        raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of type {frame.frame_type} of the wrong size")


_PROCESSORS: Final = {
    frames.DATA: Connection._process_data,
    frames.HEADERS: Connection._process_headers,
    frames.PRIORITY: Connection._process_priority,
    frames.RST_STREAM: Connection._process_rst_stream,
    frames.SETTINGS: Connection._process_settings,
    frames.PUSH_PROMISE: Connection._process_push_promise,
    frames.PING: Connection._process_ping,
    frames.GOAWAY: Connection._process_goaway,
    frames.WINDOW_UPDATE: Connection._process_window_update,
    frames.CONTINUATION: Connection._process_headers,
}
