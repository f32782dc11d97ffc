"""The engine on a real database: acknowledged bars are stored, across kills and other writers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.support.builders import walk
from tests.support.counted import assert_counted
from tests.support.deadlines import DEADLINE, within
from tests.support.engine import RunningEngine, running_engine
from tests.support.following import follow
from tests.support.tables import Tables, assert_same, tables_of

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.idempotency import KeyUse
from tradingsignals_server.application.ports.inputs import SignalInputs
from tradingsignals_server.application.ports.store import RecurrentCheckpoint, ShadowEvent
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.errors import BarConflict, ServiceError, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, Receipt
from tradingsignals_server.domain.risk import RiskRules, Sizing

from .conftest import Storage

RULES = RiskRules(
    confidence_threshold=0.5,
    sizing=Sizing.KELLY,
    trailing_stop_atr=1.5,
    spread=Charges.flat(0.1),
    commission=Charges(Charge(0.1, in_bp=True)),
)
"""Rules that depend on all of a symbol's state, including the closed trades."""

BARS = walk(700, seed=13)


async def tables(pool: Connections) -> Tables:
    async with pool.for_engine() as database:
        return await tables_of(database)


@pytest.fixture(scope="module")
async def undisturbed(storage: Storage, migrated_database: str) -> Tables:
    """The tables of a server that processes BARS one by one, without a fault."""
    async with connections(await storage.new_database(migrated_database)) as pool:
        async with running_engine(PostgresStore(pool, encode), rules=RULES) as running:
            for bar in BARS:
                await running.publish([bar])
        return await tables(pool)


def test_undisturbed_run_covers_all_tables(undisturbed: Tables) -> None:
    reasons = {row["exit_reason"] for row in undisturbed["positions"]}
    assert {"STOP_LOSS", "TAKE_PROFIT", "TRAILING_STOP", "SESSION_END"} <= reasons
    assert len({row["position_size"] for row in undisturbed["positions"]}) > 40  # Kelly's fraction is at work
    assert {row["action"] for row in undisturbed["signals"]} == {"BUY", "SELL", "HOLD"}


@pytest.mark.parametrize("seed", range(4))
async def test_tables_do_not_depend_on_restarts_and_batches(
    pool: Connections, sql: asyncpg.Connection, undisturbed: Tables, seed: int
) -> None:
    """The tables are equal for any batches and any restarts."""
    dice = random.Random(seed)
    remaining = list(BARS)
    while remaining:
        async with running_engine(PostgresStore(pool, encode), rules=RULES) as running:
            for _ in range(dice.randrange(1, 5)):
                count = dice.randrange(1, 150)
                # Some of them once more, as after an result that was lost.
                overlap = BARS[max(0, len(BARS) - len(remaining) - dice.randrange(20)) : len(BARS) - len(remaining)]
                receipts = await running.publish([*overlap, *remaining[:count]])
                assert {r.disposition for r in receipts[: len(overlap)]} <= {Disposition.DUPLICATE}
                del remaining[:count]
    assert_same(await tables(pool), undisturbed)
    await assert_counted(await PostgresStore(pool, encode).statistics(), sql)


async def test_receipt_follows_the_commit(store: PostgresStore, sql: asyncpg.Connection, undisturbed: Tables) -> None:
    async with running_engine(store, rules=RULES) as running:
        for start in range(0, len(BARS), 100):
            receipts = await running.publish(BARS[start : start + 100])
            head = await sql.fetchval("SELECT last_sequence FROM event_log")
            assert {receipt.sequence for receipt in receipts} <= set(range(1, head + 1))
            stored = await sql.fetch("SELECT time FROM bars")
            assert {receipt.time for receipt in receipts} <= {row["time"] for row in stored}
            signals = {row["signal_id"] for row in await sql.fetch("SELECT signal_id FROM signals")}
            assert {receipt.signal_id for receipt in receipts} - {None} <= signals
    async with running_engine(store, rules=RULES) as running:
        await running.publish(BARS)
    assert await sql.fetchval("SELECT count(*) FROM bars") == len(BARS)


async def test_publishers_share_commits_and_keep_their_order(store: PostgresStore, pool: Connections) -> None:
    symbols = {f"AB{n}COP": walk(120, seed=n, symbol=f"AB{n}COP") for n in range(8)}
    async with running_engine(store, rules=RULES) as running, asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        for bars in symbols.values():
            group.create_task(running.publish(bars))
    found = await tables(pool)
    for symbol, bars in symbols.items():
        assert [row["time"] for row in found["bars"] if row["symbol"] == symbol] == [bar.time for bar in bars]
        decided = [row["bar_time"] for row in found["signals"] if row["symbol"] == symbol]
        assert decided == [bar.time for bar in bars[49:]]


