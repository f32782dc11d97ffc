"""Internal calls: only servers of the same database may make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import grpc
import pytest
from tests.support.builders import bar
from tests.support.deadlines import within

from tradingsignals_server.adapters.peers.client import open_peers
from tradingsignals_server.api.contract import PEER_SERVICE
from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.api.methods import is_routine, methods_of
from tradingsignals_server.api.services.peer import PeerServicer
from tradingsignals_server.application.cluster.router import Router
from tradingsignals_server.application.ports.peer import PeerError, PeerGone
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import NotAPeer
from tradingsignals_server.domain.events import Disposition, Receipt
from tradingsignals_server.internal import peer_service_pb2 as pb
from tradingsignals_server.transport.grpc.interceptors import CallInterceptor
from tradingsignals_server.transport.grpc.metadata import PEER_KEY
from tradingsignals_server.transport.grpc.registration import MethodHandlers
from tradingsignals_server.transport.grpc.status import CallRules

PATH = f"/{PEER_SERVICE.full_name}/ProcessBars"


class Taking:
    """The part of a router that a peer calls; `taken` are the bars that it received."""

    def __init__(self) -> None:
        self.taken: list[Bar] = []

    async def process_here(self, bars: Sequence[Bar]) -> list[Receipt]:
        self.taken += bars
        return [Receipt(one.symbol, one.time, Disposition.ACCEPTED, None, 1) for one in bars]


@pytest.fixture
def router() -> Taking:
    return Taking()


@pytest.fixture
async def address(router: Taking) -> AsyncIterator[str]:
    """A server of the database whose secret is "ours"."""
    server = grpc.aio.server(interceptors=(CallInterceptor(CallRules(status_of, is_routine), "ours"),))
    methods = methods_of(PEER_SERVICE, PeerServicer(cast(Router, router)))
    server.add_generic_rpc_handlers((MethodHandlers(methods, lambda _: lambda: None),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_server_of_the_same_database_is_served(router: Taking, address: str) -> None:
    async with open_peers("ours", bar_message) as others:
        (receipt,) = await within(others.at(address).process([bar(0)]))
    assert isinstance(receipt, Receipt)
    assert router.taken == [bar(0)]


async def test_server_of_another_database_is_refused(router: Taking, address: str) -> None:
    """Its address may have been that of a peer, so its bars go elsewhere, and its calls are not made here."""
    async with open_peers("theirs", bar_message) as others:
        with pytest.raises(PeerGone):
            await within(others.at(address).process([bar(0)]))
        with pytest.raises(PeerError) as raised:
            await within(others.at(address).forward(PATH, pb.ProcessBarsRequest().SerializeToString()))
        assert raised.value.reason == NotAPeer.reason
    assert router.taken == []


@pytest.mark.parametrize(
    "metadata", [(), ((PEER_KEY, ""),), ((PEER_KEY, "ourz"),), (("x-tradingsignals-forwarded", "1"),)]
)
async def test_caller_without_the_secret_is_refused(router: Taking, address: str, metadata: Any) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(PATH, pb.ProcessBarsRequest.SerializeToString, pb.ProcessBarsResponse.FromString)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await within(call(pb.ProcessBarsRequest(), metadata=metadata))
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert router.taken == []
