"""Idempotency keys as the store has them. Commits write them: see commit.py."""

from __future__ import annotations

from datetime import datetime

from ...application.ports.idempotency import UsedKey
from .connection import Connections

_FIND = "SELECT method, request_hash, response FROM idempotency_keys WHERE caller = $1 AND key = $2"

_PRUNE = """
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE committed_at < $1 ORDER BY committed_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""


class UsedKeys:
    """Implements the part of application.ports.Store that is about idempotency keys."""

    _connections: Connections

    async def used_key(self, caller: str, key: str) -> UsedKey | None:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await database.fetchrow(_FIND, caller, key)
        return None if row is None else UsedKey(row["method"], row["request_hash"], row["response"])

    async def prune_keys(self, before: datetime, limit: int) -> int:
        """See Store."""
        async with self._connections.for_engine() as database:
            deleted: str = await database.execute(_PRUNE, before, limit)
        return int(deleted.rpartition(" ")[2])
