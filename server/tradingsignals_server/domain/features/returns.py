"""Features of returns and of the path of the close."""

from __future__ import annotations

import math

import numpy as np

from ..indicators import ROUNDING, side_of
from ..ta_lib import talib
from .context import ATR_BARS, FeatureContext, clipped
from .kind import FeatureGroup, bars_parameter

RETURNS = FeatureGroup("Returns and movement")


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


@RETURNS.add(
    "simple_return",
    "Return of the close",
    "100 (c / c[bars] - 1)",
    "percent",
    bars_parameter(1, lowest=1),
    warm=lambda bars: bars + 1,
    bounds=(-100.0, math.inf),
)
def _simple_return(context: FeatureContext, bars: int) -> float | None:
    return 100.0 * (context.price / context.closes.item(-1 - bars) - 1.0) if context.bars > bars else None


@RETURNS.add(
    "open_gap",
    "Log return from the close before to the open",
    "100 ln(o / c[1])",
    "percent",
    warm=lambda: 2,
)
def _open_gap(context: FeatureContext) -> float | None:
    if context.bars < 2:
        return None
    return 100.0 * math.log(context.window.open.item(-1) / context.closes.item(-2))


@RETURNS.add(
    "momentum",
    "Change of the close",
    "(c - c[bars]) / ATR 14",
    "ATR",
    bars_parameter(10, lowest=1),
    warm=lambda bars: max(bars + 1, ATR_BARS),
    source="TA-Lib MOM",
)
def _momentum(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars or context.unit is None:
        return None
    return (context.price - context.closes.item(-1 - bars)) / context.unit


@RETURNS.add(
    "efficiency_ratio",
    "Change of the close as a fraction of its path",
    "|c - c[bars]| / sum of |c[i] - c[i + 1]| over bars changes",
    "0 to 1",
    bars_parameter(10),
    warm=lambda bars: bars + 1,
    bounds=(0.0, 1.0),
    source="P. Kaufman, Smarter Trading (1995)",
)
def _efficiency_ratio(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars:
        return None
    closes = context.closes[-1 - bars :]
    path = float(np.abs(np.diff(closes)).sum())
    return min(abs(closes.item(-1) - closes.item(0)) / path, 1.0) if side_of(path, context.price) else None


@RETURNS.add(
    "up_ratio",
    "Share of the closes that are above the one before",
    "2 (number of i with c[i] > c[i + 1]) / bars - 1 over bars changes",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
)
def _up_ratio(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars:
        return None
    return 2.0 * int((np.diff(context.closes[-1 - bars :]) > 0.0).sum()) / bars - 1.0


@RETURNS.add(
    "autocorrelation",
    "Correlation of each log return with the one before",
    "sum of (r[i] - m)(r[i + 1] - m) / sum of (r[i] - m)^2 over bars returns r of mean m",
    "-1 to 1",
    bars_parameter(20, lowest=3),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
)
def _autocorrelation(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars:
        return None
    deviations = context.log_returns[-bars:] - context.log_returns[-bars:].mean()
    squares = float(deviations.dot(deviations))
    if squares <= bars * ROUNDING**2:
        return None
    return clipped(float(deviations[1:].dot(deviations[:-1])) / squares, 1.0)


@RETURNS.add(
    "slope",
    "Slope of the line that fits the closes best, for one bar",
    "least squares over bars closes / ATR 14",
    "ATR for one bar",
    bars_parameter(14),
    warm=lambda bars: max(bars, ATR_BARS),
    source="TA-Lib LINEARREG_SLOPE",
)
def _slope(context: FeatureContext, bars: int) -> float | None:
    found = context.average(talib.LINEARREG_SLOPE, bars, bars)
    return None if found is None or context.unit is None else found / context.unit
