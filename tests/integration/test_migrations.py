"""The schema is brought up to date once, by whoever comes first, and only by a program that knows it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from tests.support.counted import assert_counted
from tests.support.deadlines import within

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.migrate import Migration, MigrationError, migrate, migrations
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.convert import encode
from tradingsignals_server.bootstrap import migrated

from .conftest import Storage

KNOWN = [migration.version for migration in migrations()]


@pytest.fixture
async def dsn(storage: Storage) -> str:
    """The address of an empty database."""
    return await storage.new_database()


async def ledger(sql: asyncpg.Connection) -> list[int]:
    return [row["version"] for row in await sql.fetch("SELECT version FROM schema_migrations ORDER BY version")]


async def failure(pool: Connections) -> str:
    """What migrating is refused with."""
    with pytest.raises(MigrationError) as caught:
        await migrated(pool)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_versions_of_this_program_have_no_gap() -> None:
    assert list(range(1, len(KNOWN) + 1)) == KNOWN


async def test_an_empty_database_gets_all_of_it_once(pool: Connections, sql: asyncpg.Connection) -> None:
    assert [migration.version for migration in await migrated(pool)] == KNOWN
    assert await ledger(sql) == KNOWN
    epoch = await sql.fetchval("SELECT epoch FROM event_log")

    assert await migrated(pool) == []
    assert await sql.fetchval("SELECT epoch FROM event_log") == epoch


async def test_of_many_at_once_one_does_it(storage: Storage, dsn: str, sql: asyncpg.Connection) -> None:
    async def one_server() -> list[Migration]:
        async with connections(dsn) as pool:
            return await migrated(pool)

    applied = await within(asyncio.gather(*(one_server() for _ in range(6))))
    assert sorted(len(found) for found in applied) == [0, 0, 0, 0, 0, len(KNOWN)]
    assert await ledger(sql) == KNOWN


async def test_every_table_says_what_it_is(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrated(pool)
    silent = await sql.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        "AND relname <> 'schema_migrations' AND obj_description(oid) IS NULL"
    )
    assert silent == []


async def test_a_migration_edited_since_is_refused(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrated(pool)
    await sql.execute("UPDATE schema_migrations SET checksum = 'another' WHERE version = 1")
    assert "0001" in await failure(pool)


async def test_the_schema_of_a_newer_program_is_refused(pool: Connections, sql: asyncpg.Connection) -> None:
    await migrated(pool)
    await sql.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    message = await failure(pool)
    assert "9999" in message
    assert str(KNOWN[-1]) in message


async def test_after_a_refusal_the_right_program_gets_its_turn(pool: Connections, sql: asyncpg.Connection) -> None:
    """The lock is let go of, though the connection goes back to the pool."""
    await migrated(pool)
    await sql.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    await failure(pool)
    await sql.execute("DELETE FROM schema_migrations WHERE version = 9999")
    assert await within(migrated(pool)) == []
    assert not await sql.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )


async def test_one_that_fails_leaves_nothing_of_itself(
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
    assert await migrated(pool) == [whole]
    assert await ledger(sql) == [*KNOWN, version]


async def test_one_may_take_longer_than_a_statement_of_the_service(
    dsn: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradingsignals_server.adapters.postgres.connection.COMMAND_TIMEOUT_S", 1.0)
    steps = [*migrations(), Migration(KNOWN[-1] + 1, "long", "SELECT pg_sleep(1.2)")]
    monkeypatch.setattr("tradingsignals_server.adapters.postgres.migrate.migrations", lambda: steps)
    async with connections(dsn) as pool:
        assert await migrated(pool) == steps


async def migrated_to(version: int, sql: asyncpg.Connection) -> None:
    """The schema as the program with that newest migration left it."""
    for migration in migrations():
        if migration.version <= version:
            await sql.execute(migration.sql)


async def continue_from(version: int, sql: asyncpg.Connection) -> None:
    """The migrations after `version`, on the data that is there."""
    for migration in migrations():
        if migration.version > version:
            await sql.execute(migration.sql)


async def stored_by_an_older_program(sql: asyncpg.Connection) -> None:
    """Two symbols with three bars, and a third one that has a signal and a closed position alone."""
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


async def test_prices_that_were_once_taken_do_not_spoil_the_sums(sql: asyncpg.Connection, pool: Connections) -> None:
    await migrated_to(5, sql)
    await stored_by_an_older_program(sql)
    await sql.execute(
        "UPDATE positions SET exit_price = 1.79e308, pnl = 1.79e308, pnl_account = 1.79e308 WHERE sequence = 3"
    )
    await continue_from(5, sql)
    found = (await PostgresStore(pool, encode).statistics()).positions
    assert (found.closed, found.total_pnl) == (2, 0.5)


async def test_pairs_stored_with_a_mark_go_on_under_their_normal_form(
    pool: Connections, sql: asyncpg.Connection
) -> None:
    await migrated(pool)
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
