"""Partitions of the event log: added by commits that need one, dropped at once by retention."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from tests.support.builders import NOW
from tests.support.deadlines import within
from tests.support.following import follow as follow_log
from tests.support.ledgers import follow
from tests.support.ledgers import trade as trade_for_a_while
from tests.support.store_contract.inputs import inputs_of_signal
from tests.support.store_contract.ledger import LedgerStores, log_of, outcomes_of
from tests.support.trades import trade, update

from tradingsignals_server.adapters.postgres import partitions as partitions_module
from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.partitions import make_room, partitions
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS
from tradingsignals_server.application.event_log.retention import Retention
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.domain.errors import SequencePruned

DAY = timedelta(days=1)
KEPT_SINCE = NOW - 90 * DAY
OLD = NOW - 91 * DAY
SMALL = 10
"""Entries of a partition."""


@pytest.fixture(autouse=True)
async def small_partitions(sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions_module, "SMALLEST_ENTRIES", SMALL)
    await end_first_at(sql, SMALL + 1)


async def end_first_at(sql: asyncpg.Connection, end: int) -> None:
    for table in ("events", "signal_inputs"):
        await sql.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_0")
        await sql.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_0 FOR VALUES FROM (MINVALUE) TO ({end})")


async def ends(pool: Connections) -> list[int]:
    async with pool.for_engine() as database:
        return [partition.end for partition in await partitions(database)]


async def tables(sql: asyncpg.Connection) -> set[str]:
    """Return the names of all partitions, of the log and of the inputs."""
    rows = await sql.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid "
                           "WHERE relkind = 'r'")  # fmt: skip
    return {row["name"] for row in rows}


async def sequences(store: PostgresStore) -> list[int]:
    return [entry.sequence for entry in await store.entries_after(0, 10_000)]


class TestRoom:
    async def test_commit_beyond_the_last_partition_adds_one(self, store: PostgresStore, pool: Connections) -> None:
        await store.commit([update(n) for n in range(8)], NOW)
        assert await ends(pool) == [11]
        await store.commit([update(n) for n in range(8, 13)], NOW)
        assert await ends(pool) == [11, 21]
        await store.commit([update(n) for n in range(13, 60)], NOW)
        assert await ends(pool) == [11, 21, 61], "one for all entries of the commit"
        assert await sequences(store) == list(range(1, 61))

    async def test_inputs_have_partitions_with_the_same_bounds(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        await store.commit([update(n) for n in range(SMALL)], NOW)
        signal, position = trade(1)
        inputs = inputs_of_signal(signal.signal_id)
        await store.commit([signal, position], NOW, inputs=[inputs])
        assert await tables(sql) == {"events_0", "signal_inputs_0", "events_11", "signal_inputs_11"}
        stored = await store.signal(signal.signal_id)
        assert stored is not None
        assert stored.inputs == inputs
        assert await sql.fetchval("SELECT count(*) FROM signal_inputs_11") == 1

    async def test_two_servers_that_need_one_add_one(
        self, store: PostgresStore, another_store: PostgresStore, pool: Connections
    ) -> None:
        async def write(one: PostgresStore, first: int) -> None:
            for n in range(first, first + 50):
                await one.commit([update(n)], NOW)

        await within(asyncio.gather(write(store, 0), write(another_store, 1000)))
        assert await sequences(store) == list(range(1, 101))
        found = await ends(pool)
        assert found == sorted(set(found))
        assert found[-2] <= 101 <= found[-1]

    async def test_none_is_added_while_there_is_room(self, store: PostgresStore, pool: Connections) -> None:
        await store.commit([update(n) for n in range(5)], NOW)
        async with pool.for_engine() as database:
            await make_room(database, 5)
            assert await ends(pool) == [11]
            await make_room(database, 6)
        assert await ends(pool) == [11, 21]

    async def test_partitions_grow_with_what_is_kept(self, store: PostgresStore, pool: Connections) -> None:
        for n in range(400):
            await store.commit([update(n)], NOW)
        found = await ends(pool)
        assert 40 <= found[-1] - found[-2] <= 400 // partitions_module.SHARE

    async def test_partition_is_added_while_a_backup_reads_the_log(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        async with sql.transaction():
            await sql.execute("LOCK TABLE events, signal_inputs IN ACCESS SHARE MODE")
            await within(store.commit([update(n) for n in range(SMALL + 1)], NOW))

    async def test_outcomes_of_the_keeper_add_one(
        self, store: PostgresStore, pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await end_first_at(sql, 100_000)
        stores = LedgerStores(store, PostgresOutcomes(pool, encode, LOG_DECODERS))
        await trade_for_a_while(store)
        before = await log_of(store)
        await end_first_at(sql, len(before) + 5)
        await follow(store, stores.outcomes, step=97)
        log = await log_of(store)
        assert [entry.sequence for entry in log] == list(range(1, len(log) + 1))
        assert len(log) - len(before) == len(await outcomes_of(stores.outcomes)) > 100
        assert len(await ends(pool)) > 1


class TestRetention:
    async def test_partition_is_dropped_when_all_of_it_is_old(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        for n in range(45):
            await store.commit([update(n)], OLD if n < 25 else NOW)
        assert [await store.prune(KEPT_SINCE, 4) for _ in range(3)] == [10, 10, 0]
        assert (await store.log_head()).oldest == 21, "of the third some entries are to be kept"
        assert await sequences(store) == list(range(21, 46))
        assert await tables(sql) == {f"{table}_{n}" for table in ("events", "signal_inputs") for n in (21, 31, 41)}

    async def test_inputs_are_dropped_with_the_entries(self, store: PostgresStore) -> None:
        signal, position = trade(1)
        await store.commit([signal, position], OLD, inputs=[inputs_of_signal(signal.signal_id)])
        for n in range(30):
            await store.commit([update(n)], OLD if n < 8 else NOW)
        assert await store.prune(KEPT_SINCE, 100) == 10
        stored = await store.signal(signal.signal_id)
        assert stored is not None
        assert stored.inputs is None

    async def test_partition_with_one_entry_to_keep_stays(self, store: PostgresStore) -> None:
        """Also if that is not its newest one, because a clock went back."""
        for n in range(30):
            await store.commit([update(n)], NOW if n == 5 else OLD)
        assert await store.prune(KEPT_SINCE, 100) == 0
        assert await sequences(store) == list(range(1, 31))

    async def test_entries_of_a_partition_that_is_larger_than_the_rest_are_deleted(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        for n in range(15):
            await store.commit([update(n)], OLD if n < 8 else NOW)
        pruned = [await store.prune(KEPT_SINCE, 2) for _ in range(4)]
        assert pruned == [2, 2, 2, 0], "until it has no more than the rest"
        assert "events_0" in await tables(sql)
        assert await sequences(store) == list(range(7, 16))

    async def test_sequences_continue_after_all_is_pruned(self, store: PostgresStore) -> None:
        for n in range(35):
            await store.commit([update(n)], OLD)
        while await store.prune(KEPT_SINCE, 100):
            pass
        head = await store.log_head()
        assert (head.oldest, head.newest) == (36, 35)
        (entry,) = await store.commit([update(35)], NOW)
        assert entry.sequence == 36

    async def test_partition_that_is_being_read_is_dropped_later(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        for n in range(25):
            await store.commit([update(n)], OLD if n < 10 else NOW)
        async with sql.transaction():
            await sql.execute("LOCK TABLE events, signal_inputs IN ACCESS SHARE MODE")
            assert await within(store.prune(KEPT_SINCE, 100)) == 10
            assert (await store.log_head()).oldest == 11
            await within(store.commit([update(25)], NOW))
        assert "events_0" in await tables(sql)
        assert await store.prune(KEPT_SINCE, 100) == 0
        assert not {"events_0", "signal_inputs_0"} & await tables(sql)

    async def test_writers_and_followers_continue_while_partitions_are_dropped(self, store: PostgresStore) -> None:
        for n in range(200):
            await store.commit([update(n)], OLD)
        log_tail = LogTail(store, await store.log_head())
        late = await follow_log(log_tail, resume_after=0)

        async def write() -> None:
            for n in range(200, 300):
                log_tail.append(await store.commit([update(n)], NOW))

        retention = Retention(store, log_tail, lambda: NOW, 90 * DAY, DAY)
        pruned, _ = await within(asyncio.gather(retention.prune(), write()))
        # The newest partition with old entries has some of those that are kept, too.
        pruned += await retention.prune()
        oldest = log_tail.oldest
        assert 150 < oldest == pruned + 1 <= 201
        with pytest.raises(SequencePruned) as caught:
            async for _ in late:
                pass
        assert caught.value.metadata == {"oldest_sequence": str(oldest)}
        kept = await follow_log(log_tail, resume_after=oldest - 1)
        read: list[int] = []
        while not read or read[-1] < 300:
            read += [entry.sequence for entry in (await within(anext(kept))).entries]
        assert read == list(range(oldest, 301))
