"""Closed five-minute bars, valid by construction."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .errors import FieldViolation, InvalidBar, InvalidRequest

BAR_INTERVAL = timedelta(minutes=5)
BAR_SECONDS = 300
EARLIEST_TIME = datetime(1990, 1, 1, tzinfo=UTC)
"""No bar is older: what is earlier is a broken clock or a wrong unit."""

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{1,19}")
_PAIR = re.compile(r"([A-Z]{3})/([A-Z]{3})")


def parse_symbol(text: str, *, field: str = "symbol") -> str:
    """The symbol in its normal form: "USD/COP" becomes "USDCOP", "USDCOP" stays.

    Raises:
        InvalidRequest: `text` is not two to twenty of A-Z, 0-9, '.', '_', '-', nor a pair with a slash.
    """
    symbol = _PAIR.sub(r"\1\2", text)
    if not _SYMBOL.fullmatch(symbol):
        raise InvalidRequest.field(field, "must be two to twenty of A-Z, 0-9, '.', '_', '-', such as USDCOP")
    return symbol


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed bar of `symbol`, from `time` (its open, UTC) for five minutes.

    Prices are in quote currency for one unit of the base currency, finite and > 0, with low <= open, close <= high.
    `volume` is finite and >= 0. `simulated` tells that no market made the bar.

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
        # One chained comparison is false for NaN, infinity, zero and every contradiction at once; the rare bad bar
        # is then looked at field by field.
        low, high = self.low, self.high
        prices_hold = 0.0 < low <= self.open <= high < math.inf and low <= self.close <= high
        time_holds = (
            self.time.tzinfo is UTC
            and self.time >= EARLIEST_TIME
            and not self.time.minute % 5
            and not self.time.second
            and not self.time.microsecond
        )
        if not (prices_hold and time_holds and 0.0 <= self.volume < math.inf):
            raise InvalidBar(_violations(self), symbol=self.symbol, time=self.time.isoformat())

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


def _violations(bar: Bar) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if bar.time.tzinfo is not UTC:
        found.append(FieldViolation("time", "must be in UTC"))
    elif bar.time < EARLIEST_TIME:
        found.append(FieldViolation("time", f"must not be before {EARLIEST_TIME.date().isoformat()}"))
    elif bar.time.minute % 5 or bar.time.second or bar.time.microsecond:
        found.append(FieldViolation("time", "must be the open of the bar, on a whole five minutes"))
    for name in ("open", "high", "low", "close"):
        price: float = getattr(bar, name)
        if not math.isfinite(price):
            found.append(FieldViolation(name, "must be finite"))
        elif price <= 0.0:
            found.append(FieldViolation(name, "must be greater than 0"))
    if not found:
        if bar.high < bar.low:
            found.append(FieldViolation("high", "must not be below low"))
        else:
            found.extend(
                FieldViolation(name, "must lie between low and high")
                for name, price in (("open", bar.open), ("close", bar.close))
                if not bar.low <= price <= bar.high
            )
    if not math.isfinite(bar.volume):
        found.append(FieldViolation("volume", "must be finite"))
    elif bar.volume < 0.0:
        found.append(FieldViolation("volume", "must not be negative"))
    return found
