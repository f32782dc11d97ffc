"""The one writer: work waits in line, goes through the pipeline, is committed, and only then is true.

All work that has come in while a commit ran is done together and shares the next commit (group commit). States are
staged during a batch and kept when the commit returns; if it fails they are forgotten and read again from the store,
so that memory never holds what the database does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from ...domain.bars import Bar
from ...domain.errors import (
    BarConflict,
    Overloaded,
    OwnerUnavailable,
    PositionAlreadyClosed,
    PositionNotFound,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
)
from ...domain.events import Disposition, MarketUpdate, Receipt
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Signal
from ...domain.window import LOOKBACK_BARS
from ..decision.foresight import Outlooks, foresee
from ..decision.pipeline import Pipeline
from ..decision.requests import Quote, sight_of_bars, sight_of_quote, sight_of_window
from ..decision.sessions import SymbolState
from ..decision.trader import Sight, Trader
from ..ports import Clock, LogEntry, Shadowed, StaleState, Store
from ..streams.broadcast import Broadcast
from ..streams.log_reader import LogReader
from .ownership import Ownership, SoleOwnership
from .restore import RESTORE_BARS, restored
from .work import Batch, Flow, InLine, Outcome, Work, new_answer

log = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Pieces of work that may wait. A single call beyond that is refused with Overloaded; a stream of bars waits."""

BATCH_BARS = 256
"""Bars, or other pieces of work, that share one commit at most."""

CHUNK_BARS = 64
"""Bars of one publisher that form one piece of work, so that publishers take turns."""

BARS_BETWEEN_YIELDS = 16
"""Bars decided before the event loop gets its turn: about two milliseconds of computing."""


