"""This server among the servers of one database: its lease, its buckets, and the commits of the others.

A lease has a connection of its own. The advisory locks of its database session are free the moment the server is gone,
however it ended, and the session is notified of other servers' commits. A lost session takes all of that with it, and
the next lease has another id. A server that hangs keeps its connection, so the others end a session that is silent.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn
from uuid import UUID

from ...application.ports.ownership import Claim
from ...domain.buckets import bucket_of
from ...domain.errors import StorageUnavailable
from .connection import Connections
from .lease import (
    CLAIM_TIMEOUT_S,
    COUNT,
    COUNT_OTHERS,
    END_SILENT,
    FAILURES,
    FAIR_SHARE,
    OLDEST_PROGRAM,
    SWEEP,
    TRY_LOCK,
    UNLOCK_BUCKETS,
    Lease,
    Lock,
)
from .schema import ProgramTooOld, program_version

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 1.0
"""Between two checks of the session: the other side of a dead connection may never close it."""
SILENT_S = 5.0
"""The others end a session that has been silent for so long: its server has missed five heartbeats, so it hangs. Bars
wait longer than this for an owner, so their publishers do not notice."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


async def running_servers(connections: Connections) -> int:
    """Return how many servers of a database are running."""
    async with connections.for_engine() as database:
        await database.execute(SWEEP, Lock.SERVER)
        count: int = await database.fetchval(COUNT)
    return count


