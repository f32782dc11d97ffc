"""The table of methods that the servers serve, derived from the contract, the servicers and the streams.

A servicer has a coroutine for each method of its service, in snake case, but for the streams of `streams.STREAMS`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ..application.event_log.follower import Followers
from ..transport.methods import ClientStreaming, Method, ServerStreaming, Unary
from .contract import EDGE_SERVICES, SERVICES, path_of
from .encoding.listing import Listing
from .mapping.validation import message_of, messages_of
from .streams import stream_methods

Response = Message | bytes | Listing
Behaviour = Callable[[Any], Coroutine[Any, Any, Response]]
Parse = Callable[[bytes], Any]


def all_methods(
    servicers: Mapping[str, object], followers: Followers, computed: Mapping[str, ServerStreaming]
) -> dict[str, Method]:
    """Return every method of the contract by its path; `servicers` stand under the short name of their service.

    Args:
        servicers: of the methods that do not stream responses.
        followers: open the streams of the event log.
        computed: by path, the streams whose responses are computed for one caller.

    Raises:
        AttributeError: a servicer lacks a method.
        KeyError: there is no servicer for a method, or a stream is not declared.
    """
    streams = stream_methods(followers) | dict(computed)
    found: dict[str, Method] = dict(streams)
    for name, service in (SERVICES | EDGE_SERVICES).items():
        if any(path_of(method) not in streams for method in service.methods):
            found |= methods_of(service, servicers[name])
        for method in service.methods:
            if path_of(method) not in found:
                raise KeyError(f"{method.full_name} is not in STREAMS")
    return found


def methods_of(service: ServiceDescriptor, servicer: object) -> dict[str, Method]:
    """Return the methods of a service that do not stream responses, by their path.

    Raises:
        AttributeError: the servicer lacks a method.
    """
    return {
        path_of(method): _method(method, behaviour_of(servicer, method))
        for method in service.methods
        if not method.server_streaming
    }


def behaviour_of(servicer: object, method: MethodDescriptor) -> Behaviour:
    """Return the coroutine of a servicer for a method.

    Raises:
        AttributeError: it lacks the method.
    """
    behaviour: Behaviour = getattr(servicer, method_name(method))
    return behaviour


def method_name(method: MethodDescriptor) -> str:
    """Return the name of the servicer's coroutine."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()


def is_routine(path: str) -> bool:
    """Return True for calls that programs make every few seconds: health checks, and bars between servers."""
    return path.startswith("/grpc.health.") or path.endswith(("/GetHealth", "/ProcessBars"))


def _method(method: MethodDescriptor, behaviour: Behaviour) -> Method:
    parse: Parse = GetMessageClass(method.input_type).FromString
    if method.client_streaming:
        return ClientStreaming(partial(_upload, behaviour, parse))
    return Unary(partial(_call, behaviour, parse))


async def _call(behaviour: Behaviour, parse: Parse, sent: bytes) -> bytes:
    return _serialised(await behaviour(message_of(parse, sent)))


async def _upload(behaviour: Behaviour, parse: Parse, sent: AsyncIterator[bytes]) -> bytes:
    return _serialised(await behaviour(messages_of(parse, sent)))


def _serialised(response: Response) -> bytes:
    if isinstance(response, bytes):
        return response
    return response.serialised() if isinstance(response, Listing) else response.SerializeToString()
