"""The one writer: commands are queued, staged in a batch and committed, and only then confirmed.

While a commit runs, the commands that come in meanwhile are staged on top of it and share the next one (group commit),
so that deciding and storing go on at the same time. Staged states are kept when their commit returns. If it fails they
are dropped, with all that was staged on top, and read again from the store: memory never holds what the database does
not, and no result is given before what it rests on is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from time import perf_counter
from typing import TypeVar

from ...domain.errors import NotStorable, OwnerUnavailable, ServiceError, ShuttingDown, StorageUnavailable
from ...domain.idempotency import KeyUsedMeanwhile
from ..decision.pipeline import Pipeline
from ..event_log.tail import LogTail
from ..event_log.tailer import LogReader
from ..ports.clock import Clock
from ..ports.event_log import LogEntry
from ..ports.observer import CommittedBatch, EngineObserver, HandledCommand, MadeDecision
from ..ports.ownership import Ownership
from ..ports.store import KeyTaken, RefusedByStore, StaleState, Store
from .account_guard import AccountGuard
from .batch import Batch, QueuedCall
from .handlers import Handlers
from .queue import MAX_PENDING, CommandQueue
from .states import SymbolStates

log = logging.getLogger(__name__)

R = TypeVar("R")

BATCH_BARS = 256
"""Bars, where any other command counts as one, that share one commit at most."""

STEP_BARS = 64
"""Bars, or other commands, staged at a time: as soon as the store is free, what is staged goes to it."""

BARS_BETWEEN_YIELDS = 16
"""Bars decided before the event loop gets its turn: about two milliseconds of computing."""


@dataclass(frozen=True, slots=True)
class Commits:
    """When a commit last succeeded; and when the newest failed, None if the newest succeeded."""

    succeeded_at: datetime | None = None
    failed_at: datetime | None = None


class Writer:
    """Handles queued commands, one after the other. Run `run` in a task.

    One commit runs at a time, and one batch is staged meanwhile.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        handlers: Handlers,
        states: SymbolStates,
        guard: AccountGuard,
        log_tail: LogTail,
        clock: Clock,
        ownership: Ownership,
        reader: LogReader,
        observers: Sequence[EngineObserver] = (),
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._handlers = handlers
        self._states = states
        self._guard = guard
        self._log_tail = log_tail
        self._clock = clock
        self._ownership = ownership
        self._reader = reader
        self._observers = observers
        self.commits = Commits()

        self._queue = CommandQueue(MAX_PENDING)
        self._retries: deque[Sequence[QueuedCall[object]]] = deque()
        self._changed = asyncio.Event()

        self._staging: Sequence[QueuedCall[object]] = ()
        self._staged: Batch | None = None
        self._committing: Batch | None = None
        self._lease_id = ownership.lease_id
        self._may_have_committed = False

    # ------------------------------------------------------------------------------------------------- the queue

    @property
    def queued(self) -> int:
        """Number of commands that wait to be handled."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """Number of commands without a result: those in the queue, and those of the batches before them."""
        batches = [batch for batch in (self._committing, self._staged) if batch is not None]
        staged = chain(self._staging, *self._retries, *(batch.commands for batch in batches))
        return len(self._queue) + len(set(staged))

    async def enqueue(self, command: QueuedCall[object]) -> None:
        """Queue bars as soon as there is room: backpressure reaches the publisher."""
        if not await self._queue.put(command):
            command.refuse(self._stopping())
        self._changed.set()

    async def submit(self, call: QueuedCall[R]) -> R:
        """Queue a single call and return its result.

        Raises:
            Overloaded: the queue is full.
            ShuttingDown: the writer was stopped.
        """
        if not await self._queue.put_now(call):
            raise self._stopping()
        self._changed.set()
        return await call.result

    @property
    def refusal(self) -> ShuttingDown | None:
        """Return what new commands are refused with; None before `stop`."""
        return self._stopping() if self._queue.is_closed else None

    def _stopping(self) -> ShuttingDown:
        return ShuttingDown(self._log_tail.newest)

    def stop(self) -> None:
        """Refuse new commands; `run` returns when those in the queue are done."""
        self._queue.is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Handle commands until `stop` was called and all that were queued before are done."""
        async with asyncio.TaskGroup() as background:
            reading = background.create_task(self._reader.run())
            while True:
                if self._staged is not None and self._committing is None:
                    self._committing, self._staged = self._staged, None
                    background.create_task(self._commit(self._committing))
                elif commands := self._next_commands():
                    await self._stage(commands)
                elif self._is_finished:
                    break
                else:
                    await self._changed.wait()
                    self._changed.clear()
            reading.cancel()

    @property
    def _is_finished(self) -> bool:
        return self._queue.is_closed and not self._queue and not self._retries and self._committing is None

    def _next_commands(self) -> Sequence[QueuedCall[object]]:
        """Take the commands to stage now: none while the batch is full, or must be committed before them."""
        under_way = [batch for batch in (self._committing, self._staged) if batch is not None]
        if self._retries:
            return [] if under_way else self._retries.popleft()
        if any(batch.lease_id != self._ownership.lease_id for batch in under_way):
            return []
        room = min(STEP_BARS, BATCH_BARS - (0 if self._staged is None else self._staged.size))
        # While the store has nothing to do, half of the queue goes first: the rest is staged while that is committed.
        commands = len(self._queue) if under_way else (len(self._queue) + 1) // 2
        return self._queue.take(room, commands, is_idle=not under_way)

    # ------------------------------------------------------------------------------------------------- staging

    async def _stage(self, commands: Sequence[QueuedCall[object]]) -> None:
        """Handle commands on top of all that was staged before."""
        self._staging = commands = self._on_own_symbols(commands)
        if not commands:
            return
        batch = self._staged = self._staged or self._new_batch()
        try:
            await self._prepare(commands, batch)
            await self._handle(commands, batch)
        except Exception as error:
            # Callers must get any error, and the writer must go on.
            self._refuse(commands, error)
        self._staging = ()
        # The batch is no longer the staged one if the commit below it has failed meanwhile, and dropped it.
        if self._staged is not batch and (left := [command for command in commands if not command.result.done()]):
            self._retries.append(left)

    def _new_batch(self) -> Batch:
        under_way = self._committing
        account = self._guard.opening_of(under_way)
        known_bars = {} if under_way is None else under_way.known_bars
        return Batch(self._ownership.lease_id, account, account, known_bars)

    def _on_own_symbols(self, commands: Sequence[QueuedCall[object]]) -> Sequence[QueuedCall[object]]:
        """Refuse commands on symbols that were lost since; the states of a lease that has ended are dropped."""
        if self._lease_id != self._ownership.lease_id:
            self._lease_id = self._ownership.lease_id
            self._states.clear()
        own = []
        for command in commands:
            if all(map(self._ownership.holds, command.symbols)):
                own.append(command)
            else:
                command.refuse(OwnerUnavailable(min(command.symbols)))
        return own

    async def _prepare(self, commands: Sequence[QueuedCall[object]], batch: Batch) -> None:
        """Read what memory lacks, the account, the states of new symbols and old bars, and prefetch policy outputs."""
        await self._catch_up()
        if await self._guard.load() and not batch.commands:
            batch.opening = batch.account = self._guard.opening_of(self._committing)
        symbols = frozenset[str]().union(*(command.symbols for command in commands))
        await self._states.load(symbols, batch, self._committing)
        if self._ownership.lease_id != batch.lease_id:
            raise OwnerUnavailable(min(symbols, default=""))
        bars = [bar for command in commands for bar in command.bars]
        old = [(bar.symbol, bar.time) for bar in bars if batch.may_be_stored(bar)]
        await self._find_bars(old, batch)
        await self._find_bars(batch.unknown_near(old), batch)
        try:
            await self._handlers.prefetch([call.command for call in commands], bars, batch.states)
        except Exception:
            # A defect is reported to the caller whose command meets it, by the step that runs into it again.
            log.debug("the policy outputs of a batch could not be prefetched", exc_info=True)

    async def _find_bars(self, keys: Sequence[tuple[str, datetime]], batch: Batch) -> None:
        if keys:
            batch.known_bars.update({(bar.symbol, bar.time): bar for bar in await self._store.find_bars(keys)})

    async def _handle(self, commands: Sequence[QueuedCall[object]], batch: Batch) -> None:
        since_yield = 0
        for command in commands:
            batch.handle(command)
            since_yield += command.size
            if since_yield >= BARS_BETWEEN_YIELDS:
                since_yield = 0
                await asyncio.sleep(0)

    async def _catch_up(self) -> None:
        """Hand followers what a commit stored whose result was lost."""
        if self._may_have_committed:
            await self._reader.catch_up()
            self._may_have_committed = False

    # ------------------------------------------------------------------------------------------------ committing

    async def _commit(self, batch: Batch) -> None:
        """Commit a batch, and confirm its commands."""
        started = perf_counter()
        try:
            entries = await self._store_batch(batch)
        except Exception as error:
            await self._drop(batch, error)
            return
        if batch.lease_id == self._ownership.lease_id:
            self._states.keep(batch.states)
        if entries:
            self.commits = Commits(succeeded_at=self._clock())
            self._guard.committed(batch, entries)
            self._reader.committed(entries)
        newest = entries[-1].sequence if entries else 0
        through = max(newest, self._log_tail.newest, self._ownership.taken_through)
        for command in batch.commands:
            command.confirm(entries, through)
        self._committing = None
        self._changed.set()
        if self._observers:
            done = _committed(batch, len(entries), started)
            for observer in self._observers:
                observer.committed(done)

    async def _store_batch(self, batch: Batch) -> Sequence[LogEntry]:
        if not batch.events:
            return ()
        checkpoints = list(batch.checkpoints(self._pipeline))
        return await self._store.commit(
            batch.events,
            self._clock(),
            shadow_events=batch.shadow_events,
            checkpoints=checkpoints,
            inputs=[source.inputs() for source in batch.sources],
            keys=batch.keys,
            owner=batch.lease_id,
        )

    # -------------------------------------------------------------------------------------------------- failures

    async def _drop(self, batch: Batch, error: Exception) -> None:
        """Drop a batch whose commit has failed, with all that was staged on top; memory is read again."""
        if isinstance(error, StaleState):
            log.warning("the database holds something newer; states are read again", exc_info=error)
            error = StorageUnavailable()
        self._states.clear()
        self._may_have_committed = True
        if not isinstance(error, KeyTaken):  # which is the normal end of a race, and refuses nothing
            for observer in self._observers:
                observer.commit_failed()
        on_top = [] if self._staged is None else self._staged.commands
        self._staged = self._committing = None
        if isinstance(error, RefusedByStore):
            self._retry_divided(batch, on_top, error)
        else:
            if isinstance(error, StorageUnavailable):
                if self.commits.failed_at is None:
                    log.warning("a commit failed: %s", error.__cause__ or error)
                self.commits = replace(self.commits, failed_at=self._clock())
            self._refuse(batch.commands, error, (*on_top, *self._staging))
            with suppress(StorageUnavailable):
                await self._catch_up()
        self._changed.set()

    def _retry_divided(self, batch: Batch, on_top: Sequence[QueuedCall[object]], error: RefusedByStore) -> None:
        """Retry the halves of a refused batch, down to the one command or bar to blame, which alone is refused.

        What was staged on top is handled behind them, and behind that what is being staged at the moment.
        """
        commands: Sequence[QueuedCall[object]] = batch.commands
        if len(commands) == 1:
            commands = commands[0].divided()
        if len(commands) == 1 and isinstance(error, KeyTaken):
            commands[0].refuse_alone(KeyUsedMeanwhile())
        elif len(commands) == 1:
            log.warning("the database refuses the result of a call or a bar: %s", error, exc_info=error)
            commands[0].refuse_alone(NotStorable(str(error)))
        else:
            middle = len(commands) // 2
            self._retries.extendleft((commands[middle:], commands[:middle]))
        behind = [command for command in on_top if not any(command is one for one in self._staging)]
        if behind:
            self._retries.append(behind)

    def _refuse(
        self, commands: Sequence[QueuedCall[object]], error: Exception, behind: Iterable[QueuedCall[object]] = ()
    ) -> None:
        """Refuse the commands that met an error, and those behind them, which may be tried again."""
        if not isinstance(error, ServiceError):
            log.error("%d commands failed", len(commands), exc_info=error)
        for command in commands:
            command.refuse(error)
        # What is queued was sent before its publisher could know: handled now, it would overtake what comes back.
        passing = error if isinstance(error, ServiceError) else StorageUnavailable()
        for command in (*behind, *self._queue.take_all()):
            command.refuse(passing)


def _committed(batch: Batch, entries: int, committing_at: float) -> CommittedBatch:
    """Return what observers get of a batch whose commands are confirmed."""
    return CommittedBatch(
        [HandledCommand(command.received_at, command.bar_results(), command.trace) for command in batch.commands],
        [
            MadeDecision(source.signal, source.inference.observation, source.inference.ms / 1e3)
            for source in batch.sources
        ],
        entries,
        batch.staged_at,
        committing_at,
        perf_counter(),
    )
