"""The order of the event log with concurrent writers, and its retention with concurrent servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest
from tests.support.builders import NOW, bar
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.following import Batches, follow

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.pruning import PRUNING
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.event_log import retention as retention_module
from tradingsignals_server.application.event_log.retention import Retention
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.domain.errors import SequencePruned
from tradingsignals_server.domain.events import Disposition, MarketUpdate

WRITERS = 6
COMMITS = 40
DAY = timedelta(days=1)


def update(n: int, symbol: str = "USDCOP") -> MarketUpdate:
    return MarketUpdate(bar(n, symbol=symbol), Disposition.WARMING_UP)


# ---------------------------------------------------------------------------------- why not a serial, and why ours


class SerialLog:
    """A log numbered by a serial column, which loses events: the database numbers rows as they are inserted."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool

    @classmethod
    async def create(cls, pool: Connections) -> SerialLog:
        async with pool.for_engine() as database:
            await database.execute("CREATE TABLE serial_log (sequence bigserial PRIMARY KEY, written_by text NOT NULL)")
        return cls(pool)

    async def entries_after(self, sequence: int) -> list[int]:
        """Return the sequences that a cursor reads next."""
        async with self._pool.for_engine() as database:
            rows = await database.fetch("SELECT sequence FROM serial_log WHERE sequence > $1 ORDER BY 1", sequence)
        return [row["sequence"] for row in rows]


async def test_serial_loses_an_event_that_commits_late(pool: Connections) -> None:
    """Of two writers the one with the lower number commits last, when the cursor has passed it."""
    log = await SerialLog.create(pool)
    async with pool.for_engine() as slow, pool.for_engine() as fast:
        transaction = slow.transaction()
        await transaction.start()
        early = await slow.fetchval("INSERT INTO serial_log (written_by) VALUES ('slow') RETURNING sequence")
        late = await fast.fetchval("INSERT INTO serial_log (written_by) VALUES ('fast') RETURNING sequence")
        assert early < late
        cursor = (await log.entries_after(0))[-1]
        assert cursor == late, "the follower has the later one, and continues after it"
        await transaction.commit()
    assert await log.entries_after(cursor) == [], "the earlier one is there now, and never comes"
    assert await log.entries_after(0) == [early, late]


async def test_serial_leaves_a_gap_after_a_rollback(pool: Connections) -> None:
    log = await SerialLog.create(pool)
    async with pool.for_engine() as database:
        transaction = database.transaction()
        await transaction.start()
        await database.execute("INSERT INTO serial_log (written_by) VALUES ('it rolls back')")
        await transaction.rollback()
        await database.execute("INSERT INTO serial_log (written_by) VALUES ('it commits')")
    assert await log.entries_after(0) == [2]


async def test_second_writer_waits_for_the_first(
    store: PostgresStore, another_store: PostgresStore, pool: Connections
) -> None:
    """With the same two writers the later number is not assigned before the earlier one can be read."""
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
        await within(_a_statement_waits_for_a_lock(pool))
        assert not fast.done()
        assert await store.entries_after(0, 10) == [], "no entry after the one being written can be read"
        await transaction.commit()
        (late,) = await within(fast)
    assert (early, late.sequence) == (1, 2)
    assert [entry.sequence for entry in await store.entries_after(0, 10)] == [1, 2]


async def test_sequence_of_a_rolled_back_commit_is_assigned_again(store: PostgresStore, pool: Connections) -> None:
    async with pool.for_engine() as database:
        transaction = database.transaction()
        await transaction.start()
        await database.execute("UPDATE event_log SET last_sequence = last_sequence + 1")
        await transaction.rollback()
    (entry,) = await store.commit([update(0)], NOW)
    assert entry.sequence == 1


async def test_cursor_reads_every_event_of_many_writers(dsn: str) -> None:
    """Writers have their own connections and commits of different sizes; the cursor reads while they write."""
    seen: list[int] = []
    written: list[int] = []

    async def write(writer: int) -> None:
        async with connections(dsn) as pool:
            store = PostgresStore(pool, encode)
            for n in range(COMMITS):
                events = [update(1000 * n + i, symbol=f"AB{writer}") for i in range(1 + (n + writer) % 3)]
                written.extend(entry.sequence for entry in await store.commit(events, NOW))

    async def follow_writers(writing: Sequence[asyncio.Task[None]]) -> None:
        async with connections(dsn) as pool:
            store = PostgresStore(pool, encode)
            while True:
                over = all(task.done() for task in writing)
                page = await store.entries_after(seen[-1] if seen else 0, 5)
                seen.extend(entry.sequence for entry in page)
                if over and not page:
                    return

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        writing = [group.create_task(write(writer)) for writer in range(WRITERS)]
        group.create_task(follow_writers(writing))
    assert seen == sorted(written) == list(range(1, len(written) + 1))


async def _a_statement_waits_for_a_lock(pool: Connections) -> None:
    """Poll, because PostgreSQL does not notify that a statement waits for a lock."""
    async with pool.for_engine() as database:
        while not await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await poll()


# ------------------------------------------------------------------------------------------------------- retention


class TestRetention:
    async def test_one_server_prunes_at_a_time(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit([update(0)], NOW - 91 * DAY)
        async with sql.transaction():
            await sql.execute("SELECT pg_advisory_xact_lock($1)", PRUNING)
            assert await within(store.prune(NOW, 10)) == 0
        assert await store.prune(NOW, 10) == 1

    async def test_writers_and_followers_continue_while_servers_prune(
        self, store: PostgresStore, another_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two servers prune while one writes: kept entries are all read; a late follower gets the oldest sequence."""
        monkeypatch.setattr(retention_module, "BATCH_ENTRIES", 50)
        await store.commit([update(n) for n in range(1000)], NOW - 91 * DAY)
        log_tails = [LogTail(one, await one.log_head()) for one in (store, another_store)]
        late = await follow(log_tails[0], resume_after=0)

        async def write() -> None:
            for n in range(1000, 1050):
                for entries in [await store.commit([update(n)], NOW)]:
                    log_tails[0].append(entries)

        pruning = [
            Retention(one, log_tail, lambda: NOW, 90 * DAY, DAY)
            for one, log_tail in zip((store, another_store), log_tails, strict=True)
        ]
        pruned = await within(asyncio.gather(*(one.prune() for one in pruning), write()))
        assert sum(count for count in pruned[:2] if count is not None) == 1000
        # The server that finds the other pruning stops, and knows how far that was at that time.
        oldest = sorted(log_tail.oldest for log_tail in log_tails)
        assert 1 <= oldest[0] <= oldest[1] == 1001
        with pytest.raises(SequencePruned) as caught:
            await within(_to_the_end(late))
        assert caught.value.metadata == {"oldest_sequence": "1001"}
        with pytest.raises(SequencePruned):
            await follow(log_tails[0], resume_after=999)
        kept = await follow(log_tails[0], resume_after=1000)
        assert [entry.sequence for entry in (await within(anext(kept))).entries] == list(range(1001, 1051))


async def _to_the_end(follower: Batches) -> None:
    async for _ in follower:
        pass
