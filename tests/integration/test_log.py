"""What the event log promises beyond a plain table: an order without gaps, retention, and a way in by time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.support.builders import NOW, OPENING, bar, position, signal
from tests.support.deadlines import within

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.statements import PRUNING
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.convert import encode
from tradingsignals_server.application.event_log import retention as retention_module
from tradingsignals_server.application.event_log.retention import Retention
from tradingsignals_server.application.event_log.tail import Broadcast, Filter, Follower
from tradingsignals_server.domain.errors import SequencePruned
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.positions import Exit, ExitReason, close
from tradingsignals_server.domain.risk import RiskRules

WRITERS = 6
COMMITS = 40
DAY = timedelta(days=1)
TABLES = ("bars", "signals", "positions")


def update(n: int, symbol: str = "USDCOP") -> MarketUpdate:
    return MarketUpdate(bar(n, symbol=symbol), Disposition.WARMING_UP)


def at(time: datetime, symbol: str = "USDCOP") -> MarketUpdate:
    return MarketUpdate(replace(bar(0, symbol=symbol), time=time), Disposition.WARMING_UP)


# ---------------------------------------------------------------------------------- why not a serial, and why ours


class SerialLog:
    """The obvious way, which loses events: the database numbers the rows as they are inserted."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool

    @classmethod
    async def create(cls, pool: Connections) -> SerialLog:
        async with pool.for_engine() as database:
            await database.execute("CREATE TABLE serial_log (sequence bigserial PRIMARY KEY, written_by text NOT NULL)")
        return cls(pool)

    async def entries_after(self, sequence: int) -> list[int]:
        """What a cursor reads next."""
        async with self._pool.for_engine() as database:
            rows = await database.fetch("SELECT sequence FROM serial_log WHERE sequence > $1 ORDER BY 1", sequence)
        return [row["sequence"] for row in rows]


async def test_a_serial_loses_an_event_to_a_cursor_that_was_there_first(pool: Connections) -> None:
    """Two writers, step by step: the one with the lower number commits last, behind the cursor's back."""
    log = await SerialLog.create(pool)
    async with pool.for_engine() as slow, pool.for_engine() as fast:
        transaction = slow.transaction()
        await transaction.start()
        early = await slow.fetchval("INSERT INTO serial_log (written_by) VALUES ('slow') RETURNING sequence")
        late = await fast.fetchval("INSERT INTO serial_log (written_by) VALUES ('fast') RETURNING sequence")
        assert early < late
        cursor = (await log.entries_after(0))[-1]
        assert cursor == late, "the follower has the later one, and goes on after it"
        await transaction.commit()
    assert await log.entries_after(cursor) == [], "the earlier one is there now, and never comes"
    assert await log.entries_after(0) == [early, late]


async def test_a_serial_leaves_a_hole_that_looks_like_an_event_to_come(pool: Connections) -> None:
    log = await SerialLog.create(pool)
    async with pool.for_engine() as database:
        transaction = database.transaction()
        await transaction.start()
        await database.execute("INSERT INTO serial_log (written_by) VALUES ('it rolls back')")
        await transaction.rollback()
        await database.execute("INSERT INTO serial_log (written_by) VALUES ('it commits')")
    assert await log.entries_after(0) == [2]


async def test_ours_makes_the_second_writer_wait_for_the_first(
    store: PostgresStore, another_store: PostgresStore, pool: Connections
) -> None:
    """The same two writers: the later number is not given out before the earlier one is there to be read."""
    async with pool.for_engine() as slow:
        transaction = slow.transaction()
        await transaction.start()
        early = await slow.fetchval("UPDATE event_log SET last_sequence = last_sequence + 1 RETURNING last_sequence")
        await slow.execute(
            "INSERT INTO events (sequence, time, kind, symbol, payload, market_time) "
            "VALUES ($1, now(), 'MARKET_UPDATE', 'USDCOP', '', now())",
            early,
        )
        fast = asyncio.create_task(another_store.commit([update(1)], NOW))
        await within(_someone_waits_for_a_lock(pool))
        assert not fast.done()
        assert await store.entries_after(0, 10) == [], "nobody has read past the one that is being written"
        await transaction.commit()
        (late,) = await within(fast)
    assert (early, late.sequence) == (1, 2)
    assert [entry.sequence for entry in await store.entries_after(0, 10)] == [1, 2]


