"""Bars are routed to the owner of their symbol, in their order, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from tests.support.builders import NOW, walk
from tests.support.deadlines import DEADLINE, poll
from tests.support.running import Running, dispositions, running_engine

from tradingsignals_server.application.cluster import router as routing
from tradingsignals_server.application.cluster.router import Router
from tradingsignals_server.application.ingest.commands import PublishStream
from tradingsignals_server.application.ingest.engine import Engine
from tradingsignals_server.application.ingest.sole_ownership import SoleOwnership
from tradingsignals_server.application.ports.feed import BarResult
from tradingsignals_server.application.ports.ownership import Claim
from tradingsignals_server.application.ports.peer import PeerGone
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.buckets import bucket_of
from tradingsignals_server.domain.errors import OwnerUnavailable, ServiceError, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate, Receipt

OURS, THEIRS = "OURSCOP", "THEIRSCOP"


class Shares(SoleOwnership):
    """An ownership that a test sets, by the address of the owner of each symbol; "" makes it ours once claimed."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = addresses
        self.ours = {OURS}
        self.lease_id = UUID(int=1)  # type: ignore[assignment]
        self.cut_off = False

    def holds(self, symbol: str) -> bool:
        """See Ownership."""
        return symbol in self.ours

    def release(self, buckets: Collection[int]) -> None:
        """See Ownership."""
        self.ours = {symbol for symbol in self.ours if bucket_of(symbol) not in buckets}

    async def claim(self, symbols: Collection[str]) -> Claim:
        """See Ownership."""
        await asyncio.sleep(0)
        if self.cut_off:
            raise StorageUnavailable
        self.ours.update(symbol for symbol in symbols if self.addresses.get(symbol) == "")
        elsewhere = {bucket_of(symbol): at for symbol in symbols if (at := self.addresses.get(symbol)) and at != "?"}
        return Claim(frozenset(symbols) & self.ours, elsewhere)


class FakePeer:
    """Accepts every bar, unless a test sets errors; `calls` are the bars of each call."""

    def __init__(self) -> None:
        self.calls: list[list[Bar]] = []
        self.forwarded: list[tuple[str, bytes]] = []
        self.connected = True
        self.errors: list[Exception | ServiceError] = []
        self.called = asyncio.Event()
        self.may_respond = asyncio.Event()
        self.may_respond.set()

    async def process(self, bars: Sequence[Bar]) -> Sequence[BarResult]:
        """See Peer."""
        self.calls.append(list(bars))
        self.called.set()
        await self.may_respond.wait()
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, ServiceError):
            return [error] * len(bars)
        if error is not None:
            raise error
        return [Receipt(bar.symbol, bar.time, Disposition.ACCEPTED, None, 7) for bar in bars]

    async def forward(self, path: str, request: bytes) -> bytes:
        """See Peer."""
        self.forwarded.append((path, request))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return b"response"

    async def ready(self) -> bool:
        """See Peer."""
        return self.connected


class RoutedEngine:
    """A router in front of an engine, with fake peers."""

    def __init__(self, running: Running, shares: Shares) -> None:
        self.running = running
        self.shares = shares
        self.peers: dict[str, FakePeer] = {}
        self.engine: Engine = running.engine
        self.in_use: list[str] = []
        self.router = Router(running.engine, shares, running.store, self.peer, self.symbols_in_use)

    def peer(self, address: str) -> FakePeer:
        return self.peers.setdefault(address, FakePeer())

    async def symbols_in_use(self) -> list[str]:
        return self.in_use


@asynccontextmanager
async def routed_engine(**addresses: str) -> AsyncIterator[RoutedEngine]:
    shares = Shares(**addresses)
    async with running_engine(ownership=shares) as running, asyncio.timeout(DEADLINE):
        found = RoutedEngine(running, shares)
        task = asyncio.create_task(found.router.run())
        yield found
        task.cancel()
        await asyncio.wait([task])


def bars_of(symbol: str, count: int = 6) -> list[Bar]:
    return walk(count, symbol=symbol)


def mixed() -> list[Bar]:
    """Bars of both symbols in turns."""
    return [bar for pair in zip(bars_of(OURS), bars_of(THEIRS), strict=True) for bar in pair]


