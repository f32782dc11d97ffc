"""What a decision is made from: the features of a bar, a quote or stored bars, and what else the trader must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date, datetime, timedelta
from time import perf_counter
from typing import Protocol

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.events import Disposition
from ...domain.features import FeatureContext, Features, HeldPosition, Observation
from ...domain.indicators import Indicators, indicators_of
from ...domain.signals import Action, Origin
from ...domain.values import dataclass
from ...domain.window import LOOKBACK_BARS, Window
from .symbol_state import SymbolState


class Held(Protocol):
    """An open position, as decisions depend on it. See Position."""

    @property
    def action(self) -> Action:
        """BUY if it is long, SELL if it is short."""
        ...

    @property
    def entry_time(self) -> datetime:
        """Time of the signal that opened it."""
        ...

    @property
    def pnl_pct(self) -> float:
        """Profit and loss, net, in percent of the entry price."""
        ...

    @property
    def r_multiple(self) -> float:
        """The same in units of the risk at the entry."""
        ...

    @property
    def bars_held(self) -> int:
        """Bars since the entry."""
        ...


@dataclass(frozen=True, slots=True)
class Observed:
    """An observation, and the time that it took to compute, in milliseconds."""

    observation: Observation
    ms: float


@dataclass(frozen=True, slots=True, eq=False)
class DecisionInput:
    """Everything that a decision depends on besides the book of the trader.

    window: the bars that are known, at least those that the policies in use observe.
    indicators: of the newest `indicator_bars` bars of the window, with the values of `given` in their place.
    given: indicators that a caller knows better, by their name.
    newest_simulated: 1 if the newest bar is simulated, 2 if the one before it is, and so on; 0 if none is.
    observed: what was computed from it so far, by the features of a policy; see `observe`.
    session_progress: 0..1; see SessionCalendar.progress.
    session_day: the session with whose end a position opened now is closed; see SessionCalendar.closing_session_of.
    new_session, ends_session: the bar is the first, or the last, of its session.
    no_trade_reason: a sentence that says why the decision does not trade, None if it may.
    ms: time that the input took to compute, in milliseconds.
    quoted: the values that the caller of a requested signal gave, by the name of their field.
    awaits_market: the quote came before the first bar of a market whose time is that of its bars.
    """

    symbol: str
    timestamp: datetime
    origin: Origin
    window: Window
    indicators: Indicators
    indicator_bars: int
    calendar: SessionCalendar
    price: float
    session_progress: float
    session_day: date | None
    newest_simulated: int
    new_session: bool = False
    ends_session: bool = False
    no_trade_reason: str | None = None
    ms: float = 0.0
    given: Mapping[str, float | None] | None = None
    quoted: Mapping[str, float] | None = None
    awaits_market: bool = False
    observed: dict[Features, Observed] = field(default_factory=dict)

    def observe(self, features: Features, held: Held | None) -> Observation:
        """Return the observation of a policy that holds `held`. It is computed once unless it depends on the position.

        Raises:
            FeaturesFailed: it cannot be computed.
        """
        if features in self.observed and not features.uses_position:
            return self.observed[features].observation
        started = perf_counter()
        observation = features.observe(self.context(features, held))
        self.observed[features] = Observed(observation, (perf_counter() - started) * 1e3)
        return observation

    def context(self, features: Features, held: Held | None) -> FeatureContext:
        """Return what the features of a policy that holds `held` are computed from."""
        window = self.window.newest(features.history_bars)
        known = min(len(window), features.lookback_bars) == self.indicator_bars
        return FeatureContext(
            window,
            self.calendar,
            self.session_progress,
            indicators=self.indicators if known else None,
            given=self.given,
            position=None if held is None else held_position(held),
        )

    @property
    def interval(self) -> timedelta:
        """Interval of the bars."""
        return self.calendar.interval

    def simulated_within(self, bars: int) -> bool:
        """Return whether one of the newest `bars` bars is simulated."""
        return 0 < self.newest_simulated <= bars


def held_position(position: Held) -> HeldPosition:
    """Return an open position as a policy observes it."""
    side = 1 if position.action is Action.BUY else -1
    return HeldPosition(side, position.pnl_pct, position.r_multiple, position.bars_held)


@dataclass(frozen=True, slots=True)
class BarInput:
    """A new bar of a symbol, and the features of the window that it completes.

    state: the state of the symbol with the bar in it; the books are those from before the bar.
    session_day: the session with whose end a position of the time of the bar is closed; None if there is none.
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
    after, closing_day = state.with_session_bar(bar, day), calendar.closing_session(day)
    if not state.warm:
        return BarInput(after, closing_day, ends_session, Disposition.WARMING_UP, None)
    window, progress = after.window, calendar.progress(bar.time)
    recent = window.newest(LOOKBACK_BARS)
    decision = DecisionInput(
        symbol=bar.symbol,
        timestamp=bar.close_time,
        origin=Origin.BAR,
        window=window,
        indicators=indicators_of(recent),
        indicator_bars=len(recent),
        calendar=calendar,
        price=bar.close,
        session_progress=progress,
        session_day=closing_day,
        newest_simulated=after.newest_simulated,
        new_session=day != state.session_day,
        ends_session=ends_session,
        ms=(perf_counter() - started) * 1e3,
    )
    return BarInput(after, closing_day, ends_session, Disposition.ACCEPTED, decision)
