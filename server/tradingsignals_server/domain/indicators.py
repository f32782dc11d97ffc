"""Technical indicators, by TA-Lib."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import talib

from .window import Window

WARM_BARS = 50
"""Bars from which every indicator exists; the slowest is the EMA of 50."""

VOLATILITY_BARS = 20


@dataclass(frozen=True, slots=True)
class Indicators:
    """Indicators at the newest bar of a window; None where too few bars are known. Prices in quote currency.

    rsi: Wilder's relative strength index of 14 bars, 0..100.
    macd, macd_signal, macd_histogram: EMA 12 less EMA 26, its EMA 9, and their difference.
    macd_histogram_before: macd_histogram one bar earlier; a cross is a change of its sign.
    bb_upper, bb_middle, bb_lower: mean of 20 closes, and two standard deviations either side.
    ema_20, ema_50: exponential moving averages, started from the simple mean, as TA-Lib does.
    atr: Wilder's average true range of 14 bars.
    volatility: standard deviation (population) of the last 20 log returns, as a fraction for one bar.
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


def indicators_of(window: Window) -> Indicators:
    """Indicators over exactly the bars of `window`. They agree with TA-Lib on the same arrays to the last digit.

    A window of WARM_BARS or more has them all.
    """
    bars = len(window)
    if bars < 15:
        return Indicators()
    close, high, low = window.close, window.high, window.low
    macd = macd_signal = macd_histogram = histogram_before = bb_upper = bb_middle = bb_lower = ema_20 = ema_50 = (
        volatility
    ) = None
    if bars >= 20:
        upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
        bb_upper, bb_middle, bb_lower = float(upper[-1]), float(middle[-1]), float(lower[-1])
        ema_20 = float(talib.EMA(close, 20)[-1])
    if bars > VOLATILITY_BARS:
        volatility = float(np.diff(np.log(close[-VOLATILITY_BARS - 1 :])).std())
    if bars >= 34:
        line, signal, histogram = talib.MACD(close, 12, 26, 9)
        macd, macd_signal, macd_histogram = float(line[-1]), float(signal[-1]), float(histogram[-1])
        histogram_before = float(histogram[-2]) if bars > 34 else None
    if bars >= 50:
        ema_50 = float(talib.EMA(close, 50)[-1])
    return Indicators(
        rsi=float(talib.RSI(close, 14)[-1]),
        macd=macd,
        macd_signal=macd_signal,
        macd_histogram=macd_histogram,
        macd_histogram_before=histogram_before,
        bb_upper=bb_upper,
        bb_middle=bb_middle,
        bb_lower=bb_lower,
        ema_20=ema_20,
        ema_50=ema_50,
        atr=float(talib.ATR(high, low, close, 14)[-1]),
        volatility=volatility,
    )


def window_volatility(window: Window) -> float | None:
    """Standard deviation (population) of all log returns of the window; None below WARM_BARS bars."""
    if len(window) < WARM_BARS:
        return None
    deviation = float(np.diff(np.log(window.close)).std())
    return deviation if math.isfinite(deviation) else None