async def test_symbol_in_use_that_has_lost_its_owner_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "BALANCE_SECONDS", 0.001)
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        on.in_use = [THEIRS]
        on.shares.ours.add(THEIRS)
        await on.router.publish(bars_of(THEIRS))
        await on.router.release([bucket_of(THEIRS)])
        assert on.engine.states() == []
        on.shares.addresses[THEIRS] = ""
        while not on.engine.states():
            await poll()
        assert [state.last_bar for state in on.engine.states()] == bars_of(THEIRS)[-1:]


async def test_first_symbols_in_use_are_adopted_at_the_start_and_the_others_later() -> None:
    async with routed_engine(**{THEIRS: ""}) as on:
        on.in_use = [OURS, THEIRS]
        bars = [*bars_of(OURS), *bars_of(THEIRS)]
        on.running.store.put([MarketUpdate(one, Disposition.ACCEPTED) for one in bars], NOW)
        await on.router.adopt(1)
        assert [state.symbol for state in on.engine.states()] == [OURS]
        await on.router.adopt()
        assert [state.symbol for state in on.engine.states()] == [OURS, THEIRS]


async def test_bars_go_to_their_owner_and_results_keep_their_order() -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        results = await on.router.publish(mixed())
        assert dispositions(results) == ["WARMING_UP", "ACCEPTED"] * 6
        assert [bar for call in on.peers["peer:1"].calls for bar in call] == bars_of(THEIRS)
        assert [update.bar for update in on.running.store.market_updates()] == bars_of(OURS)


async def test_bars_that_arrive_while_a_peer_is_busy_share_a_call() -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        peer = on.peer("peer:1")
        peer.may_respond.clear()
        stream = PublishStream()
        publications = [await on.router.enqueue([bar], stream) for bar in bars_of(THEIRS)]
        await peer.called.wait()
        later = [await on.router.enqueue([bar], PublishStream()) for bar in bars_of(THEIRS, 9)[6:]]
        peer.may_respond.set()
        for publication in (*publications, *later):
            assert dispositions(await publication.results()) == ["ACCEPTED"]
        assert len(peer.calls) <= 3
        assert [bar for call in peer.calls for bar in call] == bars_of(THEIRS, 9)


@pytest.mark.parametrize("error", [PeerGone(), OwnerUnavailable(THEIRS), ShuttingDown(1)])
async def test_bars_refused_by_a_peer_go_to_the_next_owner_in_order(error: Exception) -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        peer = on.peer("peer:1")
        peer.errors.append(error)
        peer.may_respond.clear()
        publications = [await on.router.enqueue([bar], PublishStream()) for bar in bars_of(THEIRS)]
        await peer.called.wait()
        on.shares.addresses[THEIRS] = ""
        peer.may_respond.set()
        more = await on.router.publish(bars_of(THEIRS, 9)[6:])
        for publication in publications:
            assert dispositions(await publication.results()) == ["WARMING_UP"]
        assert dispositions(more) == ["WARMING_UP"] * 3
        assert [update.bar for update in on.running.store.market_updates()] == bars_of(THEIRS, 9)


async def test_retryable_error_fails_the_later_bars_of_its_stream() -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        peer = on.peer("peer:1")
        peer.errors.append(StorageUnavailable())
        peer.may_respond.clear()
        stream = PublishStream()
        first = await on.router.enqueue(bars_of(THEIRS)[:2], stream)
        await peer.called.wait()
        second = await on.router.enqueue(bars_of(THEIRS)[2:], stream)
        peer.may_respond.set()
        assert dispositions(await first.results()) == ["STORAGE_UNAVAILABLE"] * 2
        assert dispositions(await second.results()) == ["STORAGE_UNAVAILABLE"] * 4
        assert len(peer.calls) == 1


async def test_bars_wait_for_an_owner_until_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "TAKEOVER_SECONDS", 0.1)
    async with routed_engine(**{THEIRS: "?"}) as on:
        assert set(dispositions(await on.router.publish(bars_of(THEIRS)))) == {"OWNER_UNAVAILABLE"}
        with pytest.raises(OwnerUnavailable):
            await on.router.address_of(THEIRS)


