"""The mark of a database into which a backup is being restored: a table without columns, dropped at the end."""

from __future__ import annotations

import asyncpg

from .connection import Database

UNFINISHED = "restoration_unfinished"
"""Name of the table."""


async def is_unfinished(database: Database | asyncpg.Connection) -> bool:
    """Return whether a restoration is under way in the database, or was cut off."""
    return bool(await database.fetchval("SELECT to_regclass($1) IS NOT NULL", UNFINISHED))
