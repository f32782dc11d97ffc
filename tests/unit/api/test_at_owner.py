"""A method that is declared to run at the owner of its symbol does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest

from tradingsignals.v1 import signal_service_pb2 as pb
from tradingsignals_server.api.at_owner import at_owner, symbol_in_request
from tradingsignals_server.application.cluster.forwarding import OwnerForwarding
from tradingsignals_server.application.ports.peer import Peer
from tradingsignals_server.transport.grpc.metadata import forwarded


class Forwarding:
    """Records what it is to run; runs forwarded calls here and others at a peer."""

    def __init__(self) -> None:
        self.symbols: list[str] = []

    async def run(self, symbol: str, here: object, at_peer: Callable[[Peer], Awaitable[bytes]]) -> bytes:
        """See OwnerForwarding."""
        self.symbols.append(symbol)
        return await at_peer(cast(Peer, self))

    async def run_forwarded(self, symbol: str, here: Callable[[], Awaitable[Any]]) -> Any:
        """See OwnerForwarding."""
        self.symbols.append(symbol)
        return await here()

    async def forward(self, path: str, request: bytes) -> bytes:
        """See Peer."""
        return path.encode() + b" " + request


class Servicer:
    """A servicer with one such method, which returns its request."""

    def __init__(self) -> None:
        self.forwarding = Forwarding()
        self.owner = cast(OwnerForwarding, self.forwarding)

    @at_owner(symbol=symbol_in_request)
    async def generate_signal(self, request: pb.GenerateSignalRequest) -> pb.GenerateSignalRequest:
        return request


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
def from_a_peer() -> Iterator[None]:
    token = forwarded.set(True)
    yield
    forwarded.reset(token)


@pytest.mark.parametrize(("sent", "symbol"), [("", "USDCOP"), ("eur/usd", "EURUSD")])
async def test_request_is_forwarded_to_its_own_method_for_its_symbol(
    servicer: Servicer, sent: str, symbol: str
) -> None:
    request = pb.GenerateSignalRequest(symbol=sent)
    response = await servicer.generate_signal(request)
    assert response == b"/tradingsignals.v1.SignalService/GenerateSignal " + request.SerializeToString()
    assert servicer.forwarding.symbols == [symbol]


async def test_request_without_a_valid_symbol_runs_locally(servicer: Servicer) -> None:
    request = pb.GenerateSignalRequest(symbol="?")
    assert await servicer.generate_signal(request) is request
    assert servicer.forwarding.symbols == []


@pytest.mark.usefixtures("from_a_peer")
async def test_request_that_a_peer_has_forwarded_is_not_forwarded_again(servicer: Servicer) -> None:
    request = pb.GenerateSignalRequest(symbol="EURUSD")
    assert await servicer.generate_signal(request) is request
    assert servicer.forwarding.symbols == ["EURUSD"]
