"""`tradingsignals ledger rebuild`: follow the log for outcomes anew."""

from __future__ import annotations

from ..adapters.postgres.connection import connections
from ..adapters.postgres.outcomes import PostgresOutcomes
from ..adapters.postgres.store import PostgresStore
from ..api.mapping.to_proto import encode
from ..application.event_log.tail import LogTail
from ..application.ledger.keeper import OutcomeKeeper
from ..bootstrap.engine import ledger_maker
from ..bootstrap.storage import database, migrate_schema
from ..config import Settings
from ..domain.ledger import LEDGER_VERSION


async def rebuild(settings: Settings) -> None:
    """Delete the outcomes of the signals that the log has, and follow it from its oldest entry by the rules of now."""
    async with database(settings) as dsn, connections(dsn) as pool:
        await migrate_schema(pool)
        store, outcomes = PostgresStore(pool, encode), PostgresOutcomes(pool)
        log_tail = LogTail(store, await store.log_head())
        after = await outcomes.restart_ledger(LEDGER_VERSION)
        await OutcomeKeeper(outcomes, log_tail, ledger_maker(settings)).catch_up()
        print(f"rebuilt the outcomes from entry {after + 1} of the log to {log_tail.newest}")