async def test_first_of_two_conflicting_bars_in_a_batch_is_stored(store: PostgresStore) -> None:
    first, second = BARS[0], Bar("USDCOP", BARS[0].time, 1.0, 1.0, 1.0, 1.0)
    async with running_engine(store) as running:
        receipt, duplicate, conflict, after = await running.engine.publish([first, first, second, BARS[1]])
    assert isinstance(receipt, Receipt)
    assert isinstance(duplicate, Receipt)
    assert duplicate.disposition is Disposition.DUPLICATE
    assert isinstance(conflict, BarConflict)
    assert isinstance(after, Receipt)
    assert await store.list_bars("USDCOP", None, None, 9) == [BARS[1], first]


class HeldUp(PostgresStore):
    """A store whose second commit waits until it `goes_on`, so that an outage comes before the last one."""

    def __init__(self, pool: Connections) -> None:
        super().__init__(pool, encode)
        self.held, self.goes_on = asyncio.Event(), asyncio.Event()
        self._commits = 0

    async def commit(self, events: Sequence[Event], at: datetime, **others: Any) -> Sequence[LogEntry]:
        """See Store."""
        self._commits += 1
        if self._commits == 2:
            self.held.set()
            await within(self.goes_on.wait())
        return await super().commit(events, at, **others)


@pytest.mark.parametrize("storage", ["server"], indirect=True)  # that of the other kind is killed in tests/e2e
class TestOutages:
    async def test_bars_that_were_not_stored_are_published_again(
        self, store: PostgresStore, storage: Storage, pool: Connections, undisturbed: Tables
    ) -> None:
        """Only the publisher retries, and the tables equal those of an undisturbed run."""
        async with running_engine(store, rules=RULES) as running:
            await running.publish(BARS[:300])
            async with storage.outage():
                results = await within(running.engine.publish(BARS[300:500]))
                assert all(isinstance(result, StorageUnavailable) for result in results)
                with pytest.raises(StorageUnavailable):
                    await running.engine.generate("USDCOP", Quote(4000.0))
                with pytest.raises(StorageUnavailable):
                    await running.engine.last_bar("EURUSD")
            await running.publish(BARS[300:])
        assert_same(await tables(pool), undisturbed)

    async def test_engine_recovers_when_the_database_dies(
        self, storage: Storage, pool: Connections, undisturbed: Tables
    ) -> None:
        store = HeldUp(pool)
        async with running_engine(store, rules=RULES) as running:
            publishing = asyncio.create_task(running.engine.publish(BARS))
            await within(store.held.wait())
            async with storage.outage():
                store.goes_on.set()
                results = await within(publishing)
                acknowledged = {a.time for a in results if isinstance(a, Receipt)}
            assert acknowledged
            assert acknowledged < {bar.time for bar in BARS}
            stored = {bar.time for bar in await store.list_bars("USDCOP", None, None, 1000)}
            assert acknowledged <= stored
            await running.publish(BARS)
        assert_same(await tables(pool), undisturbed)

    async def test_followers_continue_and_miss_nothing(
        self, store: PostgresStore, storage: Storage, undisturbed: Tables
    ) -> None:
        async with running_engine(store, rules=RULES) as running:
            follower = asyncio.create_task(followed(running, len(undisturbed["events"])))
            await running.publish(BARS[:300])
            async with storage.outage():
                await within(running.engine.publish(BARS[300:400]))
            await running.publish(BARS[300:])
            entries = await within(follower)
        assert [entry.sequence for entry in entries] == list(range(1, len(undisturbed["events"]) + 1))


async def followed(running: RunningEngine, through: int, resume_after: int = 0) -> list[LogEntry]:
    """Return the entries up to `through`, from a follower."""
    entries: list[LogEntry] = []
    async for batch in await follow(running.log_tail, resume_after=resume_after):
        entries.extend(batch.entries)
        if batch.through_sequence >= through:
            break
    return entries


