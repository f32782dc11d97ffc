"""Retention of the event log: old partitions are dropped, and entries of a short log deleted."""

from __future__ import annotations

from datetime import datetime

from .connection import Database, fetch_one
from .partitions import drop_before, droppable, has_entry_since

_PRUNE = """
WITH oldest AS (
    SELECT sequence, time FROM events WHERE sequence >= (SELECT oldest_sequence FROM event_log)
    ORDER BY sequence LIMIT $2
), pruned AS (
    DELETE FROM events WHERE sequence BETWEEN (SELECT min(sequence) FROM oldest) AND (SELECT max(sequence) FROM oldest)
    AND sequence < coalesce((SELECT min(sequence) FROM oldest WHERE time >= $1), 9223372036854775807)
    RETURNING sequence
)
SELECT count(*) AS count, max(sequence) AS newest FROM pruned
"""
"""Deletes the oldest entries up to the first one that is kept, so that the rest has no gaps."""

_MOVE_OLDEST = """
UPDATE event_log SET oldest_sequence = $1 FROM (SELECT oldest_sequence AS before FROM event_log) AS was
RETURNING oldest_sequence - before
"""

PRUNING = 0x7472_6164_6570_7275
"""Key of the advisory lock of the server that prunes; the number spells "tradepru"."""


async def prune(database: Database, before: datetime, limit: int) -> int:
    """See Store.prune."""
    async with database.transaction():
        if not await database.fetchval("SELECT pg_try_advisory_xact_lock($1)", PRUNING):
            return 0
        partition = await droppable(database)
        if partition is None:
            count = await _delete_entries(database, before, limit)
        elif await has_entry_since(database, partition, before):
            count = 0
        else:
            count = await database.fetchval(_MOVE_OLDEST, partition.end)
    # After the commit: a commit locks the head of the log and its tables in an order that a drop would cross.
    await drop_before(database, await database.fetchval("SELECT oldest_sequence FROM event_log"))
    return count


async def _delete_entries(database: Database, before: datetime, limit: int) -> int:
    """Delete the oldest entries one by one, with the inputs of their signals; return their number."""
    pruned = await fetch_one(database, _PRUNE, before, limit)
    if pruned["count"]:
        await database.execute("DELETE FROM signal_inputs WHERE sequence <= $1", pruned["newest"])
        # Last, because commits wait for the lock of this row until the end of the transaction.
        await database.execute("UPDATE event_log SET oldest_sequence = $1", pruned["newest"] + 1)
    count: int = pruned["count"]
    return count
