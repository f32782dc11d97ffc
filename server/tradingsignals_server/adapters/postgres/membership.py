"""This server among those of one database: its session, its advisory locks, and what it hears of the others.

One connection is kept for this alone. Its session holds the locks, so that they are free the moment the server is gone,
however it went; and it listens to the commits of others. A session that is lost takes all of that with it, and the next
one has another name. A server that stands still keeps its connection, so the others end a session that is silent.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from ...application.ports.ownership import Claim, bucket_of
from ...domain.errors import StorageUnavailable
from .commit import CHANNEL
from .connection import UNAVAILABLE, connected

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
"""Between two looks whether the session still lives. The other side of a dead connection may never say so."""
SILENT_SECONDS = 5.0
"""A session that asked nothing for so long is ended by the others: its server has missed five heartbeats, so it stands
still. Bars wait longer than this for an owner, so their publishers hear nothing of it."""
ANSWER_SECONDS = 5.0
"""For the answer to anything asked over the session."""
CLAIM_SECONDS = 15.0
"""The same for a claim, which may have to wait for another server's commit; that is ended after ten seconds at most."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0


_FAILURES = (*UNAVAILABLE, asyncpg.PostgresError)


class _Lock(IntEnum):
    """What an advisory lock of two keys is about: the first of them."""

    BUCKET = 0x7453_0004  # 0x7453_0001 was a symbol, to servers that knew no buckets
    SERVER = 0x7453_0002
    ROLE = 0x7453_0003


_JOIN = "INSERT INTO servers (server_id, lock_key, address) VALUES ($1, $2, $3)"
_NEXT_KEY = "SELECT nextval(pg_get_serial_sequence('servers', 'lock_key'))::int4"
_SWEEP = """
DELETE FROM servers WHERE NOT EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 2
        AND classid = $1::int8::oid AND objid = servers.lock_key::int8::oid
)
"""
# By the database's clock alone. A session in the middle of a statement is not silent: it may wait for a lock. If its
# server stands still it is idle as soon as it has that. A user may end connections of its own, so others' are left out.
_HEARTBEAT = """
SELECT count(pg_terminate_backend(pid))
FROM servers JOIN pg_locks ON classid = $1::int8::oid AND objid = servers.lock_key::int8::oid
    JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objsubid = 2 AND datname = current_database() AND usename = session_user
    AND state = 'idle' AND state_change < now() - make_interval(secs => $2)
"""
_SHARE = """
SELECT ceil(count(*)::float8 / (SELECT count(*) FROM servers))::int4 FROM bucket_owners JOIN servers USING (server_id)
"""
_UNLOCK = "SELECT count(pg_advisory_unlock($1, key)) FROM unnest($2::int4[]) AS key"
_LEAVE = "DELETE FROM servers WHERE server_id = $1"
_OTHERS = "SELECT count(*) FROM servers WHERE server_id <> $1"
_LOCK = "SELECT pg_try_advisory_lock($1, $2)"
_TRY = "SELECT key FROM unnest($2::int4[]) AS key WHERE pg_try_advisory_lock($1, key)"
# Behind the row lock of the log no commit of the owner before is under way, and none comes after; one that has looked
# who owns the bucket and waits for the lock finds one takeover more than it has seen.
_TAKE = """
WITH head AS (UPDATE event_log SET takeovers = takeovers + 1 RETURNING last_sequence),
taken AS (
    INSERT INTO bucket_owners (bucket, server_id) SELECT bucket, $1 FROM head, unnest($2::int4[]) AS bucket
    ON CONFLICT (bucket) DO UPDATE SET server_id = $1, taken_at = now()
)
SELECT last_sequence FROM head
"""
_WHO = """
SELECT bucket, address FROM bucket_owners JOIN servers USING (server_id)
WHERE bucket = ANY ($1::int4[]) AND server_id <> $2
"""


