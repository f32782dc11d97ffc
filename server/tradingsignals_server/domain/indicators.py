"""Technical indicators, by TA-Lib."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import talib

from .window import FloatArray, Window

WARM_BARS = 50
"""Bars from which every indicator exists; the slowest is the EMA of 50."""

VOLATILITY_BARS = 20

ROUNDING = 1e-10
"""Differences of prices that are smaller beside the price come from rounding: no market quotes that many digits."""


def side_of(difference: float, price: float) -> int:
    """The sign of a difference between prices or averages about `price`; 0 if it is no more than rounding."""
    if abs(difference) <= ROUNDING * price:
        return 0
    return 1 if difference > 0.0 else -1


@dataclass(frozen=True, slots=True)
class Indicators:
    """Indicators at the newest bar of a window; None where too few bars are known, and where prices that do not move
    leave nothing to measure. Prices in quote currency.

    rsi: Wilder's relative strength index of 14 bars, 0..100; None if no close of the window differs from another.
    macd, macd_signal, macd_histogram: EMA 12 less EMA 26, its EMA 9, and their difference.
    macd_histogram_before: macd_histogram one bar earlier; a cross is a change of its sign.
    bb_upper, bb_middle, bb_lower: mean of 20 closes, and two standard deviations either side; None if they are one.
    ema_20, ema_50: exponential moving averages, started from the simple mean, as TA-Lib does.
    atr: Wilder's average true range of 14 bars, > 0; None if there is no range.
    volatility: standard deviation (population) of the last 20 log returns, as a fraction for one bar.
    window_volatility: the same over all log returns of the window, once it is warm.
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
    """Indicators over exactly the bars of `window`. They agree with TA-Lib on the same arrays to the last digit.

    A window of WARM_BARS or more has them all, if its prices move.
    """
    bars = len(window)
    if bars < 15:
        return Indicators()
    close = window.close
    price = float(close[-1])
    found: dict[str, float] = {}
    # The first and the last close nearly always differ, and are looked at in a fraction of the time.
    if side_of(float(close[-1] - close[0]), price) or side_of(float(close.max() - close.min()), price):
        found["rsi"] = float(talib.RSI(close, 14)[-1])
    atr = float(talib.ATR(window.high, window.low, close, 14)[-1])
    if side_of(atr, price):
        found["atr"] = atr
    if bars >= 20:
        upper, middle, lower = (float(band[-1]) for band in talib.BBANDS(close, 20, 2.0, 2.0))
        if side_of(upper - lower, price):
            found["bb_upper"], found["bb_middle"], found["bb_lower"] = upper, middle, lower
        found["ema_20"] = float(talib.EMA(close, 20)[-1])
    if bars > VOLATILITY_BARS:
        returns = np.diff(np.log(close))
        found["volatility"] = _deviation(returns[-VOLATILITY_BARS:])
    if bars >= 34:
        line, signal, histogram = talib.MACD(close, 12, 26, 9)
        found["macd"], found["macd_signal"] = float(line[-1]), float(signal[-1])
        found["macd_histogram"] = float(histogram[-1])
        if bars > 34:
            found["macd_histogram_before"] = float(histogram[-2])
    if bars >= WARM_BARS:
        found["ema_50"] = float(talib.EMA(close, 50)[-1])
        found["window_volatility"] = _deviation(returns)
    return Indicators(**found)


def _deviation(values: FloatArray) -> float:
    """Standard deviation (population) of values whose mean is small beside it, at a quarter of the cost of numpy's."""
    mean = float(values.sum()) / len(values)
    return math.sqrt(max(0.0, float(values @ values) / len(values) - mean * mean))
