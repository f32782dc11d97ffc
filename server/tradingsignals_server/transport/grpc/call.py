"""One call of gRPC on one stream: its request, its name, its deadline, its end, and its line in the log."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from time import perf_counter
from typing import Any
from uuid import uuid4

import grpc

from ...api.mapping import errors
from ...domain.errors import ServiceError
from ..http2 import headers
from ..http2.frames import ErrorCode
from ..http2.headers import Request
from ..http2.stream import Stream
from .body import Body
from .interceptors import REQUEST_ID, log_end, log_failure
from .metadata import request_id

_SINGLE = headers.answer(())
"""What an answer of one message begins with."""
_OK = headers.trailers(grpc.StatusCode.OK, "")
_NO_METADATA: tuple[tuple[str, bytes | str], ...] = ()
_PLAIN_TYPE = re.compile(rb"application/grpc(?:[+;].*)?", re.DOTALL)


def framed(message: bytes) -> bytes:
    """A message with gRPC's prefix: not compressed, and its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Call:
    """One call. It ends once, by whatever comes first, and tells it to the log."""

    __slots__ = (
        "_deadline",
        "_headers",
        "_is_answered",
        "_is_told",
        "_started",
        "body",
        "follower",
        "last_event_id",
        "method",
        "name",
        "stream",
        "task",
    )

    def __init__(self, stream: Stream, request: Request, answer_headers: bytes) -> None:
        """`answer_headers` is what a stream of answers begins with."""
        self.stream = stream
        self.method = request.path
        self.name = _request_id(request.request_id)
        self.last_event_id = None if request.last_event_id is None else request.last_event_id.decode("latin-1")
        self.task: asyncio.Task[None] | None = None
        self.follower: Any = None
        """Its place in the log while it follows; it is released when the call ends, whatever ends it."""
        self._headers = answer_headers
        self.body: Body | None = Body(request.encoding)
        """What has come of the request; None once the call has ended or the request was read."""
        self._started = perf_counter()
        self._is_answered = False
        self._is_told = False
        self._deadline: asyncio.TimerHandle | None = None
        if request.timeout_seconds is not None and not math.isnan(request.timeout_seconds):
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(request.timeout_seconds, self.expire)

    @property
    def is_open(self) -> bool:
        """True until it has ended."""
        return not self._is_told

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
        if self.stream.rest is not None:
            async with asyncio.timeout(stall_seconds):
                await self.stream.drain()

    def fail(self, error: ServiceError, last: bytes | None = None) -> None:
        """End it with an error of the domain, after a last message if the caller is already served."""
        status = errors.status_of(error, self.name)
        self._finish(errors.code_of(error), status, error.reason, last)

    def fail_now(self, error: ServiceError) -> None:
        """End it with an error of the domain; what is left to send is never sent."""
        self.stream.rest = None
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
        self.stream.rest = None
        self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def reset(self, code: ErrorCode) -> None:
        """Cut it off."""
        if self.is_open:
            self._tell(grpc.StatusCode.CANCELLED, "")
            self.stream.reset(code)

    def gone(self) -> None:
        """The caller has gone away."""
        if self.is_open:
            self._tell(grpc.StatusCode.CANCELLED, "")

    def _finish(self, code: grpc.StatusCode, status: grpc.Status, reason: str, last: bytes | None = None) -> None:
        if not self.is_open:
            return
        self._tell(code, reason)
        if last is not None and self._is_answered and self.stream.rest is None:
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


def is_grpc(content_type: bytes) -> bool:
    """True for the content types of gRPC."""
    return _PLAIN_TYPE.fullmatch(content_type) is not None


def _request_id(given: bytes | None) -> str:
    text = "" if given is None else given.decode("latin-1")
    return text if REQUEST_ID.fullmatch(text) else str(uuid4())
