"""Builders of bars, signals and positions for tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from uuid import UUID

from tradingsignals_server.adapters.feeds.market import SimulatedMarket
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar
from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.positions import Position, open_position
from tradingsignals_server.domain.risk import RiskRules, TradeTally, decide
from tradingsignals_server.domain.signals import Action, Origin, Probabilities, Signal

MONDAY = date(2024, 3, 4)
"""A business day in Bogota, followed by four others."""
OPENING = datetime(2024, 3, 4, 13, 0, tzinfo=UTC)
"""Open of its first bar."""
NOW = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
"""The test clock: a Saturday after every bar that a test publishes; a bar that has not ended yet is refused."""

SURE = {
    Action.BUY: Probabilities(hold=0.05, buy=0.9, sell=0.05),
    Action.SELL: Probabilities(hold=0.05, buy=0.05, sell=0.9),
    Action.HOLD: Probabilities(hold=0.9, buy=0.05, sell=0.05),
}
"""The output of a policy that is sure of an action."""


def now() -> datetime:
    """A clock that always returns NOW."""
    return NOW


def bar(
    time: datetime | int = 0,
    open_: float = 100.0,
    high: float | None = None,
    low: float | None = None,
    close: float | None = None,
    *,
    symbol: str = "USDCOP",
    simulated: bool = False,
) -> Bar:
    """Return a bar at a time, or `at` bars after OPENING; prices that are not given form the smallest valid bar."""
    at = OPENING + time * DEFAULT_INTERVAL if isinstance(time, int) else time
    end = open_ if close is None else close
    top = max(open_, end) if high is None else high
    bottom = min(open_, end) if low is None else low
    return Bar(symbol, at, open_, top, bottom, end, simulated=simulated)


def session_times(days: int, interval: timedelta = DEFAULT_INTERVAL) -> list[datetime]:
    """Return the opens of the bars of the first sessions from MONDAY on."""
    calendar, times, day = BogotaCalendar(interval), list[datetime](), MONDAY
    while len(times) < days * calendar.bars:
        times.extend(calendar.bars_of(day))
        day += timedelta(days=1)
    return times


def walk(
    count: int,
    *,
    seed: int = 1,
    symbol: str = "USDCOP",
    times: Sequence[datetime] | None = None,
    interval: timedelta = DEFAULT_INTERVAL,
) -> list[Bar]:
    """Return a random walk of `count` bars in the sessions from MONDAY on, with the volatility of USD/COP."""
    dice, price, bars = random.Random(seed), 4000.0, list[Bar]()  # no secret hangs on it
    slots = session_times(-(-count // BogotaCalendar(interval).bars), interval) if times is None else times
    for time in slots[:count]:
        start, price = price, price + dice.gauss(0.0, 3.0)
        above, below = (abs(dice.gauss(0.0, 1.0)) for _ in range(2))
        high, low = max(start, price) + above, min(start, price) - below
        bars.append(Bar(symbol, time, start, high, low, price, interval=interval))
    return bars


def simulated_bars(days: int, *, seed: int = 1, skipped: frozenset[int] = frozenset()) -> list[Bar]:
    """Return the bars of the sessions of `days` days from MONDAY on, without those whose index is in `skipped`."""
    days_from_monday = (MONDAY + timedelta(days=number) for number in range(days))
    market, bars = SimulatedMarket(seed, "USDCOP", BogotaCalendar()), list[Bar]()
    for number, time in enumerate(chain.from_iterable(map(market.calendar.bars_of, days_from_monday))):
        if number not in skipped:
            bars.append(market.next_bar(time, bars[-1] if bars else None))
    return bars


def feed_bars(first: date, last: date, *, seed: int = 1) -> list[Bar]:
    """Return bars with the gaps of a real feed of USD/COP, from the day `first` to `last`, inclusive.

    The feed delivers bars on holidays too; on one day in eleven it stops after an hour, and one bar in 97 is missing.
    """
    calendar = BogotaCalendar()
    market, bars = SimulatedMarket(seed, "USDCOP", calendar), list[Bar]()
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    for day in (day for day in days if day.weekday() < 5):
        opening = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
        for slot in range(12 if day.toordinal() % 11 == 0 else calendar.bars):
            if (day.toordinal() * calendar.bars + slot) % 97:
                bars.append(market.next_bar(opening + slot * DEFAULT_INTERVAL, bars[-1] if bars else None))
    return [replace(bar, simulated=False) for bar in bars]


def signal(
    action: Action = Action.BUY,
    price: float = 100.0,
    *,
    atr: float | None = 1.0,
    time: datetime = OPENING,
    rules: RiskRules | None = None,
    name: int = 1,
    symbol: str = "USDCOP",
    origin: Origin = Origin.BAR,
) -> Signal:
    """Return a confident signal; with the default rules its stop is 2 ATR away, its target 3."""
    found = Indicators(atr=atr)
    return Signal(
        signal_id=UUID(int=name),
        timestamp=time,
        symbol=symbol,
        entry_price=price,
        decision=decide(symbol, SURE[action], price, found, rules or RiskRules(), TradeTally()),
        probabilities=SURE[action],
        indicators=found,
        origin=origin,
        model_version="v1",
        model_type="test",
        simulated=False,
        bar_time=time - DEFAULT_INTERVAL,
        valid_until=time + DEFAULT_INTERVAL,
    )


def position(action: Action = Action.BUY, rules: RiskRules | None = None, *, day: date | None = MONDAY) -> Position:
    """Return a position opened at 100 with an ATR of 1: stop 98 and target 103 if long, 102 and 97 if short."""
    return open_position(signal(action, rules=rules), rules or RiskRules(), day)
