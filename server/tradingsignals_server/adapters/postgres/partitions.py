"""Partitions of the event log, and of the inputs of signals: added at its end, dropped at its start.

See docs/adr/0041-the-log-is-dropped-by-partitions.md.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from .connection import Database, fetch_one

log = logging.getLogger(__name__)

SMALLEST_ENTRIES = 100_000
"""Sequences of a partition at least: some 35 MB with the inputs of its signals."""

SHARE = 4
"""A new partition has a fraction, 1 / SHARE, of the entries that are kept. A read of the log locks all partitions: that
costs 0.1 ms if there are 32, and 3 ms if there are 128. A log that grows from nothing to 100 million has some 30."""

PARTITIONING = 0x7472_6164_6570_6172
"""Key of the advisory lock of the server that adds one; the number spells "tradepar"."""

_DROP_TIMEOUT_S = 0.5
"""For the lock: commits wait behind it meanwhile."""

_TABLES = ("events", "signal_inputs")

# A partition that is being dropped is seen without bounds.
_PARTITIONS = r"""
SELECT name, sequence AS end FROM (
    SELECT relname AS name,
        (regexp_match(pg_get_expr(relpartbound, pg_class.oid), 'TO \(''(\d+)''\)'))[1]::bigint AS sequence
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'events'::regclass
) AS found WHERE sequence IS NOT NULL ORDER BY sequence
"""

_HEAD = "SELECT oldest_sequence AS oldest, last_sequence AS newest FROM event_log"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of the log: its table, and the first sequence after it."""

    name: str
    end: int

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables with its bounds: of the inputs, then of the log."""
        return self.name.replace("events", "signal_inputs", 1), self.name


async def partitions(database: Database) -> Sequence[Partition]:
    """Return the partitions of the log, in the order of their sequences."""
    return [Partition(row["name"], row["end"]) for row in await database.fetch(_PARTITIONS)]


def is_beyond_the_last(error: asyncpg.CheckViolationError) -> bool:
    """Return whether a row was refused because its sequence has no partition yet."""
    return error.constraint_name is None and error.table_name in _TABLES


async def make_room(database: Database, entries: int) -> None:
    """Add the next partition, unless the log has room for that many further entries: another server may have added it.

    It is attached rather than created as a partition, which would wait for a backup that reads the log.
    """
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock($1)", PARTITIONING)
        start = (await partitions(database))[-1].end
        head = await fetch_one(database, _HEAD)
        if start > head["newest"] + entries:
            return
        size = max(SMALLEST_ENTRIES, (head["newest"] - head["oldest"] + 1) // SHARE)
        end = max(start + size, head["newest"] + entries + 1)
        for table in _TABLES:
            name = f"{table}_{start:d}"
            await database.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
            await database.execute(f"COMMENT ON TABLE {name} IS 'Partition of {table}.'")
            await database.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start:d}) TO ({end:d})"
            )
    log.info("the log has a new partition, from sequence %d to %d", start, end - 1)


async def droppable(database: Database) -> Partition | None:
    """Return the oldest partition with entries if it is to be dropped as a whole, None if entries are to be deleted.

    These are deleted while it has more than all the others: what is kept would be more than twice of what is to be.
    """
    head = await fetch_one(database, _HEAD)
    oldest, newest = head["oldest"], head["newest"]
    first = next((each for each in await partitions(database) if each.end > oldest), None)
    if first is None:
        return None
    own, others = first.end - oldest, newest + 1 - first.end
    return first if own <= others else None


async def has_entry_since(database: Database, partition: Partition, time: datetime) -> bool:
    """Return whether an entry of the partition was committed at `time` or later. The newest one is the first guess."""
    newest = await database.fetchval(f"SELECT time >= $1 FROM {partition.name} ORDER BY sequence DESC LIMIT 1", time)
    found: bool = newest or await database.fetchval(
        f"SELECT EXISTS (SELECT FROM {partition.name} WHERE time >= $1)", time
    )
    return found


async def drop_before(database: Database, oldest: int) -> None:
    """Drop partitions that end before the sequence `oldest`, except for the last one.

    Each table in a transaction of its own, so that no lock is held while another one is waited for. What is read at the
    moment, such as by a backup, is dropped by a later call.
    """
    for partition in (await partitions(database))[:-1]:
        if partition.end > oldest:
            return
        for table in partition.tables:
            try:
                async with database.transaction():
                    await database.execute(f"SET LOCAL lock_timeout = '{_DROP_TIMEOUT_S:g}s'")
                    await database.execute(f"DROP TABLE IF EXISTS {table}")
            except asyncpg.LockNotAvailableError:
                log.info("%s is no longer needed, but is being read: it is dropped later", table)
                return