async def test_ours_gives_a_number_that_was_rolled_back_to_the_next(store: PostgresStore, pool: Connections) -> None:
    async with pool.for_engine() as database:
        transaction = database.transaction()
        await transaction.start()
        await database.execute("UPDATE event_log SET last_sequence = last_sequence + 1")
        await transaction.rollback()
    (entry,) = await store.commit([update(0)], NOW)
    assert entry.sequence == 1


async def test_with_many_writers_a_cursor_that_never_rests_sees_every_event(dsn: str) -> None:
    """Writers with connections of their own, each commit of another size; the cursor reads while they write."""
    seen: list[int] = []
    written: list[int] = []

    async def write(writer: int) -> None:
        async with connections(dsn) as pool:
            store = PostgresStore(pool, encode)
            for n in range(COMMITS):
                events = [update(1000 * n + i, symbol=f"AB{writer}") for i in range(1 + (n + writer) % 3)]
                written.extend(entry.sequence for entry in await store.commit(events, NOW))

    async def follow(writing: Sequence[asyncio.Task[None]]) -> None:
        async with connections(dsn) as pool:
            store = PostgresStore(pool, encode)
            while True:
                over = all(task.done() for task in writing)
                page = await store.entries_after(seen[-1] if seen else 0, 5)
                seen.extend(entry.sequence for entry in page)
                if over and not page:
                    return

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        writing = [group.create_task(write(writer)) for writer in range(WRITERS)]
        group.create_task(follow(writing))
    assert seen == sorted(written) == list(range(1, len(written) + 1))


async def _someone_waits_for_a_lock(pool: Connections) -> None:
    """Polled: PostgreSQL tells nobody that a statement waits for a lock."""
    async with pool.for_engine() as database:
        while not await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            pass


# ------------------------------------------------------------------------------------------------------- retention


