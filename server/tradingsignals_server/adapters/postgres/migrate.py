"""Migrations of the schema: each is applied once, in order, in a transaction of its own."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from importlib import resources

from .connection import Database
from .restoring import is_unfinished

log = logging.getLogger(__name__)

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_LOCK = 0x7472_6164_6573_6967
"""Key of the advisory lock of the process that migrates; the number spells "tradesig"."""

_TIMEOUT_S = 86_400.0
"""For a migration, which may read all of a large database, and for that of another process."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The schema of the database does not match this program. The message is one line."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, by which a later edit of an applied migration is detected."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return all migrations of this program, in order."""
    found = (
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in resources.files(f"{__package__}.migrations").iterdir()
        if (match := _FILE.fullmatch(file.name))
    )
    return sorted(found, key=lambda migration: migration.version)


async def migrate(connection: Database) -> list[Migration]:
    """Apply the missing migrations, and return them. Several processes may do so at once.

    Raises:
        MigrationError: the database was migrated by a newer program, or by one whose migrations differ, or a backup was
            not restored into it to the end.
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
        _check(applied, known)
        missing = [migration for migration in known if migration.version not in applied]
        for migration in missing:
            async with connection.transaction():
                await connection.execute(migration.sql, timeout=_TIMEOUT_S)
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
            log.info("applied migration %04d %s", migration.version, migration.name)
        return missing
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


def _check(applied: dict[int, str], known: list[Migration]) -> None:
    newest = known[-1].version
    if applied and max(applied) > newest:
        raise MigrationError(
            f"the database has schema version {max(applied)}, this program knows up to {newest}: use a newer program"
        )
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"migration {migration.version:04d} {migration.name} was applied from a text this program does not have"
            )
