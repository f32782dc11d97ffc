"""The secret by which the servers of one database authenticate each other."""

from __future__ import annotations

from .connection import Connections


async def peer_secret(connections: Connections) -> str:
    """Read the secret, which a migration has created.

    Raises:
        StorageUnavailable: the database is unreachable.
    """
    async with connections.for_engine() as database:
        secret: str = await database.fetchval("SELECT secret FROM peer_secret")
    return secret
