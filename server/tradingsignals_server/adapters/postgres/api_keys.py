"""The API keys in PostgreSQL. See application.ports.access."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import asyncpg

from ...domain.access import ApiKey, Role
from .connection import Connections
from .listening import listen

CHANNEL = "tradingsignals_api_keys"

_COLUMNS = "key_id, name, role, secret_hash, networks, created_at, expires_at, last_used_at, revoked_at"
_LOAD = f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at DESC, key_id"
_ADD = f"INSERT INTO api_keys ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL)"
_REVOKE = f"UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE key_id = $1 RETURNING {_COLUMNS}"
_RECORD = """
UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
FROM unnest($1::text[], $2::timestamptz[]) AS used(key_id, at) WHERE api_keys.key_id = used.key_id
"""


class PostgresKeys:
    """Implements application.ports.access.KeyStore."""

    def __init__(self, connections: Connections, dsn: str) -> None:
        self._connections = connections
        self._dsn = dsn

    async def load_keys(self) -> Sequence[ApiKey]:
        """See KeyStore."""
        async with self._connections.for_engine() as database:
            return [_key_of(row) for row in await database.fetch(_LOAD)]

    async def add_key(self, key: ApiKey) -> None:
        """See KeyStore."""
        values = (key.id, key.name, key.role, key.secret_hash, key.networks, key.created_at, key.expires_at)
        async with self._connections.for_engine() as database:
            await database.execute(_ADD, *values)

    async def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """See KeyStore."""
        async with self._connections.for_engine() as database:
            row = await database.fetchrow(_REVOKE, key_id, at)
        return None if row is None else _key_of(row)

    async def record_uses(self, used_at: Mapping[str, datetime]) -> None:
        """See KeyStore."""
        async with self._connections.for_engine() as database:
            await database.execute(_RECORD, list(used_at), list(used_at.values()))

    async def listen(self, changed: Callable[[], None]) -> None:
        """See KeyStore."""
        await listen(self._dsn, "tradingsignals keys", CHANNEL, changed)


def _key_of(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        id=row["key_id"],
        name=row["name"],
        role=Role(row["role"]),
        secret_hash=row["secret_hash"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        networks=tuple(row["networks"]),
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