async def test_bars_are_refused_at_once_without_a_lease() -> None:
    async with routed_engine(**{THEIRS: "?"}) as on:
        on.shares.cut_off = True
        assert set(dispositions(await on.router.publish(bars_of(THEIRS)))) == {"STORAGE_UNAVAILABLE"}


async def test_stopping_server_says_so_wherever_a_symbol_or_a_publisher_is() -> None:
    """The database is fine. The server has no lease any more: an older stream, and bars of any owner, meet that."""
    async with routed_engine(**{THEIRS: "?", "KNOWNCOP": "peer:1"}) as on:
        stream = PublishStream()
        begun = await on.router.enqueue(bars_of(OURS)[:2], stream)
        assert dispositions(await begun.results()) == ["WARMING_UP"] * 2
        waiting = await on.router.enqueue(bars_of(THEIRS), PublishStream())
        assert dispositions(await on.router.publish(bars_of("KNOWNCOP"))) == ["ACCEPTED"] * 6

        await on.engine.stop()
        on.shares.ours, on.shares.lease_id, on.shares.cut_off = set(), None, True
        later = await on.router.enqueue(bars_of(OURS)[2:], stream)
        for publication in (waiting, later, await on.router.enqueue(bars_of(OURS)[2:], PublishStream())):
            assert set(dispositions(await publication.results())) == {"SHUTTING_DOWN"}
        for symbol in (OURS, THEIRS):
            with pytest.raises(ShuttingDown):
                await on.router.address_of(symbol)
        assert set(dispositions(await on.router.process_here(bars_of(OURS)))) == {"OWNER_UNAVAILABLE"}, "to a peer"
        assert dispositions(await on.router.publish(bars_of("KNOWNCOP", 9)[6:])) == ["ACCEPTED"] * 3, "at its owner"


async def test_bars_that_a_peer_loses_while_this_server_stops_may_be_sent_again() -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        peer = on.peer("peer:1")
        peer.errors.append(PeerGone())
        peer.may_respond.clear()
        publication = await on.router.enqueue(bars_of(THEIRS), PublishStream())
        await peer.called.wait()
        await on.engine.stop()
        on.shares.cut_off = True
        peer.may_respond.set()
        assert set(dispositions(await publication.results())) == {"SHUTTING_DOWN"}


async def test_publish_stream_does_not_outlive_its_lease() -> None:
    async with routed_engine() as on:
        stream = PublishStream()
        first = await on.router.enqueue(bars_of(OURS)[:2], stream)
        assert dispositions(await first.results()) == ["WARMING_UP"] * 2
        on.shares.lease_id = UUID(int=2)  # type: ignore[assignment]
        second = await on.router.enqueue(bars_of(OURS)[2:], stream)
        assert set(dispositions(await second.results())) == {"STORAGE_UNAVAILABLE"}
        assert dispositions(await on.router.publish(bars_of(OURS)[2:])) == ["WARMING_UP"] * 4


async def test_defect_of_a_peer_is_raised_to_the_bars_that_cause_it_only() -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        peer = on.peer("peer:1")
        peer.errors += [PeerGone(), RuntimeError("together"), RuntimeError("alone")]
        first = await on.router.enqueue(bars_of(THEIRS)[:1], PublishStream())
        second = await on.router.enqueue(bars_of(THEIRS)[1:2], PublishStream())
        with pytest.raises(RuntimeError, match="alone"):
            await first.results()
        assert dispositions(await second.results()) == ["ACCEPTED"]


async def test_bars_from_a_peer_are_never_forwarded() -> None:
    async with routed_engine(**{THEIRS: "peer:1"}) as on:
        results = await on.router.process_here(mixed())
        assert dispositions(results) == ["WARMING_UP", "OWNER_UNAVAILABLE"] * 6
        assert not on.peers


async def test_released_symbols_are_forgotten() -> None:
    async with routed_engine() as on:
        await on.router.publish(bars_of(OURS))
        on.shares.addresses[OURS] = "peer:1"
        await on.router.release([bucket_of(OURS)])
        assert not on.engine.states()
        assert dispositions(await on.router.publish(bars_of(OURS)[:1])) == ["ACCEPTED"]
        assert len(on.peers["peer:1"].calls) == 1
