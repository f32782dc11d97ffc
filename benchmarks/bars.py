"""Bars of the project's own simulated market, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import chain, islice

from tradingsignals_server.adapters.feeds.market import SimulatedMarket
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import SessionCalendar, calendar_for

SEED = 7
FIRST_DAY = date(2020, 1, 2)
WARMING_BARS = 100
"""Bars that fill a symbol's window, before the measured ones."""


def simulated_bars(symbol: str, count: int) -> list[Bar]:
    """The first `count` bars of the simulated market of `symbol`, all of them inside its sessions."""
    return list(islice(market_bars(symbol), count))


def market_bars(symbol: str) -> Iterator[Bar]:
    """The same bars one by one, without end."""
    calendar = calendar_for(symbol)
    market = SimulatedMarket(SEED, symbol, calendar)
    bar: Bar | None = None
    for time in _bar_times(calendar):
        bar = market.next_bar(time, bar)
        yield bar


def mean_price(symbol: str) -> float:
    """The mean price of `symbol` in that market, which is near that of every bar."""
    return SimulatedMarket(SEED, symbol, calendar_for(symbol)).level


def side_by_side(symbols: Sequence[str], count: int) -> list[Bar]:
    """`count` bars of each symbol in the order of arrival: all symbols' bars of one time, then those of the next."""
    return list(chain.from_iterable(zip(*(simulated_bars(symbol, count) for symbol in symbols), strict=True)))


def _bar_times(calendar: SessionCalendar) -> Iterator[datetime]:
    days = (FIRST_DAY + timedelta(days=number) for number in range((date.max - FIRST_DAY).days))
    return chain.from_iterable(calendar.bars_of(day) for day in days)
