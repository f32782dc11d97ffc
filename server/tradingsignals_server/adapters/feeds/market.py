"""A simulated market: bars with the statistics of USD/COP.

A bar is a pure function of the seed, the symbol, its time, and the time and close of the previous bar. Slow components
(volatility from week to week, fair value from month to month, the direction of the hour) are functions of the seed, the
symbol and the time alone. A restart therefore continues exactly where the stored bars end.

From bar to bar the logarithm of the price moves by

    volatility * (drift + noise + pull)

where `volatility` depends on the week, the day and the hour, `drift` is constant for twenty bars, `noise` is standard
normal with a fat tail, and `pull` leads back to a fair value that varies slowly around the level of the symbol.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.intervals import DEFAULT_INTERVAL

TICK = 0.01
"""Prices are integer multiples of it."""

_LEVELS = {"USDCOP": 4000.0}
_BAR_VOLATILITY = 0.0006
"""Standard deviation of the log return of an average bar of five minutes: 2.4 pesos at 4,000, or 0.5% over a session of
60 bars. That of another interval grows with the square root of the interval."""
_GAP_VOLATILITY = 4.0
"""Standard deviation of the move between two sessions, as a multiple of _BAR_VOLATILITY."""
_LEG_BARS = 20
_LEG_DRIFT = 0.3
"""Standard deviation of the drift, as a multiple of the volatility: trends go somewhat further than noise does."""
_TAIL_SHARE, _TAIL_SIZE = 0.01, 3.0
"""Fraction of bars in the fat tail, and the factor by which their noise is larger."""
_REVERSION = 0.002
"""Fraction of the distance to the fair value by which an average bar of five minutes moves towards it."""
_LARGEST_PULL = 0.25
_DAY_SECONDS = 86_400.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """The simulated market of one symbol."""

    seed: int
    symbol: str
    calendar: SessionCalendar

    @property
    def level(self) -> float:
        """The initial and mean price: 4,000 for USDCOP, else a price of 1,000 to 6,000 that depends on the symbol."""
        known = _LEVELS.get(self.symbol)
        return known if known is not None else round(1000.0 + 5000.0 * _uniforms(self.seed, self.symbol, "level")[0], 2)

    @property
    def _scale(self) -> float:
        """The volatility of a bar, as a multiple of that of a five-minute bar."""
        return math.sqrt(self.calendar.interval / DEFAULT_INTERVAL)

    def next_bar(self, time: datetime, previous: Bar | None) -> Bar:
        """Return the bar that opens at `time`, which continues `previous` or, without one, starts at `level`."""
        move, tail, above, below, gap, *_ = _uniforms(self.seed, self.symbol, time.isoformat())
        before = self.level if previous is None else previous.close
        if previous is not None and time - previous.time > self.calendar.interval:
            before *= math.exp(_GAP_VOLATILITY * _BAR_VOLATILITY * _NORMAL.inv_cdf(gap))
        volatility = self._volatility(time)
        noise = _NORMAL.inv_cdf(move) * (_TAIL_SIZE if tail < _TAIL_SHARE else 1.0)
        change = volatility * (self._drift(time) + noise + self._pull(time, before))
        # Maximum and minimum of a Brownian path with given ends, by inversion of their distributions (Karatzas and
        # Shreve, Brownian Motion and Stochastic Calculus, section 2.8).
        highest = (change + math.sqrt(change * change - 2.0 * volatility * volatility * math.log(above))) / 2.0
        lowest = (change - math.sqrt(change * change - 2.0 * volatility * volatility * math.log(below))) / 2.0
        open_, high, low, close = (_on_tick(before * math.exp(point)) for point in (0.0, highest, lowest, change))
        return Bar(self.symbol, time, open_, high, low, close, simulated=True, interval=self.calendar.interval)

    def _volatility(self, time: datetime) -> float:
        """Return the volatility, which varies by fortnight, day and hour; it is highest at the open and the close.

        A bar of a whole session has the mean of its hours.
        """
        days = time.timestamp() / _DAY_SECONDS
        hour = 1.0 if self.calendar.bars == 1 else 0.75 + (2.0 * self.calendar.progress(time) - 1.0) ** 2
        return (
            _BAR_VOLATILITY
            * self._scale
            * hour
            * math.exp(0.35 * self._curve("weeks", days / 14.0) + 0.15 * self._curve("days", days))
        )

    def _drift(self, time: datetime) -> float:
        leg = int(time.timestamp()) // (int(self.calendar.interval.total_seconds()) * _LEG_BARS)
        return _LEG_DRIFT * _knot(self.seed, self.symbol, "leg", leg)

    def _pull(self, time: datetime, price: float) -> float:
        """Return the pull towards the fair value, as a multiple of the volatility, at most that of a weak trend."""
        days = time.timestamp() / _DAY_SECONDS
        fair = 0.05 * self._curve("seasons", days / 90.0) + 0.02 * self._curve("months", days / 20.0)
        pull = _REVERSION * self._scale / _BAR_VOLATILITY * (fair - math.log(price / self.level))
        return max(-_LARGEST_PULL, min(pull, _LARGEST_PULL))

    def _curve(self, name: str, x: float) -> float:
        """Return a smooth function of x with a standard normal value at each integer x."""
        left = math.floor(x)
        share = x - left
        weight = share * share * (3.0 - 2.0 * share)
        before, after = (_knot(self.seed, self.symbol, name, index) for index in (left, left + 1))
        return before + weight * (after - before)


def _on_tick(price: float) -> float:
    return max(TICK, round(price, 2))


@lru_cache(maxsize=4096)
def _knot(seed: int, symbol: str, name: str, index: int) -> float:
    return _NORMAL.inv_cdf(_uniforms(seed, symbol, f"{name} {index}")[0])


def _uniforms(seed: int, symbol: str, what: str) -> tuple[float, ...]:
    """Return eight uniform numbers in the open interval (0, 1), equal on every machine and in every process."""
    digest = blake2b(f"{seed} {symbol} {what}".encode(), digest_size=64).digest()
    # 52 bits plus a half: every such number is exact, so none is rounded to 1.
    return tuple(((bits >> 12) + 0.5) / (1 << 52) for bits in struct.unpack("<8Q", digest))
