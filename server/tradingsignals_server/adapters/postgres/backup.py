"""A backup of the database in one file, and its restoration, by PostgreSQL's own pg_dump and pg_restore.

A backup is of one snapshot, which is taken while servers go on. It is restored into an empty database only. Until that
is finished, a mark in the database keeps every server from starting on it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from ...domain.wording import counted
from .connection import connected
from .embedded.programs import MAJOR, EmbeddedPostgresError, program
from .place import place_of
from .restoring import UNFINISHED, is_unfinished

_HEAD = """
SELECT epoch, oldest_sequence, last_sequence, (SELECT count(*) FROM bars) AS bars,
    (SELECT count(*) FROM signals) AS signals, (SELECT count(*) FROM positions) AS positions,
    (SELECT max(version) FROM schema_migrations) AS schema
FROM event_log
"""

_VALID_KEYS = """
SELECT key_id, name FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at, key_id
"""

_TABLES = """
SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'S', 'v', 'm') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
    AND relname <> $1
"""

_RENEWED = """
INSERT INTO peer_secret (secret) VALUES (replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''))
"""

_DISABLE_ENDPOINTS = """
UPDATE notification_endpoints SET revision = revision + 1, state = 'DISABLED',
    disabled_reason = 'restored from a backup: activate it where its receiver is to be delivered to from here'
WHERE state <> 'DISABLED'
"""
"""A copy of a database must not send to the receivers of the original, nor what they have had already."""

_COPY_BARS = re.compile(r"COPY (?:\w+\.)?bars \((.*)\) FROM stdin;")


class BackupFailed(Exception):
    """A backup could not be made or restored. The message is one line."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup or a database has.

    epoch: of its event log. oldest, newest: sequences of the oldest and newest entry that are kept; the log is empty if
    `newest` is below `oldest`. bars, signals, positions: rows. schema: version of the newest migration.
    """

    epoch: UUID
    oldest: int
    newest: int
    bars: int
    signals: int
    positions: int
    schema: int

    def __str__(self) -> str:
        """Describe it in a line."""
        return (
            f"log {self.epoch} up to entry {self.newest}, {counted(self.bars, 'bar')}, "
            f"{counted(self.signals, 'signal')}, {counted(self.positions, 'position')}, schema {self.schema}"
        )


async def back_up(dsn: str, out: Path) -> Contents:
    """Write a backup of the database to the new file `out`. It appears there once it is complete and on the disk.

    Only its owner can read it. It does not have the secret of the servers; a restored database gets a new one.

    Raises:
        BackupFailed: the file exists or cannot be written, the database cannot be reached, is not one of this service,
            or pg_dump refuses.
    """
    _require_new(out)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        async with _snapshot(dsn) as (snapshot, contents):
            _make_private(part)
            options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={part}"]
            await _run("pg_dump", dsn, *options, "--exclude-table-data=*.peer_secret")
        await _run("pg_restore", None, "--list", str(part))  # a file that it can read
        _publish(part, out)
    except OSError as error:
        raise BackupFailed(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
    return contents


async def restore(dsn: str, file: Path, *, same_epoch: bool) -> Contents:
    """Restore a backup into an empty database, and return what that has then.

    The log gets a new epoch, because a server may have appended entries after the backup, which followers have seen:
    with the old one, they would take others with the same sequences for the continuation. Endpoints of notifications
    are disabled.

    Args:
        dsn: address of the database.
        file: the backup.
        same_epoch: keep the epoch; right only if the log has no entry after those in the backup.

    Raises:
        BackupFailed: the file is no backup, the database is not empty or cannot be reached, or pg_restore refuses. The
            database is empty then, but for the mark that it is unfinished.
    """
    await _run("pg_restore", None, "--list", str(file))
    async with _connection(dsn) as database:
        if await database.fetchval(_TABLES, UNFINISHED):
            why = "a restoration was cut off in it" if await is_unfinished(database) else "it is not empty"
            raise BackupFailed(
                f"the database at {place_of(dsn)} cannot take a backup, {why}: restore into an empty one, with another "
                "DATA_DIR or a database that was just created"
            )
        await database.execute(f"CREATE TABLE IF NOT EXISTS {UNFINISHED} ()")
        await _run(
            "pg_restore", dsn, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(file)
        )
        async with database.transaction():
            if not same_epoch:
                await database.execute("UPDATE event_log SET epoch = gen_random_uuid()")
            await database.execute("DELETE FROM peer_secret")  # of backups by earlier versions
            await database.execute(_RENEWED)
            if await database.fetchval("SELECT to_regclass('notification_endpoints') IS NOT NULL"):
                await database.execute(_DISABLE_ENDPOINTS)
            await database.execute(f"DROP TABLE {UNFINISHED}")
        await database.execute("ANALYZE")
        return await _contents(database, dsn)


async def holds_simulated_bars(file: Path, named: Collection[str]) -> bool:
    """Return whether a backup is of a simulated market: it is of one of the databases `named`, or its first bar is.

    Raises:
        BackupFailed: the file is no backup.
    """
    found = re.search(r"^; +dbname: (.*)$", await _run("pg_restore", None, "--list", str(file)), re.MULTILINE)
    if found is not None and found[1] in named:
        return True
    select = ("--data-only", "--table=bars", "--file=-")
    process = await asyncio.create_subprocess_exec(
        _program("pg_restore"), *select, str(file), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        return process.stdout is not None and await _first_is_simulated(process.stdout)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _first_is_simulated(script: AsyncIterable[bytes]) -> bool:
    """Return whether the first bar of a script that copies the table of bars is simulated; False if there is none."""
    columns: list[str] = []
    async for line in script:
        if columns:
            return dict(zip(columns, line.decode().rstrip("\n").split("\t"), strict=False)).get("simulated") == "t"
        if (copy := _COPY_BARS.match(line.decode())) is not None:
            columns = copy[1].split(", ")
    return False


async def valid_keys(dsn: str) -> Sequence[str]:
    """Return id and name of each API key that is neither revoked nor expired; none if the schema is older than keys.

    Raises:
        BackupFailed: the database cannot be reached.
    """
    async with _connection(dsn) as database:
        if await database.fetchval("SELECT to_regclass('api_keys') IS NULL"):
            return []
        return [f"{row['key_id']} ({row['name']})" for row in await database.fetch(_VALID_KEYS)]


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect, without the timeouts of a server's connections."""
    try:
        database = await connected(dsn, "tradingsignals backup")
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = "its address cannot be used" if isinstance(error, ValueError) else str(error) or type(error).__name__
        raise BackupFailed(f"the database at {place_of(dsn)} cannot be used: {' '.join(why.split())}") from None
    try:
        await database.execute("SET idle_in_transaction_session_timeout = 0")
        yield database
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BackupFailed(f"the database at {place_of(dsn)} does not do it: {error}") from error
    finally:
        await database.close(timeout=5.0)


