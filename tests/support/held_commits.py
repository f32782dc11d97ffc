"""Commits with an idempotency key that are held up by the database, so that what happens meanwhile can be tested."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

_HELD_UP = 4711
"""The advisory lock that holds commits up."""

_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
AND (query LIKE '%WITH head AS%' OR query LIKE '%event_log FOR UPDATE%')
"""


@asynccontextmanager
async def commits_held_up(database: asyncpg.Connection) -> AsyncIterator[Callable[[int], Awaitable[bool]]]:
    """Hold up every commit with a key while it is under way; yield whether that many commits wait."""
    await database.execute(
        "CREATE OR REPLACE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_advisory_xact_lock_shared({_HELD_UP}); RETURN NULL; END $$; "
        "CREATE OR REPLACE TRIGGER held_up AFTER INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION hold_up()"
    )
    await database.fetchval("SELECT pg_advisory_lock($1)", _HELD_UP)

    async def waiting(count: int) -> bool:
        return bool(await database.fetchval(_WAITING) >= count)

    try:
        yield waiting
    finally:
        await database.fetchval("SELECT pg_advisory_unlock($1)", _HELD_UP)
        await database.execute("DROP TRIGGER held_up ON idempotency_keys")
