"""The one writer: work waits in line, is staged, committed, and only then true.

While a commit runs, what comes in meanwhile is staged on top of it and shares the next one (group commit), so that
deciding and storing go on at the same time. Staged states are kept when their commit returns; if it fails they are
forgotten, with all that was staged on top, and read again from the store: memory never holds what the database does
not, and nobody is answered before what the answer rests on is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...domain.errors import (
    NotStorable,
    Overloaded,
    OwnerUnavailable,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
    TooManySymbols,
)
from ..decision.pipeline import Pipeline
from ..decision.prefetch import Outlooks, foresee
from ..decision.symbol_state import SymbolState
from ..event_log.tail import Broadcast
from ..event_log.tailer import LogReader
from ..ports.clock import Clock
from ..ports.event_log import LogEntry
from ..ports.ownership import Ownership
from ..ports.store import RefusedByStore, StaleState, Store
from .batch import Batch, Commits, Outcome, Work
from .restore import blank, restored

log = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Pieces of work that may wait. A single call beyond that is refused with Overloaded; a stream of bars waits."""

BATCH_BARS = 256
"""Bars, or other pieces of work, that share one commit at most."""

STEP_BARS = 64
"""Bars, or other pieces of work, staged at a time: as soon as the store is free, what is staged goes to it."""

MAX_SYMBOLS = 10_000
"""Symbols that may be in use, unless it is set otherwise: each keeps some 15 KB of memory."""

BARS_BETWEEN_YIELDS = 16
"""Bars decided before the event loop gets its turn: about two milliseconds of computing."""