class LosingResponses(PostgresStore):
    """A store whose commits succeed, but some of whose responses are lost."""

    def __init__(self, pool: Connections, lost: Sequence[int]) -> None:
        super().__init__(pool, encode)
        self._lost = set(lost)
        self._commits = 0

    async def commit(
        self,
        events: Sequence[Event],
        at: datetime,
        *,
        shadow_events: Sequence[ShadowEvent] = (),
        checkpoints: Sequence[RecurrentCheckpoint] = (),
        inputs: Sequence[SignalInputs] = (),
        keys: Sequence[KeyUse] = (),
        owner: UUID | None = None,
    ) -> Sequence[LogEntry]:
        """See Store."""
        entries = await super().commit(
            events, at, shadow_events=shadow_events, checkpoints=checkpoints, inputs=inputs, keys=keys, owner=owner
        )
        self._commits += 1
        if self._commits in self._lost:
            raise StorageUnavailable
        return entries


class TestLostResponses:
    """The commit succeeds, but its response is lost."""

    async def test_bars_of_a_lost_response_are_stored(self, pool: Connections, undisturbed: Tables) -> None:
        store = LosingResponses(pool, lost=range(1, 200, 3))
        async with running_engine(store, rules=RULES) as running:
            for start in range(0, len(BARS), 50):
                await published(running, BARS[start : start + 50])
        assert_same(await tables(pool), undisturbed)

    async def test_receipt_of_a_stored_bar_includes_its_events(self, pool: Connections) -> None:
        store = LosingResponses(pool, lost=[1])
        async with running_engine(store) as running:
            (receipt,) = await published(running, BARS[:1])
        assert (receipt.disposition, receipt.sequence) == (Disposition.DUPLICATE, 1)

    async def test_followers_get_its_entries_before_the_next_commit(self, pool: Connections) -> None:
        """The next commit may be five minutes or a weekend later."""
        store = LosingResponses(pool, lost=[2])
        async with running_engine(store) as running:
            await published(running, BARS[:50])
            newest = running.log_tail.newest
            follower = asyncio.create_task(followed(running, newest + 2, resume_after=newest))
            await published(running, BARS[50:51])
            entries = await within(follower)
        assert [entry.sequence for entry in entries][:2] == [newest + 1, newest + 2]


async def published(running: RunningEngine, bars: Sequence[Bar]) -> list[Receipt]:
    """Publish with retries until every bar is acknowledged."""
    async with asyncio.timeout(DEADLINE):
        while True:
            results: list[Any] = await running.engine.publish(bars)
            if not any(isinstance(result, StorageUnavailable) for result in results):
                assert not any(isinstance(result, ServiceError) for result in results), results
                return results


class TestTwoServers:
    async def test_late_engine_reads_again_and_continues(
        self, store: PostgresStore, another_store: PostgresStore, pool: Connections, undisturbed: Tables
    ) -> None:
        """Two engines get the same bars at the same time: the tables equal those of one engine."""
        async with AsyncExitStack() as stack:
            both = [await stack.enter_async_context(running_engine(s, rules=RULES)) for s in (store, another_store)]
            for start in range(0, len(BARS), 35):
                await asyncio.gather(*(published(running, BARS[start : start + 35]) for running in both))
        assert_same(await tables(pool), undisturbed)

    async def test_followers_of_each_engine_get_entries_of_both(
        self, store: PostgresStore, another_store: PostgresStore
    ) -> None:
        mine, theirs = walk(101, seed=1, symbol="AB1COP"), walk(100, seed=2, symbol="AB2COP")
        async with running_engine(store) as here, running_engine(another_store) as there:
            for start in range(0, 100, 10):
                await published(here, mine[start : start + 10])
                await published(there, theirs[start : start + 10])
            await published(here, mine[100:])
            head = await store.log_head()
            entries = await within(followed(here, head.newest))
        assert [entry.sequence for entry in entries] == list(range(1, head.newest + 1))
        assert {entry.symbol for entry in entries} == {"AB1COP", "AB2COP"}


async def test_manual_close_is_stored_and_streamed(store: PostgresStore, sql: asyncpg.Connection) -> None:
    async with running_engine(store, rules=RULES) as running:
        for bar in BARS:
            await running.publish([bar])
            (state,) = running.engine.states()
            if state.live.position is not None:
                break
        held = state.live.position
        assert held is not None
        await running.engine.close_position(held.position_id, held.entry_price)
    row = await sql.fetchrow("SELECT * FROM positions ORDER BY sequence DESC LIMIT 1")
    assert row is not None
    assert (row["status"], row["exit_reason"], row["exit_price"]) == ("CLOSED", "MANUAL", held.entry_price)
    assert await store.symbols_with_open_positions() == []
