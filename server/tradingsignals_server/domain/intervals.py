"""Intervals of bars: which there are, their names, and which symbol has which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Self

from .symbols import EVERY_OTHER, items_by_symbol

INTERVALS: Mapping[str, timedelta] = MappingProxyType(
    {
        "1m": timedelta(minutes=1),
        "5m": timedelta(minutes=5),
        "15m": timedelta(minutes=15),
        "30m": timedelta(minutes=30),
        "1h": timedelta(hours=1),
        "4h": timedelta(hours=4),
        "1d": timedelta(days=1),
    }
)
"""The intervals that bars may have, by name. Each divides a day, so that the opens of bars are the same every day."""

DEFAULT_INTERVAL = INTERVALS["5m"]
"""Interval of the bars of a symbol for which none is set."""
LONGEST_INTERVAL = INTERVALS["1d"]

MINUTES: Mapping[timedelta, int] = MappingProxyType(
    {interval: interval // timedelta(minutes=1) for interval in INTERVALS.values()}
)
"""Minutes of each interval. The open of a bar is a multiple of them after midnight UTC."""

IntervalOf = Callable[[str], timedelta]
"""Returns the interval of the bars of a symbol, which is in its normal form."""

_NAMES: Mapping[timedelta, str] = {interval: name for name, interval in INTERVALS.items()}
_GRIDS: Mapping[str, str] = {
    "1m": "on a whole minute",
    "5m": "on a whole five minutes",
    "15m": "on a whole fifteen minutes",
    "30m": "on a whole thirty minutes",
    "1h": "on a whole hour",
    "4h": "at 0, 4, 8, 12, 16 or 20 h UTC",
    "1d": "at midnight UTC",
}


def default_interval(_: str) -> timedelta:
    """Return DEFAULT_INTERVAL, for any symbol. Implements IntervalOf."""
    return DEFAULT_INTERVAL


def allowed_intervals() -> str:
    """Return the names of all intervals as messages list them."""
    *first, last = INTERVALS
    return f"{', '.join(first)} or {last}"


def interval_name(interval: timedelta) -> str:
    """Return the name of an interval, such as "5m".

    Raises:
        KeyError: bars cannot have this interval.
    """
    return _NAMES[interval]


def grid_of(interval: timedelta) -> str:
    """Return where bars of an interval open, as messages say it: "on a whole five minutes"."""
    return _GRIDS[_NAMES[interval]]


def parse_interval(text: str) -> timedelta:
    """Return the interval of a name.

    Raises:
        ValueError: there is none. The message is one line that lists all.
    """
    interval = INTERVALS.get(text.strip().lower())
    if interval is None:
        raise ValueError(f"{text.strip()!r} must be {allowed_intervals()}")
    return interval


@dataclass(frozen=True, slots=True)
class Intervals:
    """The interval of each symbol's bars: `by_symbol` for the symbols it contains, `every_other` for all others."""

    every_other: timedelta = DEFAULT_INTERVAL
    by_symbol: Mapping[str, timedelta] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse intervals such as "BTCUSDT=1h, *=5m"; "5m" alone applies to every symbol.

        Raises:
            ValueError: the text is not a list of intervals. The message is one line that names the symbol.
        """
        found: dict[str, timedelta] = {}
        for symbol, written in items_by_symbol(text).items():
            try:
                found[symbol] = parse_interval(written)
            except ValueError as error:
                of_symbol = "every other symbol" if symbol == EVERY_OTHER else symbol
                raise ValueError(f"the interval of {of_symbol}, {error}") from None
        if not found:
            raise ValueError(f"must be {allowed_intervals()}, for every symbol or by symbol (BTCUSDT=1h,*=5m)")
        return cls(found.pop(EVERY_OTHER, DEFAULT_INTERVAL), found)

    def of(self, symbol: str) -> timedelta:
        """Return the interval of the bars of one symbol, which is in its normal form."""
        return self.by_symbol.get(symbol, self.every_other)

    def __str__(self) -> str:
        """Format the intervals as a setting has them, `every_other` last."""
        named = [f"{symbol}={interval_name(interval)}" for symbol, interval in sorted(self.by_symbol.items())]
        every_other = interval_name(self.every_other)
        return ",".join([*named, f"{EVERY_OTHER}={every_other}"]) if named else every_other
