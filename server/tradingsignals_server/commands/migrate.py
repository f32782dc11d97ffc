"""`tradingsignals migrate`: bring the schema of the database up to date."""

from __future__ import annotations

from ..adapters.postgres.connection import connections
from ..bootstrap.storage import database_as_is, migrate_schema
from ..config.settings import Settings


async def migrate(settings: Settings) -> None:
    """Apply the missing migrations and print them."""
    async with database_as_is(settings) as dsn, connections(dsn) as opened:
        applied = await migrate_schema(opened)
    for migration in applied:
        print(f"applied {migration.version:04d} {migration.name}")
    if not applied:
        print("the schema is up to date")
