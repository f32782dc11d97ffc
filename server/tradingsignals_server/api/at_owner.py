"""A declaration on methods of servicers: the method runs at the server that owns the symbol of its request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from tradingsignals.v1.signal_service_pb2 import GenerateSignalFromDbRequest, GenerateSignalRequest

from ..application.cluster.forwarding import OwnerForwarding
from ..domain.errors import InvalidRequest
from ..domain.symbols import parse_symbol
from ..transport.grpc.metadata import is_forwarded
from .contract import method_of, path_of
from .mapping.bounds import DEFAULT_SYMBOL
from .once import sent_key


class ForwardingServicer(Protocol):
    """A servicer with methods that run at the owner of a symbol."""

    @property
    def owner(self) -> OwnerForwarding:
        """Runs them there."""
        ...


Servicer = TypeVar("Servicer", bound=ForwardingServicer)
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")
SymbolRequest = TypeVar("SymbolRequest", bound=GenerateSignalRequest | GenerateSignalFromDbRequest)


def at_owner(
    symbol: Callable[[Servicer, Request], Awaitable[str | None]],
) -> Callable[
    [Callable[[Servicer, Request], Awaitable[Response]]],
    Callable[[Servicer, Request], Coroutine[Any, Any, Response | bytes]],
]:
    """Declare that a method runs at the server that owns the symbol of its request.

    `symbol` finds the symbol. It returns None if the request has no valid one; the method then runs here and reports
    that. A response of another server comes serialised, and its error as PeerError.
    """

    def declare(
        method: Callable[[Servicer, Request], Awaitable[Response]],
    ) -> Callable[[Servicer, Request], Coroutine[Any, Any, Response | bytes]]:
        @wraps(method)
        async def run_at_owner(servicer: Servicer, request: Request) -> Response | bytes:
            sent_key()  # before a peer is sent it
            found = await symbol(servicer, request)
            if found is None:
                return await method(servicer, request)
            here = partial(method, servicer, request)
            if is_forwarded():
                return await servicer.owner.run_forwarded(found, here)
            return await servicer.owner.run(
                found,
                here,
                lambda peer: peer.forward(path_of(method_of(request.DESCRIPTOR)), request.SerializeToString()),
            )

        return run_at_owner

    return declare


async def symbol_in_request(_: Servicer, request: SymbolRequest) -> str | None:
    """Return the symbol that a request names, or the default symbol."""
    try:
        return parse_symbol(request.symbol) if request.symbol else DEFAULT_SYMBOL
    except InvalidRequest:
        return None
