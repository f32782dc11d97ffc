"""One call of gRPC on one stream: its request, its name, its deadline, its end, and its line in the log."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol
from uuid import uuid4

import grpc

from ...api.mapping import errors
from ...domain.errors import ServiceError
from ..http2.request_headers import Request
from ..http2.stream import Stream
from . import headers
from .body import BadMessage, Body
from .interceptors import REQUEST_ID, log_end, log_failure
from .metadata import request_id

_SINGLE = headers.response_headers()
"""What an answer of one message begins with."""
_OK = headers.trailers(grpc.StatusCode.OK, "")
_NO_METADATA: tuple[tuple[str, bytes | str], ...] = ()


def framed(message: bytes) -> bytes:
    """A message with gRPC's prefix: not compressed, and its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class FollowerOfCall(Protocol):
    """The place in the log of a call that follows."""

    def leave(self) -> None:
        """Stop following: the call has ended."""

    def flushed(self) -> None:
        """Go on: the message that was pending has been sent."""


class Call:
    """One call, the handler of its stream. It ends once, by whatever comes first, and tells it to the log."""

    __slots__ = (
        "_deadline",
        "_flushed",
        "_headers",
        "_is_answered",
        "_is_told",
        "_serve",
        "_started",
        "body",
        "follower",
        "last_event_id",
        "method",
        "name",
        "stream",
        "task",
        "timeout_seconds",
    )

    def __init__(
        self, stream: Stream, request: Request, answer_headers: bytes, serve: Callable[[Call, bytes], None]
    ) -> None:
        """Wait for the request.

        Args:
            stream: the stream of the call.
            request: its headers.
            answer_headers: the header block that a stream of responses starts with.
            serve: called with the message of the request when it has been received.
        """
        self.stream = stream
        self.method = request.path
        self.name = _request_id(request.headers.get(b"x-request-id"))
        last_event_id = request.headers.get(b"last-event-id")
        self.last_event_id = None if last_event_id is None else last_event_id.decode("latin-1")
        self.task: asyncio.Task[None] | None = None
        self.follower: FollowerOfCall | None = None
        """Its place in the log while it follows; it is released when the call ends, whatever ends it."""
        self._headers = answer_headers
        self.body: Body | None = Body(request.headers.get(b"grpc-encoding", b"identity"))
        """What has come of the request; None once the call has ended or the request was read."""
        self._serve = serve
        self._flushed: asyncio.Future[None] | None = None
        self._started = perf_counter()
        self._is_answered = False
        self._is_told = False
        self._deadline: asyncio.TimerHandle | None = None
        timeout = self.timeout_seconds = headers.timeout_seconds(request.headers.get(b"grpc-timeout"))
        """How long the caller waits; NaN if that cannot be parsed."""
        if timeout is not None and not math.isnan(timeout):
            self._deadline = asyncio.get_running_loop().call_later(timeout, self.expire)

    @property
    def is_open(self) -> bool:
        """True until it has ended."""
        return not self._is_told

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
            self.end(error.code, error.message)

    def request_overdue(self) -> None:
        """See StreamHandler."""
        self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come to its end in time")

    def stream_closed(self) -> None:
        """See StreamHandler: the caller is gone."""
        if self.is_open:
            self._tell(grpc.StatusCode.CANCELLED, "")

    def stream_flushed(self) -> None:
        """See StreamHandler."""
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        if self.follower is not None:
            self.follower.flushed()

    # ---------------------------------------------------------------------------------------------------- answer

    def begin(self) -> None:
        """Send the headers of the answer, so that the caller knows that it is served."""
        if not self._is_answered and self.is_open:
            self._is_answered = True
            self.stream.send_headers(self._headers)

    def answer(self, message: bytes) -> None:
        """Send the one message of the answer, and end."""
        if not self.is_open:
            return
        self._headers = _SINGLE
        if self.stream.send_whole(_SINGLE, framed(message), _OK):
            self._tell(grpc.StatusCode.OK, "")
        else:
            self.begin()
            self.stream.send(framed(message))
            self.end()

    async def send(self, message: bytes, stall_seconds: float) -> None:
        """Send a message, and wait until all of it is on its way.

        Raises:
            TimeoutError: nobody has taken it for `stall_seconds`.
        """
        self.begin()
        self.stream.send(framed(message))
        if self.stream.pending is not None:
            self._flushed = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(stall_seconds):
                await self._flushed

    def fail(self, error: ServiceError, last: bytes | None = None) -> None:
        """End it with an error of the domain, after a last message if the caller is already served."""
        status = errors.status_of(error, self.name)
        self._finish(errors.code_of(error), status, error.reason, last)

    def fail_now(self, error: ServiceError) -> None:
        """End it with an error of the domain; what is left to send is never sent."""
        self.stream.discard_pending()
        self.fail(error)

    def fail_unexpectedly(self, error: Exception) -> None:
        """End it with a defect, which only the log tells more of."""
        with _named(self.name):
            log_failure(self.method, error)
        self._finish(grpc.StatusCode.INTERNAL, errors.internal_status(self.name), "INTERNAL_ERROR")

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK, message: str = "", http_status: int = 200) -> None:
        """End it with a status that has no details."""
        if self.is_open:
            self._tell(code, "")
            self._send_end(code, message, _NO_METADATA, http_status)

    def expire(self) -> None:
        """End it because its deadline has come; what is left to send is never sent."""
        self.stream.discard_pending()
        self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _finish(self, code: grpc.StatusCode, status: grpc.Status, reason: str, last: bytes | None = None) -> None:
        if not self.is_open:
            return
        self._tell(code, reason)
        if last is not None and self._is_answered and self.stream.pending is None:
            self.stream.send(framed(last))
        self._send_end(code, status.details or "", tuple(status.trailing_metadata or ()))

    def _send_end(
        self, code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, bytes | str]], http_status: int = 200
    ) -> None:
        if self._is_answered:
            self.stream.finish(headers.trailers(code, message, metadata))
        else:
            self.stream.finish(headers.trailers_only(code, message, metadata, http_status))

    def _tell(self, code: grpc.StatusCode, reason: str) -> None:
        self._is_told = True
        self.body = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
        follower, self.follower = self.follower, None
        if follower is not None:
            follower.leave()
        with _named(self.name):
            log_end(self.method, code, reason, self._started)


class _named:  # noqa: N801 - reads as a sentence where it stands
    """Everything logged inside carries the name of a call."""

    def __init__(self, name: str) -> None:
        self._token = request_id.set(name)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        request_id.reset(self._token)


def _request_id(given: bytes | None) -> str:
    text = "" if given is None else given.decode("latin-1")
    return text if REQUEST_ID.fullmatch(text) else str(uuid4())
