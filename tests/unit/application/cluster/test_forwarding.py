"""A call about one symbol runs at the owner of the symbol, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tradingsignals_server.application.cluster import forwarding as forwarding_module
from tradingsignals_server.application.cluster.forwarding import OwnerForwarding
from tradingsignals_server.application.ports.feed import BarResult
from tradingsignals_server.application.ports.peer import Peer, PeerError
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import OwnerUnavailable, ServiceError, ShuttingDown, StorageUnavailable

SYMBOL = "USDCOP"


class Owners:
    """The part of a router that forwarding uses; returns `addresses` in turn, and then repeats the last."""

    def __init__(self, *addresses: str | None) -> None:
        self._addresses = list(addresses)
        self.forgotten = 0

    async def address_of(self, symbol: str) -> str | None:
        """See Router."""
        assert symbol == SYMBOL
        return self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]

    def forget(self, symbol: str) -> None:
        """See Router."""
        self.forgotten += 1


class FakePeer:
    """Responds to forwarded calls, with the errors first."""

    def __init__(self, *errors: ServiceError, is_ready: bool | None = True) -> None:
        self.errors = list(errors)
        self.calls = 0
        self._is_ready = is_ready

    async def process(self, bars: Sequence[Bar]) -> Sequence[BarResult]:
        """See Peer."""
        raise AssertionError("these tests do not call it")

    async def forward(self, path: str, request: bytes) -> bytes:
        """See Peer."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return request

    async def ready(self) -> bool:
        """See Peer; None never connects."""
        if self._is_ready is None:
            await asyncio.Event().wait()
        return bool(self._is_ready)


class Here:
    """The call on this server."""

    def __init__(self, *errors: ServiceError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "here"


async def at_peer(peer: Peer) -> bytes:
    return await peer.forward("/service/Method", b"at the peer")


def forwarding(owners: Owners, peer: FakePeer | None = None) -> OwnerForwarding:
    return OwnerForwarding(owners, lambda _: peer or FakePeer())  # type: ignore[arg-type]  # owners stand in for a router


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding_module, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(forwarding_module, "TAKEOVER_SECONDS", 0.1)


def peer_error(reason: str) -> PeerError:
    return PeerError("refused", reason, b"")


async def test_call_on_a_symbol_of_this_server_runs_locally() -> None:
    peer, here = FakePeer(), Here()
    assert await forwarding(Owners(None), peer).run(SYMBOL, here, at_peer) == "here"
    assert (here.calls, peer.calls) == (1, 0)


async def test_call_on_a_symbol_of_a_peer_is_forwarded() -> None:
    peer, here = FakePeer(), Here()
    assert await forwarding(Owners("peer:1"), peer).run(SYMBOL, here, at_peer) == b"at the peer"
    assert (here.calls, peer.calls) == (0, 1)


@pytest.mark.parametrize("reason", [OwnerUnavailable.reason, ShuttingDown.reason, "NOT_A_PEER"])
async def test_call_that_a_peer_did_not_execute_is_repeated_at_the_next_owner(reason: str) -> None:
    owners, peer = Owners("peer:1", None), FakePeer(peer_error(reason))
    assert await forwarding(owners, peer).run(SYMBOL, Here(), at_peer) == "here"
    assert (peer.calls, owners.forgotten) == (1, 1)


@pytest.mark.parametrize("reason", ["", "STORAGE_UNAVAILABLE", "NOT_ENOUGH_BARS"])
async def test_call_that_a_peer_may_have_executed_is_not_repeated(reason: str) -> None:
    peer, here = FakePeer(peer_error(reason)), Here()
    with pytest.raises(PeerError):
        await forwarding(Owners("peer:1", None), peer).run(SYMBOL, here, at_peer)
    assert (here.calls, peer.calls) == (0, 1)


async def test_owner_is_looked_up_again_if_the_symbol_is_lost() -> None:
    here = Here(OwnerUnavailable(SYMBOL))
    assert await forwarding(Owners(None)).run(SYMBOL, here, at_peer) == "here"
    assert here.calls == 2


async def test_database_outage_is_reported_at_once() -> None:
    here = Here(StorageUnavailable())
    with pytest.raises(StorageUnavailable):
        await forwarding(Owners(None)).run(SYMBOL, here, at_peer)
    assert here.calls == 1


@pytest.mark.parametrize("is_ready", [False, None])
async def test_unreachable_peer_fails_the_call_after_the_timeout(is_ready: bool | None) -> None:
    peer, here = FakePeer(is_ready=is_ready), Here()
    with pytest.raises(OwnerUnavailable):
        await forwarding(Owners("peer:1"), peer).run(SYMBOL, here, at_peer)
    assert (here.calls, peer.calls) == (0, 0)


async def test_forwarded_call_is_never_forwarded_again() -> None:
    here = Here()
    assert await forwarding(Owners(None)).run_forwarded(SYMBOL, here) == "here"
    with pytest.raises(OwnerUnavailable):
        await forwarding(Owners("peer:1")).run_forwarded(SYMBOL, here)
    assert here.calls == 1
