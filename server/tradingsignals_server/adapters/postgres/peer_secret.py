"""The secret by which the servers of one database know each other."""

from __future__ import annotations

from .connection import Connections


async def peer_secret(connections: Connections) -> str:
    """The secret, which a migration has made and every server of the database reads at its start.

    Raises:
        StorageUnavailable: the database is away.
    """
    async with connections.for_engine() as database:
        secret: str = await database.fetchval("SELECT secret FROM peer_secret")
    return secret
