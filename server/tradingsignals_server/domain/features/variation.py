"""Features of volatility, ranges and bands."""

from __future__ import annotations

import math

from .context import FeatureContext
from .kind import FeatureGroup, Parameter, bars_parameter

VOLATILITY = FeatureGroup("Volatility and ranges")
BANDS = FeatureGroup("Bands and channels")

_WIDTH = Parameter("width", 2.0, 0.1, 10.0, whole=False)
_BANDS_SOURCE = "J. Bollinger, Bollinger on Bollinger Bands (2001); TA-Lib BBANDS"


@VOLATILITY.add(
    "atr_pct",
    "Average true range",
    "100 ATR / c",
    "percent",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(0.0, math.inf),
    source="J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib ATR",
)
def _atr_pct(context: FeatureContext, bars: int) -> float | None:
    found = context.indicators.atr if bars == 14 else context.atr(bars)
    return None if found is None else 100.0 * found / context.price


@VOLATILITY.add(
    "volatility",
    "Standard deviation of the log returns",
    "100 sqrt(mean(r^2) - mean(r)^2) over `bars` returns r",
    "percent for one bar",
    bars_parameter(20),
    warm=lambda bars: bars + 1,
    bounds=(0.0, math.inf),
)
def _volatility(context: FeatureContext, bars: int) -> float | None:
    found = context.indicators.volatility if bars == 20 else context.volatility(bars)
    return None if found is None else 100.0 * found


@BANDS.add(
    "bb_position",
    "Distance of the close from the middle Bollinger band",
    "(c - middle) / ((upper - lower) / 2)",
    "half band widths",
    bars_parameter(20),
    _WIDTH,
    warm=lambda bars, _: bars,
    source=_BANDS_SOURCE,
)
def _bb_position(context: FeatureContext, bars: int, width: float) -> float | None:
    if (found := context.bands(bars, width)) is None:
        return None
    upper, middle, lower = found
    half = (upper - lower) / 2.0
    return (context.price - middle) / half if half > 0.0 else 0.0


@BANDS.add(
    "bb_width",
    "Distance of the Bollinger bands",
    "100 (upper - lower) / middle",
    "percent",
    bars_parameter(20),
    _WIDTH,
    warm=lambda bars, _: bars,
    bounds=(0.0, math.inf),
    source=_BANDS_SOURCE,
)
def _bb_width(context: FeatureContext, bars: int, width: float) -> float | None:
    if (found := context.bands(bars, width)) is None:
        return None
    upper, middle, lower = found
    return 200.0 * ((upper - lower) / 2.0) / middle
