"""Positions that follow from bars and signals, as an independent and simple implementation.

Nothing of the service is used here. Prices are in quote currency; times are those of the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import holidays

Row = Mapping[str, Any]

FIVE_MINUTES = timedelta(minutes=5)
FIRST_BAR, LAST_BAR = time(13, 0), time(17, 55)
"""Opens of the first and the last bar of a session in Bogota, in UTC."""


def session_day(bar_time: datetime) -> date | None:
    """Return the session of a bar: Monday to Friday, except Colombian holidays."""
    at = bar_time.astimezone(UTC)
    business = at.weekday() < 5 and at.date() not in _holidays(at.year)
    return at.date() if business and FIRST_BAR <= at.time() <= LAST_BAR else None


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("CO", years=year))


@dataclass
class Trade:
    """A position, with the expected values of its row."""

    signal_id: UUID
    side: int
    entry_time: datetime
    entry: float
    stop: float
    target: float
    size: float
    day: date | None
    bars_held: int = 0
    best: float = 0.0
    worst: float = 0.0
    exit_time: datetime | None = None
    exit: float | None = None
    reason: str | None = None
    reversed_by: UUID | None = None

    def close(self, at: datetime, price: float, reason: str, reversed_by: UUID | None = None) -> None:
        """Close it."""
        self.exit_time, self.exit, self.reason, self.reversed_by = at, price, reason, reversed_by
        self.mark(price, price)

    def mark(self, high: float, low: float) -> None:
        """Update the excursions with prices."""
        moves = [self.side * (price - self.entry) for price in (high, low)]
        self.best, self.worst = max(self.best, *moves), max(self.worst, *(-move for move in moves))


def trades_of(bars: Sequence[Row], signals: Sequence[Row]) -> list[Trade]:
    """Return the positions that follow from these rows, in the order of time, without manual closes."""
    by_bar = {signal["bar_time"]: signal for signal in signals}
    trades: list[Trade] = []
    held: Trade | None = None
    for bar in bars:
        if held is not None:
            _look_at(held, bar)
            held = held if held.exit is None else None
        signal = by_bar.get(bar["time"])
        if signal is None or signal["action"] == "HOLD":
            continue
        side = 1 if signal["action"] == "BUY" else -1
        if held is not None and held.side == side:
            continue
        if held is not None:
            held.close(signal["timestamp"], signal["entry_price"], "REVERSED", signal["signal_id"])
            held = None
        if bar["time"].time() != LAST_BAR:
            held = Trade(
                signal_id=signal["signal_id"],
                side=side,
                entry_time=signal["timestamp"],
                entry=signal["entry_price"],
                stop=signal["stop_loss"],
                target=signal["take_profit"],
                size=signal["position_size"],
                day=session_day(bar["time"]),
            )
            trades.append(held)
    return trades


def _look_at(held: Trade, bar: Row) -> None:
    """A later bar: a gap through the stop fills at the open, a gap through the target at the target; the stop counts
    before the target; the session may end.
    """
    held.bars_held += 1
    opened, closed = bar["time"], bar["time"] + FIVE_MINUTES

    def beyond(price: float, level: float, toward: int) -> bool:
        return held.side * toward * (price - level) >= 0

    against, in_favor = (bar["low"], bar["high"]) if held.side > 0 else (bar["high"], bar["low"])
    if beyond(bar["open"], held.stop, -1):
        held.close(opened, bar["open"], "STOP_LOSS")
    elif beyond(bar["open"], held.target, 1):
        held.close(opened, held.target, "TAKE_PROFIT")
    elif session_day(opened) != held.day:
        held.close(opened, bar["open"], "SESSION_END")
    elif beyond(against, held.stop, -1):
        held.close(closed, held.stop, "STOP_LOSS")
    elif beyond(in_favor, held.target, 1):
        held.close(closed, held.target, "TAKE_PROFIT")
    elif opened.time() == LAST_BAR:
        held.close(closed, bar["close"], "SESSION_END")
    else:
        held.mark(bar["high"], bar["low"])
