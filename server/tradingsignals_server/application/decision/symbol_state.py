"""The state of one symbol between two bars: what a decision depends on besides the bar itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import date, datetime, timedelta
from typing import Self

from ...domain.bars import Bar, is_jump
from ...domain.calendar import SessionCalendar
from ...domain.errors import PriceJump
from ...domain.indicators import WARM_BARS
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.risk import TradeTally
from ...domain.values import dataclass
from ...domain.window import LOOKBACK_BARS, Window
from ..ports.store import StoredSymbol, StoredTraderState

JUMP_MEMORY = timedelta(hours=1)
"""A bar that comes later than this after the one before is not compared with it: while a market is closed, shares are
split and currencies devalued. So no refusal lasts longer either, if the refused price was right after all.
"""

HELD_PRICE_JUMP = 19.0
"""How far such a bar may lie from the last price while a position is held, which it may fill: a factor of 20. It leaves
room for splits and devaluations, and none for a misplaced decimal point."""

NO_STATE = RecurrentState.zeros(0, 0)


@dataclass(frozen=True, slots=True)
class Book:
    """The book of one policy in one symbol: its recurrent state, its open position, and the tally of closed ones.

    recurrent: the recurrent state for the next bar. recurrent_before: the one before the newest bar.
    """

    recurrent: RecurrentState = NO_STATE
    recurrent_before: RecurrentState = NO_STATE
    position: Position | None = None
    tally: TradeTally = field(default_factory=TradeTally)

    @classmethod
    def restored(cls, stored: StoredTraderState, recurrent_before: RecurrentState, recurrent: RecurrentState) -> Self:
        """Restore the book from what is stored."""
        return cls(recurrent, recurrent_before, stored.position, TradeTally(tuple(stored.closed)))

    def after_bar(self, before: RecurrentState, after: RecurrentState) -> Self:
        """Return the book with the recurrent states before and after a new bar."""
        return type(self)(after, before, self.position, self.tally)

    def with_position(self, position: Position) -> Self:
        """Return the book after a change of its position; a closed position is counted and removed."""
        if position.exit is None:
            return replace(self, position=position)
        return replace(self, position=None, tally=self.tally.with_trade(position.exit.time, position.pnl_pct))


@dataclass(frozen=True, slots=True)
class SymbolState:
    """The immutable state of a symbol; a step makes a new one, which the engine keeps once it is committed.

    last_bar: the newest bar processed, inside a session or outside.
    session_day: day of the session of the newest bar of the window.
    session_start: time of the first bar of that session.
    missing_bars: bars that session lacks so far, between the first and the newest one the window knows.
    simulated_left: bars that still have to come before no simulated bar is left in the window.
    live, shadow: the books of the policy that trades, and of the shadow policy, if there is one.
    """

    symbol: str
    calendar: SessionCalendar
    window: Window
    last_bar: Bar | None = None
    session_day: date | None = None
    session_start: datetime | None = None
    missing_bars: int = 0
    simulated_left: int = 0
    live: Book = field(default_factory=Book)
    shadow: Book | None = None

    @classmethod
    def restored(
        cls,
        symbol: str,
        calendar: SessionCalendar,
        stored: StoredSymbol,
        live: Book,
        shadow: Book | None,
        *,
        history_bars: int = LOOKBACK_BARS,
    ) -> Self:
        """Restore the state from what is stored, as if the bars had been processed one by one.

        Args:
            symbol: in its normal form.
            calendar: its sessions.
            stored: its newest bars.
            live: the book of the policy that trades.
            shadow: the book of the shadow policy, if there is one.
            history_bars: number of bars that the window keeps.
        """
        state = cls(symbol, calendar, Window.empty(history_bars), live=live, shadow=shadow)
        for bar in stored.session_bars:
            state = state.with_session_bar(bar, calendar.session_of(bar.time))
        return replace(state, last_bar=stored.last_bar)

    def market_time(self, wall_clock: datetime, *, replayed: bool) -> datetime:
        """Return the time of a request in the market of this symbol.

        Where bars are simulated, or `replayed` by a feed, that is the close of the newest bar; else it is the wall
        clock. It is never before the newest bar's close nor before the entry of the position held, whatever the clocks.
        """
        moment = wall_clock
        if self.last_bar is not None:
            closed = self.last_bar.close_time
            moment = closed if replayed or self.last_bar.simulated else max(wall_clock, closed)
        held = self.live.position
        return moment if held is None else max(moment, held.entry_time)

    @property
    def last_price(self) -> tuple[datetime, float] | None:
        """The newest price known, and its time: the close of the newest bar, else the entry of the position held."""
        if self.last_bar is not None:
            return self.last_bar.close_time, self.last_bar.close
        held = self.live.position
        return None if held is None else (held.entry_time, held.entry_price)

    def refuse_jump(self, prices: Mapping[str, float], limit: float) -> None:
        """Refuse prices, by the name of their field, that are too far from the last one known.

        Raises:
            PriceJump: one is further away than `limit`, a fraction; see domain.bars.is_jump.
        """
        if self.last_price is None:
            return
        _, last = self.last_price
        if fields := _jumping(prices, last, limit):
            raise PriceJump(fields, self.symbol, last, limit)

    def refuse_bar_after_jump(self, bar: Bar, limit: float) -> None:
        """Refuse a bar that jumps away from the one before it.

        After JUMP_MEMORY without a bar it is compared only while a position is held, and with HELD_PRICE_JUMP.

        Raises:
            PriceJump: one of its prices does.
        """
        if self.last_price is None or limit <= 0.0:
            return
        if bar.time - self.last_price[0] >= JUMP_MEMORY:
            if self.live.position is None:
                return
            limit = max(limit, HELD_PRICE_JUMP)
        last = self.last_price[1]
        if is_jump(bar.low, last, limit) or is_jump(bar.high, last, limit):  # the others lie between
            self.refuse_jump(_prices_of(bar), limit)

    @property
    def is_blank(self) -> bool:
        """True if nothing of it is worth keeping: there is no bar and no position."""
        return self.last_bar is None and self.live.position is None

    @property
    def warm(self) -> bool:
        """True if with one more bar every indicator exists, and it can be decided on."""
        return len(self.window) >= WARM_BARS - 1

    def after_bar(self, bar: Bar, day: date | None) -> Self:
        """The state after one more bar, of the session of `day` or of none."""
        return replace(self, last_bar=bar) if day is None else self.with_session_bar(bar, day)

    @property
    def newest_simulated(self) -> int:
        """1 if the newest bar is simulated, 2 if the one before it is, and so on; 0 if none of the window is."""
        return self.window.limit - self.simulated_left + 1 if self.simulated_left else 0

    def with_session_bar(self, bar: Bar, day: date | None) -> Self:
        """One more bar of the session of `day` in the window."""
        start, missing = bar.time, 0
        if day == self.session_day and self.window.time is not None and self.session_start is not None:
            start = self.session_start
            missing = self.missing_bars + (bar.time - self.window.time) // self.calendar.interval - 1
        simulated = self.window.limit if bar.simulated else max(0, self.simulated_left - 1)
        window = self.window.append(bar)
        return type(self)(
            self.symbol, self.calendar, window, bar, day, start, missing, simulated, self.live, self.shadow
        )

    def after_late_bar(self, bar: Bar) -> Self:
        """The state after a bar that comes after newer ones: its session lacks it no more, but the window has its gap.

        The bars behind the gap were decided on without it.
        """
        start, newest = self.session_start, self.window.time
        if start is None or newest is None or bar.time >= newest:
            return self
        if self.calendar.session_of(bar.time) != self.session_day:
            return self
        if bar.time > start:
            return replace(self, missing_bars=self.missing_bars - 1)
        missing = self.missing_bars + (start - bar.time) // self.calendar.interval - 1
        return replace(self, session_start=bar.time, missing_bars=missing)

    def knows_bars_of(self, other: Self) -> bool:
        """Return whether the next bar leads to the same input from both states, which are of one symbol."""
        if self.window is not other.window:
            return False
        return (self.missing_bars, self.session_start) == (other.missing_bars, other.session_start)

    def with_books(self, live: Book, shadow: Book | None) -> Self:
        """The state with these books; each bar makes one, and dataclasses.replace would take twice as long."""
        window, last_bar, day, start = self.window, self.last_bar, self.session_day, self.session_start
        missing, simulated = self.missing_bars, self.simulated_left
        return type(self)(self.symbol, self.calendar, window, last_bar, day, start, missing, simulated, live, shadow)


def refuse_late_bar_after_jump(bar: Bar, near: Sequence[float], limit: float) -> None:
    """Refuse a late bar that jumps away from every price in `near`, those before and after it within JUMP_MEMORY.

    One of them is enough to accept it: the first bars after a real break of the price, which were refused while they
    were new, agree with the bars after them. Without any it is accepted, as a new bar is after JUMP_MEMORY: history of
    another time may have any price.

    Args:
        bar: no newer than the newest bar of its symbol.
        near: see ingest.batch.Batch.prices_near; the first one is reported.
        limit: a fraction; see domain.bars.is_jump.

    Raises:
        PriceJump: one of its prices is too far away from each.
    """
    fields = [_jumping(_prices_of(bar), price, limit) for price in near]
    if fields and all(fields):
        raise PriceJump(fields[0], bar.symbol, near[0], limit)


def _prices_of(bar: Bar) -> Mapping[str, float]:
    return {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}


def _jumping(prices: Mapping[str, float], last: float, limit: float) -> list[str]:
    return [name for name, price in prices.items() if is_jump(price, last, limit)]
