"""Raw values: prices and volumes as they are, for policies that bring their own scaling."""

from __future__ import annotations

import math

from ..ta_lib import talib
from .context import FeatureContext
from .kind import WIDTH, FeatureGroup, bars_parameter

RAW = FeatureGroup("Raw values")

_PRICES = (0.0, math.inf)


@RAW.add("open", "Open of the bar", "o", "price", warm=lambda: 1, bounds=_PRICES, raw=True)
def _open(context: FeatureContext) -> float:
    return context.window.open.item(-1)


@RAW.add("high", "High of the bar", "h", "price", warm=lambda: 1, bounds=_PRICES, raw=True)
def _high(context: FeatureContext) -> float:
    return context.window.high.item(-1)


@RAW.add("low", "Low of the bar", "l", "price", warm=lambda: 1, bounds=_PRICES, raw=True)
def _low(context: FeatureContext) -> float:
    return context.window.low.item(-1)


@RAW.add("close", "Close of the bar", "c", "price", warm=lambda: 1, bounds=_PRICES, raw=True)
def _close(context: FeatureContext) -> float:
    return context.price


@RAW.add("volume", "Volume of the bar", "v", "units", warm=lambda: 1, bounds=_PRICES, raw=True, needs_volume=True)
def _volume(context: FeatureContext) -> float:
    return context.window.volume.item(-1)


@RAW.add(
    "sma",
    "Simple moving average of the closes",
    "mean of bars closes",
    "price",
    bars_parameter(20),
    warm=lambda bars: bars,
    bounds=_PRICES,
    source="TA-Lib SMA",
    raw=True,
)
def _sma(context: FeatureContext, bars: int) -> float | None:
    return context.average(talib.SMA, bars, bars)


@RAW.add(
    "ema",
    "Exponential moving average of the closes",
    "EMA",
    "price",
    bars_parameter(20),
    warm=lambda bars: bars,
    bounds=_PRICES,
    source="TA-Lib EMA, started from the simple mean",
    raw=True,
)
def _ema(context: FeatureContext, bars: int) -> float | None:
    return context.ema(bars)


@RAW.add(
    "atr",
    "Average true range",
    "ATR",
    "price",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=_PRICES,
    source="J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib ATR",
    raw=True,
)
def _atr(context: FeatureContext, bars: int) -> float | None:
    return context.atr(bars)


@RAW.add(
    "macd_value",
    "MACD line",
    "EMA fast - EMA slow",
    "price",
    bars_parameter(12, name="fast"),
    bars_parameter(26, name="slow", lowest=3),
    bars_parameter(9, name="signal", lowest=1),
    warm=lambda _, slow, signal: slow + signal - 1,
    source="G. Appel, The Moving Average Convergence-Divergence Method (1979); TA-Lib MACD",
    raw=True,
    increasing=True,
)
def _macd_value(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    return context.macd(fast, slow, signal)[0]


@RAW.add(
    "macd_signal_value",
    "Signal line of the MACD",
    "EMA signal of the MACD line",
    "price",
    bars_parameter(12, name="fast"),
    bars_parameter(26, name="slow", lowest=3),
    bars_parameter(9, name="signal", lowest=1),
    warm=lambda _, slow, signal: slow + signal - 1,
    source="G. Appel, The Moving Average Convergence-Divergence Method (1979); TA-Lib MACD",
    raw=True,
    increasing=True,
)
def _macd_signal_value(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    return context.macd(fast, slow, signal)[1]


@RAW.add(
    "bb_upper",
    "Upper Bollinger band",
    "mean of bars closes + width standard deviations (population)",
    "price",
    bars_parameter(20),
    WIDTH,
    warm=lambda bars, _: bars,
    source="J. Bollinger, Bollinger on Bollinger Bands (2001); TA-Lib BBANDS",
    raw=True,
)
def _bb_upper(context: FeatureContext, bars: int, width: float) -> float | None:
    found = context.bands(bars, width)
    return None if found is None else found[0]


@RAW.add(
    "bb_lower",
    "Lower Bollinger band",
    "mean of bars closes - width standard deviations (population)",
    "price",
    bars_parameter(20),
    WIDTH,
    warm=lambda bars, _: bars,
    source="J. Bollinger, Bollinger on Bollinger Bands (2001); TA-Lib BBANDS",
    raw=True,
)
def _bb_lower(context: FeatureContext, bars: int, width: float) -> float | None:
    found = context.bands(bars, width)
    return None if found is None else found[2]