class Membership:
    """Implements application.ports.ownership.Ownership. `wake` is called when other servers may have committed."""

    def __init__(self, dsn: str, wake: Callable[[], None]) -> None:
        self._dsn = dsn
        self._wake = wake
        self._address = ""
        self._lease: Lease | None = None
        self._left = False
        self._statement = asyncio.Lock()
        """Held for each statement of the lease, since a connection runs one at a time."""
        self._beginning = asyncio.Lock()
        self._oldest_program = 0
        self._refused = asyncio.Event()
        self.taken_through = 0

    @property
    def lease_id(self) -> UUID | None:
        """See Ownership."""
        return None if (lease := self._live()) is None else lease.id

    def holds(self, symbol: str) -> bool:
        """See Ownership."""
        lease = self._live()
        return lease is not None and bucket_of(symbol) in lease.held

    async def claim(self, symbols: Collection[str]) -> Claim:
        """See Ownership."""
        # A claim that is cut off would cost the lease, so a caller that goes away does not cancel it.
        claiming = asyncio.ensure_future(self._claim(symbols))
        claiming.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(claiming)

    def release(self, buckets: Collection[int]) -> None:
        """See Ownership."""
        if (lease := self._live()) is not None:
            released = lease.held.intersection(buckets)
            lease.held.difference_update(released)
            lease.released.update(released)

    async def unlock_released(self) -> None:
        """See Ownership."""
        if (lease := self._live()) is not None and lease.released:
            released = list(lease.released)
            lease.released.clear()
            await self._query(lease, UNLOCK_BUCKETS, Lock.BUCKET, released)

    async def surplus(self) -> Sequence[int]:
        """See Ownership."""
        lease = self._live()
        if lease is None or len(lease.held) < 2:
            return ()
        await self._query(lease, SWEEP, Lock.SERVER)
        share = await self._query(lease, FAIR_SHARE)
        excess = 0 if share is None else len(lease.held) - share
        return random.sample(sorted(lease.held), excess) if excess > 0 else ()

    async def lead(self, role: int) -> Callable[[], Coroutine[Any, Any, object]]:
        """Wait until this server alone has `role`; return a function that waits until it has lost the role."""
        while True:
            with suppress(StorageUnavailable):
                lease = await self._current()
                if await self._query(lease, TRY_LOCK, Lock.ROLE, role):
                    return lease.over.wait
            # Polled: a statement that waits for the lock would keep the lease from every other statement.
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    async def join(self, address: str) -> None:
        """Begin a lease, for the server that the others reach at `address`, host:port.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        self._address = address
        await self._current()

    async def run(self) -> None:
        """Keep a lease, a new one whenever it is lost, until `leave`."""
        while True:
            if (lease := self._live()) is not None:
                await self._watch(lease)
            if self._left:
                return
            log.warning("the session with the database is lost, and with it this server's symbols")
            pause = _FIRST_PAUSE_S
            while self._live() is None and not self._left:
                try:
                    await self._current()
                except StorageUnavailable as error:
                    log.debug("no session yet", exc_info=error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def until_refused(self) -> NoReturn:
        """Wait until the database needs a newer program, which it does from a migration on.

        Raises:
            ProgramTooOld: it does.
        """
        await self._refused.wait()
        raise ProgramTooOld(self._oldest_program)

    async def is_alone(self) -> bool:
        """Return True if no other server is running, as far as this one can tell."""
        lease = self._live()
        return lease is not None and await self._query(lease, COUNT_OTHERS, lease.id) == 0

    async def leave(self) -> None:
        """End the lease for good: other servers can claim its symbols at once."""
        self._left = True
        async with self._statement:
            lease = self._live()
            if lease is None:
                return
            with suppress(*FAILURES):
                await lease.give_back()
            lease.end()

    def _live(self) -> Lease | None:
        lease = self._lease
        return None if lease is None or lease.over.is_set() else lease

    async def _current(self) -> Lease:
        """Return the lease; begin one if there is none, so that callers need not wait for `run`.

        Raises:
            StorageUnavailable: there is none, and none can be begun.
        """
        async with self._beginning:
            if (lease := self._live()) is not None:
                return lease
            if self._left:
                raise StorageUnavailable
            try:
                self._lease = lease = await Lease.begin(self._dsn, self._address, self._wake)
            except FAILURES as error:
                raise StorageUnavailable from error
        self._wake()  # for commits from before it listened
        return lease

    async def _claim(self, symbols: Collection[str]) -> Claim:
        elsewhere: Mapping[int, str] = {}
        lease = await self._current()
        async with self._statement:
            if lease.over.is_set():
                raise StorageUnavailable
            buckets = {bucket_of(symbol) for symbol in symbols} - lease.held
            if buckets:
                elsewhere = await self._take(lease, buckets)
        return Claim(frozenset(filter(self.holds, symbols)), elsewhere)

    async def _take(self, lease: Lease, buckets: set[int]) -> Mapping[int, str]:
        """Take those of `buckets` that are free; return the addresses of the servers that hold the others."""
        try:
            async with asyncio.timeout(CLAIM_TIMEOUT_S):
                taken, through = await lease.take(buckets)
                if taken:
                    self.taken_through = max(self.taken_through, through)
                    log.info("buckets of symbols taken: %d, owned in all: %d", len(taken), len(lease.held))
                return await lease.owners(buckets - lease.held)
        except BaseException as error:
            # Some locks may be held without a row in bucket_owners: drop all of them, and begin a new lease.
            lease.end()
            if isinstance(error, FAILURES):
                raise StorageUnavailable from error
            raise

    async def _watch(self, lease: Lease) -> None:
        """Until the lease is lost: show the others that it is alive, end those that are silent, and heed migrations."""
        while not lease.over.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT_INTERVAL_S):
                    await lease.over.wait()
            except TimeoutError:
                if await self._query(lease, END_SILENT, Lock.SERVER, SILENT_S):
                    log.warning("a server has said nothing for %g s; its session is ended", SILENT_S)
                oldest = await self._query(lease, OLDEST_PROGRAM)
                if oldest is not None and oldest > program_version():
                    self._oldest_program = oldest
                    self._refused.set()

    async def _query(self, lease: Lease, statement: str, *values: object) -> Any:
        """Return the value of a statement of the lease; None, and the end of the lease, if it fails."""
        async with self._statement:
            return await lease.query(statement, *values)
