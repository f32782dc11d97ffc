"""Migrations of the schema: each is applied once, in order, in a transaction of its own, beside servers that run."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

import asyncpg

from .connection import Database
from .lease import END_SILENT, SWEEP, Lock
from .membership import SILENT_S
from .restoring import is_unfinished
from .schema import FIRST_MARKED, Migration, ProgramTooOld, migrations

log = logging.getLogger(__name__)

_LOCK = 0x7472_6164_6573_6967
"""Key of the advisory lock of the process that migrates; the number spells "tradesig"."""

_TIMEOUT_S = 86_400.0
"""For a migration, which may read all of a large database, and for that of another process."""

LOCK_TIMEOUT_S = 2.0
"""A migration that has waited so long for a lock is rolled back: commits of other servers wait behind it meanwhile."""

LOCK_PAUSE_S = 2.0
"""Between two attempts, so that the other servers commit what has queued."""

LOCK_DEADLINE_S = 1800.0
"""For all attempts. A backup of a large database locks all of its tables, and takes minutes."""

STOP_DEADLINE_S = 45.0
"""For servers of older programs to stop. `up` gives a server that starts a minute to migrate and to be healthy."""

_POLL_S = 0.2

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_IN_TRANSACTION = """
SELECT set_config(name, value, true)
FROM (VALUES ('lock_timeout', $1), ('client_connection_check_interval', '1s')) AS given(name, value)
    JOIN pg_settings USING (name)
"""
"""The second ends a statement of hours whose process was killed; versions of PostgreSQL before 14 do not have it."""

_OLDER = "SELECT address FROM servers WHERE coalesce(program, 0) < $1 ORDER BY address"

_LONGEST_TRANSACTION = """
SELECT format('%s (process %s) has been in a transaction for %s s', coalesce(nullif(application_name, ''), usename),
    pid, round(extract(epoch FROM now() - xact_start)))
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start LIMIT 1
"""


class MigrationError(Exception):
    """The schema of the database does not match this program. The message is one line."""


async def migrate(connection: Database) -> list[Migration]:
    """Apply the missing migrations, and return them. Several processes may do so at once.

    Raises:
        ProgramTooOld: a newer program has migrated the database, and this one must not work on it any more.
        MigrationError: a program whose migrations differ has migrated the database, a backup was not restored into it
            to the end, or what has to change cannot be locked or is used by servers of an older program.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_TIMEOUT_S)
    try:
        if await is_unfinished(connection):
            raise MigrationError(
                "a backup is being restored into the database, or that was cut off: wait for it, or restore it into an "
                "empty database"
            )
        await connection.execute(_LEDGER)
        rows = await connection.fetch("SELECT version, checksum FROM schema_migrations")
        applied: dict[int, str] = {row["version"]: row["checksum"] for row in rows}
        known = migrations()
        await _check(connection, applied, known)
        missing = [migration for migration in known if migration.version not in applied]
        for migration in missing:
            if applied and migration.stops_older_servers:
                await _apply_alone(connection, migration)
            else:
                await _apply(connection, migration)
            log.info("applied migration %04d %s", migration.version, migration.name)
        return missing
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _check(connection: Database, applied: dict[int, str], known: list[Migration]) -> None:
    newest = known[-1].version
    if applied and max(applied) > newest:
        oldest = await oldest_program(connection, max(applied))
        if oldest > newest:
            raise ProgramTooOld(oldest)
        log.warning("the database has schema version %d: a newer version was started on it", max(applied))
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"migration {migration.version:04d} {migration.name} was applied from a text this program does not have"
            )


async def oldest_program(connection: Database, version: int) -> int:
    """Return which migration a program must know to work on a database with schema `version`."""
    if version < FIRST_MARKED:
        return version
    oldest: int = await connection.fetchval("SELECT oldest_program FROM event_log")
    return oldest


async def _apply_alone(connection: Database, migration: Migration) -> None:
    """Apply a migration that older programs cannot work with, once their servers have stopped.

    From now on their commits write nothing and they stop by themselves, unless they are from before FIRST_MARKED.

    Raises:
        MigrationError: some have not stopped; those that did may start again.
    """
    before: int = await connection.fetchval("SELECT oldest_program FROM event_log")
    await connection.execute("UPDATE event_log SET oldest_program = $1", migration.version)
    try:
        await _older_stopped(connection, migration)
        await _apply(connection, migration)
    except BaseException:
        await connection.execute("UPDATE event_log SET oldest_program = $1", before)
        raise


async def _older_stopped(connection: Database, migration: Migration) -> None:
    deadline = monotonic() + STOP_DEADLINE_S
    while True:
        await connection.fetchval(END_SILENT, Lock.SERVER, SILENT_S)
        await connection.execute(SWEEP, Lock.SERVER)
        addresses = [row["address"] for row in await connection.fetch(_OLDER, migration.version)]
        if not addresses:
            return
        if monotonic() > deadline:
            raise MigrationError(
                f"migration {migration.version:04d} {migration.name} needs servers of older versions to stop, and "
                f"{', '.join(addresses)} did not: stop them, then start this one again"
            )
        await asyncio.sleep(_POLL_S)


async def _apply(connection: Database, migration: Migration) -> None:
    """Apply a migration, again and again until it gets its locks: servers of the version before commit meanwhile.

    Raises:
        MigrationError: it did not get them in LOCK_DEADLINE_S.
    """
    deadline = monotonic() + LOCK_DEADLINE_S
    while True:
        try:
            async with connection.transaction():
                await connection.execute(_IN_TRANSACTION, f"{LOCK_TIMEOUT_S:g}s")
                await connection.execute(migration.sql, timeout=_TIMEOUT_S)
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            holder = await connection.fetchval(_LONGEST_TRANSACTION) or "no transaction is open any more"
            waiting = f"migration {migration.version:04d} {migration.name} waits for a lock: {holder}"
            if monotonic() > deadline:
                raise MigrationError(f"{waiting}; end it, then start this program again") from error
            log.warning("%s", waiting)
        await asyncio.sleep(LOCK_PAUSE_S)
