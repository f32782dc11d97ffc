"""What happens around every call on grpc.aio: a request id, errors mapped to statuses, one line in the log.

gRPC hands over requests as bytes, so that the time until a request is whole is limited here, and an error of parsing is
mapped like any other: gRPC would send the text of the exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from hmac import compare_digest
from time import perf_counter
from typing import Any, Final, NoReturn, TypeAlias
from urllib.parse import unquote

import grpc

from ..admission import Admission, Gate, OpenGate
from ..http2.limits import Limits
from .call_log import log_defect, log_end
from .metadata import (
    CALLER_KEY,
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID_KEY,
    PEER_KEY,
    REQUEST_ID_KEY,
    TRACEPARENT_KEY,
    forwarded,
    forwarded_caller,
    idempotency_key,
    last_event_id,
    request_id,
    request_id_of,
    text_of,
    trace_id,
    trace_id_of,
)
from .status import CANCELLED, OK, CallRules, CallStatus, NotOneMessage, PeerRefused

REQUEST_SECONDS: Final = 10.0
"""How long the message of a call that takes one may take to come."""

HEADER_BYTES: Final = Limits().header_bytes
"""The headers of a call that are taken, decoded. gRPC's own limit does not hold at a server (grpcio 1.85): a few KB of
references to one entry of the dynamic table come as megabytes of metadata."""

# grpc's classes are generic for the type checker only, so their parameters stand in quotes.
Details = grpc.HandlerCallDetails
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Continuation: TypeAlias = "Callable[[Details], Awaitable[Handler]]"
Body = Callable[[], Awaitable[None]]

_FIELD_BYTES: Final = 32
"""What each header counts for besides its name and value (RFC 9113, 6.5.2)."""

END_SECONDS: Final = 10.0
"""How long a caller may take to read the end of a call whose permission was withdrawn."""


class StreamBlocked(Exception):
    """A stream ends with `error` while its caller does not read what was sent last."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic for the checker only
    """Identifies the call, has it admitted, maps its errors to a status, and logs its end.

    `peer_secret` is what other servers of the same database send; without one there are none. `gate` admits the calls
    of everyone else.
    """

    def __init__(self, rules: CallRules, peer_secret: str = "", gate: Gate | None = None) -> None:
        self._rules = rules
        self._peer_secret = peer_secret.encode()
        self._gate = gate or OpenGate()

    async def intercept_service(self, continuation: Continuation, details: Details) -> Handler:
        """Wrap the handler of the call, whatever its shape."""
        size = sum(len(name) + len(value) + _FIELD_BYTES for name, value in details.invocation_metadata or ())
        if size > HEADER_BYTES:
            return self._refusal_of_headers(details.method, size)
        handler = await continuation(details)
        if handler is None:
            return handler
        # Set by the services of grpc itself only; ours take bytes.
        parse: Any = handler.request_deserializer or bytes
        lasts = handler.request_streaming or handler.response_streaming

        async def request(sent: AsyncIterator[bytes], context: Context) -> Any:
            if handler.request_streaming:
                return _parsed(sent, parse)
            return parse(await _only_message(context))

        async def unary(sent: Any, context: Context) -> Any:
            behaviour: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary
            responses: list[Any] = []

            async def body() -> None:
                responses.append(await behaviour(await request(sent, context), context))

            await self._guarded(details, context, body, lasts=lasts)
            return responses[0]

        async def stream(sent: Any, context: Context) -> None:
            behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def body() -> None:
                last_event_id.set(_value_of(details, LAST_EVENT_ID_KEY))
                started = behaviour(await request(sent, context), context)
                if isinstance(started, AsyncIterator):
                    async for response in started:
                        await context.write(response)
                else:
                    await started

            await self._guarded(details, context, body, lasts=lasts)

        # Every method takes a stream here, so that the time that a single message takes can be limited.
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        wrapped: Handler = make(stream if handler.response_streaming else unary, None, handler.response_serializer)
        return wrapped

    def _refusal_of_headers(self, method: str, size: int) -> Handler:
        """Return a handler that refuses a call. It holds nothing of the headers: those of many calls are not kept."""
        message = f"the headers have {size} bytes, at most {HEADER_BYTES} are taken"
        status = CallStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, message)

        async def refuse(_: Any, context: Context) -> None:
            log_end(method, status, perf_counter(), self._rules)
            await _abort(context, status)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _is_peer(self, offered: str | None) -> bool:
        """Return True if the caller has the secret of the database.

        Raises:
            PeerRefused: it has another one. Its call is meant for a server of another database.
        """
        if offered is None:
            return False
        if not self._peer_secret or not compare_digest(offered.encode("latin-1", "replace"), self._peer_secret):
            raise PeerRefused
        return True

    def _admit(self, details: Details, context: Context) -> Admission | None:
        """Admit the call; None if it is of another server of the same database, which has admitted it itself.

        Raises:
            PeerRefused: see `_is_peer`.
            Exception: the gate refuses it.
        """
        is_peer = self._is_peer(_value_of(details, PEER_KEY))
        forwarded.set(is_peer)
        idempotency_key.set(_value_of(details, IDEMPOTENCY_KEY))
        if is_peer:
            forwarded_caller.set(_value_of(details, CALLER_KEY) or "")
            return None
        admission = self._gate.admit(details.method, partial(_value_of, details), _peer_address(context))
        admission.enter()
        return admission

    async def _guarded(self, details: Details, context: Context, body: Body, *, lasts: bool) -> None:
        """Run the body of a call under its ids, if it is admitted; an error becomes the status of the call."""
        id_ = request_id_of(_value_of(details, REQUEST_ID_KEY))
        request_id.set(id_)
        begin_span, traceparent = self._rules.begin_span, _value_of(details, TRACEPARENT_KEY)
        span = None if begin_span is None else begin_span(details.method, traceparent)
        trace_id.set(trace_id_of(traceparent) if span is None else span.trace_id)
        if span is not None:
            span.activate()
        started = perf_counter()
        status = OK
        admission: Admission | None = None
        try:
            admission = self._admit(details, context)
            if lasts and admission is not None:
                async with _held(admission):
                    await body()
            else:
                await body()
        except grpc.aio.BaseError:
            # An inner handler has aborted, or the caller has gone away while it was read from or written to.
            status = _ended_with(context)
            raise
        except StreamBlocked as blocked:
            status = self._rules.status_of(blocked.error, id_)
            await _abort_unread(context, status)
        except _Withdrawn as withdrawn:
            status = self._rules.status_of(withdrawn.error, id_)
            await _abort_unread(context, status, END_SECONDS)
        except Exception as error:
            status = self._rules.status_of(error, id_)
            if status.is_defect:
                log_defect(details.method, error)
            await _abort(context, status)
        except BaseException:
            status = CANCELLED
            raise
        finally:
            if admission is not None:
                admission.release(status)
            log_end(details.method, status, started, self._rules)
            if span is not None:
                span.end(status)


