"""The database: where it is, its schema, and the store on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from ..adapters.postgres.account import PostgresAccount
from ..adapters.postgres.api_keys import PostgresKeys
from ..adapters.postgres.audit import PostgresAudit
from ..adapters.postgres.bars_table import BarsTable
from ..adapters.postgres.connection import Connections, DatabaseRefused, connections
from ..adapters.postgres.embedded import cluster_exists, dsn_if_running, running_postgres
from ..adapters.postgres.migrate import migrate
from ..adapters.postgres.outcomes import PostgresOutcomes
from ..adapters.postgres.peer_secret import peer_secret
from ..adapters.postgres.schema import Migration
from ..adapters.postgres.store import PostgresStore
from ..api.mapping.log_encoding import encode
from ..api.mapping.log_messages import LOG_DECODERS
from ..config.settings import InvalidSettings, Settings
from ..domain.errors import StorageUnavailable
from ..domain.intervals import interval_name
from ..domain.wording import counted


@dataclass(frozen=True, slots=True)
class Storage:
    """An open database with the current schema; `peer_secret` is known to the servers that share it."""

    dsn: str
    store: PostgresStore
    outcomes: PostgresOutcomes
    account: PostgresAccount
    keys: PostgresKeys
    audit: PostgresAudit
    peer_secret: str
    connections: Connections


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the configured database, or start the embedded one.

    Simulated bars are kept in a database of their own, so that they never mix with those of another feed.
    """
    if not settings.embedded_database:
        yield settings.dsn
        return
    async with running_postgres(settings.data_dir, _embedded_name(settings)) as postgres:
        yield postgres.dsn


@asynccontextmanager
async def readable_database(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the database as `database_as_is` does, with a current schema if no service runs on it.

    Raises:
        InvalidSettings: there is no embedded database, and none is made to be read; or see require_intervals.
    """
    if settings.embedded_database and not cluster_exists(settings.data_dir):
        raise InvalidSettings(f"DATA_DIR={settings.data_dir}: there is no database of a service; name its folder")
    if settings.embedded_database and _running(settings) is None:
        async with migrated_database(settings) as dsn:
            yield dsn
    else:
        async with database_as_is(settings) as dsn:
            yield dsn


@asynccontextmanager
async def database_as_is(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the configured database, beside a service that may be running on it, or start it."""
    running = _running(settings) if settings.embedded_database else None
    if running is not None:
        yield running
    else:
        async with database(settings) as dsn:
            yield dsn


def _running(settings: Settings) -> str | None:
    return dsn_if_running(settings.data_dir, _embedded_name(settings))


def _embedded_name(settings: Settings) -> str:
    return "tradingsignals_simulated" if settings.feed.is_simulated else "tradingsignals"


@asynccontextmanager
async def migrated_database(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the database once its schema is current, which may take longer than a server may to start.

    Raises:
        InvalidSettings: see require_intervals.
    """
    async with database(settings) as dsn:
        async with connections(dsn) as pool:
            await migrate_schema(pool)
            await require_intervals(PostgresStore(pool, encode), settings)
        yield dsn


@asynccontextmanager
async def open_storage(settings: Settings, dsn: str) -> AsyncIterator[Storage]:
    """Connect to the database and bring its schema up to date.

    Raises:
        InvalidSettings: see require_intervals.
    """
    async with connections(dsn) as pool:
        await migrate_schema(pool)
        store = PostgresStore(pool, encode, await _bars_table(pool, settings))
        await require_intervals(store, settings)
        outcomes, account = PostgresOutcomes(pool, encode, LOG_DECODERS), PostgresAccount(pool)
        keys, audit = PostgresKeys(pool, dsn), PostgresAudit(pool)
        yield Storage(dsn, store, outcomes, account, keys, audit, await peer_secret(pool), pool)


async def migrate_schema(pool: Connections) -> list[Migration]:
    """Bring the schema up to date; returns the migrations that were applied.

    Raises:
        DatabaseRefused: we may not, there is no schema to do it in, it is read-only, or it went away meanwhile.
    """
    try:
        async with pool.for_engine() as connection:
            return await migrate(connection)
    except (asyncpg.PostgresError, StorageUnavailable) as error:
        cause = error.__cause__ or error
        why = str(cause) or type(cause).__name__
        raise DatabaseRefused(f"the database at {pool.place} cannot be migrated: {why}") from error


async def require_intervals(store: PostgresStore, settings: Settings) -> None:
    """Check that the stored bars have the intervals that are set: bars of a symbol never change their interval.

    Raises:
        InvalidSettings: those of a symbol have another one.
    """
    stored, intervals = await store.bar_intervals(), settings.bar_interval
    other = {symbol: interval for symbol, interval in stored.items() if interval != intervals.of(symbol)}
    if not other:
        return
    symbol, interval = next(iter(other.items()))
    further = f" (and those of {counted(len(other) - 1, 'further symbol')})" if len(other) > 1 else ""
    raise InvalidSettings(
        f"BAR_INTERVAL={intervals}: the stored bars of {symbol}{further} are of {interval_name(interval)}, and it says "
        f"{interval_name(intervals.of(symbol))}; set {symbol}={interval_name(interval)}, or use another database"
        + (" (DATA_DIR)" if settings.embedded_database else "")
    )


async def _bars_table(pool: Connections, settings: Settings) -> BarsTable | None:
    if settings.bars_table is None:
        return None
    async with pool.for_engine() as connection:
        return await BarsTable.open(connection, settings.bars_table, settings.calendar_of)
