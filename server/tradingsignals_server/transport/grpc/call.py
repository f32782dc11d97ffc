"""One call of gRPC on one stream of HTTP/2: its request, its id, its deadline, its end, and its line in the log."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from time import perf_counter

import grpc

from ..admission import Admission
from ..http2.request_headers import Request
from ..http2.stream import Stream
from . import headers
from .body import BadMessage, Body
from .call_log import log_defect, log_end
from .metadata import request_id, request_id_of, text_of, trace_id, trace_id_of
from .status import CANCELLED, OK, CallRules, CallStatus, NotOneMessage

_SINGLE = headers.response_headers()
"""The headers of a response with one message."""
_OK = headers.trailers(grpc.StatusCode.OK, "")
_OVERDUE = CallStatus(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come to its end in time")


def framed(message: bytes) -> bytes:
    """Put gRPC's prefix before a message: not compressed, and its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Call:
    """One call, the handler of its stream. It ends once, by whatever comes first, and is logged then."""

    __slots__ = (
        "_deadline",
        "_headers",
        "_is_answered",
        "_is_ended",
        "_rules",
        "_serve",
        "_span",
        "_started",
        "admission",
        "body",
        "id",
        "idempotency_key",
        "last_event_id",
        "last_response",
        "method",
        "on_end",
        "on_flushed",
        "stream",
        "task",
        "timeout_seconds",
        "trace_id",
    )

    def __init__(
        self,
        stream: Stream,
        request: Request,
        stream_headers: bytes,
        rules: CallRules,
        serve: Callable[[Call, bytes], None],
    ) -> None:
        """Wait for the request.

        Args:
            stream: the stream of the call.
            request: its headers.
            stream_headers: the header block of a response with a stream of messages.
            rules: what is known of the service.
            serve: called with the message of the request when it has been received.
        """
        self.stream = stream
        self.method = request.path
        self.id = request_id_of(text_of(request.headers.get(b"x-request-id")))
        self.last_event_id = text_of(request.headers.get(b"last-event-id"))
        self.idempotency_key = text_of(request.headers.get(b"idempotency-key"))
        traceparent = text_of(request.headers.get(b"traceparent"))
        self._span = None if rules.begin_span is None else rules.begin_span(request.path, traceparent)
        self.trace_id = trace_id_of(traceparent) if self._span is None else self._span.trace_id
        self.task: asyncio.Task[None] | None = None
        """Works on it; it is cancelled when the call ends."""
        self.on_end: Callable[[], None] | None = None
        """Called when the call ends, whatever ends it."""
        self.on_flushed: Callable[[], None] | None = None
        """Called when a pending message has been sent."""
        self.last_response: Callable[[Exception], bytes | None] | None = None
        """Makes the last response of a stream that ends with an error, for callers that cannot see the status."""
        self.admission: Admission | None = None
        """The permission to serve it, which is released when it ends."""
        self._headers = stream_headers
        self._rules = rules
        self.body: Body | None = Body(request.headers.get(b"grpc-encoding", b"identity"))
        """What has come of the request; None once the call has ended or the request was read."""
        self._serve = serve
        self._started = perf_counter()
        self._is_answered = False
        self._is_ended = False
        self._deadline: asyncio.TimerHandle | None = None
        timeout = self.timeout_seconds = headers.timeout_seconds(request.headers.get(b"grpc-timeout"))
        """How long the caller waits; NaN if that cannot be parsed."""
        if timeout is not None and not math.isnan(timeout):
            self._deadline = asyncio.get_running_loop().call_later(timeout, self.expire)

    @property
    def is_open(self) -> bool:
        """True until it has ended."""
        return not self._is_ended

    def identify(self) -> None:
        """Let the log lines, and the work, of the present task belong to this call."""
        request_id.set(self.id)
        trace_id.set(self.trace_id)
        if self._span is not None:
            self._span.activate()

    # ----------------------------------------------------------------------------------------- see StreamHandler

    def data_received(self, data: bytes, *, end_stream: bool) -> None:
        """See StreamHandler."""
        if self.body is None:
            return
        try:
            self.body.receive(data)
            if end_stream:
                message, self.body = self.body.message(), None
                self._serve(self, message)
        except BadMessage as error:
            # INTERNAL, which gRPC has for a message that is marked as compressed by mistake, is no fault of ours.
            self.finish(CallStatus(error.code, error.message, is_expected=True))
        except NotOneMessage as error:
            self.fail(error)

    def request_overdue(self) -> None:
        """See StreamHandler."""
        self.finish(_OVERDUE)

    def stream_closed(self) -> None:
        """See StreamHandler: the caller is gone."""
        if self.is_open:
            self._log_end(CANCELLED)

    def stream_flushed(self) -> None:
        """See StreamHandler."""
        if self.on_flushed is not None:
            self.on_flushed()

    # -------------------------------------------------------------------------------------------------- response

    def begin(self) -> None:
        """Send the headers of the response, so that the caller knows that it is served."""
        if not self._is_answered and self.is_open:
            self._is_answered = True
            self.stream.send_headers(self._headers)

    def respond(self, message: bytes, metadata: Sequence[tuple[str, str]] = ()) -> None:
        """Send the one message of the response, with initial metadata, and end."""
        if not self.is_open:
            return
        self._headers = headers.response_headers(metadata) if metadata else _SINGLE
        if self.stream.send_whole(self._headers, framed(message), _OK):
            self._log_end(OK)
        else:
            self.begin()
            self.stream.send(framed(message))
            self.finish(OK)

    def finish(self, status: CallStatus, last_message: bytes | None = None, http_status: int = 200) -> None:
        """End it with a status, after a last message if the headers are sent and nothing else is pending."""
        if not self.is_open:
            return
        self._log_end(status)
        if self._is_answered:
            if last_message is not None and self.stream.pending is None:
                self.stream.send(framed(last_message))
            self.stream.finish(headers.trailers(status.code, status.message, status.metadata))
        else:
            self.stream.finish(headers.trailers_only(status.code, status.message, status.metadata, http_status))

    def fail(self, error: Exception, last_message: bytes | None = None) -> None:
        """End it with the status of an error; see `finish`."""
        status = self._rules.status_of(error, self.id)
        if status.is_defect:
            with _identified(self):
                log_defect(self.method, error)
        self.finish(status, last_message)

    def withdraw(self, error: Exception) -> None:
        """End it because its permission has ended, with the status of an error; what is pending is never sent."""
        if self.is_open:
            is_whole = self.stream.pending is None
            last = self.last_response(error) if is_whole and self.last_response is not None else None
            self.stream.discard_pending()
            self.fail(error, last)

    def expire(self) -> None:
        """End it because its deadline has passed; what is pending is never sent."""
        self.stream.discard_pending()
        self.finish(CallStatus(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _log_end(self, status: CallStatus) -> None:
        self._is_ended = True
        task, self.task, self.body = self.task, None, None
        self.stream.handler = None  # without references back it is freed at once, not by the garbage collector
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        on_end, self.on_end, self.on_flushed, self.last_response = self.on_end, None, None, None
        if on_end is not None:
            on_end()
        admission, self.admission = self.admission, None
        if admission is not None:
            admission.release(status)
        with _identified(self):
            log_end(self.method, status, self._started, self._rules)
        if self._span is not None:
            self._span.end(status)


class _identified:  # noqa: N801 - a context manager without the cost of a generator
    """Every line that is logged inside carries the ids of a call."""

    def __init__(self, call: Call) -> None:
        self._tokens = request_id.set(call.id), trace_id.set(call.trace_id)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        request_id.reset(self._tokens[0])
        trace_id.reset(self._tokens[1])
