"""The account: equity, exposure and drawdown, from the changes of positions and the bars between them.

Sizes are fractions of the initial equity, so profits are not reinvested: a position of 2% is the same amount after a
year of profits as on the first day. All amounts are in account currency.

It is a fold of the log: the same entries give the same account, whether they are folded at once or in pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from math import ldexp
from typing import Any, Final, Self
from uuid import UUID

from .bars import Bar
from .events import Disposition, Event, MarketUpdate, TradingControl
from .plain_values import parsed, plain
from .positions import ExitReason, Position
from .protections import AccountAtDecision, Protections, ProtectionState, protection_states
from .values import changed, dataclass

STOPS = frozenset({ExitReason.STOP_LOSS, ExitReason.TRAILING_STOP})

HISTORY: Final = timedelta(days=7)
"""A bar whose day is further behind the account's is history: the limits on drawdown and stops pass over it. Bars
after an outage or a weekend, and daily bars that come a day late, are nearer."""

_BEFORE_ALL_BARS: Final = datetime(1970, 1, 1, tzinfo=UTC)

_UNIT_BITS: Final = 64
"""Sums over open positions are kept as whole numbers of 2^-64: exact, in whatever order, and without adding up all of
them again at each change."""

_EXPONENTS: Final = 1e300
"""Beyond this a number times 2^64 may be no float. Only positions of the first versions were ever worth as much."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account after an event, in account currency. `Account.opened` makes the first one, `after` the next.

    initial_equity: equity before the first position, > 0.
    peak: highest equity so far, >= initial_equity.
    protected_peak: highest equity since trading was last resumed by hand, or ever if it never was. What history comes
        to moves it along.
    day_start: equity before the first bar of that day. What bars of earlier days come to moves it along.
    realised: sum of the profit and loss of the closed positions, net of costs.
    open_positions: by their ids, as their newest marks left them.
    as_of: close of the newest bar, None before the first one.
    day: day in UTC of the open of that bar, None before the first bar.
    closed: number of closed positions.
    stops_in_row: positions closed last, one after the other, by a stop and at a loss; 0 once trading is resumed.
    last_stop: time of the last of them, None if there was none yet.
    earlier_day, earlier_symbol: day and symbol of the last bar of the log if it is of an earlier day than `day`; None
        and "" if it is not.
    halted: whether trading is halted by hand; halt_reason, halted_by, halted_at: see events.TradingControl.
    unrealised_units, exposure_units: see `unrealised` and `exposure`, in units of 2^-64.
    """

    initial_equity: float
    peak: float
    protected_peak: float
    day_start: float
    realised: float = 0.0
    open_positions: Mapping[UUID, Position] = field(default_factory=dict)
    as_of: datetime | None = None
    day: date | None = None
    closed: int = 0
    stops_in_row: int = 0
    last_stop: datetime | None = None
    earlier_day: date | None = None
    earlier_symbol: str = ""
    halted: bool = False
    halt_reason: str = ""
    halted_by: str = ""
    halted_at: datetime | None = None
    unrealised_units: int = 0
    exposure_units: int = 0

    @classmethod
    def opened(cls, initial_equity: float) -> Self:
        """Return an account without positions."""
        return cls(initial_equity, initial_equity, initial_equity, initial_equity)

    @property
    def unrealised(self) -> float:
        """Sum of the profit and loss of the open positions, as if all were closed now. It is rounded once."""
        return self.unrealised_units / (1 << _UNIT_BITS)

    @property
    def equity(self) -> float:
        """Initial equity, realised and unrealised profit and loss."""
        return self.initial_equity + self.realised + self.unrealised

    @property
    def exposure(self) -> float:
        """Sum of the sizes of the open positions, long or short, as a fraction of the initial equity."""
        return self.exposure_units / (1 << _UNIT_BITS)

    @property
    def drawdown(self) -> float:
        """How far equity is below its peak, >= 0."""
        return max(0.0, self.peak - self.equity)

    @property
    def drawdown_pct(self) -> float:
        """The drawdown in percent of the peak, >= 0."""
        return 100.0 * self.drawdown / self.peak

    @property
    def protected_drawdown_pct(self) -> float:
        """How far equity is below its peak since trading was resumed, in percent of it; all of it if none was left."""
        if self.protected_peak <= 0.0:
            return 100.0
        return 100.0 * max(0.0, self.protected_peak - self.equity) / self.protected_peak

    @property
    def day_loss(self) -> float:
        """How far equity is below that at the start of the day, >= 0."""
        return max(0.0, self.day_start - self.equity)

    @property
    def day_loss_pct(self) -> float:
        """The loss of the day in percent of the equity at its start, >= 0; all of it if there was none left."""
        if self.day_start <= 0.0:
            return 100.0
        return 100.0 * self.day_loss / self.day_start

    def at_decision(self, protections: Protections) -> AccountAtDecision:
        """Return what the protections look at, of an account that `guarded` has followed."""
        if not protections.has_limits:
            return AccountAtDecision(self.halted, self.halt_reason)
        return AccountAtDecision(
            halted=self.halted,
            halt_reason=self.halt_reason,
            day_loss_pct=self.day_loss_pct,
            drawdown_pct=self.protected_drawdown_pct,
            stops_in_row=self.stops_in_row,
            last_stop=self.last_stop,
            open_positions=len(self.open_positions),
            exposure=self.exposure,
        )

    def protection_states(self, protections: Protections) -> list[ProtectionState]:
        """Return how each protection stands as of the newest bar."""
        return protection_states(protections, self.at_decision(protections), self.as_of or _BEFORE_ALL_BARS)

    def guarded(self, events: Iterable[Event], protections: Protections) -> Account:
        """Return the account after events, as far as the protections look at it: without a limit, only at halts."""
        account = self
        for event in events:
            if protections.has_limits or isinstance(event, TradingControl):
                account = account.after(event)
        return account

    def after(self, event: Event) -> Account:
        """Return the account after the next event of the log. Signals and late bars change nothing.

        The day is that of the newest bar, so a position that is closed at midnight counts for the day that ends.
        """
        match event:
            case MarketUpdate():
                return self if event.disposition is Disposition.LATE else self.after_bar(event.bar)
            case Position():
                return self._after_change(event)
            case TradingControl():
                return self._after_control(event)
            case _:
                return self

    def after_bar(self, bar: Bar) -> Account:
        """Return the account after a bar that is not late, before the changes of positions that it leads to."""
        day = bar.time.date()
        if self.as_of is None or bar.close_time > self.as_of:
            start = self.day_start if day == self.day else self.equity
            return changed(self, as_of=bar.close_time, day=day, day_start=start, earlier_day=None, earlier_symbol="")
        earlier_day, earlier_symbol = (None, "") if day == self.day else (day, bar.symbol)
        if (earlier_day, earlier_symbol) == (self.earlier_day, self.earlier_symbol):
            return self
        return changed(self, earlier_day=earlier_day, earlier_symbol=earlier_symbol)

    def controlled_as(self, other: Account) -> Account:
        """Return the account with what the newest halt or resume of `other` left: for a log that has it no more."""
        return changed(
            self,
            protected_peak=other.protected_peak,
            halted=other.halted,
            halt_reason=other.halt_reason,
            halted_by=other.halted_by,
            halted_at=other.halted_at,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values for JSON.

        What is absent, empty or false is left out, so programs of before a field read states that do not need it.
        """
        state = plain(changed(self, open_positions={}))
        state = {name: value for name, value in state.items() if value not in (None, "") and value is not False}
        return {**state, "open_positions": [plain(position) for position in self.open_positions.values()]}

    @classmethod
    def of_json(cls, state: Mapping[str, Any]) -> Self:
        """Return the account of which `to_json` made `state`.

        Raises:
            ValueError, TypeError, KeyError: it did not.
        """
        held = [parsed(Position, position) for position in state["open_positions"]]
        rest = parsed(cls, {name: value for name, value in state.items() if name != "open_positions"})
        return changed(rest, open_positions={position.position_id: position for position in held})

    def _after_change(self, position: Position) -> Account:
        held = dict(self.open_positions)
        before = held.pop(position.position_id, None)
        unrealised, exposure = self.unrealised_units, self.exposure_units
        if before is not None:
            unrealised -= _units(before.pnl_account)
            exposure -= _units(before.position_size)
        behind = self._days_behind(position)
        realised, closed, stops, last_stop = self.realised, self.closed, self.stops_in_row, self.last_stop
        if position.exit is None:
            held[position.position_id] = position
            unrealised += _units(position.pnl_account)
            exposure += _units(position.position_size)
        else:
            realised, closed = realised + position.pnl_account, closed + 1
            if behind <= HISTORY:
                stopped = position.exit.reason in STOPS and position.pnl < 0.0
                stops, last_stop = (stops + 1, position.exit.time) if stopped else (0, last_stop)
        equity = self.initial_equity + realised + unrealised / (1 << _UNIT_BITS)
        # Moved so, a difference to the equity that is 0 stays 0, which a sum of changes would not.
        day_start = equity - (self.equity - self.day_start) if behind else self.day_start
        protected_peak = self.protected_peak
        if behind > HISTORY:
            protected_peak = equity + (protected_peak - self.equity)
        return changed(
            self,
            peak=max(self.peak, equity),
            protected_peak=max(protected_peak, equity),
            day_start=day_start,
            realised=realised,
            open_positions=held,
            closed=closed,
            stops_in_row=stops,
            last_stop=_latest(last_stop, self.last_stop) if stops > 1 else last_stop,
            unrealised_units=unrealised,
            exposure_units=exposure,
        )

    def _days_behind(self, position: Position) -> timedelta:
        """Return how far the day of the bar that changed a position is behind `day`; 0 if it was closed by hand, now.

        The changes that a bar leads to follow it in the log.
        """
        by_hand = position.exit is not None and position.exit.reason is ExitReason.MANUAL
        if self.day is None or self.earlier_day is None or position.symbol != self.earlier_symbol or by_hand:
            return timedelta()
        return self.day - self.earlier_day

    def _after_control(self, control: TradingControl) -> Account:
        """Return the account after a halt or a resume.

        Halting again changes nothing, but gives a halt without a reason its reason. Resuming begins the drawdown and
        the row of stops anew.
        """
        if not control.halted:
            return changed(
                self,
                protected_peak=self.equity,
                stops_in_row=0,
                halted=False,
                halt_reason="",
                halted_by="",
                halted_at=None,
            )
        if self.halted and (self.halt_reason or not control.reason):
            return self
        if self.halted:
            return changed(self, halt_reason=control.reason, halted_by=control.by or self.halted_by)
        return changed(self, halted=True, halt_reason=control.reason, halted_by=control.by, halted_at=control.at)


def _latest(time: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later time: a stop at a bar's open may be committed after stops of later bars."""
    return time if time is None or other is None else max(time, other)


def _units(amount: float) -> int:
    return int(ldexp(amount, _UNIT_BITS)) if abs(amount) < _EXPONENTS else int(amount) << _UNIT_BITS
