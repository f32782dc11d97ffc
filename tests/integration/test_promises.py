"""The six promises on the real PostgreSQL. See tests/support/promises.py."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from hypothesis import Phase, settings
from tests.support.builders import NOW
from tests.support.memory_store import Fault
from tests.support.promises import hold_the_promises

from tradingsignals_server.adapters.postgres.connection import Connections, Database, connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.idempotency import KeyUse
from tradingsignals_server.application.ports.inputs import SignalInputs
from tradingsignals_server.application.ports.store import RecurrentCheckpoint, ShadowEvent
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Event

from .conftest import Storage

FEW = settings(max_examples=20, stateful_step_count=50, phases=(Phase.generate,))
"""Each example has a database. Failures are not shrunk, because each attempt would need another one."""
LONG_AGO = timedelta(days=365)


class CutOff:
    """Connections that fail while `down` is set."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self.down = False

    def for_engine(self) -> AbstractAsyncContextManager[Database]:
        """See Connections."""
        return self._unless_down(self._pool.for_engine())

    def for_read(self) -> AbstractAsyncContextManager[Database]:
        """See Connections."""
        return self._unless_down(self._pool.for_read())

    @asynccontextmanager
    async def _unless_down(self, lent: AbstractAsyncContextManager[Database]) -> AsyncIterator[Database]:
        if self.down:
            raise StorageUnavailable
        async with lent as database:
            yield database


class ShakyPostgres(PostgresStore):
    """Implements ShakyStore. Other servers use a store of their own on the same database."""

    def __init__(self, pool: Connections) -> None:
        self._cut_off = CutOff(pool)
        super().__init__(cast(Connections, self._cut_off), encode)
        self._sql = pool
        self._elsewhere = PostgresStore(pool, encode)
        self.entries: list[LogEntry] = []
        self.commits: list[int] = []
        self.faults: deque[Fault] = deque()
        self.oldest = 1

    @property
    def down(self) -> bool:
        """See ShakyStore. Commits fail as well."""
        return self._cut_off.down

    @down.setter
    def down(self, down: bool) -> None:
        self._cut_off.down = down

    async def commit(
        self,
        events: Sequence[Event],
        at: datetime,
        *,
        shadow_events: Sequence[ShadowEvent] = (),
        checkpoints: Sequence[RecurrentCheckpoint] = (),
        inputs: Sequence[SignalInputs] = (),
        keys: Sequence[KeyUse] = (),
        owner: UUID | None = None,
    ) -> Sequence[LogEntry]:
        """See Store."""
        fault = self.faults.popleft() if self.faults else Fault.NOTHING
        if fault is Fault.BEFORE:
            raise StorageUnavailable
        entries = await super().commit(
            events, at, shadow_events=shadow_events, checkpoints=checkpoints, inputs=inputs, keys=keys, owner=owner
        )
        self._note(entries)
        if fault is Fault.AFTER:
            raise StorageUnavailable
        return entries

    async def commit_elsewhere(self, events: Sequence[Event]) -> None:
        """See ShakyStore."""
        self._note(await self._elsewhere.commit(events, NOW))

    async def forget_elsewhere(self, oldest: int) -> None:
        """See ShakyStore. The entries get an age at which they are removed."""
        async with self._sql.for_engine() as database:
            await database.execute("UPDATE events SET time = time - $2::interval WHERE sequence < $1", oldest, LONG_AGO)
        await self._elsewhere.prune(NOW - LONG_AGO / 2, oldest)
        self.oldest = oldest

    async def require_stored_commits(self) -> None:
        """Check that the tables equal the results of the commits, as far as they are kept."""
        head = await self._elsewhere.log_head()
        assert (head.oldest, head.newest) == (self.oldest, len(self.entries))
        assert await self._elsewhere.entries_after(0, len(self.entries) + 1) == self.entries[self.oldest - 1 :]

    def _note(self, entries: Sequence[LogEntry]) -> None:
        self.entries.extend(entries)
        self.commits.append(len(entries))


def test_six_promises(storage: Storage, migrated_database: str) -> None:
    @asynccontextmanager
    async def on_postgres() -> AsyncIterator[ShakyPostgres]:
        async with connections(await storage.new_database(migrated_database)) as pool:
            store = ShakyPostgres(pool)
            yield store
            await store.require_stored_commits()

    hold_the_promises(on_postgres, FEW)
