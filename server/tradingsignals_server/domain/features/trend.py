"""Features of trend and momentum."""

from __future__ import annotations

import math

from .context import ATR_BARS, FeatureContext
from .kind import FeatureGroup, bars_parameter

RETURNS = FeatureGroup("Returns and movement")
MOMENTUM = FeatureGroup("Momentum and oscillators")
AVERAGES = FeatureGroup("Averages")

_FAST, _SLOW, _SIGNAL = (
    bars_parameter(12, name="fast"),
    bars_parameter(26, name="slow", lowest=3),
    bars_parameter(9, name="signal", lowest=1),
)
_MACD_SOURCE = "G. Appel, The Moving Average Convergence-Divergence Method (1979); TA-Lib MACD"


def _warm_macd(fast: int, slow: int, signal: int) -> int:
    return max(max(fast, slow) + signal - 1, ATR_BARS)


@RETURNS.add(
    "return",
    "Log return of the close",
    "100 ln(c / c[bars])",
    "percent",
    bars_parameter(1, lowest=1),
    warm=lambda bars: bars + 1,
)
def _return(context: FeatureContext, bars: int) -> float | None:
    return 100.0 * math.log(context.price / context.closes.item(-1 - bars)) if context.bars > bars else None


@MOMENTUM.add(
    "rsi",
    "Relative strength index, centred",
    "(RSI - 50) / 50",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source="J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib RSI",
)
def _rsi(context: FeatureContext, bars: int) -> float | None:
    found = context.indicators.rsi if bars == 14 else context.rsi(bars)
    return None if found is None else (found - 50.0) / 50.0


@MOMENTUM.add(
    "macd",
    "MACD line",
    "(EMA fast - EMA slow) / ATR 14",
    "ATR",
    _FAST,
    _SLOW,
    _SIGNAL,
    warm=_warm_macd,
    source=_MACD_SOURCE,
    increasing=True,
)
def _macd(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    line = context.macd(fast, slow, signal)[0]
    return None if line is None or context.unit is None else line / context.unit


@MOMENTUM.add(
    "macd_signal",
    "Signal line of the MACD",
    "EMA signal of the MACD line / ATR 14",
    "ATR",
    _FAST,
    _SLOW,
    _SIGNAL,
    warm=_warm_macd,
    source=_MACD_SOURCE,
    increasing=True,
)
def _macd_signal(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    smooth = context.macd(fast, slow, signal)[1]
    return None if smooth is None or context.unit is None else smooth / context.unit


@MOMENTUM.add(
    "macd_histogram",
    "MACD line less its signal line",
    "(MACD line - signal line) / ATR 14",
    "ATR",
    _FAST,
    _SLOW,
    _SIGNAL,
    warm=_warm_macd,
    source=_MACD_SOURCE,
    increasing=True,
)
def _macd_histogram(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    histogram = context.macd(fast, slow, signal)[2]
    return None if histogram is None or context.unit is None else histogram / context.unit


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
