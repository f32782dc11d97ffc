"""Technical indicators, computed by TA-Lib."""

from __future__ import annotations

import math

import numpy as np

from .ta_lib import talib
from .values import dataclass
from .window import FloatArray, Window

WARM_BARS = 50
"""Number of bars from which on every indicator exists. The EMA of 50 bars needs the most."""

VOLATILITY_BARS = 20
"""Number of log returns that `volatility` covers."""

ROUNDING = 1e-10
"""Relative size up to which a difference of prices is taken for rounding: no market quotes that many digits."""


def side_of(difference: float, price: float) -> int:
    """Return the sign of a difference between prices or averages near `price`; 0 if rounding explains it."""
    if abs(difference) <= ROUNDING * price:
        return 0
    return 1 if difference > 0.0 else -1


@dataclass(frozen=True, slots=True)
class Indicators:
    """Indicators at the newest bar of a window, in quote currency unless stated otherwise.

    An indicator is None if the window has too few bars for it, or if prices that do not move leave it undefined.

    rsi: Wilder's relative strength index of 14 bars, 0..100; None if all closes of the window are equal.
    macd, macd_signal, macd_histogram: EMA 12 less EMA 26, the EMA 9 of that, and their difference.
    macd_histogram_before: macd_histogram one bar earlier; a cross is a change of its sign.
    bb_upper, bb_middle, bb_lower: mean of 20 closes +/- two standard deviations; None if the bands coincide.
    ema_20, ema_50: exponential moving averages, started from the simple mean, as TA-Lib does.
    atr: Wilder's average true range of 14 bars, > 0; None if the range is 0.
    volatility: standard deviation (population) of the last 20 log returns, as a fraction for one bar.
    window_volatility: the same over all log returns of a window of WARM_BARS or more.
    """

    rsi: float | None = None
    macd: float | None = None
    macd_signal: float | None = None
    macd_histogram: float | None = None
    macd_histogram_before: float | None = None
    bb_upper: float | None = None
    bb_middle: float | None = None
    bb_lower: float | None = None
    ema_20: float | None = None
    ema_50: float | None = None
    atr: float | None = None
    volatility: float | None = None
    window_volatility: float | None = None


def indicators_of(window: Window) -> Indicators:
    """Return the indicators over exactly the bars of `window`, bit-identical to TA-Lib's on the same arrays.

    A window of WARM_BARS or more has all of them, if its prices move.
    """
    bars = len(window)
    if bars < 15:
        return Indicators()
    high, low, close = window.high, window.low, window.close
    price = close.item(-1)
    found: dict[str, float] = {}
    # The first and the last close nearly always differ, and comparing them is much cheaper than max and min.
    if side_of(price - close.item(0), price) or side_of(float(close.max() - close.min()), price):
        found["rsi"] = talib.RSI(close, 14).item(-1)
    atr = talib.ATR(high, low, close, 14).item(-1)
    if side_of(atr, price):
        found["atr"] = atr
    if bars >= 20:
        upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
        highest, lowest = upper.item(-1), lower.item(-1)
        if side_of(highest - lowest, price):
            found["bb_upper"], found["bb_middle"], found["bb_lower"] = highest, middle.item(-1), lowest
        found["ema_20"] = talib.EMA(close, 20).item(-1)
    if bars > VOLATILITY_BARS:
        logs = np.log(close)
        returns = logs[1:] - logs[:-1]
        found["volatility"] = deviation(returns[-VOLATILITY_BARS:])
    if bars >= 34:
        line, signal, histogram = talib.MACD(close, 12, 26, 9)
        found["macd"], found["macd_signal"] = line.item(-1), signal.item(-1)
        found["macd_histogram"] = histogram.item(-1)
        if bars > 34:
            found["macd_histogram_before"] = histogram.item(-2)
    if bars >= WARM_BARS:
        found["ema_50"] = talib.EMA(close, 50).item(-1)
        found["window_volatility"] = deviation(returns)
    return Indicators(**found)


def deviation(values: FloatArray) -> float:
    """Return the standard deviation (population) of values whose mean is small beside it.

    It costs a quarter of numpy's, which subtracts the mean first to be exact for any mean.
    """
    count = len(values)
    mean = float(np.add.reduce(values)) / count
    return math.sqrt(max(0.0, float(values.dot(values)) / count - mean * mean))
