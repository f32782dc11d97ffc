"""What happens around every call: a request id, one line in the log, and errors turned into statuses.

gRPC hands over what was sent as bytes. They are parsed here, where an error is answered from the one table: gRPC would
tell the caller the text of the exception.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from hmac import compare_digest
from time import perf_counter
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc

from ...api.mapping import errors
from ...api.mapping.validation import LAST_EVENT_ID, message_of, messages_of
from ...domain.errors import FollowerStalled, NotAPeer, ServiceError, ShuttingDown
from .metadata import PEER_KEY, REQUEST_ID_KEY, forwarded, last_event_id, request_id

log = logging.getLogger("tradingsignals.call")

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
"""What a caller may name its call; any other name is replaced."""

REQUEST_SECONDS: Final = 10.0
"""How long the message of a call that takes one may take to come."""

MAX_LOGGED: Final = 200
"""Characters of a method's name in a log line: a caller may make it long."""

# grpc's classes are generic for the type checker only, so their parameters stand in quotes.
Details = grpc.HandlerCallDetails
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Continuation: TypeAlias = "Callable[[Details], Awaitable[Handler]]"
Body = Callable[[], Awaitable[None]]


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic for the checker only
    """Names the call, answers its errors from the one table, and writes one line when it ends.

    `peer_secret` is what other servers of the same database send; without one there are none.
    """

    def __init__(self, peer_secret: str = "") -> None:
        self._peer_secret = peer_secret.encode()

    async def intercept_service(self, continuation: Continuation, details: Details) -> Handler:
        """Wrap the handler of the call, whatever its shape."""
        handler = await continuation(details)
        if handler is None:
            return handler
        method = details.method
        name = _given_request_id(details) or str(uuid4())
        parse: Any = handler.request_deserializer
        offered = _text_of(details, PEER_KEY)

        async def asked(sent: AsyncIterator[bytes], context: Context) -> Any:
            if handler.request_streaming:
                return messages_of(parse, sent)
            return message_of(parse, await _only_message(context))

        async def unary(sent: Any, context: Context) -> Any:
            behaviour: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary
            answers: list[Any] = []

            async def body() -> None:
                forwarded.set(self._is_peer(offered))
                answers.append(await behaviour(await asked(sent, context), context))

            await _guarded(method, name, context, body)
            return answers[0]

        async def stream(sent: Any, context: Context) -> None:
            behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def body() -> None:
                last_event_id.set(_text_of(details, LAST_EVENT_ID))
                answered = behaviour(await asked(sent, context), context)
                if isinstance(answered, AsyncIterator):
                    async for answer in answered:
                        await context.write(answer)
                else:
                    await answered

            await _guarded(method, name, context, body)

        # Every method takes a stream here, so that the time that a single message takes can be bounded.
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        wrapped: Handler = make(stream if handler.response_streaming else unary, None, handler.response_serializer)
        return wrapped

    def _is_peer(self, offered: str | None) -> bool:
        """True if the caller has the secret of the database.

        Raises:
            NotAPeer: it has another one. What it asks is meant for a server of another database.
        """
        if offered is None:
            return False
        if not self._peer_secret or not compare_digest(offered.encode("latin-1", "replace"), self._peer_secret):
            raise NotAPeer
        return True


async def _only_message(context: Context) -> bytes:
    """The request of a method that takes one message."""
    message: Any = None
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            message = await context.read()
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come to its end in time")
    if message is grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
        await context.abort(grpc.StatusCode.INTERNAL, "there is no whole message")
    return message  # type: ignore[no-any-return]


async def _guarded(method: str, name: str, context: Context, body: Body) -> None:
    """Run the body of a call under its request id; its errors become the call's status."""
    request_id.set(name)
    started = perf_counter()
    code, reason = grpc.StatusCode.OK, ""
    try:
        await body()
    except ServiceError as error:
        code, reason = errors.code_of(error), error.reason
        end = errors.abort_unread if isinstance(error, FollowerStalled) else errors.abort
        await end(context, errors.status_of(error, name))
    except grpc.aio.BaseError:
        # An inner handler has aborted, or the caller has gone away while it was read from or written to.
        code = _ended_with(context)
        raise
    except Exception as error:
        code, reason = grpc.StatusCode.INTERNAL, "INTERNAL_ERROR"
        log_failure(method, error)
        await errors.abort(context, errors.internal_status(name))
    except BaseException:
        code = grpc.StatusCode.CANCELLED
        raise
    finally:
        log_end(method, code, reason, started)


def log_end(method: str, code: grpc.StatusCode, reason: str, started: float) -> None:
    """The one line of a call; `started` is by time.perf_counter."""
    fault = code in _SERVER_FAULTS and reason != ShuttingDown.reason  # a stop is no fault
    level = logging.WARNING if fault else logging.DEBUG if _is_routine(method) else logging.INFO
    if log.isEnabledFor(level):
        method = method[:MAX_LOGGED]
        elapsed_ms = (perf_counter() - started) * 1e3
        log.log(
            level,
            "%s %s",
            method.rpartition("/")[2],
            code.name,
            extra={"method": method, "code": code.name, "reason": reason, "ms": round(elapsed_ms, 3)},
        )


def log_failure(method: str, error: Exception) -> None:
    """What only the log tells of a defect."""
    log.error("%s failed", method, exc_info=error)


def _ended_with(context: Context) -> grpc.StatusCode:
    """The code that the call was aborted with; CANCELLED if nobody aborted it."""
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    return next((known for known in grpc.StatusCode if code and known.value[0] == code), grpc.StatusCode.CANCELLED)


_SERVER_FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE})


def _is_routine(method: str) -> bool:
    """True for the health checks that an edge and an orchestrator make every few seconds."""
    return method.startswith("/grpc.health.") or method.endswith(("/GetHealth", "/ProcessBars"))


def _given_request_id(details: Details) -> str | None:
    text = _text_of(details, REQUEST_ID_KEY)
    return text if text is not None and REQUEST_ID.fullmatch(text) else None


def _text_of(details: Details, wanted: str) -> str | None:
    """The first value of a key of the call's metadata."""
    for key, value in details.invocation_metadata or ():
        if key == wanted:
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
