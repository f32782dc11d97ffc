"""Features of moving averages."""

from __future__ import annotations

from ..ta_lib import talib
from .context import ATR_BARS, FeatureContext
from .kind import FeatureGroup, bars_parameter

AVERAGES = FeatureGroup("Averages")


@AVERAGES.add(
    "ema_gap",
    "Distance of the close from its exponential moving average",
    "(c - EMA) / ATR 14",
    "ATR",
    bars_parameter(20),
    warm=lambda bars: max(bars, ATR_BARS),
    source="TA-Lib EMA, started from the simple mean",
)
def _ema_gap(context: FeatureContext, bars: int) -> float | None:
    average = context.ema(bars)
    return None if average is None or context.unit is None else (context.price - average) / context.unit


@AVERAGES.add(
    "ema_spread",
    "Distance of two exponential moving averages",
    "(EMA fast - EMA slow) / ATR 14",
    "ATR",
    bars_parameter(20, name="fast"),
    bars_parameter(50, name="slow", lowest=3),
    warm=lambda fast, slow: max(fast, slow, ATR_BARS),
    source="TA-Lib EMA, started from the simple mean",
    increasing=True,
)
def _ema_spread(context: FeatureContext, fast: int, slow: int) -> float | None:
    first, second = context.ema(fast), context.ema(slow)
    return None if first is None or second is None or context.unit is None else (first - second) / context.unit


@AVERAGES.add(
    "sma_gap",
    "Distance of the close from its simple moving average",
    "(c - SMA) / ATR 14",
    "ATR",
    bars_parameter(20),
    warm=lambda bars: max(bars, ATR_BARS),
    source="TA-Lib SMA",
)
def _sma_gap(context: FeatureContext, bars: int) -> float | None:
    average = context.average(talib.SMA, bars, bars)
    return None if average is None or context.unit is None else (context.price - average) / context.unit


@AVERAGES.add(
    "sma_spread",
    "Distance of two simple moving averages",
    "(SMA fast - SMA slow) / ATR 14",
    "ATR",
    bars_parameter(20, name="fast"),
    bars_parameter(50, name="slow", lowest=3),
    warm=lambda fast, slow: max(fast, slow, ATR_BARS),
    source="TA-Lib SMA",
    increasing=True,
)
def _sma_spread(context: FeatureContext, fast: int, slow: int) -> float | None:
    first, second = context.average(talib.SMA, fast, fast), context.average(talib.SMA, slow, slow)
    return None if first is None or second is None or context.unit is None else (first - second) / context.unit


@AVERAGES.add(
    "wma_gap",
    "Distance of the close from its linearly weighted moving average",
    "(c - WMA) / ATR 14",
    "ATR",
    bars_parameter(20),
    warm=lambda bars: max(bars, ATR_BARS),
    source="TA-Lib WMA",
)
def _wma_gap(context: FeatureContext, bars: int) -> float | None:
    average = context.average(talib.WMA, bars, bars)
    return None if average is None or context.unit is None else (context.price - average) / context.unit


@AVERAGES.add(
    "kama_gap",
    "Distance of the close from its adaptive moving average",
    "(c - KAMA) / ATR 14",
    "ATR",
    bars_parameter(10),
    warm=lambda bars: max(bars + 1, ATR_BARS),
    source="P. Kaufman, Smarter Trading (1995); TA-Lib KAMA",
)
def _kama_gap(context: FeatureContext, bars: int) -> float | None:
    average = context.average(talib.KAMA, bars, bars + 1)
    return None if average is None or context.unit is None else (context.price - average) / context.unit
