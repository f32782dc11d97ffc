"""Bars that have closed, valid by construction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from .errors import FieldViolation, InvalidBar, time_text
from .intervals import (
    DEFAULT_INTERVAL,
    LONGEST_INTERVAL,
    MINUTES,
    allowed_intervals,
    grid_of,
    interval_name,
)
from .values import dataclass

EARLIEST_TIME = datetime(1990, 1, 1, tzinfo=UTC)
"""Earliest open of a bar. An earlier time comes from a broken clock or a wrong unit."""
LATEST_TIME = datetime.max.replace(tzinfo=UTC) - LONGEST_INTERVAL
"""A bar that opens later could end after the latest datetime."""

LOWEST_PRICE, HIGHEST_PRICE = 1e-9, 1e12
"""Bounds of a price: wide enough for every instrument, narrow enough that no formula overflows a float."""

CERTAIN_SPACINGS = 3
"""A spacing that occurs less often is no evidence of the interval of the bars."""
SPARSE_SHARE = 0.25
"""A thinly traded symbol has gaps between its bars. They still count as bars of an interval if a spacing of that
interval is at least this fraction as frequent as the most common spacing."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed bar of `symbol`, from `time` (its open, UTC) for `interval`, which is one of INTERVALS.

    Its open is a multiple of its interval after midnight UTC.
    Prices are in quote currency for one unit of the base currency, from LOWEST_PRICE to HIGHEST_PRICE, with
    low <= open, close <= high. `volume` is finite and >= 0. `simulated` is true if the bar does not come from a market.

    Raises:
        InvalidBar: on construction, with a violation for every invalid field.
    """

    symbol: str
    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    simulated: bool = False
    interval: timedelta = DEFAULT_INTERVAL

    def __post_init__(self) -> None:
        # Chained comparisons are false for NaN, infinity, zero and every contradiction at once; only an invalid bar,
        # which is rare, is then checked field by field.
        low, high, time = self.low, self.high, self.time
        valid_prices = LOWEST_PRICE <= low <= self.open <= high <= HIGHEST_PRICE and low <= self.close <= high
        minutes = MINUTES.get(self.interval)
        valid_time = (
            minutes is not None
            and time.tzinfo is UTC
            and EARLIEST_TIME <= time <= LATEST_TIME
            and not ((time.hour * 60 + time.minute) % minutes or time.second or time.microsecond)
        )
        if not (valid_prices and valid_time and 0.0 <= self.volume < math.inf):
            violations = [
                *time_violations(time, self.interval),
                *value_violations(self.open, high, low, self.close, self.volume),
            ]
            raise InvalidBar(violations, symbol=self.symbol, time=time_text(time))

    @property
    def close_time(self) -> datetime:
        """Time at which the bar ended, in UTC. Nothing may act on the bar earlier."""
        return self.time + self.interval

    def agrees_with(self, other: Bar) -> bool:
        """Return whether both bars have equal symbols, times, prices and volumes; `simulated` is not compared."""
        return (
            self.symbol == other.symbol
            and self.time == other.time
            and self.open == other.open
            and self.high == other.high
            and self.low == other.low
            and self.close == other.close
            and self.volume == other.volume
        )


def is_jump(price: float, last: float, limit: float) -> bool:
    """Return whether `price` lies outside `last` / (1 + limit) to `last` * (1 + limit). A `limit` of 0 means none."""
    return limit > 0.0 and not last / (1.0 + limit) <= price <= last * (1.0 + limit)


def require_closed(bar: Bar, now: datetime, tolerance: timedelta = timedelta(seconds=5)) -> None:
    """Reject a bar that has not ended yet. `tolerance` allows for a publisher whose clock is fast.

    Raises:
        InvalidBar: the bar ends later than `now` + `tolerance`.
    """
    if bar.close_time > now + tolerance:
        raise InvalidBar(
            [FieldViolation("time", f"the bar ends at {time_text(bar.close_time)}, which is in the future")],
            symbol=bar.symbol,
            time=time_text(bar.time),
        )


def require_interval(bar: Bar, interval: timedelta) -> None:
    """Reject a bar that has another interval than `interval`, which is that of its symbol.

    Raises:
        InvalidBar: it has.
    """
    if bar.interval != interval:
        violation = interval_violation(interval_name(bar.interval), bar.symbol, interval)
        raise InvalidBar([violation], symbol=bar.symbol, time=time_text(bar.time))


def interval_violation(sent: str, symbol: str, interval: timedelta) -> FieldViolation:
    """Return the violation of a bar that was `sent` with another interval than that of its symbol."""
    return FieldViolation("interval", f"is {sent!r}, and bars of {symbol} are of {interval_name(interval)}")


def foreign_spacing(seconds: npt.NDArray[np.int64], interval: timedelta) -> timedelta | None:
    """Return the most common spacing of one symbol's bars if they are not bars of `interval`, else None.

    `seconds` are the opens, in seconds since 1970, in any order; repetitions are allowed. Nights, holidays and missing
    bars have no effect, because only the most common spacing counts. The result is None if that spacing occurs less
    than CERTAIN_SPACINGS times.
    """
    spacings, counts = np.unique(np.diff(np.unique(seconds)), return_counts=True)
    if not len(spacings) or counts.max() < CERTAIN_SPACINGS:
        return None
    most_common, expected = int(spacings[counts.argmax()]), int(interval.total_seconds())
    is_sparse = counts[spacings == expected].sum() >= SPARSE_SHARE * counts.max()
    if most_common == expected or (most_common > expected and is_sparse):
        return None
    return timedelta(seconds=most_common)


def describe_spacing(spacing: timedelta) -> str:
    """Format a spacing in its largest whole unit: "1 minute", "4 hours", "90 seconds"."""
    seconds = int(spacing.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}" + ("" if count == 1 else "s")
    return f"{seconds} second" + ("" if seconds == 1 else "s")


def spacing_problem(symbol: str, found: timedelta, interval: timedelta) -> str:
    """Say that the bars of `symbol` have the spacing `found` where `interval` is needed, and what to set, if it helps.

    `found` is a result of foreign_spacing.
    """
    needed = f"bars of {symbol} are {describe_spacing(found)} apart; bars of {interval_name(interval)} are needed"
    if found not in MINUTES:
        return needed
    return f"{needed}, or BAR_INTERVAL={symbol}={interval_name(found)}"


def time_violations(time: datetime, interval: timedelta) -> Iterator[FieldViolation]:
    """Yield a violation for a time that cannot be the open of a bar of `interval`, or for the interval itself."""
    if interval not in MINUTES:
        yield FieldViolation("interval", f"must be {allowed_intervals()}")
    elif time.tzinfo is not UTC:
        yield FieldViolation("time", "must be in UTC")
    elif time < EARLIEST_TIME:
        yield FieldViolation("time", f"must not be before {EARLIEST_TIME.date().isoformat()}")
    elif time > LATEST_TIME:
        yield FieldViolation("time", "is in the future")
    elif (time.hour * 60 + time.minute) % MINUTES[interval] or time.second or time.microsecond:
        yield FieldViolation("time", grid_problem(interval))


def grid_problem(interval: timedelta) -> str:
    """Say where bars of an interval open."""
    return f"must be the open of the bar, {grid_of(interval)}"


def value_violations(open_: float, high: float, low: float, close: float, volume: float) -> Iterator[FieldViolation]:
    """Yield a violation for each price or volume of a bar that is invalid alone or contradicts another."""
    prices = {"open": open_, "high": high, "low": low, "close": close}
    wrong = {name: why for name, price in prices.items() if (why := price_problem(price)) is not None}
    yield from (FieldViolation(name, why) for name, why in wrong.items())
    if not wrong and high < low:
        yield FieldViolation("high", "must not be below low")
    elif not wrong:
        for name in ("open", "close"):
            if not low <= prices[name] <= high:
                yield FieldViolation(name, "must lie between low and high")
    if not math.isfinite(volume):
        yield FieldViolation("volume", "must be finite")
    elif volume < 0.0:
        yield FieldViolation("volume", "must not be negative")


def price_problem(price: float) -> str | None:
    """Return why a number cannot be a price, or None if it can."""
    if not math.isfinite(price):
        return "must be finite"
    if price <= 0.0:
        return "must be greater than 0"
    if not LOWEST_PRICE <= price <= HIGHEST_PRICE:
        return f"must be from {LOWEST_PRICE:g} to {HIGHEST_PRICE:g}"
    return None