class _Withdrawn(Exception):
    """The permission of a call has ended before the call, with `error`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


withdrawal: ContextVar[list[Exception]] = ContextVar("withdrawal")
"""The error that the permission of the present call has ended with, if it is held and that has happened."""


@asynccontextmanager
async def _held(admission: Admission) -> AsyncIterator[None]:
    """Run the body for as long as the call is admitted.

    Raises:
        _Withdrawn: the permission has ended meanwhile.
    """
    found: list[Exception] = []
    withdrawal.set(found)
    scope = asyncio.timeout(None)

    def withdraw(error: Exception) -> None:
        if not found and not scope.expired():
            found.append(error)
            scope.reschedule(asyncio.get_running_loop().time())

    try:
        async with scope:
            admission.hold(withdraw)
            yield
    except TimeoutError:
        if found:
            raise _Withdrawn(found[0]) from None
        raise


async def _parsed(sent: AsyncIterator[bytes], parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    """Parse messages. gRPC's iterator begins with the first of them: one that never begins is reported as a defect."""
    async for each in sent:
        yield parse(each)


async def _only_message(context: Context) -> bytes:
    """Read the request of a method that takes one message.

    Raises:
        NotOneMessage: the caller has sent none.
    """
    message: Any = None
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            message = await context.read()
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come to its end in time")
    if message is grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
        raise NotOneMessage("there is no message")
    return message  # type: ignore[no-any-return]


async def _abort(context: Context, status: CallStatus) -> NoReturn:
    """End the call with `status`."""
    await context.abort(status.code, status.message, tuple(status.metadata))
    raise AssertionError("abort returns never")


async def _abort_unread(context: Context, status: CallStatus, seconds: float = 0.0) -> None:
    """End a call whose caller does not read, or may not read for `seconds`.

    The status stands behind the message that could not be written, so a caller that reads on gets both. gRPC waits for
    that, maybe for ever; so the call is left to it.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _abort(context, status)


def _ended_with(context: Context) -> CallStatus:
    """Return the status that the call was aborted with; CANCELLED if it was not."""
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return CallStatus(code)
    found = next((known for known in grpc.StatusCode if code and known.value[0] == code), grpc.StatusCode.CANCELLED)
    return CallStatus(found)


def _value_of(details: Details, key: str) -> str | None:
    """Return the first value of a key of the call's metadata."""
    return next((text_of(value) for name, value in details.invocation_metadata or () if name == key), None)


def _peer_address(context: Context) -> str:
    """Return the IP address of the other end of the connection; empty if it has none, as a Unix socket."""
    kind, _, address = context.peer().partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return unquote(address.rpartition(":")[0]).strip("[]")
