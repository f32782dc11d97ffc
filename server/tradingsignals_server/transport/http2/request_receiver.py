"""Receives requests: opens streams by HEADERS, and checks what follows on them (RFC 9113, 5.1 and 8.1)."""

from __future__ import annotations

from . import frames
from .abuse import REQUEST_TOKENS, FrameBudget, IncompleteRequests
from .errors import ErrorCode, Http2ConnectionError, StreamError
from .events import DataReceived, RequestReceived
from .frames import Frame
from .header_blocks import HeaderBlock, HeaderBlockReader
from .limits import Limits
from .request_headers import MalformedHeaders, check_trailers, parse_request
from .stream import Stream, StreamOwner


class RequestReceiver:
    """The streams of one connection, and the requests that are received on them."""

    def __init__(
        self, owner: StreamOwner, limits: Limits, budget: FrameBudget, header_blocks: HeaderBlockReader
    ) -> None:
        """Receive nothing yet.

        Args:
            owner: the connection that new streams belong to.
            limits: limits of the connection.
            budget: pays for frames that lead to no response.
            header_blocks: decodes the header blocks of the connection.
        """
        self.streams: dict[int, Stream] = {}
        self.last_stream_id = 0
        """The highest stream identifier that the peer has used."""
        self.accepts_streams = True
        self.incomplete = IncompleteRequests(limits.streams)
        self._header_blocks = header_blocks
        self._owner = owner
        self._limits = limits
        self._budget = budget

    def is_idle(self, stream_id: int) -> bool:
        """Return whether the peer has not used this stream identifier, or cannot."""
        return stream_id % 2 == 0 or stream_id > self.last_stream_id

    def remove(self, stream: Stream) -> bool:
        """Remove a stream that has ended; False if it was removed before."""
        if self.streams.pop(stream.stream_id, None) is None:
            return False
        if not stream.request_ended:
            self.incomplete.remove(stream)
            self.incomplete.close_early(stream.stream_id)
        return True

    # ---------------------------------------------------------------------------------------------- header blocks

    def process_headers(self, frame: Frame, now: float) -> RequestReceived | DataReceived | None:
        """Process HEADERS or CONTINUATION.

        Raises:
            Http2ConnectionError, StreamError: it is not allowed, or the request is malformed or refused.
        """
        if frame.frame_type == frames.CONTINUATION:
            self._budget.spend(1.0, now)
            block = self._header_blocks.proceed(frame)
        elif frame.stream_id % 2 == 0:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that a client cannot open")
        else:
            block = self._header_blocks.start(frame, now)
        if block is None:
            return None
        stream_id = block.stream_id
        if stream_id > self.last_stream_id:
            return self._open_stream(block, now)
        stream = self.streams.get(stream_id)
        if stream is not None:
            return self._process_trailers(stream, block)
        if not self.incomplete.is_closed_early(stream_id):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that is closed")
        self._ignore(stream_id, now, end_stream=block.end_stream)
        return None

    def _open_stream(self, block: HeaderBlock, now: float) -> RequestReceived:
        stream_id = self.last_stream_id = block.stream_id
        try:
            if not self.accepts_streams or len(self.streams) >= self._limits.streams:
                raise StreamError(stream_id, ErrorCode.REFUSED_STREAM, "too many streams")
            try:
                request = parse_request(block.headers, end_stream=block.end_stream)
            except MalformedHeaders as error:
                raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        except StreamError:
            if not block.end_stream:
                self.incomplete.close_early(stream_id)
            raise
        stream = self.streams[stream_id] = Stream(self._owner, stream_id, now, request.content_length)
        self.incomplete.add(stream)
        if block.end_stream:
            self._end_request(stream)
        return RequestReceived(stream, request, block.end_stream)

    def _process_trailers(self, stream: Stream, block: HeaderBlock) -> DataReceived:
        stream_id = stream.stream_id
        if stream.request_ended:
            raise StreamError(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the request")
        if not block.end_stream:
            raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
        try:
            check_trailers(block.headers, self._limits.header_bytes)
        except MalformedHeaders as error:
            raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        stream.receive(0, end_stream=True)
        self._end_request(stream)
        return DataReceived(stream, b"", end_stream=True)

    # ------------------------------------------------------------------------------------------------------- DATA

    def process_data(self, frame: Frame, now: float) -> DataReceived | None:
        """Process DATA.

        Raises:
            Http2ConnectionError, StreamError: it is not allowed.
        """
        data = frames.strip_padding(frame)
        stream_id, end_stream = frame.stream_id, bool(frame.flags & frames.END_STREAM)
        stream = self.streams.get(stream_id)
        if stream is None and self.incomplete.is_closed_early(stream_id):
            self._ignore(stream_id, now, end_stream=end_stream)
            return None
        if stream is None or stream.request_ended:
            raise StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA after the end of the request")
        stream.receive(len(data), end_stream=end_stream)
        if end_stream:
            self._end_request(stream)
        else:
            self._budget.spend(1.0, now)
            self.incomplete.receive(stream, len(data))
        return DataReceived(stream, data, end_stream)

    def _end_request(self, stream: Stream) -> None:
        stream.request_ended = True
        self._budget.earn(REQUEST_TOKENS)
        self.incomplete.remove(stream)

    def _ignore(self, stream_id: int, now: float, *, end_stream: bool) -> None:
        """Ignore a frame on a stream that was ended before its request."""
        self._budget.spend(1.0, now)
        if end_stream:
            self.incomplete.forget_early(stream_id)
