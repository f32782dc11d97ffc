"""What may be asked of the engine: each call becomes a piece of work, which the writer stages, commits and answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from ...domain.bars import Bar, require_closed
from ...domain.errors import BarConflict, InvalidBar, PositionAlreadyClosed, PositionNotFound, PriceJump, ServiceError
from ...domain.events import Disposition, MarketUpdate, Receipt
from ...domain.recurrent_state import RecurrentState
from ...domain.risk import RiskRules
from ...domain.signals import Signal
from ...domain.window import LOOKBACK_BARS
from ..decision.pipeline import Pipeline
from ..decision.quotes import Quote, sight_of_bars, sight_of_quote, sight_of_window
from ..decision.symbol_state import SymbolState
from ..decision.trader import Sight, Trader
from ..event_log.tail import Broadcast
from ..event_log.tailer import LogReader
from ..ports.clock import Clock
from ..ports.ownership import Ownership, SoleOwnership
from ..ports.store import ShadowEvent, Store
from .batch import Batch, Commits, Outcome, Work, new_answer
from .commands import PublishStream, QueuedPublication
from .restore import RESTORE_BARS
from .writer import MAX_SYMBOLS, Writer

CHUNK_BARS = 64
"""Bars of one publisher that form one piece of work, so that publishers take turns."""


class Engine:
    """Takes bars and requests in, and gives back what they led to once it is durable. Run `run` in a task.

    `bars_elsewhere` tells that others store bars as well, so that memory may lack the newest.
    `is_replayed` tells of a symbol that a feed replays or makes its market, so that market time is that of its bars and
    not the clock's. Without an `ownership` the engine has the database to itself; with one it does the work on its own
    symbols and refuses all other work.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        broadcast: Broadcast,
        clock: Clock,
        *,
        bars_elsewhere: bool = False,
        is_replayed: Callable[[str], bool] = lambda _: False,
        ownership: Ownership | None = None,
        reader: LogReader | None = None,
        max_symbols: int = MAX_SYMBOLS,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._bars_elsewhere = bars_elsewhere
        self._is_replayed = is_replayed
        self._ownership = ownership or SoleOwnership()
        reader = reader or LogReader(store, broadcast)
        self._writer = Writer(store, pipeline, broadcast, clock, self._ownership, reader, max_symbols)

    # -------------------------------------------------------------------------------------------------- callers

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        """Process bars in their order and commit them. See MarketDataSink."""
        return await (await self.enqueue(bars, PublishStream())).results()

    async def enqueue(self, bars: Sequence[Bar], stream: PublishStream) -> QueuedPublication:
        """Queue bars as soon as there is room, without waiting until they are committed."""
        chunks = [bars[start : start + CHUNK_BARS] for start in range(0, len(bars), CHUNK_BARS)]
        return QueuedPublication(
            [(len(chunk), await self._writer.enqueue(self._bars_work(chunk, stream))) for chunk in chunks]
        )

    async def generate(self, symbol: str, quote: Quote) -> Signal:
        """Make a signal at `quote`, act on it and commit both."""

        def apply(batch: Batch) -> Outcome:
            state = batch.states[symbol]
            replayed = self._is_replayed(symbol)
            sight = sight_of_quote(state, quote, self._market_time(state), self._rules, replayed=replayed)
            return self._stage_signal(batch, state, sight, state.live.recurrent)

        signal: Signal = await self._writer.submit(self._work(symbol, apply))
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
                sight = sight_of_window(state, lookback_bars, self._market_time(state), self._rules)
            else:
                sight = sight_of_bars(state, stored[-lookback_bars:], self._market_time(state), self._rules)
            recurrent = state.live.recurrent_before
            if sight.window.time != state.window.time:
                recurrent, _ = self._pipeline.live.recurrent_around_newest(stored or (), state.calendar)
            return self._stage_signal(batch, state, sight, recurrent)

        signal: Signal = await self._writer.submit(self._work(symbol, apply))
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
            if price is not None:
                state.refuse_jump({"price": price}, self._rules.max_price_jump)
            index = len(batch.events)
            at = self._market_time(state)
            batch.take(self._pipeline.on_close(state, held.current_price if price is None else price, at))
            return lambda entries, _: entries[index].payload

        payload: bytes = await self._writer.submit(self._work(symbol, apply))
        return payload

    async def swap(self, live: Trader, shadow: Trader | None) -> None:
        """Let these traders decide from the next batch on: no bar is lost, none is decided by two.

        The state it goes on with is computed from the stored bars of each symbol, when the symbol's next bar comes.
        """

        def apply(_: Batch) -> Outcome:
            return lambda *_: self._use(live, shadow)

        await self._writer.submit(Work(frozenset(), (), apply, new_answer(), is_barrier=True))

    def _use(self, live: Trader, shadow: Trader | None) -> None:
        self._pipeline.live, self._pipeline.shadow = live, shadow
        self._writer.forget(state.symbol for state in self._writer.states())

    async def last_bar(self, symbol: str) -> Bar | None:
        """The newest bar of `symbol` that was processed, or None."""
        state: SymbolState | None = self._writer.state_of(symbol)
        if state is None:
            state = await self._writer.submit(self._work(symbol, lambda batch: lambda *_: batch.states[symbol]))
        return state.last_bar

    async def release(self, buckets: Collection[int]) -> None:
        """Hold `buckets` of symbols no longer, as soon as all that came in for them before is done."""

        def forget(*_: object) -> None:
            self._ownership.release(buckets)
            known = [state.symbol for state in self._writer.states()]
            self._writer.forget(symbol for symbol in known if not self._ownership.holds(symbol))

        await self._writer.submit(Work(frozenset(), (), lambda _: forget, new_answer(), is_barrier=True))

    def states(self) -> Sequence[SymbolState]:
        """The committed state of every symbol seen since the start, or since the database last went away."""
        return self._writer.states()

    @property
    def commits(self) -> Commits:
        """How commits went."""
        return self._writer.commits

    async def run(self) -> None:
        """Do the work that comes in, until `stop` and all that waited before it is done."""
        await self._writer.run()

    async def stop(self) -> None:
        """Refuse new work; `run` returns when what waits is done."""
        await self._writer.stop()

    # ------------------------------------------------------------------------------------------- pieces of work

    @property
    def _rules(self) -> RiskRules:
        return self._pipeline.live.rules

    def _market_time(self, state: SymbolState) -> datetime:
        return state.market_time(self._clock(), replayed=self._is_replayed(state.symbol))

    def _stage_signal(self, batch: Batch, state: SymbolState, sight: Sight, recurrent: RecurrentState) -> Outcome:
        if (refusal := batch.refused.get(state.symbol)) is not None:
            raise refusal
        index = len(batch.events)
        step = self._pipeline.on_request(state, sight, recurrent, uuid4())
        batch.take(step)
        return lambda entries, _: replace(step.signal, sequence=entries[index].sequence)

    def _bars_work(self, bars: Sequence[Bar], flow: PublishStream) -> Work:
        def apply(batch: Batch) -> Outcome:
            now = self._clock()
            taken = [self._take_bar(batch, bar, now) for bar in bars]
            return lambda _, through: [
                done if isinstance(done, ServiceError) else replace(done, sequence=through) for done in taken
            ]

        parts = None if len(bars) == 1 else lambda: [self._bars_work([bar], flow) for bar in bars]
        return Work(frozenset(bar.symbol for bar in bars), bars, apply, new_answer(), flow, parts=parts)

    def _take_bar(self, batch: Batch, bar: Bar, now: datetime) -> Receipt | ServiceError:
        """Stage one bar: new ones go through the pipeline, old ones are told from duplicates and conflicts.

        Every source of bars passes here, so this is where a bar that has not ended yet is refused: taken, it would make
        every real bar behind it late.
        """
        try:
            require_closed(bar, now)
        except InvalidBar as error:
            return error
        if (refusal := batch.refused.get(bar.symbol)) is not None:
            return refusal
        key = (bar.symbol, bar.time)
        known = batch.known(bar)
        if known is not None:
            if not known.agrees_with(bar):
                return BarConflict(bar.symbol, bar.time)
            return Receipt(bar.symbol, bar.time, Disposition.DUPLICATE, None, 0)
        state = batch.states[bar.symbol]
        if state.last_bar is not None and bar.time <= state.last_bar.time:
            batch.known_bars[key] = bar
            batch.events.append(MarketUpdate(bar, Disposition.LATE))
            return Receipt(bar.symbol, bar.time, Disposition.LATE, None, 0)
        try:
            state.refuse_bar_after_jump(bar, self._rules.max_price_jump)
        except PriceJump as error:
            return error
        step = self._pipeline.on_bar(state, bar, batch.outlooks.get(key))
        batch.known_bars[key] = bar
        batch.take(step)
        if self._pipeline.shadow is not None:
            policy = self._pipeline.shadow.policy.description.key
            batch.shadow_events.extend(ShadowEvent(policy, outcome) for outcome in step.shadowed)
        signal_id = step.signal.signal_id if step.signal is not None else None
        return Receipt(bar.symbol, bar.time, step.disposition, signal_id, 0)

    def _work(self, symbol: str, apply: Callable[[Batch], Outcome]) -> Work:
        return Work(frozenset((symbol,)), (), apply, new_answer())
