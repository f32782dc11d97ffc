"""What the features of one decision are computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from ..calendar import SessionCalendar
from ..indicators import Indicators, deviation, indicators_of, side_of
from ..ta_lib import talib
from ..values import dataclass
from ..window import FloatArray, Window

T = TypeVar("T")

ATR_BARS = 15
"""Number of bars from which on the ATR of 14 bars exists."""
BASIS_POINT = 1e-4


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """The open position of a symbol, as a policy sees it: after the exits of the bar that is decided on.

    side: 1 long, -1 short. pnl_pct: net of costs, in percent of the entry price. pnl_r: the same in units of the risk
    at the entry. bars_held: bars since the entry.
    """

    side: int
    pnl_pct: float
    pnl_r: float
    bars_held: int


class FeatureContext:
    """The window of one decision, and what is computed from it, each once.

    price: the newest close. time: the open of the newest closed bar, None if there is none. bars: of the window.
    indicators: over the window, with the values of `given` in their place.
    unit: ATR 14, the unit of distances between prices: price for one bar; None if there are too few bars for it. A
        market that has not moved has no ATR; one basis point of the price is then the unit.

    Args:
        window: exactly the newest bars that an observation is computed from, at least one. A quote is its last bar.
        calendar: the sessions of the symbol.
        session_progress: of the newest closed bar; see SessionCalendar.progress.
        indicators: over the bars of one frame, if they are known already, with the values of `given` in their place.
        given: indicators that a caller knows better than the bars, by their name in Indicators.
        position: the open position, None if there is none.

    Raises:
        ValueError: the window is empty.
    """

    __slots__ = (
        "_frame_indicators",
        "_memo",
        "bars",
        "calendar",
        "closes",
        "given",
        "indicators",
        "position",
        "price",
        "session_progress",
        "time",
        "unit",
        "window",
    )

    indicators: Indicators
    unit: float | None

    def __init__(
        self,
        window: Window,
        calendar: SessionCalendar,
        session_progress: float,
        *,
        indicators: Indicators | None = None,
        given: Mapping[str, float | None] | None = None,
        position: HeldPosition | None = None,
    ) -> None:
        self.window = window
        self.calendar = calendar
        self.session_progress = session_progress
        self.given = given
        self.position = position
        self.time: datetime | None = window.time
        self.closes = closes = window.close
        self.bars = len(closes)
        if not self.bars:
            raise ValueError("the features of no bar")
        self.price: float = closes.item(-1)
        self._frame_indicators = indicators
        if indicators is not None:
            self._know(indicators)
        self._memo: dict[object, object] = {}

    def narrowed(self, bars: int) -> FeatureContext:
        """Return the context of the newest `bars` bars, those of one frame."""
        if self.bars <= bars:
            return self
        return FeatureContext(
            self.window.newest(bars),
            self.calendar,
            self.session_progress,
            indicators=self._frame_indicators,
            given=self.given,
            position=self.position,
        )

    def computed(self, key: object, compute: Callable[[], T]) -> T:
        """Return what `compute` returns, from the first call with this key on."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]  # type: ignore[return-value] # a key is always of one type

    def __getattr__(self, name: str) -> Any:
        # Called for a slot that is not set yet; once set, it is read as fast as any other.
        if name not in {"indicators", "unit"}:
            raise AttributeError(name)
        found = indicators_of(self.window)
        self._know(replace(found, **self.given) if self.given else found)
        return self.indicators if name == "indicators" else self.unit

    def _know(self, indicators: Indicators) -> None:
        self.indicators = indicators
        enough = self.bars >= ATR_BARS or self.given
        self.unit = indicators.atr or (self.price * BASIS_POINT if enough else None)

    @property
    def has_moved(self) -> bool:
        """Whether the closes of the window differ by more than rounding."""
        # The first and the last close nearly always differ, and comparing them is much cheaper than max and min.
        closes, price = self.closes, self.price
        return bool(side_of(price - closes.item(0), price) or side_of(float(closes.max() - closes.min()), price))

    @property
    def has_ranged(self) -> bool:
        """Whether the highs and lows of the window differ by more than rounding."""
        return self.extremes(self.bars) is not None

    def volatility(self, bars: int) -> float | None:
        """Standard deviation (population) of the newest `bars` log returns, as a fraction for one bar."""
        if bars == 20:
            return self.indicators.volatility
        return self.computed(("volatility", bars), lambda: self._volatility(bars))

    @property
    def log_returns(self) -> FloatArray:
        """Log returns of the closes of the window, shape (bars - 1,)."""
        return self.computed("log_returns", lambda: np.diff(np.log(self.closes)))

    def volumes(self, bars: int) -> FloatArray | None:
        """The newest `bars` volumes as fractions of the largest; None if there are fewer, or none is above 0."""
        if self.bars < bars:
            return None
        newest = self.window.volume[-bars:]
        largest = float(newest.max())
        return newest / largest if largest > 0.0 else None

    def extremes(self, bars: int) -> tuple[float, float] | None:
        """Highest high and lowest low of the newest `bars` bars; None if there are fewer, or they are equal."""
        if self.bars < bars:
            return None
        highest, lowest = float(self.window.high[-bars:].max()), float(self.window.low[-bars:].min())
        return (highest, lowest) if side_of(highest - lowest, self.price) else None

    @property
    def session_bars(self) -> int | None:
        """Bars of the session before the newest closed bar by the calendar; None if no bar has closed."""
        return None if self.time is None else self.calendar.index(self.time)

    @property
    def session_bars_left(self) -> int | None:
        """Bars of the session after the newest closed bar by the calendar; None if no bar has closed."""
        return None if self.time is None else self.calendar.bars - 1 - self.calendar.index(self.time)

    def average(self, function: Callable[..., FloatArray], bars: int, warm: int) -> float | None:
        """Newest value of a function of TA-Lib of the closes; None with fewer than `warm` bars."""
        return self._talib(warm, function, bars)

    def of_bars(self, function: Callable[..., FloatArray], bars: int, warm: int) -> float | None:
        """Newest value of a function of TA-Lib of highs, lows and closes; None with fewer than `warm` bars."""
        return self.computed((function, bars), lambda: self._of_bars(function, bars, warm))

    def rsi(self, bars: int) -> float | None:
        """Wilder's relative strength index, 0..100."""
        if bars == 14:
            return self.indicators.rsi
        return self._talib(bars + 1, talib.RSI, bars) if self.has_moved else None

    def ema(self, bars: int) -> float | None:
        """Exponential moving average of the closes, started from the simple mean, as TA-Lib does."""
        if bars == 20:
            return self.indicators.ema_20
        if bars == 50:
            return self.indicators.ema_50
        return self._talib(bars, talib.EMA, bars)

    def atr(self, bars: int) -> float | None:
        """Wilder's average true range, in price."""
        if bars == 14:
            return self.indicators.atr
        return self.computed((talib.ATR, bars), lambda: self._range(bars))

    def macd(self, fast: int, slow: int, signal: int) -> tuple[float | None, float | None, float | None]:
        """EMA `fast` less EMA `slow` of the closes, the EMA `signal` of that, and their difference, in price."""
        if fast == 12 and slow == 26 and signal == 9:
            known = self.indicators
            return known.macd, known.macd_signal, known.macd_histogram
        return self.computed((talib.MACD, fast, slow, signal), lambda: self._macd(fast, slow, signal))

    def bands(self, bars: int, width: float) -> tuple[float, float, float] | None:
        """Upper, middle and lower Bollinger band: the mean of the closes +/- `width` standard deviations, in price."""
        if bars == 20 and width == 2.0:
            known = self.indicators
            if known.bb_upper is None or known.bb_middle is None or known.bb_lower is None:
                return None
            return known.bb_upper, known.bb_middle, known.bb_lower
        return self.computed((talib.BBANDS, bars, width), lambda: self._bands(bars, width))

    def _talib(self, warm: int, function: Callable[..., FloatArray], bars: int) -> float | None:
        """Return the newest value of a function of the closes; None with fewer than `warm` bars, or if undefined."""
        return self.computed((function, bars), lambda: self._of_closes(warm, function, bars))

    def _of_closes(self, warm: int, function: Callable[..., FloatArray], bars: int) -> float | None:
        return finite(function(self.closes, bars)[-1]) if self.bars >= warm else None

    def _of_bars(self, function: Callable[..., FloatArray], bars: int, warm: int) -> float | None:
        window = self.window
        return finite(function(window.high, window.low, window.close, bars)[-1]) if self.bars >= warm else None

    def _volatility(self, bars: int) -> float | None:
        if self.bars <= bars:
            return None
        logs = np.log(self.closes[-1 - bars :])
        return deviation(logs[1:] - logs[:-1])

    def _range(self, bars: int) -> float | None:
        if self.bars <= bars:
            return None
        found = finite(talib.ATR(self.window.high, self.window.low, self.closes, bars)[-1])
        return None if found is None or not side_of(found, self.price) else found

    def _macd(self, fast: int, slow: int, signal: int) -> tuple[float | None, float | None, float | None]:
        if self.bars < slow + signal - 1:
            return None, None, None
        line, smooth, histogram = talib.MACD(self.closes, fast, slow, signal)
        return finite(line[-1]), finite(smooth[-1]), finite(histogram[-1])

    def _bands(self, bars: int, width: float) -> tuple[float, float, float] | None:
        if self.bars < bars:
            return None
        upper, middle, lower = (float(band[-1]) for band in talib.BBANDS(self.closes, bars, width, width))
        return None if not side_of(upper - lower, self.price) else (upper, middle, lower)


def finite(value: float) -> float | None:
    """Return a number of TA-Lib, None if it is not finite."""
    return float(value) if np.isfinite(value) else None


def clipped(value: float, limit: float) -> float:
    """Return a value within +/- `limit`, which only rounding exceeds."""
    return min(max(value, -limit), limit)
