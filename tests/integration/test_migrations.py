"""Migrations: each is applied once, and only by a program that knows the schema."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.support.builders import NOW, bar
from tests.support.counted import assert_counted
from tests.support.deadlines import DEADLINE, poll, within

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.lease import Lease
from tradingsignals_server.adapters.postgres.membership import Membership
from tradingsignals_server.adapters.postgres.migrate import MigrationError, migrate
from tradingsignals_server.adapters.postgres.partitions import partitions
from tradingsignals_server.adapters.postgres.schema import (
    FIRST_MARKED,
    STOP,
    Migration,
    ProgramTooOld,
    migrations,
    program_version,
)
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.bootstrap.storage import migrate_schema
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate

from .conftest import Storage

KNOWN = [migration.version for migration in migrations()]
NEXT = KNOWN[-1] + 1
MIGRATE = "tradingsignals_server.adapters.postgres.migrate"


@pytest.fixture
async def dsn(storage: Storage) -> str:
    """Return the address of an empty database."""
    return await storage.new_database()


async def ledger(sql: asyncpg.Connection) -> list[int]:
    return [row["version"] for row in await sql.fetch("SELECT version FROM schema_migrations ORDER BY version")]


async def failure(pool: Connections, error: type[Exception] = MigrationError) -> str:
    """Return the message with which a migration is refused."""
    with pytest.raises(error) as caught:
        await migrate_schema(pool)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_versions_are_in_order_and_each_is_there_once() -> None:
    assert KNOWN[0] == 1
    assert sorted(set(KNOWN)) == KNOWN


def test_migrations_say_whether_older_servers_continue_or_stop() -> None:
    for migration in migrations():
        first = migration.sql.partition("\n")[0]
        assert migration.version < FIRST_MARKED or first in {"-- Older servers: continue", STOP.strip()}, migration.name


async def test_empty_database_gets_every_migration_once(pool: Connections, sql: asyncpg.Connection) -> None:
    assert [migration.version for migration in await migrate_schema(pool)] == KNOWN
    assert await ledger(sql) == KNOWN
    epoch = await sql.fetchval("SELECT epoch FROM event_log")

    assert await migrate_schema(pool) == []
    assert await sql.fetchval("SELECT epoch FROM event_log") == epoch


async def test_one_of_many_concurrent_processes_migrates(storage: Storage, dsn: str, sql: asyncpg.Connection) -> None:
    async def one_server() -> list[Migration]:
        async with connections(dsn) as pool:
            return await migrate_schema(pool)

    applied = await within(asyncio.gather(*(one_server() for _ in range(6))))
    assert sorted(len(found) for found in applied) == [0, 0, 0, 0, 0, len(KNOWN)]
    assert await ledger(sql) == KNOWN


async def test_every_table_has_a_comment(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrate_schema(pool)
    silent = await sql.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        "AND relname <> 'schema_migrations' AND obj_description(oid) IS NULL"
    )
    assert silent == []


async def test_edited_migration_is_refused(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrate_schema(pool)
    await sql.execute("UPDATE schema_migrations SET checksum = 'another' WHERE version = 1")
    assert "0001" in await failure(pool)


async def migrated_by_a_newer_program(sql: asyncpg.Connection, oldest_program: int) -> None:
    await sql.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    await sql.execute("UPDATE event_log SET oldest_program = $1", oldest_program)


async def test_database_that_needs_a_newer_program_is_refused(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrate_schema(pool)
    await migrated_by_a_newer_program(sql, 9998)
    message = await failure(pool, ProgramTooOld)
    assert "9998" in message
    assert str(KNOWN[-1]) in message


async def test_database_of_a_newer_program_is_used_if_that_lets_older_ones(
    pool: Connections, sql: asyncpg.Connection
) -> None:
    await migrate_schema(pool)
    await migrated_by_a_newer_program(sql, KNOWN[-1])
    assert await migrate_schema(pool) == []


async def test_right_program_can_migrate_after_a_refusal(pool: Connections, sql: asyncpg.Connection) -> None:
    """The lock is released, although the connection returns to the pool."""
    await migrate_schema(pool)
    await migrated_by_a_newer_program(sql, 9999)
    await failure(pool, ProgramTooOld)
    await sql.execute("DELETE FROM schema_migrations WHERE version = 9999")
    assert await within(migrate_schema(pool)) == []
    assert not await sql.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )


async def test_failed_migration_leaves_nothing(
    pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    version = NEXT
    broken = Migration(version, "broken", "CREATE TABLE half (n int); INSERT INTO nowhere VALUES (1)")
    whole = Migration(version, "whole", "CREATE TABLE half (n int)")
    steps = [*known, broken]
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: steps)

    async with pool.for_engine() as database:
        with pytest.raises(asyncpg.UndefinedTableError):
            await migrate(database)
    assert await ledger(sql) == KNOWN
    assert await sql.fetchval("SELECT to_regclass('half')") is None

    steps[-1] = whole
    assert await migrate_schema(pool) == [whole]
    assert await ledger(sql) == [*KNOWN, version]


async def test_migration_may_take_longer_than_a_statement_of_the_service(
    dsn: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradingsignals_server.adapters.postgres.connection.COMMAND_TIMEOUT_S", 1.0)
    steps = [*migrations(), Migration(NEXT, "long", "SELECT pg_sleep(1.2)")]
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: steps)
    async with connections(dsn) as pool:
        assert await migrate_schema(pool) == steps


_INTERRUPTED = """
import asyncio, sys
from tradingsignals_server.adapters.postgres import migrate
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.schema import Migration, migrations

