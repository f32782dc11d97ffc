"""The API keys in PostgreSQL. See application.ports.access."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import asyncpg

from ...domain.access import ApiKey, Role
from ...domain.errors import StorageUnavailable
from .connection import UNAVAILABLE, Connections, connected

CHANNEL = "tradingsignals_api_keys"
HEARTBEAT_INTERVAL_S = 5.0
"""Between two checks of the connection that listens: the other side of a dead one may never close it."""

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
        over = asyncio.Event()
        try:
            connection = await connected(self._dsn, "tradingsignals keys")
            try:
                connection.add_termination_listener(lambda _: over.set())
                await connection.add_listener(CHANNEL, lambda *_: changed())
                changed()
                while not over.is_set():
                    await _wait(over)
                    await connection.execute("SELECT", timeout=HEARTBEAT_INTERVAL_S)
            finally:
                connection.terminate()
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            raise StorageUnavailable from error
        raise StorageUnavailable


async def _wait(over: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(HEARTBEAT_INTERVAL_S):
            await over.wait()
    except TimeoutError:
        pass


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
