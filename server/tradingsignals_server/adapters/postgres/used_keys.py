"""Idempotency keys as the store has them. Commits write them: see commit.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from ...application.ports.idempotency import UsedKey
from .connection import Connections

_FIND = """
SELECT caller, key, method, request_hash, response
FROM unnest($1::text[], $2::text[]) AS sent (caller, key) JOIN idempotency_keys USING (caller, key)
"""

_PRUNE = """
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE committed_at < $1 ORDER BY committed_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""


class KeyLookup:
    """Looks keys up, one lookup at a time: calls that arrive during one share the next.

    So they come to the writer together. Each by itself, they would come one after the other through the few connections
    of reads, and few would share a commit.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._turn = asyncio.Lock()
        self._sent: list[tuple[str, str]] = []
        self._found: asyncio.Task[Mapping[tuple[str, str], UsedKey]] | None = None
        """The lookup of `_sent`, while it waits for its turn."""

    async def find(self, caller: str, key: str) -> UsedKey | None:
        """Return the first request with a key. See Store.used_key."""
        if self._found is None:
            self._sent = []
            self._found = asyncio.get_running_loop().create_task(self._next())
        self._sent.append((caller, key))
        return (await asyncio.shield(self._found)).get((caller, key))

    async def _next(self) -> Mapping[tuple[str, str], UsedKey]:
        async with self._turn:
            self._found = None
            callers, keys = zip(*self._sent, strict=True)
            async with self._connections.for_read() as database:
                rows = await database.fetch(_FIND, callers, keys)
        return {
            (row["caller"], row["key"]): UsedKey(row["method"], row["request_hash"], row["response"]) for row in rows
        }


class UsedKeys:
    """Implements the part of application.ports.Store that is about idempotency keys."""

    _connections: Connections
    _key_lookup: KeyLookup

    async def used_key(self, caller: str, key: str) -> UsedKey | None:
        """See Store."""
        return await self._key_lookup.find(caller, key)

    async def prune_keys(self, before: datetime, limit: int) -> int:
        """See Store."""
        async with self._connections.for_engine() as database:
            deleted: str = await database.execute(_PRUNE, before, limit)
        return int(deleted.rpartition(" ")[2])