class TestRetention:
    async def test_only_the_oldest_of_the_log_goes(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        made, held = signal(name=1), position()
        held = replace(held, signal_id=made.signal_id)
        await store.commit([update(0), made, held], NOW - 91 * DAY)
        await store.commit([update(1), close(held, Exit(NOW, 101.0, ExitReason.MANUAL), RiskRules())], NOW - 89 * DAY)
        before = {table: await sql.fetch(f"SELECT * FROM {table}") for table in TABLES}

        assert await store.prune(NOW - 90 * DAY, 100) == 3
        assert ((await store.log_head()).oldest, (await store.log_head()).newest) == (4, 5)
        assert [entry.sequence for entry in await store.entries_after(0, 10)] == [4, 5]
        assert {table: await sql.fetch(f"SELECT * FROM {table}") for table in TABLES} == before
        assert await store.prune(NOW - 90 * DAY, 100) == 0

    async def test_what_is_left_has_no_gap_though_a_clock_went_back(self, store: PostgresStore) -> None:
        for days in (95, 85, 94, 80):
            await store.commit([update(days)], NOW - days * DAY)
        assert await store.prune(NOW - 90 * DAY, 100) == 1
        assert [entry.sequence for entry in await store.entries_after(0, 10)] == [2, 3, 4]

    async def test_when_all_of_it_goes_the_next_one_goes_on(self, store: PostgresStore) -> None:
        await store.commit([update(n) for n in range(10)], NOW - 91 * DAY)
        assert await store.prune(NOW, 100) == 10
        assert ((await store.log_head()).oldest, (await store.log_head()).newest) == (11, 10)
        (entry,) = await store.commit([update(10)], NOW)
        assert entry.sequence == 11
        assert (await store.log_head()).oldest == 11

    async def test_in_batches(self, store: PostgresStore) -> None:
        await store.commit([update(n) for n in range(10)], NOW - 91 * DAY)
        assert [await store.prune(NOW, 4) for _ in range(4)] == [4, 4, 2, 0]

    async def test_by_one_server_at_a_time(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit([update(0)], NOW - 91 * DAY)
        async with sql.transaction():
            await sql.execute("SELECT pg_advisory_xact_lock($1)", PRUNING)
            assert await within(store.prune(NOW, 10)) == 0
        assert await store.prune(NOW, 10) == 1

    async def test_writers_and_followers_go_on_meanwhile(
        self, store: PostgresStore, another_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two servers prune while one writes: what is kept is read whole, and who is too late is told from where."""
        monkeypatch.setattr(retention_module, "BATCH_ENTRIES", 50)
        await store.commit([update(n) for n in range(1000)], NOW - 91 * DAY)
        broadcasts = [Broadcast(one, await one.log_head()) for one in (store, another_store)]
        late = await broadcasts[0].follow(Filter(), 0, 3600.0)

        async def write() -> None:
            for n in range(1000, 1050):
                for entries in [await store.commit([update(n)], NOW)]:
                    broadcasts[0].append(entries)

        pruning = [
            Retention(one, broadcast, lambda: NOW, 90 * DAY)
            for one, broadcast in zip((store, another_store), broadcasts, strict=True)
        ]
        pruned = await within(asyncio.gather(*(one.prune() for one in pruning), write()))
        assert sum(count for count in pruned[:2] if count is not None) == 1000
        # The one that finds the other at work stops, and knows how far that was when it looked.
        oldest = sorted(broadcast.oldest for broadcast in broadcasts)
        assert 1 <= oldest[0] <= oldest[1] == 1001
        with pytest.raises(SequencePruned) as caught:
            await within(_to_the_end(late))
        assert caught.value.metadata == {"oldest_sequence": "1001"}
        with pytest.raises(SequencePruned):
            await broadcasts[0].follow(Filter(), 999, 3600.0)
        kept = await broadcasts[0].follow(Filter(), 1000, 3600.0)
        assert [entry.sequence for entry in (await within(anext(kept))).entries] == list(range(1001, 1051))


async def _to_the_end(follower: Follower) -> None:
    async for _ in follower:
        pass


# -------------------------------------------------------------------------------------------------- a way in by time


class TestStretch:
    async def test_histories_one_after_the_other(self, store: PostgresStore) -> None:
        """Three days of one symbol, then the same three days of another: sequences 1 to 3 and 4 to 6."""
        for symbol in ("USDCOP", "EURUSD"):
            for day in range(3):
                await store.commit([at(OPENING + day * DAY, symbol)], NOW)
        first, second, third = (OPENING + day * DAY for day in range(3))
        assert await store.sequence_range(None, None, 0) == (1, 6)
        assert await store.sequence_range(second, second.replace(hour=23), 0) == (2, 5)
        assert await store.sequence_range(second, None, 0) == (2, 6)
        assert await store.sequence_range(second, second.replace(hour=23), 2) == (5, 5)
        assert await store.sequence_range(third, None, 3) == (6, 6)
        assert await store.sequence_range(None, first, 0) == (1, 4), "whole days count"
        assert await store.sequence_range(None, first.replace(hour=0), 0) is None
        assert await store.sequence_range(third + DAY, None, 0) is None
        assert await store.sequence_range(datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC), 6) is None

    async def test_of_an_empty_log(self, store: PostgresStore) -> None:
        assert await store.sequence_range(None, None, 0) is None

    async def test_the_market_time_is_that_of_the_bar(self, store: PostgresStore) -> None:
        made, held = replace(signal(name=1), bar_time=bar(0).time), position()
        held = replace(held, signal_id=made.signal_id)
        later = MarketUpdate(bar(3), Disposition.ACCEPTED)
        entries = [
            *await store.commit([update(0), made, held], NOW),
            *await store.commit([later, replace(held, bars_held=1)], NOW + DAY),
        ]
        expected = [bar(0).time] * 3 + [bar(3).time] * 2
        assert [entry.market_time for entry in entries] == expected
        assert await store.entries_after(0, 10) == entries