class Engine:
    """Takes bars and requests in, and gives back what they led to once it is durable. Run `run` in a task.

    `bars_elsewhere` tells that others store bars as well, so that memory may lack the newest. Without an `ownership`
    the engine has the database to itself; with one it does the work on its own symbols and refuses all other work.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        broadcast: Broadcast,
        clock: Clock,
        *,
        bars_elsewhere: bool = False,
        ownership: Ownership | None = None,
        reader: LogReader | None = None,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._broadcast = broadcast
        self._clock = clock
        self._bars_elsewhere = bars_elsewhere
        self._ownership = ownership or SoleOwnership()
        self._session = self._ownership.session
        self._reader = reader or LogReader(store, broadcast)
        self._waiting: asyncio.Queue[Work | None] = asyncio.Queue(MAX_WAITING)
        self._states: dict[str, SymbolState] = {}
        self._stopping = False
        self._may_have_committed = False

    # -------------------------------------------------------------------------------------------------- callers

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        """Process bars in their order and commit them. See MarketDataSink."""
        return await (await self.take_in(bars, Flow())).results()

    async def take_in(self, bars: Sequence[Bar], flow: Flow) -> InLine:
        """Put bars in line, waiting for room there, without waiting until they are committed."""
        chunks = [bars[start : start + CHUNK_BARS] for start in range(0, len(bars), CHUNK_BARS)]
        return InLine([(len(chunk), await self._enqueue(self._bars_work(chunk, flow))) for chunk in chunks])

    async def generate(self, symbol: str, quote: Quote) -> Signal:
        """Make a signal at `quote`, act on it and commit both."""

        def apply(batch: Batch) -> Outcome:
            state = batch.states[symbol]
            return self._stage_signal(batch, state, sight_of_quote(state, quote, self._clock()), state.live.recurrent)

        signal: Signal = await self._submit(self._work(symbol, apply))
        return signal

    async def generate_from_stored(self, symbol: str, lookback_bars: int) -> Signal:
        """Make a signal from the newest `lookback_bars` stored bars, act on it and commit both.

        It is made as that of the newest bar was: with the recurrent state before it.

        Raises:
            NotEnoughBars: there are fewer than the slowest indicator needs.
        """
        stored: Sequence[Bar] | None = None
        if self._bars_elsewhere or lookback_bars > LOOKBACK_BARS:
            stored = await self._store.session_bars(symbol, max(lookback_bars, RESTORE_BARS))

        def apply(batch: Batch) -> Outcome:
            state = batch.states[symbol]
            if stored is None:
                sight = sight_of_window(state, lookback_bars, self._clock())
            else:
                sight = sight_of_bars(state, stored[-lookback_bars:], self._clock())
            recurrent = state.live.recurrent_before
            if sight.window.time != state.window.time:
                recurrent, _ = self._pipeline.live.recurrent_around_newest(stored or (), state.calendar)
            return self._stage_signal(batch, state, sight, recurrent)

        signal: Signal = await self._submit(self._work(symbol, apply))
        return signal

    async def close_position(self, position_id: UUID, price: float | None) -> bytes:
        """Close a position by hand, at `price` or at its last mark; returns it encoded, as it was committed.

        Raises:
            PositionNotFound: there is none of that name.
            PositionAlreadyClosed: it is closed.
        """
        found = await self._store.symbol_of_position(position_id)
        if found is None:
            raise PositionNotFound(str(position_id))
        symbol, is_open = found
        if not is_open:
            raise PositionAlreadyClosed(str(position_id))

        def apply(batch: Batch) -> Outcome:
            state = batch.states[symbol]
            held = state.live.position
            if held is None or held.position_id != position_id:
                raise PositionAlreadyClosed(str(position_id))
            index = len(batch.events)
            batch.take(self._pipeline.on_close(state, price or held.current_price, self._clock()))
            return lambda entries, _: entries[index].payload

        payload: bytes = await self._submit(self._work(symbol, apply))
        return payload

    async def swap(self, live: Trader, shadow: Trader | None) -> None:
        """Let these traders decide from the next batch on: no bar is lost, none is decided by two.

        The state it goes on with is computed from the stored bars of each symbol, when the symbol's next bar comes.
        """

        def apply(_: Batch) -> Outcome:
            return lambda *_: self._use(live, shadow)

        await self._submit(Work(frozenset(), (), apply, new_answer(), ends_batch=True))

    def _use(self, live: Trader, shadow: Trader | None) -> None:
        self._pipeline.live, self._pipeline.shadow = live, shadow
        self._states = {}

    async def last_bar(self, symbol: str) -> Bar | None:
        """The newest bar of `symbol` that was processed, or None."""
        state: SymbolState | None = self._states.get(symbol)
        return (state or await self._submit(self._work(symbol, lambda _: lambda *_: self._states[symbol]))).last_bar

    async def let_go(self, symbols: Collection[str]) -> None:
        """Hold `symbols` no longer, as soon as all that came in for them before is done."""

        def forget(*_: object) -> None:
            self._ownership.let_go(symbols)
            for symbol in [symbol for symbol in self._states if not self._ownership.holds(symbol)]:
                del self._states[symbol]

        await self._submit(Work(frozenset(), (), lambda _: forget, new_answer(), ends_batch=True))

    def states(self) -> Sequence[SymbolState]:
        """The committed state of every symbol seen since the start, or since the database last went away."""
        return list(self._states.values())

    # ------------------------------------------------------------------------------------------------ the writer

    async def run(self) -> None:
        """Do the work that comes in, until `stop` and all that waited before it is done."""
        async with asyncio.TaskGroup() as background:
            reading = background.create_task(self._reader.run())
            closing = False
            while not closing and (first := await self._waiting.get()) is not None:
                works, closing = self._take_batch(first)
                await self._process(works)
            for work in self._drained():
                work.refuse(ShuttingDown(self._broadcast.newest))
            reading.cancel()

    async def stop(self) -> None:
        """Refuse new work; `run` returns when what waits is done."""
        self._stopping = True
        await self._waiting.put(None)

    def _take_batch(self, first: Work) -> tuple[list[Work], bool]:
        works, size = [first], max(1, len(first.bars))
        while size < BATCH_BARS and not works[-1].ends_batch and not self._waiting.empty():
            work = self._waiting.get_nowait()
            if work is None:
                return works, True
            works.append(work)
            size += max(1, len(work.bars))
        return works, False

    async def _process(self, works: Sequence[Work]) -> None:
        works = self._on_own_symbols(works)
        try:
            batch = await self._prepare(works)
            batch.outlooks = await self._foresee(works, batch)
            outcomes = await self._apply(works, batch)
            entries = await self._commit(batch) if batch.events else ()
        except Exception as error:
            # Whatever it is, the callers must hear of it and the writer must go on.
            self._fail(works, error)
            with suppress(StorageUnavailable):
                await self._catch_up()
            return
        if batch.owner == self._ownership.session:
            self._states.update(batch.states)
        if entries:
            self._reader.committed(entries)
        newest = entries[-1].sequence if entries else 0
        through = max(newest, self._broadcast.newest, self._ownership.taken_through)
        for work, outcome in outcomes:
            if not work.answer.done():
                work.answer.set_result(outcome(entries, through))

    def _on_own_symbols(self, works: Sequence[Work]) -> list[Work]:
        """Refuse work on symbols that were lost since it came in; states of a session that is over are forgotten."""
        if self._session != self._ownership.session:
            self._session = self._ownership.session
            self._states = {}
        lost = [work for work in works if not all(map(self._ownership.holds, work.symbols))]
        for work in lost:
            work.refuse(OwnerUnavailable(min(work.symbols)))
        return [work for work in works if work not in lost] if lost else list(works)

    async def _prepare(self, works: Sequence[Work]) -> Batch:
        """Read what the batch needs to know and memory does not: states of new symbols, and stored old bars."""
        owner = self._session
        await self._catch_up()
        symbols = frozenset[str]().union(*(work.symbols for work in works))
        for symbol in symbols - self._states.keys():
            self._states[symbol] = await restored(self._store, self._pipeline, symbol)
        if self._ownership.session != owner:
            raise OwnerUnavailable(min(symbols, default=""))
        old = [(bar.symbol, bar.time) for work in works for bar in work.bars if self._is_old(bar)]
        known = {(bar.symbol, bar.time): bar for bar in await self._store.find_bars(old)} if old else {}
        return Batch({symbol: self._states[symbol] for symbol in symbols}, known, owner)

    async def _catch_up(self) -> None:
        """Let followers have what a commit stored whose answer was lost."""
        if self._may_have_committed:
            await self._reader.catch_up()
            self._may_have_committed = False

    async def _commit(self, batch: Batch) -> Sequence[LogEntry]:
        carried = list(batch.carried(self._pipeline, self._states))
        return await self._store.commit(
            batch.events, self._clock(), shadowed=batch.shadowed, carried=carried, owner=batch.owner
        )

    def _is_old(self, bar: Bar) -> bool:
        last = self._states[bar.symbol].last_bar
        return last is not None and bar.time <= last.time

    async def _foresee(self, works: Sequence[Work], batch: Batch) -> Outlooks:
        try:
            return await foresee(self._pipeline, batch.states, (bar for work in works for bar in work.bars))
        except Exception:
            # A defect is told to the work that meets it, by the step that runs into it again.
            log.debug("the bars of a batch could not be looked at ahead", exc_info=True)
            return {}

    async def _apply(self, works: Sequence[Work], batch: Batch) -> list[tuple[Work, Outcome]]:
        outcomes: list[tuple[Work, Outcome]] = []
        since_yield = 0
        for work in works:
            if work.flow is not None and work.flow.broken_by is not None:
                work.refuse(work.flow.broken_by)
                continue
            try:
                with batch.all_or_nothing(work):
                    outcomes.append((work, work.apply(batch)))
            except ServiceError as error:
                work.refuse(error)
            except Exception as error:
                log.exception("a piece of work failed; its neighbours go on")
                work.refuse(error)
            since_yield += max(1, len(work.bars))
            if since_yield >= BARS_BETWEEN_YIELDS:
                since_yield = 0
                await asyncio.sleep(0)
        return outcomes

    def _fail(self, works: Sequence[Work], error: Exception) -> None:
        self._states = {}
        self._may_have_committed = True
        if isinstance(error, StaleState):
            log.warning("the database holds something newer; states are read again", exc_info=error)
            error = StorageUnavailable()
        elif not isinstance(error, ServiceError):
            log.error("a batch of %d pieces of work failed", len(works), exc_info=error)
        for work in works:
            work.refuse(error)
        # What waits was sent before anybody could know: done now, it would overtake what comes back.
        passing = error if isinstance(error, ServiceError) else StorageUnavailable()
        for work in self._drained():
            work.refuse(passing)

    def _drained(self) -> list[Work]:
        """What waits in line, taken out of it; the end of the line, if it stands there, stays."""
        waiting = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
        if None in waiting:
            self._waiting.put_nowait(None)
        return [work for work in waiting if work is not None]

    # ------------------------------------------------------------------------------------------- pieces of work

    def _stage_signal(self, batch: Batch, state: SymbolState, sight: Sight, recurrent: RecurrentState) -> Outcome:
        index = len(batch.events)
        step = self._pipeline.on_request(state, sight, recurrent, uuid4())
        batch.take(step)
        return lambda entries, _: replace(step.signal, sequence=entries[index].sequence)

    def _bars_work(self, bars: Sequence[Bar], flow: Flow) -> Work:
        def apply(batch: Batch) -> Outcome:
            taken = [self._take_bar(batch, bar) for bar in bars]
            return lambda _, through: [
                done if isinstance(done, ServiceError) else replace(done, sequence=through) for done in taken
            ]

        return Work(frozenset(bar.symbol for bar in bars), bars, apply, new_answer(), flow)

    def _take_bar(self, batch: Batch, bar: Bar) -> Receipt | ServiceError:
        """Stage one bar: new ones go through the pipeline, old ones are told from duplicates and conflicts."""
        key = (bar.symbol, bar.time)
        known = batch.known_bars.get(key)
        if known is not None:
            if not known.agrees_with(bar):
                return BarConflict(bar.symbol, bar.time)
            return Receipt(bar.symbol, bar.time, Disposition.DUPLICATE, None, 0)
        state = batch.states[bar.symbol]
        if state.last_bar is not None and bar.time <= state.last_bar.time:
            batch.known_bars[key] = bar
            batch.events.append(MarketUpdate(bar, Disposition.LATE))
            return Receipt(bar.symbol, bar.time, Disposition.LATE, None, 0)
        step = self._pipeline.on_bar(state, bar, batch.outlooks.get(key))
        batch.known_bars[key] = bar
        batch.take(step)
        if self._pipeline.shadow is not None:
            policy = self._pipeline.shadow.policy.description.key
            batch.shadowed.extend(Shadowed(policy, outcome) for outcome in step.shadowed)
        signal_id = step.signal.signal_id if step.signal is not None else None
        return Receipt(bar.symbol, bar.time, step.disposition, signal_id, 0)

    def _work(self, symbol: str, apply: Callable[[Batch], Outcome]) -> Work:
        return Work(frozenset((symbol,)), (), apply, new_answer())

    async def _enqueue(self, work: Work) -> asyncio.Future[Any]:
        """Put bars in line, waiting for room: backpressure reaches the publisher."""
        if not self._stopping:
            await self._waiting.put(work)
        if self._stopping and not work.answer.done():
            # Either it was never put in line, or it may stand behind the end of the line, where nobody looks any more.
            # Work that is done all the same answers too late; publishing is idempotent.
            work.refuse(ShuttingDown(self._broadcast.newest))
        return work.answer

    async def _submit(self, work: Work) -> Any:
        """Put a single call in line, or refuse it at once if the line is full."""
        if self._stopping:
            raise ShuttingDown(self._broadcast.newest)
        try:
            self._waiting.put_nowait(work)
        except asyncio.QueueFull:
            raise Overloaded(MAX_WAITING) from None
        return await work.answer
