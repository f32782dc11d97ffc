"""What a decision is made from: the features of a bar, a quote or stored bars, and what else the trader must know."""

from __future__ import annotations

from datetime import date, datetime
from time import perf_counter

from ...domain.bars import Bar
from ...domain.events import Disposition
from ...domain.features import Observation, observation
from ...domain.indicators import Indicators, indicators_of
from ...domain.signals import Origin
from ...domain.values import dataclass
from ...domain.window import Window
from .symbol_state import SymbolState


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """Everything that a decision depends on besides the book of the trader.

    observation: what the policy gets, float32 of shape (16,).
    session_progress: 0..1; see SessionCalendar.progress.
    session_day: the session that a position opened now belongs to, None outside sessions.
    new_session, ends_session: the bar is the first, or the last, of its session.
    no_trade_reason: a sentence that says why the decision does not trade, None if it may.
    ms: time that the input took to compute, in milliseconds.
    """

    symbol: str
    timestamp: datetime
    origin: Origin
    window: Window
    indicators: Indicators
    observation: Observation
    price: float
    session_progress: float
    session_day: date | None
    simulated: bool
    new_session: bool = False
    ends_session: bool = False
    no_trade_reason: str | None = None
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class BarInput:
    """A new bar of a symbol, and the features of the window that it completes.

    state: the state of the symbol with the bar in it; the books are those from before the bar.
    session_day: the session of the bar, None outside sessions.
    ends_session: the bar is the last of its session.
    decision: what is decided on, None unless the disposition is ACCEPTED.
    """

    state: SymbolState
    session_day: date | None
    ends_session: bool
    disposition: Disposition
    decision: DecisionInput | None


def bar_input(state: SymbolState, bar: Bar) -> BarInput:
    """Compute the input from a bar that is newer than every bar of `state`."""
    started = perf_counter()
    calendar = state.calendar
    day = calendar.session_of(bar.time)
    if day is None:
        return BarInput(state.after_bar(bar, None), None, False, Disposition.OUTSIDE_SESSION, None)
    ends_session = calendar.is_last_bar(bar.time)
    after = state.with_session_bar(bar, day)
    if not state.warm:
        return BarInput(after, day, ends_session, Disposition.WARMING_UP, None)
    window, progress = after.window, calendar.progress(bar.time)
    indicators = indicators_of(window)
    decision = DecisionInput(
        symbol=bar.symbol,
        timestamp=bar.close_time,
        origin=Origin.BAR,
        window=window,
        indicators=indicators,
        observation=observation(window, indicators, progress),
        price=bar.close,
        session_progress=progress,
        session_day=day,
        simulated=after.simulated_left > 0,
        new_session=day != state.session_day,
        ends_session=ends_session,
        ms=(perf_counter() - started) * 1e3,
    )
    return BarInput(after, day, ends_session, Disposition.ACCEPTED, decision)
