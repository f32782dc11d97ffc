"""Closed five-minute bars, valid by construction."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from .errors import FieldViolation, InvalidBar, InvalidRequest

BAR_INTERVAL = timedelta(minutes=5)
BAR_SECONDS = 300
EARLIEST_TIME = datetime(1990, 1, 1, tzinfo=UTC)
"""No bar is older: what is earlier is a broken clock or a wrong unit."""

LOWEST_PRICE, HIGHEST_PRICE = 1e-9, 1e12
"""Bounds of a price: wide enough for every instrument, narrow enough that no formula leaves the range of a float."""

CERTAIN_SPACINGS = 3
"""A spacing that was seen less often says nothing about the interval of the bars."""
SPARSE_SHARE = 0.25
"""Bars of a thinly traded symbol have holes: they are five-minute bars all the same if five minutes are at least this
many times as frequent as the most common spacing."""

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,19}")
_PAIR = re.compile(r"([A-Z]{3,5})[/_-]([A-Z]{3,5})")
_SLASH = re.compile(r"(?<=[A-Z0-9])/(?=[A-Z0-9])")


def parse_symbol(text: str, *, field: str = "symbol") -> str:
    """The symbol in its normal form, by three rules:

    Letters are upper case: "usdcop" becomes "USDCOP". A pair, two words of three to five letters parted by '/', '-' or
    '_', is written without the mark: "USD/COP", "USD-COP" and "usd_cop" become "USDCOP", "BTC/USDT" becomes "BTCUSDT".
    Any other single '/' is a '.': "BRK/B" becomes "BRK.B".

    Raises:
        InvalidRequest: the normal form is not one to twenty of A-Z, 0-9, '.', '_', '-', of which the first is a letter
            or a digit.
    """
    symbol = text.upper() if text.isascii() else text
    pair = _PAIR.fullmatch(symbol)
    symbol = _SLASH.sub(".", symbol, count=1) if pair is None else pair[1] + pair[2]
    if not _SYMBOL.fullmatch(symbol):
        raise InvalidRequest.field(field, "must be one to twenty of A-Z, 0-9, '.', '_', '-', '/', such as USDCOP")
    return symbol


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed bar of `symbol`, from `time` (its open, UTC) for five minutes.

    Prices are in quote currency for one unit of the base currency, from LOWEST_PRICE to HIGHEST_PRICE, with
    low <= open, close <= high. `volume` is finite and >= 0. `simulated` tells that no market made the bar.

    Raises:
        InvalidBar: on construction, naming every field that breaks a rule.
    """

    symbol: str
    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    simulated: bool = False

    def __post_init__(self) -> None:
        # Chained comparisons are false for NaN, infinity, zero and every contradiction at once; the rare bad bar is
        # then looked at field by field.
        low, high, time = self.low, self.high, self.time
        prices_hold = LOWEST_PRICE <= low <= self.open <= high <= HIGHEST_PRICE and low <= self.close <= high
        time_holds = (
            time.tzinfo is UTC and time >= EARLIEST_TIME and not (time.minute % 5 or time.second or time.microsecond)
        )
        if not (prices_hold and time_holds and 0.0 <= self.volume < math.inf):
            violations = [*time_violations(time), *value_violations(self.open, high, low, self.close, self.volume)]
            raise InvalidBar(violations, symbol=self.symbol, time=time.isoformat())

    @property
    def close_time(self) -> datetime:
        """The moment the bar ended and may be acted on."""
        return self.time + BAR_INTERVAL

    def agrees_with(self, other: Bar) -> bool:
        """True if both say the same about the same five minutes."""
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
    """True if `price` is more than `limit`, a fraction, above `last`, or as far below by factor. 0 is no limit."""
    return limit > 0.0 and not last / (1.0 + limit) <= price <= last * (1.0 + limit)


def require_closed(bar: Bar, now: datetime, tolerance: timedelta = timedelta(seconds=5)) -> None:
    """Refuse a bar that has not ended yet; `tolerance` forgives a publisher's fast clock.

    Raises:
        InvalidBar: the bar ends after `now`.
    """
    if bar.close_time > now + tolerance:
        raise InvalidBar(
            [FieldViolation("time", f"the bar ends at {bar.close_time.isoformat()}, which is in the future")],
            symbol=bar.symbol,
            time=bar.time.isoformat(),
        )


def foreign_spacing(seconds: npt.NDArray[np.int64]) -> timedelta | None:
    """Return the most common spacing of one symbol's bars if it shows that they are not five-minute bars.

    `seconds` are the opens, in seconds since 1970, in any order and possibly repeated. Nights, holidays and missing
    bars do not matter, since the most common spacing counts; few bars prove nothing.
    """
    spacings, counts = np.unique(np.diff(np.unique(seconds)), return_counts=True)
    if not len(spacings) or counts.max() < CERTAIN_SPACINGS:
        return None
    most_common = int(spacings[counts.argmax()])
    is_sparse = counts[spacings == BAR_SECONDS].sum() >= SPARSE_SHARE * counts.max()
    if most_common == BAR_SECONDS or (most_common > BAR_SECONDS and is_sparse):
        return None
    return timedelta(seconds=most_common)


def describe_spacing(spacing: timedelta) -> str:
    """Name a spacing in its largest whole unit: "1 minute", "4 hours", "90 seconds"."""
    seconds = int(spacing.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}" + ("" if count == 1 else "s")
    return f"{seconds} second" + ("" if seconds == 1 else "s")


def time_violations(time: datetime) -> Iterator[FieldViolation]:
    """What is wrong with the time of a bar."""
    if time.tzinfo is not UTC:
        yield FieldViolation("time", "must be in UTC")
    elif time < EARLIEST_TIME:
        yield FieldViolation("time", f"must not be before {EARLIEST_TIME.date().isoformat()}")
    elif time.minute % 5 or time.second or time.microsecond:
        yield FieldViolation("time", "must be the open of the bar, on a whole five minutes")


def value_violations(open_: float, high: float, low: float, close: float, volume: float) -> Iterator[FieldViolation]:
    """What is wrong with the prices and the volume of a bar."""
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
    """Why a number cannot be a price, or None."""
    if not math.isfinite(price):
        return "must be finite"
    if price <= 0.0:
        return "must be greater than 0"
    if not LOWEST_PRICE <= price <= HIGHEST_PRICE:
        return f"must be from {LOWEST_PRICE:g} to {HIGHEST_PRICE:g}"
    return None
