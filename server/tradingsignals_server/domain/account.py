"""The account: equity, exposure and drawdown, from the changes of positions and the bars between them.

Sizes are fractions of the initial equity, so profits are not reinvested: a position of 2% is the same amount after a
year of profits as on the first day. All amounts are in account currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import date, datetime
from math import fsum
from typing import Any, Self
from uuid import UUID

from .bars import Bar
from .events import Disposition, Event, MarketUpdate
from .plain_values import parsed, plain
from .positions import ExitReason, Position
from .values import dataclass

STOPS = frozenset({ExitReason.STOP_LOSS, ExitReason.TRAILING_STOP})


@dataclass(frozen=True, slots=True)
class Account:
    """The account after an event, in account currency. `Account.opened` makes the first one, `after` the next.

    initial_equity: equity before the first position, > 0.
    realised: sum of the profit and loss of the closed positions, net of costs.
    open_positions: by their ids, as their newest marks left them.
    peak: highest equity so far, >= initial_equity.
    as_of: close of the newest bar, None before the first one.
    day: day in UTC of the open of that bar, None before the first bar.
    day_start: equity before the first bar of that day.
    closed: number of closed positions.
    stops_in_row: positions closed last, one after the other, by a stop and at a loss.
    last_stop: time of the last of them, None if there was none yet.
    """

    initial_equity: float
    peak: float
    day_start: float
    realised: float = 0.0
    open_positions: Mapping[UUID, Position] = field(default_factory=dict)
    as_of: datetime | None = None
    day: date | None = None
    closed: int = 0
    stops_in_row: int = 0
    last_stop: datetime | None = None

    @classmethod
    def opened(cls, initial_equity: float) -> Self:
        """Return an account without positions."""
        return cls(initial_equity, initial_equity, initial_equity)

    @property
    def unrealised(self) -> float:
        """Sum of the profit and loss of the open positions, as if all were closed now. It is rounded once."""
        return fsum(position.pnl_account for position in self.open_positions.values())

    @property
    def equity(self) -> float:
        """Initial equity, realised and unrealised profit and loss."""
        return self.initial_equity + self.realised + self.unrealised

    @property
    def exposure(self) -> float:
        """Sum of the sizes of the open positions, long or short, as a fraction of the initial equity."""
        return fsum(position.position_size for position in self.open_positions.values())

    @property
    def drawdown(self) -> float:
        """How far equity is below its peak, >= 0."""
        return max(0.0, self.peak - self.equity)

    @property
    def drawdown_pct(self) -> float:
        """The drawdown in percent of the peak, >= 0."""
        return 100.0 * self.drawdown / self.peak

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

    def after(self, event: Event) -> Account:
        """Return the account after the next event of the log. Signals and late bars change nothing.

        The day is that of the newest bar, so a position that is closed at midnight counts for the day that ends.
        """
        match event:
            case MarketUpdate():
                return self if event.disposition is Disposition.LATE else self._after_bar(event.bar)
            case Position():
                return self._after_change(event)
            case _:
                return self

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        state = plain(replace(self, open_positions={}))
        return {**state, "open_positions": [plain(position) for position in self.open_positions.values()]}

    @classmethod
    def of_json(cls, state: Mapping[str, Any]) -> Self:
        """Return the account of which `to_json` made `state`.

        Raises:
            ValueError, TypeError, KeyError: it did not.
        """
        held = [parsed(Position, position) for position in state["open_positions"]]
        rest = parsed(cls, {name: value for name, value in state.items() if name != "open_positions"})
        return replace(rest, open_positions={position.position_id: position for position in held})

    def _after_bar(self, bar: Bar) -> Account:
        if self.as_of is not None and bar.close_time <= self.as_of:
            return self
        day = bar.time.date()
        if day == self.day:
            return replace(self, as_of=bar.close_time)
        return replace(self, as_of=bar.close_time, day=day, day_start=self.equity)

    def _after_change(self, position: Position) -> Account:
        others = {key: held for key, held in self.open_positions.items() if key != position.position_id}
        if position.exit is None:
            changed = replace(self, open_positions={**self.open_positions, position.position_id: position})
        else:
            stopped = position.exit.reason in STOPS and position.pnl < 0.0
            changed = replace(
                self,
                open_positions=others,
                realised=self.realised + position.pnl_account,
                closed=self.closed + 1,
                stops_in_row=self.stops_in_row + 1 if stopped else 0,
                last_stop=position.exit.time if stopped else self.last_stop,
            )
        return replace(changed, peak=max(changed.peak, changed.equity))
