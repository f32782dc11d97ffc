"""The engine over bars in memory: the pipeline, traders and states of a live engine, and no store.

A bar passes the checks that it passes live (ingest.handlers), in the order of the bars' times, as a file feed delivers
them. So no bar is late, and a bar can only repeat the newest one of its symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...domain.account import Account
from ...domain.bars import Bar, require_interval
from ...domain.errors import BarConflict, InvalidRequest, ServiceError
from ...domain.events import Disposition, TradingControl
from ...domain.positions import Position
from ...domain.values import dataclass
from ..decision.pipeline import BarStep, Pipeline
from ..decision.symbol_state import SymbolState
from ..ingest.states import nothing_stored, restore_bars, state_of
from ..ports.store import StoredSymbol, StoredTraderState

CHUNK_BARS = 1024
"""Bars whose inputs and policy outputs are prefetched together: some 17 sessions, which are independent of each
other for a policy whose state is reset, and so rows of one micro-batch. More do not fit into a processor's caches."""


NO_BOOK = StoredTraderState(None, (), None)
"""Without a position, without closed ones, and without a recurrent state."""


@dataclass(frozen=True, slots=True)
class ProcessedBar:
    """What became of one bar.

    before: the state of its symbol before it.
    disposition: None if the bar was refused; `refusal` says why.
    step: the next state and the events; None for a duplicate and a refused bar.
    """

    before: SymbolState
    bar: Bar
    disposition: Disposition | None
    step: BarStep | None = None
    refusal: ServiceError | None = None

    @property
    def opened(self) -> bool:
        """Whether the signal of the bar opened a position."""
        if self.step is None or self.step.signal is None:
            return False
        signal_id = self.step.signal.signal_id
        return any(isinstance(one, Position) and one.signal_id == signal_id for one in self.step.events)


class BacktestEngine:
    """Processes bars as the engine does. The states of all symbols and the account are kept, and nothing else.

    Args:
        pipeline: decides; nothing else may use it meanwhile.
        account: the account that it begins with; None for one without positions.
    """

    def __init__(self, pipeline: Pipeline, account: Account | None = None) -> None:
        self._pipeline = pipeline
        self._states: dict[str, SymbolState] = {}
        self._account: Account | None = account or Account.opened(pipeline.live.rules.initial_equity)

    @property
    def states(self) -> Sequence[SymbolState]:
        """The state of every symbol."""
        return list(self._states.values())

    def warm_up(self, symbol: str, bars: Iterable[Bar], book: StoredTraderState = NO_BOOK) -> None:
        """Restore the state of `symbol` from bars before the first one to process, as a server does at its start.

        They are in the order of their times; nothing is decided on them. It begins with `book`.
        """
        stored = list(bars)
        calendar = self._pipeline.calendar_of(symbol)
        in_session = [bar for bar in stored if calendar.session_of(bar.time) is not None]
        newest = in_session[-restore_bars(self._pipeline, symbol) :]
        before = StoredSymbol(newest, stored[-1] if stored else None, book, None)
        self._states[symbol] = state_of(before, self._pipeline, symbol)

    async def process(self, bars: Sequence[Bar], on_bar: Callable[[ProcessedBar], None]) -> None:
        """Process bars in the order of their times; `on_bar` is called after each."""
        for start in range(0, len(bars), CHUNK_BARS):
            chunk = bars[start : start + CHUNK_BARS]
            for symbol in {bar.symbol for bar in chunk} - self._states.keys():
                self._states[symbol] = state_of(nothing_stored(), self._pipeline, symbol)
            await self._pipeline.prefetch(self._states, chunk)
            for bar in chunk:
                on_bar(self._process(bar))

    def control(self, control: TradingControl) -> None:
        """Take in that trading was halted or resumed by hand, after the bars that were processed."""
        if self._account is not None:
            self._account = self._account.after(control)

    def _process(self, bar: Bar) -> ProcessedBar:
        state = self._states[bar.symbol]
        last = state.last_bar
        if last is not None and bar.time <= last.time:
            if bar.time < last.time:
                raise ValueError(f"the bars of {bar.symbol} are not in the order of their times at {bar.time}")
            if last.agrees_with(bar):
                return ProcessedBar(state, bar, Disposition.DUPLICATE)
            return ProcessedBar(state, bar, None, refusal=BarConflict(bar.symbol, bar.time))
        try:
            require_interval(bar, state.calendar.interval)
            state.refuse_bar_after_jump(bar, self._pipeline.live.rules.max_price_jump)
        except InvalidRequest as error:
            return ProcessedBar(state, bar, None, refusal=error)
        step = self._pipeline.on_bar(state, bar, self._account)
        self._states[bar.symbol], self._account = step.state, step.account
        return ProcessedBar(state, bar, step.disposition, step)
