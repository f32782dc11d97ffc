"""Internal calls: only servers of the same database may make them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from tests.support.builders import bar, now, walk
from tests.support.certificates import OPENSSL, SERVER_NAME, Authority, Inner, placed
from tests.support.deadlines import within
from tests.support.memory_store import MemoryStore
from tests.support.running import running_engine

from tradingsignals_server.adapters.peers.client import open_peers
from tradingsignals_server.api.contract import PEER_SERVICE
from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.api.methods import is_routine, methods_of
from tradingsignals_server.api.services.peer import PeerServicer
from tradingsignals_server.application.access.current import current_caller
from tradingsignals_server.application.cluster.router import Router
from tradingsignals_server.application.ingest.sole_ownership import SoleOwnership
from tradingsignals_server.application.ports.feed import BarResult
from tradingsignals_server.application.ports.ownership import Claim
from tradingsignals_server.application.ports.peer import PeerError, PeerGone
from tradingsignals_server.domain.access import Caller, Credential
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.buckets import bucket_of
from tradingsignals_server.domain.errors import NotAPeer, ServiceError, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate, Receipt
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL, default_interval
from tradingsignals_server.internal import peer_service_pb2 as pb
from tradingsignals_server.transport.certificates import Certificates
from tradingsignals_server.transport.grpc.credentials import server_credentials
from tradingsignals_server.transport.grpc.interceptors import CallInterceptor
from tradingsignals_server.transport.grpc.metadata import (
    CALLER_KEY,
    IDEMPOTENCY_KEY,
    PEER_KEY,
    REPLAYED,
    forwarded,
    forwarded_caller,
    idempotency_key,
    response_metadata,
)
from tradingsignals_server.transport.grpc.registration import MethodHandlers
from tradingsignals_server.transport.grpc.status import CallRules

PATH = f"/{PEER_SERVICE.full_name}/ProcessBars"


def no_peer_at(_: str) -> Any:
    pytest.fail("the owner calls no peer")


async def none_in_use() -> tuple[str, ...]:
    return ()


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


class OwnedAt(SoleOwnership):
    """The ownership of a server that owns nothing; the owner of every symbol is at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def holds(self, symbol: str) -> bool:
        """See Ownership."""
        return False

    async def claim(self, symbols: Collection[str]) -> Claim:
        """See Ownership."""
        return Claim(frozenset(), {bucket_of(symbol): self._address for symbol in symbols})


@asynccontextmanager
async def serving(
    router: object, certificates: Certificates | None = None, address: str = "127.0.0.1:0"
) -> AsyncIterator[str]:
    """Serve the calls of peers with `router`, on the database whose secret is "ours"."""
    servicer = PeerServicer(cast(Router, router), default_interval)
    async with serving_with(servicer, certificates, address) as found:
        yield found


@asynccontextmanager
async def serving_with(
    servicer: object, certificates: Certificates | None = None, address: str = "127.0.0.1:0"
) -> AsyncIterator[str]:
    """Serve the calls of peers with `servicer`, on that database."""
    server = grpc.aio.server(interceptors=(CallInterceptor(CallRules(status_of, is_routine), "ours"),))
    methods = methods_of(PEER_SERVICE, servicer)
    server.add_generic_rpc_handlers((MethodHandlers(methods, lambda _: lambda: None),))
    if certificates is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, server_credentials(certificates))
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def address(router: Taking) -> AsyncIterator[str]:
    """A server of that database."""
    async with serving(router) as found:
        yield found


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


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
async def test_servers_reach_each_other_by_certificates_also_by_new_ones(router: Taking, tmp_path: Path) -> None:
    """A channel keeps the certificate that it was made with, so a new one takes another channel."""
    inner = Inner.make(tmp_path)
    (tmp_path / "new").mkdir()
    ours, theirs = Certificates(inner.files()), Certificates(inner.files())
    async with open_peers("ours", bar_message, ours) as others, open_peers("ours", bar_message) as plain:
        async with serving(router, theirs) as address:
            await within(others.at(address).process([bar(0)]))
            with pytest.raises(PeerGone):
                await within(plain.at(address).process([bar(1)]))
            renewed = Authority.make(tmp_path / "new")
            inner.authority.own.path.write_bytes(renewed.own.path.read_bytes())
            placed(renewed.certificate("server", f"DNS:{SERVER_NAME}"), inner.server.path.parent)
            theirs.refresh()
            await within(others.at(address).process([bar(2)]))  # on the connection that there is
        async with serving(router, theirs, address):
            with pytest.raises(PeerGone):
                await within(others.at(address).process([bar(3)]))
            ours.refresh()
            await within(others.at(address).process([bar(4)]))
            assert await within(others.at(address).ready())
    assert router.taken == [bar(0), bar(2), bar(4)]


