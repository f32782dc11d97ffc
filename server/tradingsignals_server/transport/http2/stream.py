"""One stream of a connection, server side: the request that it receives, and the response that is sent on it."""

from __future__ import annotations

from typing import Protocol

from . import frames
from .errors import ErrorCode, StreamError
from .flow_control import FlowControl
from .limits import Limits


class StreamOwner(Protocol):
    """What a stream uses of its connection."""

    @property
    def peer(self) -> str:
        """IP address of the other end; empty if it has none."""

    @property
    def flow(self) -> FlowControl:
        """The windows of the connection."""

    @property
    def blocked_streams(self) -> dict[Stream, None]:
        """The streams on which a message is pending."""

    def write(self, data: bytes) -> None:
        """Send frames. The caller has reserved the windows for the DATA among them."""

    def header_frames(self, stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
        """Return the frames of a header block, which must be written before those of any later block."""

    def stream_flushed(self, stream: Stream) -> None:
        """Report that no message is pending on the stream any more."""

    def forget(self, stream: Stream) -> None:
        """Remove a stream that has ended."""


class StreamHandler(Protocol):
    """What the server above attaches to a stream; see the events of the same names."""

    def data_received(self, data: bytes, *, end_stream: bool) -> None:
        """See DataReceived."""

    def request_overdue(self) -> None:
        """See RequestOverdue."""

    def stream_closed(self) -> None:
        """See StreamClosed."""

    def stream_flushed(self) -> None:
        """See StreamFlushed."""


class Stream:
    """One stream. At most one message is pending at a time: the part of it that the windows do not let through yet."""

    __slots__ = (
        "_end_observed_at",
        "_flow",
        "_trailers",
        "_unsent_bytes",
        "connection",
        "content_length",
        "handler",
        "is_closed",
        "opened_at",
        "pending",
        "received_bytes",
        "request_ended",
        "stream_id",
        "stream_id_bytes",
        "window",
    )

    def __init__(
        self, connection: StreamOwner, stream_id: int, opened_at: float, content_length: int | None = None
    ) -> None:
        # The stream.
        self.connection = connection
        self.stream_id = stream_id
        self.stream_id_bytes = stream_id.to_bytes(4, "big")
        self.is_closed = False
        self.handler: StreamHandler | None = None
        """Attached by the server above; neither the stream nor the connection uses it."""
        # The request.
        self.opened_at = opened_at
        self.request_ended = False
        self.content_length = content_length
        """Bytes of the body that are still to come, if the request has a content-length."""
        self.received_bytes = 0
        """Bytes of the body that came before the last DATA frame."""
        # The response.
        self._flow = connection.flow
        self.window = self._flow.initial_stream_window
        """Bytes of DATA that may be sent on this stream; below 0 if SETTINGS made windows smaller."""
        self.pending: memoryview | None = None
        """The part of a message that could not be sent yet."""
        self._trailers: bytes | None = None
        self._end_observed_at: float | None = None
        self._unsent_bytes = 0

    @property
    def is_open(self) -> bool:
        """True until the response has ended, or the stream is closed."""
        return self._trailers is None and not self.is_closed

    # ------------------------------------------------------------------------------------------------ the request

    def receive(self, size: int, *, end_stream: bool) -> None:
        """Count bytes of the body against content-length.

        Raises:
            StreamError: they are more, or at the end fewer, than content-length.
        """
        if self.content_length is not None:
            self.content_length -= size
            if self.content_length < 0 or (end_stream and self.content_length):
                raise StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR, "the body is not of content-length")

    # ----------------------------------------------------------------------------------------------- the response

    def send_headers(self, block: bytes) -> None:
        """Send the headers of the response."""
        self.connection.write(self.connection.header_frames(self.stream_id, block, end_stream=False))

    def send_whole(self, block: bytes, message: bytes, trailers: bytes) -> bool:
        """Send a small response in one write; return False, with nothing sent, if flow control does not allow it."""
        length, connection = len(message), self.connection
        if self._flow.paused or length > frames.MAX_FRAME_BYTES or not self.reserve(length):
            return False
        self._trailers = trailers
        headers = connection.header_frames(self.stream_id, block, end_stream=False)
        data = frames.frame(frames.DATA, 0, self.stream_id, message)
        connection.write(headers + data + frames.header_frames(self.stream_id, trailers, end_stream=True))
        connection.forget(self)
        return True

    def reserve(self, size: int) -> bool:
        """Take `size` bytes from both windows, for DATA that the caller writes; False if one of them is too small."""
        flow = self._flow
        if size > self.window or size > flow.window:
            return False
        self.window -= size
        flow.window -= size
        return True

    def send(self, message: bytes) -> None:
        """Send as much of a message as flow control allows, and the rest as it does. None may be pending."""
        self.pending = memoryview(message)
        self.flush()

    def discard_pending(self) -> None:
        """Never send what is pending."""
        self.pending = None

    def finish(self, trailers: bytes) -> None:
        """End the response with a header block of trailers, once no message is pending."""
        self._trailers = trailers
        self._unsent_bytes = 0 if self.pending is None else len(self.pending)
        self.flush()

    def reset(self, code: ErrorCode) -> None:
        """End the stream at once."""
        self.connection.write(frames.rst_stream(self.stream_id, code))
        self.connection.forget(self)

    def flush(self) -> None:
        """Send as much of what is pending as flow control allows."""
        connection, flow = self.connection, self._flow
        out: list[bytes] = []
        pending = self.pending
        while pending is not None and not flow.paused:
            length = min(len(pending), self.window, flow.window, frames.MAX_FRAME_BYTES)
            if length <= 0:
                break
            out += (frames.frame_prefix(frames.DATA, 0, length), self.stream_id_bytes, bytes(pending[:length]))
            self.window -= length
            flow.window -= length
            pending = pending[length:] if length < len(pending) else None
        self.pending = pending
        if pending is not None:
            connection.blocked_streams[self] = None
        elif self._trailers is not None:
            out.append(connection.header_frames(self.stream_id, self._trailers, end_stream=True))
            if not self.request_ended:
                out.append(frames.rst_stream(self.stream_id, ErrorCode.NO_ERROR))  # the request is not needed any more
        if out:
            connection.write(b"".join(out))
        if pending is None:
            if self._trailers is not None:
                connection.forget(self)
            elif connection.blocked_streams.pop(self, self) is None:
                connection.stream_flushed(self)

    def enlarge_window(self, increment: int) -> None:
        """Apply WINDOW_UPDATE of the stream.

        Raises:
            StreamError: the window overflows.
        """
        self.window += increment
        if self.window > frames.MAX_WINDOW:
            raise StreamError(self.stream_id, ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")

    def is_taken_too_slowly(self, now: float, limits: Limits) -> bool:
        """Return whether the peer takes what is pending of a response that has ended too slowly.

        The time starts with the first call after the end.
        """
        if self._trailers is None:
            return False
        if self._end_observed_at is None:
            self._end_observed_at = now
        allowed = limits.keepalive_timeout_seconds + self._unsent_bytes / limits.min_bytes_per_second
        return now - self._end_observed_at > allowed