async def main(dsn):
    steps = [*migrations(), Migration(int(sys.argv[2]), "long", "CREATE TABLE half (n int); SELECT pg_sleep(600)")]
    migrate.migrations = lambda: steps
    async with connections(dsn) as pool, pool.for_engine() as database:
        await migrate.migrate(database)

asyncio.run(main(sys.argv[1]))
"""


async def test_migration_whose_process_is_killed_leaves_the_schema_and_can_start_again(
    dsn: str, pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate_schema(pool)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _INTERRUPTED, dsn, str(NEXT))
    await until(sql, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'")
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    steps = [*migrations(), Migration(NEXT, "whole", "CREATE TABLE half (n int)")]
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: steps)
    assert await within(migrate_schema(pool)) == steps[-1:]
    assert await ledger(sql) == [*KNOWN, NEXT]


async def until(sql: asyncpg.Connection, condition: str) -> None:
    """Wait until a condition holds in the database."""
    async with asyncio.timeout(DEADLINE):
        while not await sql.fetchval(condition):
            await poll()


@asynccontextmanager
async def reading_events(dsn: str) -> AsyncIterator[None]:
    """Hold a lock on `events` as a backup does."""
    backup = await asyncpg.connect(dsn, timeout=DEADLINE, server_settings={"application_name": "pg_dump"})
    try:
        async with backup.transaction():
            await backup.execute("LOCK TABLE events IN ACCESS SHARE MODE")
            yield
    finally:
        await backup.close()


LOCKING = Migration(NEXT, "locking", "-- Older servers: continue\nALTER TABLE events ADD COLUMN later int")


async def test_migration_that_waits_for_a_lock_lets_others_go_on(
    dsn: str,
    pool: Connections,
    store: PostgresStore,
    sql: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await migrate_schema(pool)
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: [*migrations(), LOCKING])
    monkeypatch.setattr(f"{MIGRATE}.LOCK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(f"{MIGRATE}.LOCK_PAUSE_S", 0.2)
    async with reading_events(dsn):
        migrating = asyncio.create_task(migrate_schema(pool))
        await until(sql, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass")
        await within(store.commit([MarketUpdate(bar(), Disposition.ACCEPTED)], NOW))
        async with asyncio.timeout(DEADLINE):
            while "pg_dump (process " not in caplog.text:
                await poll()
        assert not migrating.done()
    assert await within(migrating) == [LOCKING]
    assert await sql.fetchval("SELECT count(*) FROM events") == 1


async def test_migration_that_gets_no_lock_says_what_holds_it(
    dsn: str, pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate_schema(pool)
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: [*migrations(), LOCKING])
    monkeypatch.setattr(f"{MIGRATE}.LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(f"{MIGRATE}.LOCK_DEADLINE_S", 0.0)
    async with reading_events(dsn):
        message = await failure(pool)
    assert "locking waits for a lock: pg_dump (process " in message
    assert await ledger(sql) == KNOWN


async def test_migration_that_ends_a_deadlock_with_a_commit_is_tried_again(
    dsn: str, pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate_schema(pool)
    crossing = Migration(
        NEXT, "crossing", "-- Older servers: continue\nLOCK TABLE events; UPDATE event_log SET takeovers = takeovers"
    )
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: [*migrations(), crossing])
    other = await asyncpg.connect(dsn, timeout=DEADLINE)
    async with other.transaction():
        await other.execute("SET LOCAL deadlock_timeout = '1h'")  # so that the migration is the one that is rolled back
        await other.execute("SELECT FROM event_log FOR UPDATE")
        migrating = asyncio.create_task(migrate_schema(pool))
        await until(
            sql,
            "SELECT count(*) = 1 FROM pg_locks "
            "WHERE granted AND relation = 'events'::regclass AND mode = 'AccessExclusiveLock'",
        )
        await within(other.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE"))
    await other.close()
    assert await within(migrating) == [crossing]


STOPPING = Migration(NEXT, "stopping", f"{STOP}ALTER TABLE events ADD COLUMN later int")


async def test_servers_of_older_programs_stop_before_a_migration_that_needs_it(
    dsn: str, pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate_schema(pool)
    older = Membership(dsn, lambda: None)
    await older.join("old:50051")
    running = asyncio.create_task(older.run())
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: [*migrations(), STOPPING])
    migrating = asyncio.create_task(migrate_schema(pool))
    with pytest.raises(ProgramTooOld, match=f"{NEXT}.*{program_version()}"):
        await within(older.until_refused())
    assert not migrating.done()
    assert await ledger(sql) == KNOWN
    await older.leave()
    await within(running)
    assert await within(migrating) == [STOPPING]


async def test_server_that_does_not_stop_keeps_the_migration_from_being_applied(
    dsn: str, pool: Connections, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate_schema(pool)
    older = await Lease.begin(dsn, "old:50051", lambda: None)
    await sql.execute("UPDATE servers SET program = NULL")  # as versions from before the column leave it
    monkeypatch.setattr(f"{MIGRATE}.migrations", lambda: [*migrations(), STOPPING])
    monkeypatch.setattr(f"{MIGRATE}.STOP_DEADLINE_S", 0.0)
    assert "old:50051 did not" in await failure(pool)
    assert await ledger(sql) == KNOWN
    assert await sql.fetchval("SELECT oldest_program FROM event_log") == 0
    await older.give_back()
    assert await migrate_schema(pool) == [STOPPING]


async def test_program_that_is_too_old_writes_nothing(
    pool: Connections, store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await migrate_schema(pool)
    await store.commit([MarketUpdate(bar(0), Disposition.ACCEPTED)], NOW)
    await sql.execute("UPDATE event_log SET oldest_program = $1", NEXT)
    for number in (1, 2):  # with the end of the log known, and under its lock
        with pytest.raises(StorageUnavailable) as caught:
            await store.commit([MarketUpdate(bar(number), Disposition.ACCEPTED)], NOW)
        assert isinstance(caught.value.__cause__, ProgramTooOld)
    assert await sql.fetchval("SELECT count(*) FROM events") == 1
    assert await sql.fetchval("SELECT last_sequence FROM event_log") == 1
    await sql.execute("UPDATE event_log SET oldest_program = $1", program_version())
    await store.commit([MarketUpdate(bar(1), Disposition.ACCEPTED)], NOW)


async def migrated_to(version: int, sql: asyncpg.Connection) -> None:
    """Apply the migrations up to `version`."""
    for migration in migrations():
        if migration.version <= version:
            await sql.execute(migration.sql)


async def continue_from(version: int, sql: asyncpg.Connection) -> None:
    """Apply the migrations after `version`."""
    for migration in migrations():
        if migration.version > version:
            await sql.execute(migration.sql)


async def stored_by_an_older_program(sql: asyncpg.Connection) -> None:
    """Store two symbols with three bars, and a third with a signal and a closed position only."""
    await sql.execute(
        "INSERT INTO bars SELECT symbol, '2024-03-04 13:00Z'::timestamptz + n * interval '5 min', 1, 1, 1, 1, 0, "
        "false, 'ACCEPTED', now() FROM (VALUES ('USDCOP', 0), ('USDCOP', 1), ('EURUSD', 0)) AS given(symbol, n)"
    )
    await sql.execute(
        "INSERT INTO signals (signal_id, sequence, symbol, timestamp, origin, action, confidence, entry_price, "
        "stop_loss, take_profit, position_size, hold_probability, buy_probability, sell_probability, model_version, "
        "model_type, simulated, latency_ms, reasoning, message) "
        "SELECT gen_random_uuid(), n, 'GBPUSD', now(), 'REQUEST', action, 0.9, 2, stop, stop, 0.02, 0, 1, 0, "
        "'v1', 'test', n = 1, n, '{}', '' "
        "FROM (VALUES (1, 'BUY', 1), (2, 'HOLD', NULL), (3, 'SELL', 3)) AS given(n, action, stop)"
    )
    await sql.execute(
        "INSERT INTO positions SELECT gen_random_uuid(), signal_id, sequence, symbol, action, now(), 2, 1, 3, 1, 0.02, "
        "false, 2, 0, pnl, pnl, 10 * pnl, pnl, 0, 0, 1, NULL, NULL, 'CLOSED', now(), 2 + pnl, 'MANUAL', NULL, '' "
        "FROM signals JOIN (VALUES (1, 0.5), (3, -0.25)) AS given(sequence, pnl) USING (sequence)"
    )


async def test_symbols_of_an_older_program_are_known(sql: asyncpg.Connection) -> None:
    await migrated_to(5, sql)
    await stored_by_an_older_program(sql)
    await continue_from(5, sql)
    rows = await sql.fetch("SELECT symbol FROM symbols ORDER BY symbol")
    assert [row["symbol"] for row in rows] == ["EURUSD", "GBPUSD", "USDCOP"]
    assert await sql.fetchval("SELECT to_regclass('symbol_owners')") is None


async def test_totals_of_an_older_program_are_counted_once(sql: asyncpg.Connection, pool: Connections) -> None:
    await migrated_to(5, sql)
    await stored_by_an_older_program(sql)
    await sql.execute("UPDATE event_log SET signals = 3")
    await continue_from(5, sql)
    found = await PostgresStore(pool, encode).statistics()
    await assert_counted(found, sql)
    assert (found.positions.closed, found.positions.winning, found.positions.total_pnl) == (2, 1, 0.25)


async def test_unbounded_prices_of_older_versions_are_not_summed(sql: asyncpg.Connection, pool: Connections) -> None:
    await migrated_to(5, sql)
    await stored_by_an_older_program(sql)
    await sql.execute(
        "UPDATE positions SET exit_price = 1.79e308, pnl = 1.79e308, pnl_account = 1.79e308 WHERE sequence = 3"
    )
    await continue_from(5, sql)
    found = (await PostgresStore(pool, encode).statistics()).positions
    assert (found.closed, found.total_pnl) == (2, 0.5)


async def test_pairs_stored_with_a_separator_continue_in_their_normal_form(
    pool: Connections, sql: asyncpg.Connection
) -> None:
    await migrate_schema(pool)
    for symbol in ("BTC-USD", "BTC_USD", "EUR-USD", "EURUSD", "ES-DEC26", "BRK.B"):
        await sql.execute(
            "INSERT INTO bars VALUES ($1, '2024-03-04 13:00Z', 1, 1, 1, 1, 0, false, 'ACCEPTED', now())", symbol
        )
        await sql.execute(
            "INSERT INTO events (sequence, time, market_time, kind, symbol, payload) "
            "SELECT count(*) + 1, now(), now(), 'MARKET_UPDATE', $1, '' FROM events",
            symbol,
        )
    rename = next(one for one in migrations() if one.name == "normal_symbols")
    async with sql.transaction():
        await sql.execute(rename.sql)
    for table in ("bars", "events"):
        found = await sql.fetch(f"SELECT symbol FROM {table} ORDER BY symbol")
        assert [row["symbol"] for row in found] == ["BRK.B", "BTCUSD", "BTC_USD", "ES-DEC26", "EUR-USD", "EURUSD"]


@pytest.mark.parametrize(("newest", "ends"), [(0, [100_000]), (150_000, [200_000, 1_200_000])])
async def test_log_of_an_older_program_becomes_its_first_partition(
    pool: Connections, sql: asyncpg.Connection, newest: int, ends: list[int]
) -> None:
    await migrated_to(20, sql)
    if newest:
        await sql.execute(
            "INSERT INTO events (sequence, time, market_time, kind, symbol, payload) "
            "SELECT $1::bigint - n, now(), now(), 'MARKET_UPDATE', 'USDCOP', '' FROM generate_series(0, 9) AS n",
            newest,
        )
        await sql.execute(
            "INSERT INTO signal_inputs (sequence, settings_id, window_bars, indicator_bars, window_hash, state, "
            "state_hash, next_state_hash, awaits_market) VALUES ($1, '', 1, 1, '', '', '', '', true)",
            newest,
        )
        await sql.execute("UPDATE event_log SET last_sequence = $1::bigint, oldest_sequence = $1::bigint - 9", newest)
    await continue_from(20, sql)
    async with pool.for_engine() as database:
        assert [partition.end for partition in await partitions(database)] == ends
    store = PostgresStore(pool, encode)
    assert len(await store.entries_after(0, 100)) == (10 if newest else 0)
    assert await sql.fetchval("SELECT count(*) FROM signal_inputs") == (1 if newest else 0)
    (entry,) = await store.commit([MarketUpdate(bar(), Disposition.ACCEPTED)], NOW)
    assert entry.sequence == newest + 1
    with pytest.raises(asyncpg.UniqueViolationError):
        await sql.execute("INSERT INTO events SELECT * FROM events")
    with pytest.raises(asyncpg.CheckViolationError, match="events_kind_check"):
        await sql.execute("UPDATE events SET kind = 'ANOTHER'")
