"""Equity by bar: what the account comes to after each close, as it is stored and listed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from .account import Account
from .calendar import SessionCalendar
from .events import Event, MarketUpdate
from .values import dataclass


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account after all that the log has up to the next close of a bar. Amounts are in account currency.

    time: close of the newest bar.
    session_day: day of the session of that bar, None outside every session.
    equity: initial equity, `realised` and `unrealised`.
    exposure: sum of the sizes of the open positions, as a fraction of the initial equity, >= 0.
    drawdown: how far equity is below its peak, >= 0. drawdown_pct: in percent of the peak, >= 0.
    """

    time: datetime
    session_day: date | None
    equity: float
    realised: float
    unrealised: float
    exposure: float
    open_positions: int
    drawdown: float
    drawdown_pct: float


class AccountFold:
    """An account on its way through the log, and the equity at each close that it passes.

    An event without a bar of its own, such as a position that is closed by hand, counts to the newest close.
    """

    def __init__(self, account: Account, calendar_of: Callable[[str], SessionCalendar]) -> None:
        self.account = account
        self._calendar_of = calendar_of
        self._day: date | None = None
        self._points: list[EquityPoint] = []

    def apply(self, event: Event) -> bool:
        """Take in the next event; return False if it changes nothing."""
        before, after = self.account, self.account.after(event)
        if isinstance(event, MarketUpdate) and event.bar.close_time == after.as_of:
            day = self._calendar_of(event.bar.symbol).session_of(event.bar.time)
            if after.as_of != before.as_of:
                self._close(before)
                self._day = day
            self._day = self._day or day
        self.account = after
        return after is not before

    def take_points(self) -> list[EquityPoint]:
        """Return the equity at each close since the last call, in the order of their times, and at the newest one."""
        self._close(self.account)
        points, self._points = self._points, []
        return points

    def _close(self, account: Account) -> None:
        if account.as_of is not None:
            self._points.append(
                EquityPoint(
                    account.as_of,
                    self._day,
                    account.equity,
                    account.realised,
                    account.unrealised,
                    account.exposure,
                    len(account.open_positions),
                    account.drawdown,
                    account.drawdown_pct,
                )
            )
