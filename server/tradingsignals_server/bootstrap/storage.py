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
from ..adapters.postgres.endpoints import PostgresEndpoints
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
from .embedded import command_database, service_database

_NOT_SIMULATED = """
SELECT symbol FROM unnest($1::text[]) AS symbol WHERE NOT (
    SELECT simulated FROM bars WHERE bars.symbol = symbol.symbol AND disposition <> 'LATE' ORDER BY time DESC LIMIT 1
) LIMIT 1
"""
"""The first symbol whose newest bar is not simulated."""


@dataclass(frozen=True, slots=True)
class Storage:
    """An open database with the current schema; `peer_secret` is known to the servers that share it."""

    dsn: str
    store: PostgresStore
    outcomes: PostgresOutcomes
    account: PostgresAccount
    keys: PostgresKeys
    audit: PostgresAudit
    endpoints: PostgresEndpoints
    peer_secret: str
    connections: Connections


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """Give a service the address of the configured database, or start the embedded one with that of its feed."""
    if settings.embedded_database:
        async with service_database(settings) as dsn:
            yield dsn
    else:
        yield settings.dsn


@asynccontextmanager
async def readable_database(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the database as `database_as_is` does, with a current schema if no service runs on it.

    Raises:
        InvalidSettings: see command_database and require_intervals.
    """
    if not settings.embedded_database:
        yield settings.dsn
        return
    async with command_database(settings) as found:
        if not found.is_in_use:
            await _make_current(settings, found.dsn)
        yield found.dsn


@asynccontextmanager
async def database_as_is(settings: Settings, holds: str | None = None) -> AsyncIterator[str]:
    """Give a command the address of the database, beside a service that may be running on it, or start it.

    Raises:
        InvalidSettings: see command_database, which `holds` is for.
    """
    if settings.embedded_database:
        async with command_database(settings, holds) as found:
            yield found.dsn
    else:
        yield settings.dsn


@asynccontextmanager
async def migrated_database(settings: Settings) -> AsyncIterator[str]:
    """Give a service the address of its database once its schema is current.

    That may take longer than a server may to start.

    Raises:
        InvalidSettings: see require_intervals, require_account and require_feed.
    """
    async with database(settings) as dsn:
        await _make_current(settings, dsn)
        async with connections(dsn) as pool:
            await require_account(pool, settings)
            await require_feed(pool, settings)
        yield dsn


async def _make_current(settings: Settings, dsn: str) -> None:
    async with connections(dsn) as pool:
        await migrate_schema(pool)
        await require_intervals(PostgresStore(pool, encode), settings)


@asynccontextmanager
async def open_storage(settings: Settings, dsn: str) -> AsyncIterator[Storage]:
    """Connect to the database and bring its schema up to date.

    Raises:
        InvalidSettings, BarsTableError: see open_store, require_account and require_feed.
    """
    async with connections(dsn) as pool:
        await migrate_schema(pool)
        store = await open_store(pool, settings)
        await require_account(pool, settings)
        await require_feed(pool, settings)
        outcomes, account = PostgresOutcomes(pool, encode, LOG_DECODERS), PostgresAccount(pool)
        keys, audit, endpoints = PostgresKeys(pool, dsn), PostgresAudit(pool), PostgresEndpoints(pool, dsn)
        yield Storage(dsn, store, outcomes, account, keys, audit, endpoints, await peer_secret(pool), pool)


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


async def open_store(pool: Connections, settings: Settings) -> PostgresStore:
    """Return the store of bars, with those of BARS_TABLE, on a current schema.

    Raises:
        InvalidSettings: see require_intervals.
        BarsTableError: BARS_TABLE cannot be read.
    """
    store = PostgresStore(pool, encode, await _bars_table(pool, settings))
    await require_intervals(store, settings)
    return store


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


async def require_account(pool: Connections, settings: Settings) -> None:
    """Check that the account began with INITIAL_EQUITY in ACCOUNT_CURRENCY: positions are valued by these.

    Raises:
        InvalidSettings: it began with others, so that limits and equity would be those of another account.
    """
    stored = await PostgresOutcomes(pool, encode, LOG_DECODERS).load_account()
    equity, currency = settings.initial_equity, settings.account_currency
    if stored is None or (stored.account.initial_equity, stored.currency) == (equity, currency):
        return
    began = f"{stored.account.initial_equity:.15g}"
    raise InvalidSettings(
        f"INITIAL_EQUITY={equity:.15g} and ACCOUNT_CURRENCY={currency}: the account began with {began} "
        f"{stored.currency}; set INITIAL_EQUITY={began} and ACCOUNT_CURRENCY={stored.currency}, or run `tradingsignals "
        "ledger rebuild` with the new values, which values the whole account by them"
    )


async def require_feed(pool: Connections, settings: Settings) -> None:
    """Check that no simulated bar would follow one that is not: bars never change, so the real ones would be refused.

    Raises:
        InvalidSettings: the feed is simulated, and the newest stored bar of one of its symbols is not.
    """
    if not settings.feed.is_simulated:
        return
    async with pool.for_engine() as connection:
        symbol = await connection.fetchval(_NOT_SIMULATED, list(settings.symbols))
    if symbol is not None:
        raise InvalidSettings(
            f"FEED={settings.feed}: the stored bars of {symbol} are not simulated, and simulated ones never follow "
            "such bars; set FEED as it was, or other SYMBOLS, or use another database"
        )


async def _bars_table(pool: Connections, settings: Settings) -> BarsTable | None:
    if settings.bars_table is None:
        return None
    async with pool.for_engine() as connection:
        return await BarsTable.open(connection, settings.bars_table, settings.calendar_of)