class Writer:
    """Does the work that is put in line, one piece after the other. Run `run` in a task."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        broadcast: Broadcast,
        clock: Clock,
        ownership: Ownership,
        reader: LogReader,
        max_symbols: int = MAX_SYMBOLS,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._broadcast = broadcast
        self._clock = clock
        self._ownership = ownership
        self._session = ownership.lease_id
        self._reader = reader
        self._line: asyncio.Queue[Work | None] = asyncio.Queue(MAX_WAITING)
        self._news = asyncio.Event()
        self.commits = Commits()
        self._max_symbols = max_symbols
        self._states: dict[str, SymbolState] = {}
        self._again: deque[Sequence[Work]] = deque()
        self._staging: Sequence[Work] = ()
        self._staged: Batch | None = None
        self._committing: Batch | None = None
        self._failures = 0
        self._is_taken_apart = False
        self._may_have_committed = False
        self._is_stopping = False
        self._has_ended = False

    # -------------------------------------------------------------------------------------------------- the line

    async def enqueue(self, work: Work) -> asyncio.Future[Any]:
        """Put bars in line, waiting for room: backpressure reaches the publisher."""
        if not self._is_stopping:
            await self._line.put(work)
            self._news.set()
        if self._is_stopping and not work.answer.done():
            # Either it was never put in line, or it may stand behind the end of the line, where nobody looks any more.
            # Work that is done all the same answers too late; publishing is idempotent.
            work.refuse(ShuttingDown(self._broadcast.newest))
        return work.answer

    async def submit(self, work: Work) -> Any:
        """Put a single call in line, or refuse it at once if the line is full."""
        if self._is_stopping:
            raise ShuttingDown(self._broadcast.newest)
        try:
            self._line.put_nowait(work)
        except asyncio.QueueFull:
            raise Overloaded(MAX_WAITING) from None
        self._news.set()
        return await work.answer

    async def stop(self) -> None:
        """Refuse new work; `run` returns when what waits is done."""
        self._is_stopping = True
        await self._line.put(None)
        self._news.set()

    def state_of(self, symbol: str) -> SymbolState | None:
        """The committed state of `symbol`, if it is known."""
        return self._states.get(symbol)

    def states(self) -> Sequence[SymbolState]:
        """The committed state of every symbol seen since the start, or since the database last went away."""
        return list(self._states.values())

    def forget(self, symbols: Iterable[str]) -> None:
        """Have the states of `symbols` read again when they are next needed. Only for work that is a barrier."""
        for symbol in symbols:
            self._states.pop(symbol, None)

    # ------------------------------------------------------------------------------------------------ the writing

    async def run(self) -> None:
        """Do the work that comes in, until `stop` and all that waited before it is done."""
        async with asyncio.TaskGroup() as background:
            reading = background.create_task(self._reader.run())
            while True:
                if self._staged is not None and self._committing is None:
                    self._committing, self._staged = self._staged, None
                    background.create_task(self._store_and_answer(self._committing))
                elif works := self._next_works():
                    await self._stage(works)
                elif self._has_ended and self._committing is None and not self._again:
                    break
                else:
                    await self._news.wait()
                    self._news.clear()
            for work in self._drained():
                work.refuse(ShuttingDown(self._broadcast.newest))
            reading.cancel()

    def _next_works(self) -> Sequence[Work]:
        """What is to be staged now: nothing while the batch is full, or work in it has to be done with first."""
        before = [batch for batch in (self._committing, self._staged) if batch is not None]
        if self._again:
            return [] if before else self._again.popleft()
        if self._has_ended or any(batch.has_barrier or batch.owner != self._ownership.lease_id for batch in before):
            return []
        room = min(STEP_BARS, BATCH_BARS - (0 if self._staged is None else self._staged.size))
        # While the store has nothing to do, half of what waits goes first: the rest is staged while that is stored.
        pieces = self._line.qsize() if before else (self._line.qsize() + 1) // 2
        works: list[Work] = []
        while room > 0 and len(works) < pieces and not (works and works[-1].is_barrier):
            work = self._line.get_nowait()
            if work is None:
                self._has_ended = True
                break
            works.append(work)
            room -= work.size
        return works

    async def _stage(self, works: Sequence[Work]) -> None:
        """Decide on `works`, on top of all that was staged before."""
        failures = self._failures
        self._staging = works = self._on_own_symbols(works)
        if not works:
            return
        batch = self._staged = self._staged or self._new_batch()
        try:
            await self._prepare(works, batch)
            outlooks = await self._foresee(works, batch)
            await self._apply(works, batch, outlooks)
        except Exception as error:
            # Whatever it is, the callers must hear of it and the writer must go on.
            self._refuse(works, error)
        self._staging = ()
        pending = [work for work in works if not work.answer.done()]
        if self._failures != failures and pending:
            # What it stood on failed meanwhile.
            if self._is_taken_apart:
                self._again.append(pending)
            else:
                for work in pending:
                    work.refuse(StorageUnavailable())

    def _new_batch(self) -> Batch:
        under_way = self._committing
        return Batch(self._ownership.lease_id, {} if under_way is None else under_way.known_bars)

    async def _store_and_answer(self, batch: Batch) -> None:
        """Commit a batch, and answer those whose work it is."""
        try:
            entries = await self._commit(batch) if batch.events else ()
        except Exception as error:
            await self._give_up(batch, error)
            return
        if batch.owner == self._ownership.lease_id:
            self._keep(batch.states)
        if entries:
            self.commits = Commits(succeeded_at=self._clock())
            self._reader.committed(entries)
        newest = entries[-1].sequence if entries else 0
        through = max(newest, self._broadcast.newest, self._ownership.taken_through)
        for work, outcome in batch.outcomes:
            if isinstance(outcome, ServiceError):
                work.refuse(outcome)
            elif not work.answer.done():
                work.answer.set_result(outcome(entries, through))
        self._committing = None
        self._news.set()

    def _on_own_symbols(self, works: Sequence[Work]) -> list[Work]:
        """Refuse work on symbols that were lost since it came in; states of a session that is over are forgotten."""
        if self._session != self._ownership.lease_id:
            self._session = self._ownership.lease_id
            self._states = {}
        lost = [work for work in works if not all(map(self._ownership.holds, work.symbols))]
        for work in lost:
            work.refuse(OwnerUnavailable(min(work.symbols)))
        return [work for work in works if work not in lost] if lost else list(works)

    async def _prepare(self, works: Sequence[Work], batch: Batch) -> None:
        """Read what is needed and memory does not have: states of new symbols, and stored old bars."""
        await self._catch_up()
        symbols = frozenset[str]().union(*(work.symbols for work in works))
        found = {symbol: self._newest_state(symbol) for symbol in symbols - batch.states.keys()}
        missing = [symbol for symbol, state in found.items() if state is None]
        known = await self._store.known_symbols(missing) if missing else ()
        if len(known) < len(missing):
            await self._limit(batch, set(missing).difference(known))
        for symbol, state in found.items():
            if state is not None:
                batch.before[symbol] = batch.states[symbol] = state
            elif symbol in known:
                batch.before[symbol] = batch.states[symbol] = await restored(self._store, self._pipeline, symbol)
            else:
                batch.before[symbol] = batch.states[symbol] = blank(self._pipeline, symbol)
        if self._ownership.lease_id != batch.owner:
            raise OwnerUnavailable(min(symbols, default=""))
        old = [(bar.symbol, bar.time) for work in works for bar in work.bars if batch.may_know(bar)]
        if old:
            batch.known_bars.update({(bar.symbol, bar.time): bar for bar in await self._store.find_bars(old)})

    async def _limit(self, batch: Batch, unknown: Collection[str]) -> None:
        """Refuse those `unknown` symbols for which there is no room; those of commits under way count as well."""
        under_way = batch.new_symbols | (set() if self._committing is None else self._committing.new_symbols)
        room = self._max_symbols - len(under_way.difference(unknown)) - await self._store.symbol_count()
        for number, symbol in enumerate(sorted(unknown)):
            if number < room:
                batch.new_symbols.add(symbol)
            else:
                batch.refused[symbol] = TooManySymbols(symbol, self._max_symbols)

    def _keep(self, states: Mapping[str, SymbolState]) -> None:
        """Keep the states of symbols that have something, the most recently used last, within the limit."""
        for symbol, state in states.items():
            self._states.pop(symbol, None)
            if not state.is_blank:
                self._states[symbol] = state
        while len(self._states) > self._max_symbols:
            del self._states[next(iter(self._states))]

    def _newest_state(self, symbol: str) -> SymbolState | None:
        """The state that the commit under way leads to, or the committed one."""
        under_way = None if self._committing is None else self._committing.states.get(symbol)
        return under_way or self._states.get(symbol)

    async def _catch_up(self) -> None:
        """Let followers have what a commit stored whose answer was lost."""
        if self._may_have_committed:
            await self._reader.catch_up()
            self._may_have_committed = False

    async def _commit(self, batch: Batch) -> Sequence[LogEntry]:
        checkpoints = list(batch.checkpoints(self._pipeline))
        return await self._store.commit(
            batch.events, self._clock(), shadow_events=batch.shadow_events, checkpoints=checkpoints, owner=batch.owner
        )

    async def _foresee(self, works: Sequence[Work], batch: Batch) -> Outlooks:
        try:
            return await foresee(self._pipeline, batch.states, (bar for work in works for bar in work.bars))
        except Exception:
            # A defect is told to the work that meets it, by the step that runs into it again.
            log.debug("the bars of a batch could not be looked at ahead", exc_info=True)
            return {}

    async def _apply(self, works: Sequence[Work], batch: Batch, outlooks: Outlooks) -> None:
        batch.outlooks = outlooks
        since_yield = 0
        for work in works:
            batch.stage(work)
            since_yield += work.size
            if since_yield >= BARS_BETWEEN_YIELDS:
                since_yield = 0
                await asyncio.sleep(0)

    # ----------------------------------------------------------------------------------------------- what goes wrong

    async def _give_up(self, batch: Batch, error: Exception) -> None:
        """A commit has failed: with it goes all that was staged on top, and what memory holds is read again."""
        self._failures += 1
        self._states = {}
        self._may_have_committed = True
        if isinstance(error, StaleState):
            log.warning("the database holds something newer; states are read again", exc_info=error)
            error = StorageUnavailable()
        staged, self._staged = self._staged, None
        on_top = () if staged is None else staged.outcomes
        self._committing = None
        self._is_taken_apart = isinstance(error, RefusedByStore)
        if isinstance(error, StorageUnavailable):
            if self.commits.failed_at is None:
                log.warning("a commit failed: %s", error.__cause__ or error)
            self.commits = replace(self.commits, failed_at=self._clock())
        if isinstance(error, RefusedByStore):
            self._take_apart(batch, on_top, error)
        else:
            self._refuse([work for work, _ in batch.outcomes], error, on_top)
            with suppress(StorageUnavailable):
                await self._catch_up()
        self._news.set()

    def _take_apart(
        self, batch: Batch, on_top: Sequence[tuple[Work, Outcome | ServiceError]], error: RefusedByStore
    ) -> None:
        """Try the halves of a refused batch on their own, down to the one that is to blame, which alone is refused.

        What was staged on top comes behind them, and behind that what is being staged at the moment.
        """
        works = [work for work, _ in batch.outcomes]
        if len(works) == 1:
            works = list(works[0].divided())
        if len(works) == 1:
            log.warning("the database refuses what a call or a bar led to: %s", error, exc_info=error)
            works[0].refuse_alone(NotStorable(str(error)))
        else:
            middle = len(works) // 2
            self._again.extendleft((works[middle:], works[:middle]))
        behind = [work for work, _ in on_top if not any(work is one for one in self._staging)]
        if behind:
            self._again.append(behind)

    def _refuse(
        self, works: Sequence[Work], error: Exception, staged: Sequence[tuple[Work, Outcome | ServiceError]] = ()
    ) -> None:
        """Tell what went wrong to those whose `works` met it, and those behind them that it may pass."""
        if not isinstance(error, ServiceError):
            log.error("%d pieces of work failed", len(works), exc_info=error)
        for work in works:
            work.refuse(error)
        # What waits was sent before anybody could know: done now, it would overtake what comes back.
        passing = error if isinstance(error, ServiceError) else StorageUnavailable()
        for work in (*(work for work, _ in staged), *self._drained()):
            work.refuse(passing)

    def _drained(self) -> list[Work]:
        """What waits in line, taken out of it; the end of the line, if it stands there, stays."""
        waiting = [self._line.get_nowait() for _ in range(self._line.qsize())]
        if None in waiting:
            self._line.put_nowait(None)
        return [work for work in waiting if work is not None]
