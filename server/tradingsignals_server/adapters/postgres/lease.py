"""A server's lease: the database session that holds its advisory locks, and the statements about leases and buckets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg

from .commit import CHANNEL
from .connection import UNAVAILABLE, connected
from .schema import program_version

RESPONSE_TIMEOUT_S = 5.0
"""For the response to a statement of the lease."""
CLAIM_TIMEOUT_S = 15.0
"""For a claim, which may wait for a commit of another server; PostgreSQL ends an idle one after ten seconds."""

FAILURES = (*UNAVAILABLE, asyncpg.PostgresError)


class Lock(IntEnum):
    """The subject of an advisory lock with two keys: its first key."""

    BUCKET = 0x7453_0004  # 0x7453_0001 was a symbol, before there were buckets
    SERVER = 0x7453_0002
    ROLE = 0x7453_0003


_NEXT_KEY = "SELECT nextval(pg_get_serial_sequence('servers', 'lock_key'))::int4"
_LOCK_SERVER = "SELECT pg_advisory_lock($1, $2)"
_JOIN = "INSERT INTO servers (server_id, lock_key, address, program) VALUES ($1, $2, $3, $4)"
_LEAVE = "DELETE FROM servers WHERE server_id = $1"

SWEEP = """
DELETE FROM servers WHERE NOT EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 2
        AND classid = $1::int8::oid AND objid = servers.lock_key::int8::oid
)
"""
"""Deletes the rows of servers whose lock is free."""

# Times are those of the database's clock. A session in the middle of a statement is not silent: it may wait for a lock;
# if its server hangs, it is idle once it has the lock. A user may only end its own sessions.
END_SILENT = """
SELECT count(pg_terminate_backend(pid))
FROM servers JOIN pg_locks ON classid = $1::int8::oid AND objid = servers.lock_key::int8::oid
    JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objsubid = 2 AND datname = current_database() AND usename = session_user
    AND state = 'idle' AND state_change < now() - make_interval(secs => $2)
"""
"""Ends the database sessions of servers that have been silent for $2 seconds; returns how many it ended."""

COUNT = "SELECT count(*) FROM servers"

FAIR_SHARE = """
SELECT ceil(count(*)::float8 / (SELECT count(*) FROM servers))::int4 FROM bucket_owners JOIN servers USING (server_id)
"""
OLDEST_PROGRAM = "SELECT oldest_program FROM event_log"
UNLOCK_BUCKETS = "SELECT count(pg_advisory_unlock($1, key)) FROM unnest($2::int4[]) AS key"
COUNT_OTHERS = "SELECT count(*) FROM servers WHERE server_id <> $1"
TRY_LOCK = "SELECT pg_try_advisory_lock($1, $2)"
_TRY_LOCKS = "SELECT key FROM unnest($2::int4[]) AS key WHERE pg_try_advisory_lock($1, key)"

# Under the row lock of the log no commit of the previous owner is in progress, and none follows: one that has read the
# owners before, and waits for this lock, finds that `takeovers` has changed.
_TAKE = """
WITH head AS (UPDATE event_log SET takeovers = takeovers + 1 RETURNING last_sequence),
taken AS (
    INSERT INTO bucket_owners (bucket, server_id) SELECT bucket, $1 FROM head, unnest($2::int4[]) AS bucket
    ON CONFLICT (bucket) DO UPDATE SET server_id = $1, taken_at = now()
)
SELECT last_sequence FROM head
"""
_OWNERS = """
SELECT bucket, address FROM bucket_owners JOIN servers USING (server_id)
WHERE bucket = ANY ($1::int4[]) AND server_id <> $2
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """One life of the connection. `over` is set when it is lost or ended.

    held: buckets held. released: buckets whose locks are still to be freed.
    """

    id: UUID
    connection: asyncpg.Connection
    held: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def begin(cls, dsn: str, address: str, wake: Callable[[], None]) -> Self:
        """Connect and register the server at `address`; `wake` is called for each commit of another server.

        Raises:
            FAILURES: the database cannot be reached, or does not respond.
        """
        connection = await connected(dsn, "tradingsignals session")
        lease = cls(uuid4(), connection)
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                key = await connection.fetchval(_NEXT_KEY)
                # The lock first: every server that joins deletes rows without one.
                await connection.execute(_LOCK_SERVER, Lock.SERVER, key)
                await connection.execute(_JOIN, lease.id, key, address, program_version())
                await connection.execute(SWEEP, Lock.SERVER)
                await connection.add_listener(CHANNEL, lambda *_: wake())
        except BaseException:
            lease.end()
            raise
        connection.add_termination_listener(lambda _: lease.end())
        return lease

    async def take(self, buckets: Collection[int]) -> tuple[list[int], int]:
        """Take those of `buckets` that are free; return them and the newest sequence of the log, 0 if none is free."""
        taken = [row["key"] for row in await self.connection.fetch(_TRY_LOCKS, Lock.BUCKET, list(buckets))]
        through: int = await self.connection.fetchval(_TAKE, self.id, taken) if taken else 0
        self.held.update(taken)
        return taken, through

    async def owners(self, buckets: Collection[int]) -> Mapping[int, str]:
        """Return the addresses of the other servers that hold `buckets`."""
        if not buckets:
            return {}
        rows = await self.connection.fetch(_OWNERS, list(buckets), self.id)
        return {row["bucket"]: row["address"] for row in rows}

    async def query(self, statement: str, *values: object) -> Any:
        """Return the value of a statement; None, and the end of the lease, if the database does not respond."""
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                return await self.connection.fetchval(statement, *values)
        except FAILURES:
            self.end()
            return None

    async def give_back(self) -> None:
        """Delete the server's row and close the connection, so that others can take its buckets at once."""
        async with asyncio.timeout(RESPONSE_TIMEOUT_S):
            await self.connection.execute(_LEAVE, self.id)
            await self.connection.close()

    def end(self) -> None:
        """Hold nothing any more, and drop the connection."""
        if self.over.is_set():
            return
        self.over.set()
        self.held.clear()
        self.connection.terminate()