@dataclass(frozen=True, slots=True)
class _Session:
    """One life of the connection. `over` is set when it is lost or ended."""

    name: UUID
    connection: asyncpg.Connection
    held: set[int] = field(default_factory=set)
    let_go: set[int] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let go of everything."""
        if self.over.is_set():
            return
        self.over.set()
        self.held.clear()
        self.connection.terminate()


class Membership:
    """Implements application.engine.ownership.Ownership. `wake` is called when others may have committed."""

    def __init__(self, dsn: str, wake: Callable[[], None]) -> None:
        self._dsn = dsn
        self._wake = wake
        self._address = ""
        self._session: _Session | None = None
        self._left = False
        self._one_at_a_time = asyncio.Lock()
        self._beginning = asyncio.Lock()
        self.taken_through = 0

    @property
    def lease_id(self) -> UUID | None:
        """See Ownership."""
        return None if (session := self._live()) is None else session.name

    def holds(self, symbol: str) -> bool:
        """See Ownership."""
        session = self._live()
        return session is not None and bucket_of(symbol) in session.held

    async def claim(self, symbols: Collection[str]) -> Claim:
        """See Ownership."""
        # Half a claim would cost the session, so a caller who goes away does not end it.
        claiming = asyncio.ensure_future(self._claim(symbols))
        claiming.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(claiming)

    def release(self, buckets: Collection[int]) -> None:
        """See Ownership."""
        if (session := self._live()) is not None:
            gone = session.held.intersection(buckets)
            session.held.difference_update(gone)
            session.let_go.update(gone)

    async def unlock_released(self) -> None:
        """See Ownership."""
        if (session := self._live()) is not None and session.let_go:
            gone = list(session.let_go)
            session.let_go.clear()
            await self._asked(session, _UNLOCK, _Lock.BUCKET, gone)

    async def surplus(self) -> Sequence[int]:
        """See Ownership."""
        session = self._live()
        if session is None or len(session.held) < 2:
            return ()
        await self._asked(session, _SWEEP, _Lock.SERVER)
        share = await self._asked(session, _SHARE)
        over = 0 if share is None else len(session.held) - share
        return random.sample(sorted(session.held), over) if over > 0 else ()

    async def lead(self, role: int) -> Callable[[], Coroutine[Any, Any, object]]:
        """Wait until this server alone has `role`; what is returned waits until it has lost it."""
        while True:
            with suppress(StorageUnavailable):
                session = await self._current()
                if await self._asked(session, _LOCK, _Lock.ROLE, role):
                    return session.over.wait
            # Polled: to wait for a lock inside PostgreSQL would keep the session from everything else.
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def join(self, address: str) -> None:
        """Begin a session, as the server that the others reach at `address`, host:port.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        self._address = address
        await self._current()

    async def run(self) -> None:
        """Keep a session, a new one whenever it is lost, until `leave`."""
        while True:
            if (session := self._live()) is not None:
                await self._watch(session)
            if self._left:
                return
            log.warning("the session with the database is lost, and with it this server's symbols")
            pause = _FIRST_PAUSE_SECONDS
            while self._live() is None and not self._left:
                try:
                    await self._current()
                except StorageUnavailable as error:
                    log.debug("no session yet", exc_info=error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def is_alone(self) -> bool:
        """True if no other server is at work, as far as this one can tell."""
        session = self._live()
        return session is not None and await self._asked(session, _OTHERS, session.name) == 0

    async def leave(self) -> None:
        """End the session for good: others may take over at once."""
        self._left = True
        async with self._one_at_a_time:
            session = self._live()
            if session is None:
                return
            with suppress(*_FAILURES):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await session.connection.execute(_LEAVE, session.name)
                    await session.connection.close()
            session.end()

    # ------------------------------------------------------------------------------------------------ the session

    def _live(self) -> _Session | None:
        session = self._session
        return None if session is None or session.over.is_set() else session

    async def _current(self) -> _Session:
        """The session, begun if there is none: whoever needs it does not wait for `run` to come round to it."""
        async with self._beginning:
            if (session := self._live()) is not None:
                return session
            if self._left:
                raise StorageUnavailable
            try:
                return await self._begin()
            except _FAILURES as error:
                raise StorageUnavailable from error

    async def _claim(self, symbols: Collection[str]) -> Claim:
        elsewhere: Mapping[int, str] = {}
        session = await self._current()
        async with self._one_at_a_time:
            if session.over.is_set():
                raise StorageUnavailable
            wanted = {bucket_of(symbol) for symbol in symbols} - session.held
            if wanted:
                elsewhere = await self._take(session, wanted)
        return Claim(frozenset(filter(self.holds, symbols)), elsewhere)

    async def _take(self, session: _Session, wanted: set[int]) -> Mapping[int, str]:
        """Take what is free of these buckets; returns the addresses of the servers that have the rest."""
        connection = session.connection
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                won = [row["key"] for row in await connection.fetch(_TRY, _Lock.BUCKET, list(wanted))]
                if won:
                    through = await connection.fetchval(_TAKE, session.name, won)
                    self.taken_through = max(self.taken_through, through)
                    session.held.update(won)
                    log.info("this server has taken %d buckets of symbols and has %d", len(won), len(session.held))
                left = list(wanted - session.held)
                found = await connection.fetch(_WHO, left, session.name) if left else []
        except BaseException as error:
            # What was locked may not be written down: give all of it up, and begin anew.
            session.end()
            if isinstance(error, _FAILURES):
                raise StorageUnavailable from error
            raise
        return {row["bucket"]: row["address"] for row in found}

    async def _begin(self) -> _Session:
        connection = await connected(self._dsn, "tradingsignals session")
        session = _Session(uuid4(), connection)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                key = await connection.fetchval(_NEXT_KEY)
                # The lock first: a row without one is swept away by whoever joins.
                await connection.execute("SELECT pg_advisory_lock($1, $2)", _Lock.SERVER, key)
                await connection.execute(_JOIN, session.name, key, self._address)
                await connection.execute(_SWEEP, _Lock.SERVER)
                await connection.add_listener(CHANNEL, lambda *_: self._wake())
        except BaseException:
            session.end()
            raise
        connection.add_termination_listener(lambda _: session.end())
        self._session = session
        self._wake()  # what was committed before it listened
        return session

    async def _watch(self, session: _Session) -> None:
        """Until the session is lost: be heard of by the others, and end those who are not."""
        while not session.over.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await session.over.wait()
            except TimeoutError:
                if await self._asked(session, _HEARTBEAT, _Lock.SERVER, SILENT_SECONDS):
                    log.warning("a server has said nothing for %g s; its session is ended", SILENT_SECONDS)

    async def _asked(self, session: _Session, statement: str, *values: object) -> Any:
        """What the database answers; None, and the end of the session, if it does not."""
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await session.connection.fetchval(statement, *values)
            except _FAILURES:
                session.end()
        return None
