"""The state of one symbol between two bars: all that a decision depends on besides the bar itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Self

from ..domain.bars import BAR_INTERVAL, Bar
from ..domain.calendar import SessionCalendar
from ..domain.positions import Position
from ..domain.risk import TradeTally
from ..domain.window import LOOKBACK_BARS, Window
from .ports import StoredSymbol


@dataclass(frozen=True, slots=True)
class SymbolState:
    """Immutable; a step makes a new one, and the engine keeps it only once it is committed.

    last_bar: the newest bar processed, inside a session or outside.
    session_day: day of the session of the newest bar of the window.
    missing_bars: bars that session lacks so far, between the first and the newest one the window knows.
    simulated_left: bars that still have to come before no simulated bar is left in the window.
    """

    symbol: str
    calendar: SessionCalendar
    window: Window
    last_bar: Bar | None = None
    session_day: date | None = None
    missing_bars: int = 0
    simulated_left: int = 0
    position: Position | None = None
    tally: TradeTally = field(default_factory=TradeTally)

    @classmethod
    def restored(cls, symbol: str, calendar: SessionCalendar, stored: StoredSymbol) -> Self:
        """The state that processing the stored bars one by one had led to."""
        state = cls(symbol, calendar, Window.empty(), position=stored.position)
        for bar in stored.session_bars:
            state = state.with_session_bar(bar, calendar.session_of(bar.time))
        tally = TradeTally()
        for pnl_pct in stored.closed_pnl_pct:
            tally = tally.with_trade(pnl_pct)
        return replace(state, last_bar=stored.last_bar, tally=tally)

    def with_session_bar(self, bar: Bar, day: date | None) -> Self:
        """One more bar of the session of `day` in the window."""
        missing = 0
        if day == self.session_day and self.window.time is not None:
            missing = self.missing_bars + (bar.time - self.window.time) // BAR_INTERVAL - 1
        return replace(
            self,
            window=self.window.append(bar),
            last_bar=bar,
            session_day=day,
            missing_bars=missing,
            simulated_left=LOOKBACK_BARS if bar.simulated else max(0, self.simulated_left - 1),
        )

    def with_position(self, position: Position) -> Self:
        """The state after a change of the symbol's position; a closed one is counted and let go."""
        if position.is_open:
            return replace(self, position=position)
        return replace(self, position=None, tally=self.tally.with_trade(position.pnl_pct))
