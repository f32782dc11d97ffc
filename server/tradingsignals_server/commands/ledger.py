"""`tradingsignals ledger rebuild`: follow the log for outcomes and account anew."""

from __future__ import annotations

from ..adapters.postgres.connection import Connections, DatabaseRefused, connections
from ..adapters.postgres.membership import running_servers
from ..adapters.postgres.outcomes import PostgresOutcomes
from ..adapters.postgres.store import PostgresStore
from ..api.mapping.log_encoding import encode
from ..api.mapping.log_messages import LOG_DECODERS
from ..application.event_log.tail import LogTail
from ..application.event_log.tailer import LogReader
from ..application.ledger.keeper import LedgerKeeper
from ..bootstrap.engine import books, utc_now
from ..bootstrap.storage import database_as_is, migrate_schema, require_account
from ..config.settings import InvalidSettings, Settings


async def rebuild(settings: Settings) -> None:
    """Delete outcomes and equity of what the log has, and follow it from its oldest entry by the rules of now.

    Raises:
        InvalidSettings: the account began with another equity or currency, and servers are running with these.
        DatabaseRefused: the database is not one of this service.
    """
    async with database_as_is(settings) as dsn, connections(dsn) as pool:
        async with pool.for_engine() as connection:
            if await connection.fetchval("SELECT to_regclass('event_log') IS NULL"):
                raise DatabaseRefused(f"{pool.place} is not a database of this service: there is nothing to rebuild")
        await migrate_schema(pool)
        await _require_servers_stopped(pool, settings)
        store = PostgresStore(pool, encode)
        log_tail = LogTail(store, await store.log_head())
        appended = LogReader(store, log_tail).committed
        outcomes = PostgresOutcomes(pool, encode, LOG_DECODERS)
        after = await LedgerKeeper(outcomes, log_tail, books(settings), utc_now, appended).rebuild()
        print(f"rebuilt outcomes and account from entry {after + 1} of the log to {log_tail.newest}")


async def _require_servers_stopped(pool: Connections, settings: Settings) -> None:
    """Check that no server goes on to value positions by an equity that the account will not have any more."""
    try:
        await require_account(pool, settings)
    except InvalidSettings as error:
        if await running_servers(pool):
            raise InvalidSettings(
                f"stop the servers of the database before a rebuild with other values: {error}"
            ) from error
