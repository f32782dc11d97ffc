"""The schema is brought up to date once, by whoever comes first, and only by a program that knows it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from tests.support.deadlines import within

from tradingsignals_server.adapters.postgres.connection import connection, connection_pool
from tradingsignals_server.adapters.postgres.migrate import Migration, MigrationError, migrate, migrations
from tradingsignals_server.bootstrap import migrated

from .conftest import Storage

KNOWN = [migration.version for migration in migrations()]


@pytest.fixture
async def dsn(storage: Storage) -> str:
    """The address of an empty database."""
    return await storage.new_database()


async def ledger(sql: asyncpg.Connection) -> list[int]:
    return [row["version"] for row in await sql.fetch("SELECT version FROM schema_migrations ORDER BY version")]


async def failure(pool: asyncpg.Pool) -> str:
    """What migrating is refused with."""
    with pytest.raises(MigrationError) as caught:
        await migrated(pool)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_versions_of_this_program_have_no_gap() -> None:
    assert list(range(1, len(KNOWN) + 1)) == KNOWN


async def test_an_empty_database_gets_all_of_it_once(pool: asyncpg.Pool, sql: asyncpg.Connection) -> None:
    assert [migration.version for migration in await migrated(pool)] == KNOWN
    assert await ledger(sql) == KNOWN
    epoch = await sql.fetchval("SELECT epoch FROM event_log")

    assert await migrated(pool) == []
    assert await sql.fetchval("SELECT epoch FROM event_log") == epoch


async def test_of_many_at_once_one_does_it(storage: Storage, dsn: str, sql: asyncpg.Connection) -> None:
    async def one_server() -> list[Migration]:
        async with connection_pool(dsn) as pool:
            return await migrated(pool)

    applied = await within(asyncio.gather(*(one_server() for _ in range(6))))
    assert sorted(len(found) for found in applied) == [0, 0, 0, 0, 0, len(KNOWN)]
    assert await ledger(sql) == KNOWN


async def test_every_table_says_what_it_is(pool: asyncpg.Pool, sql: asyncpg.Connection) -> None:
    await migrated(pool)
    silent = await sql.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        "AND relname <> 'schema_migrations' AND obj_description(oid) IS NULL"
    )
    assert silent == []


async def test_a_migration_edited_since_is_refused(pool: asyncpg.Pool, sql: asyncpg.Connection) -> None:
    await migrated(pool)
    await sql.execute("UPDATE schema_migrations SET checksum = 'another' WHERE version = 1")
    assert "0001" in await failure(pool)


async def test_the_schema_of_a_newer_program_is_refused(pool: asyncpg.Pool, sql: asyncpg.Connection) -> None:
    await migrated(pool)
    await sql.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    message = await failure(pool)
    assert "9999" in message
    assert str(KNOWN[-1]) in message


async def test_after_a_refusal_the_right_program_gets_its_turn(pool: asyncpg.Pool, sql: asyncpg.Connection) -> None:
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
    pool: asyncpg.Pool, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    version = KNOWN[-1] + 1
    broken = Migration(version, "broken", "CREATE TABLE half (n int); INSERT INTO nowhere VALUES (1)")
    whole = Migration(version, "whole", "CREATE TABLE half (n int)")
    steps = [*known, broken]
    monkeypatch.setattr("tradingsignals_server.adapters.postgres.migrate.migrations", lambda: steps)

    async with connection(pool) as database:
        with pytest.raises(asyncpg.UndefinedTableError):
            await migrate(database)
    assert await ledger(sql) == KNOWN
    assert await sql.fetchval("SELECT to_regclass('half')") is None

    steps[-1] = whole
    assert await migrated(pool) == [whole]
    assert await ledger(sql) == [*KNOWN, version]
