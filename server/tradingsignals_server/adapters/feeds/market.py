"""A made-up market: five-minute bars that look like USD/COP's.

A bar is a pure function of the seed, the symbol, its time, and the time and close of the bar before it. Whatever moves
slowly (volatility from week to week, fair value from month to month, the direction of the hour) is a function of the
seed, the symbol and the time alone. A restart therefore goes on exactly where the stored bars end.

From bar to bar the logarithm of the price moves by

    volatility * (drift + noise + pull)

where `volatility` depends on the week, the day and the hour, `drift` is the direction of a leg of twenty bars, `noise`
is standard normal with a fat tail, and `pull` leads back to a fair value that wanders slowly about the symbol's level.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist

from ...domain.bars import BAR_INTERVAL, BAR_SECONDS, Bar
from ...domain.calendar import SessionCalendar

TICK = 0.01
"""Prices are whole multiples of it."""

_LEVELS = {"USDCOP": 4000.0}
_BAR_VOLATILITY = 0.0006
"""Standard deviation of an ordinary bar's log return: 2.4 pesos at 4,000, or 0.5% over a session of 60 bars."""
_GAP_VOLATILITY = 4.0
"""Standard deviation of the move between two sessions, in ordinary bars."""
_LEG_BARS = 20
_LEG_DRIFT = 0.3
"""Standard deviation of a leg's drift, in volatilities: it carries the price somewhat further than noise does."""
_TAIL_SHARE, _TAIL_SIZE = 0.01, 3.0
"""How many bars are surprises, and how many times larger their noise is."""
_REVERSION = 0.002
"""Share of the distance to the fair value that an ordinary bar makes good."""
_LARGEST_PULL = 0.25
_DAY_SECONDS = 86_400.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """The made-up market of one symbol."""

    seed: int
    symbol: str
    calendar: SessionCalendar

    @property
    def level(self) -> float:
        """The price it starts from and wanders about: 4,000 for USDCOP, else one of 1,000 to 6,000 that is its own."""
        known = _LEVELS.get(self.symbol)
        return known if known is not None else round(1000.0 + 5000.0 * _uniforms(self.seed, self.symbol, "level")[0], 2)

    def next_bar(self, time: datetime, previous: Bar | None) -> Bar:
        """The bar that opens at `time`, after `previous` or, if there is none, at the level."""
        move, tail, above, below, gap, *_ = _uniforms(self.seed, self.symbol, time.isoformat())
        before = self.level if previous is None else previous.close
        if previous is not None and time - previous.time > BAR_INTERVAL:
            before *= math.exp(_GAP_VOLATILITY * _BAR_VOLATILITY * _NORMAL.inv_cdf(gap))
        volatility = self._volatility(time)
        noise = _NORMAL.inv_cdf(move) * (_TAIL_SIZE if tail < _TAIL_SHARE else 1.0)
        change = volatility * (self._drift(time) + noise + self._pull(time, before))
        # The highest and the lowest point of a Brownian path between two given ends: their distributions, inverted
        # (Karatzas and Shreve, Brownian Motion and Stochastic Calculus, section 2.8).
        highest = (change + math.sqrt(change * change - 2.0 * volatility * volatility * math.log(above))) / 2.0
        lowest = (change - math.sqrt(change * change - 2.0 * volatility * volatility * math.log(below))) / 2.0
        open_, high, low, close = (_on_tick(before * math.exp(point)) for point in (0.0, highest, lowest, change))
        return Bar(self.symbol, time, open_, high, low, close, simulated=True)

    def _volatility(self, time: datetime) -> float:
        """By the fortnight, the day and the hour: lively at the open and at the close, quiet in between."""
        days = time.timestamp() / _DAY_SECONDS
        hour = 0.75 + (2.0 * self.calendar.progress(time) - 1.0) ** 2
        return (
            _BAR_VOLATILITY * hour * math.exp(0.35 * self._wave("weeks", days / 14.0) + 0.15 * self._wave("days", days))
        )

    def _drift(self, time: datetime) -> float:
        leg = int(time.timestamp()) // (BAR_SECONDS * _LEG_BARS)
        return _LEG_DRIFT * _knot(self.seed, self.symbol, "leg", leg)

    def _pull(self, time: datetime, price: float) -> float:
        """Towards the fair value, in volatilities, and never more than a weak trend's worth."""
        days = time.timestamp() / _DAY_SECONDS
        fair = 0.05 * self._wave("seasons", days / 90.0) + 0.02 * self._wave("months", days / 20.0)
        pull = _REVERSION / _BAR_VOLATILITY * (fair - math.log(price / self.level))
        return max(-_LARGEST_PULL, min(pull, _LARGEST_PULL))

    def _wave(self, name: str, x: float) -> float:
        """A smooth curve through a standard normal value at each whole x."""
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
    """Eight numbers between 0 and 1, both excluded, the same on every machine and in every process."""
    digest = blake2b(f"{seed} {symbol} {what}".encode(), digest_size=64).digest()
    # 52 bits and a half: every such number is exact, so that none is rounded to 1.
    return tuple(((bits >> 12) + 0.5) / (1 << 52) for bits in struct.unpack("<8Q", digest))