async def test_refusal_of_a_bar_is_the_same_through_a_server_that_does_not_own_the_symbol() -> None:
    """Such as one for a price jump: through the other server it was an outage, and ended the whole stream."""
    store = MemoryStore()
    store.refuses = lambda event: isinstance(event, MarketUpdate) and event.bar.volume == 666.0
    history = walk(60)
    newest = history[-1]
    following = replace(newest, time=newest.time + DEFAULT_INTERVAL)
    refused = [
        replace(following, open=9e9, high=9e9, low=9e9, close=9e9),
        replace(newest, volume=newest.volume + 1.0),
        replace(newest, time=now() + DEFAULT_INTERVAL),
        replace(newest, symbol="EURUSD"),
        replace(following, volume=666.0),
    ]
    async with running_engine(store=store, max_symbols=1) as running:
        await running.publish(history)
        owner = Router(
            running.engine, SoleOwnership(), store, lambda _: pytest.fail("the owner calls no peer"), none_in_use
        )
        async with serving(owner) as address, open_peers("ours", bar_message) as others:
            other = Router(running.engine, OwnedAt(address), store, others.at, none_in_use)
            routing = asyncio.create_task(other.run())
            through_the_other = await within(other.publish(refused))
            routing.cancel()
        at_the_owner = await within(owner.publish(refused))
    assert [one.reason for one in at_the_owner if isinstance(one, ServiceError)] == [
        "PRICE_JUMP",
        "BAR_CONFLICT",
        "INVALID_BAR",
        "TOO_MANY_SYMBOLS",
        "NOT_STORABLE",
    ]
    assert list(map(public_parts, through_the_other)) == list(map(public_parts, at_the_owner))


def public_parts(result: BarResult) -> tuple[object, ...]:
    assert isinstance(result, ServiceError)
    return type(result), result.message, result.metadata, result.violations


class Done:
    """A servicer that is called by other servers on behalf of a caller; it keeps what it knows of each call."""

    def __init__(self) -> None:
        self.known: list[tuple[bool, str | None, str]] = []

    async def process_bars(self, _: pb.ProcessBarsRequest) -> pb.ProcessBarsResponse:
        self.known.append((forwarded.get(), idempotency_key.get(), forwarded_caller.get()))
        if idempotency_key.get() is not None:
            response_metadata.set((REPLAYED,))
        return pb.ProcessBarsResponse()


@pytest.mark.parametrize("key", [None, "8e03978e"])
async def test_forwarded_call_has_the_key_and_the_caller_and_its_response_says_what_the_peer_says(
    key: str | None,
) -> None:
    done = Done()

    async def forwarded_call() -> Sequence[tuple[str, str]]:
        """Forward a call in the task that serves it, and return what its caller will be sent."""
        idempotency_key.set(key)
        current_caller.set(Caller(Credential.TOKEN, "jos\u00e9"))
        async with open_peers("ours", bar_message) as others:
            await others.at(server).forward(PATH, pb.ProcessBarsRequest().SerializeToString())
        return response_metadata.get()

    async with serving_with(done) as server:
        metadata = await within(asyncio.create_task(forwarded_call()))
    if key is None:
        assert (done.known, list(metadata)) == ([(True, None, "")], [])
    else:
        assert (done.known, list(metadata)) == ([(True, key, "token:jos%C3%A9")], [REPLAYED])


async def test_lost_connection_of_a_forwarded_call_is_an_error_of_the_service() -> None:
    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server, open_peers("ours", bar_message) as peers:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(
            StorageUnavailable, match=r"^the server that works on the symbol was lost; nothing is known"
        ):
            await within(peers.at(f"127.0.0.1:{port}").forward(PATH, b""))


async def test_caller_cannot_name_another_one() -> None:
    done = Done()
    async with serving_with(done) as address, grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(PATH, pb.ProcessBarsRequest.SerializeToString, pb.ProcessBarsResponse.FromString)
        await within(call(pb.ProcessBarsRequest(), metadata=((IDEMPOTENCY_KEY, "k"), (CALLER_KEY, "key:abc"))))
    assert done.known == [(False, "k", "")]
