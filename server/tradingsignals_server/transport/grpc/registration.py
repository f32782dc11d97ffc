"""Binding servicers to the services of the contract.

A servicer has a coroutine for each method of its service, in snake case. Answers may be messages, or bytes where a
message is serialised already. A server-streaming method is a coroutine that checks the request, subscribes, and
returns a generator of answers; the initial metadata is sent when it does, so that a follower knows that it follows, and
a refusal is still an error with its own HTTP status.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ...api.encoding.listing import Listing
from ...api.streams import WriteBlocked

Answer = Message | bytes | Listing
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Metadata = Sequence[tuple[str, str]]
Behaviour = Callable[[Any], Coroutine[Any, Any, Any]]

STALL_SECONDS = 300.0
"""How long a follower may take nothing, unless it is said otherwise."""


def register(
    server: grpc.aio.Server,
    service: ServiceDescriptor,
    servicer: object,
    stream_metadata: Metadata = (),
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """Serve every method of `service` by `servicer`.

    Every stream begins with `stream_metadata`, and is ended if it takes nothing for `stall_seconds`.

    Raises:
        AttributeError: the servicer lacks a method.
    """
    handlers = {
        method.name: _handler(method, behaviour_of(servicer, method), stream_metadata, stall_seconds)
        for method in service.methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def behaviour_of(servicer: object, method: MethodDescriptor) -> Behaviour:
    """What a servicer does for a method.

    Raises:
        AttributeError: it lacks the method.
    """
    behaviour: Behaviour = getattr(servicer, method_name(method))
    return behaviour


def method_name(method: MethodDescriptor) -> str:
    """What the servicer's coroutine is called."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()


def serialised(answer: Answer) -> bytes:
    """An answer as it is sent."""
    if isinstance(answer, bytes):
        return answer
    return answer.serialised() if isinstance(answer, Listing) else answer.SerializeToString()


def _handler(
    method: MethodDescriptor,
    behaviour: Behaviour,
    stream_metadata: Metadata,
    stall_seconds: float,
) -> Any:
    async def unary(request: Any, _: Context) -> Answer:
        answer: Answer = await behaviour(request)
        return answer

    async def upload(requests: Any, context: Context) -> Answer:
        # The edge waits only so long for a request to end, unless its response has begun.
        await context.send_initial_metadata(())
        return await unary(requests, context)

    async def stream(request: Any, context: Context) -> None:
        async with aclosing(await behaviour(request)) as answers:
            await context.send_initial_metadata(stream_metadata)
            async for answer in answers:
                try:
                    async with asyncio.timeout(stall_seconds):
                        await context.write(answer)
                except TimeoutError:
                    await answers.athrow(WriteBlocked(stall_seconds))

    parse = GetMessageClass(method.input_type).FromString
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, parse, serialised)
    if method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(upload, parse, serialised)
    return grpc.unary_unary_rpc_method_handler(unary, parse, serialised)
