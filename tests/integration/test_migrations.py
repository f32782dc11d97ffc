"""Migrations: each is applied once, and only by a program that knows the schema."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from tests.support.counted import assert_counted
from tests.support.deadlines import within

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.migrate import Migration, MigrationError, migrate, migrations
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.bootstrap.storage import migrate_schema

from .conftest import Storage

KNOWN = [migration.version for migration in migrations()]


@pytest.fixture
async def dsn(storage: Storage) -> str:
    """Return the address of an empty database."""
    return await storage.new_database()


async def ledger(sql: asyncpg.Connection) -> list[int]:
    return [row["version"] for row in await sql.fetch("SELECT version FROM schema_migrations ORDER BY version")]


async def failure(pool: Connections) -> str:
    """Return the message with which a migration is refused."""
    with pytest.raises(MigrationError) as caught:
        await migrate_schema(pool)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_versions_are_in_order_and_each_is_there_once() -> None:
    assert KNOWN[0] == 1
    assert sorted(set(KNOWN)) == KNOWN


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


async def test_schema_of_a_newer_program_is_refused(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrate_schema(pool)
    await sql.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    message = await failure(pool)
    assert "9999" in message
    assert str(KNOWN[-1]) in message


async def test_right_program_can_migrate_after_a_refusal(pool: Connections, sql: asyncpg.Connection) -> None:
    """The lock is released, although the connection returns to the pool."""
    await migrate_schema(pool)
    await sql.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    await failure(pool)
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
    version = KNOWN[-1] + 1
    broken = Migration(version, "broken", "CREATE TABLE half (n int); INSERT INTO nowhere VALUES (1)")
    whole = Migration(version, "whole", "CREATE TABLE half (n int)")
    steps = [*known, broken]
    monkeypatch.setattr("tradingsignals_server.adapters.postgres.migrate.migrations", lambda: steps)

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
    steps = [*migrations(), Migration(KNOWN[-1] + 1, "long", "SELECT pg_sleep(1.2)")]
    monkeypatch.setattr("tradingsignals_server.adapters.postgres.migrate.migrations", lambda: steps)
    async with connections(dsn) as pool:
        assert await migrate_schema(pool) == steps


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