@asynccontextmanager
async def _snapshot(dsn: str) -> AsyncIterator[tuple[str, Contents]]:
    """Hold a snapshot of the database, and yield its name and what it has."""
    async with _connection(dsn) as database, database.transaction(isolation="repeatable_read", readonly=True):
        if await is_unfinished(database):
            raise BackupFailed(f"the database at {place_of(dsn)} has a restoration in it that was cut off")
        contents = await _contents(database, dsn)
        yield await database.fetchval("SELECT pg_export_snapshot()"), contents


async def _contents(database: asyncpg.Connection, dsn: str) -> Contents:
    try:
        row = await database.fetchrow(_HEAD, timeout=None)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        row = None
    if row is None:
        raise BackupFailed(f"the database at {place_of(dsn)} is not one of this service, or an old one: see `migrate`")
    counts = {name: row[name] for name in ("bars", "signals", "positions", "schema")}
    return Contents(UUID(bytes=row["epoch"].bytes), row["oldest_sequence"], row["last_sequence"], **counts)


async def _run(name: str, dsn: str | None, *options: str) -> str:
    """Run one of PostgreSQL's programs, on the database at `dsn`, and return its output.

    The password is not among its arguments.

    Raises:
        BackupFailed: it is not installed, or it failed.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    at: Sequence[str] = ()
    if dsn is not None:
        address, password = _without_password(dsn)
        at = ("--no-password", f"--dbname={address}")
        environment |= {"PGAPPNAME": "tradingsignals backup", "PGCONNECT_TIMEOUT": "10"}
        if password is not None:
            environment["PGPASSWORD"] = password
    process = await asyncio.create_subprocess_exec(
        _program(name), *at, *options, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        output, said = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
        raise BackupFailed(f"{name} failed: {'; '.join(lines[:2]) or f'exit code {process.returncode}'}")
    return output.decode(errors="replace")


def _program(name: str) -> Path:
    try:
        return program(name)
    except EmbeddedPostgresError:
        found = shutil.which(name)
    if found is None:
        raise BackupFailed(f"{name} is not installed: install PostgreSQL's client programs, version {MAJOR} or later")
    return Path(found)


def _without_password(dsn: str) -> tuple[str, str | None]:
    """Divide an address into one without the password, and the password."""
    parts = urlsplit(dsn)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}{at}{hosts}")), unquote(password) if colon else None


def _require_new(out: Path) -> None:
    if out.exists():
        raise BackupFailed(f"{out}: exists already and is not overwritten")


def _make_private(part: Path) -> None:
    """Create the file that pg_dump writes to, closed to other users whatever the umask is: it has hashes of keys."""
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _publish(part: Path, out: Path) -> None:
    """Give a complete file its name, durably. Unlike a rename, this fails if a file was created meanwhile."""
    _to_disk(part)
    os.link(part, out)
    _to_disk(out.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
