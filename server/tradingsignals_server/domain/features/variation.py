"""Features of volatility, bands and channels, and the shape of a bar."""

from __future__ import annotations

import math

import numpy as np

from ..indicators import ROUNDING, side_of
from .context import ATR_BARS, FeatureContext, clipped
from .kind import WIDTH, FeatureGroup, bars_parameter

VOLATILITY = FeatureGroup("Volatility and ranges")
BANDS = FeatureGroup("Bands and channels")
CANDLE = FeatureGroup("Shape of the bar")

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
    "100 sqrt(mean(r^2) - mean(r)^2) over bars returns r",
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
    WIDTH,
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
    WIDTH,
    warm=lambda bars, _: bars,
    bounds=(0.0, math.inf),
    source=_BANDS_SOURCE,
)
def _bb_width(context: FeatureContext, bars: int, width: float) -> float | None:
    if (found := context.bands(bars, width)) is None:
        return None
    upper, middle, lower = found
    return 200.0 * ((upper - lower) / 2.0) / middle


@VOLATILITY.add(
    "true_range",
    "True range of the bar",
    "(max(h, c[1]) - min(l, c[1])) / ATR 14",
    "ATR",
    warm=lambda: ATR_BARS,
    bounds=(0.0, math.inf),
    source="J. W. Wilder, New Concepts in Technical Trading Systems (1978)",
)
def _true_range(context: FeatureContext) -> float | None:
    if context.bars < 2 or context.unit is None:
        return None
    before = context.closes.item(-2)
    high, low = context.window.high.item(-1), context.window.low.item(-1)
    return (max(high, before) - min(low, before)) / context.unit


@VOLATILITY.add(
    "volatility_ratio",
    "Volatility of few returns as a fraction of that of many",
    "volatility(fast) / volatility(slow)",
    "ratio",
    bars_parameter(10, name="fast"),
    bars_parameter(50, name="slow", lowest=3),
    warm=lambda _, slow: slow + 1,
    bounds=(0.0, math.inf),
    increasing=True,
)
def _volatility_ratio(context: FeatureContext, fast: int, slow: int) -> float | None:
    first, second = context.volatility(fast), context.volatility(slow)
    return None if first is None or second is None or second <= ROUNDING else first / second


@VOLATILITY.add(
    "parkinson",
    "Volatility by the ranges of the bars",
    "100 sqrt(mean of ln(h / l)^2 / (4 ln 2)) over bars bars",
    "percent for one bar",
    bars_parameter(20, lowest=1),
    warm=lambda bars: bars,
    bounds=(0.0, math.inf),
    source="M. Parkinson, Journal of Business 53 (1980)",
)
def _parkinson(context: FeatureContext, bars: int) -> float | None:
    if context.bars < bars:
        return None
    ranges = np.log(context.window.high[-bars:] / context.window.low[-bars:])
    return 100.0 * math.sqrt(float(ranges.dot(ranges)) / bars / (4.0 * math.log(2.0)))


@VOLATILITY.add(
    "garman_klass",
    "Volatility by the ranges and bodies of the bars",
    "100 sqrt(mean of ln(h / l)^2 / 2 - (2 ln 2 - 1) ln(c / o)^2) over bars bars",
    "percent for one bar",
    bars_parameter(20, lowest=1),
    warm=lambda bars: bars,
    bounds=(0.0, math.inf),
    source="M. Garman, M. Klass, Journal of Business 53 (1980)",
)
def _garman_klass(context: FeatureContext, bars: int) -> float | None:
    if context.bars < bars:
        return None
    window = context.window
    ranges = np.log(window.high[-bars:] / window.low[-bars:])
    bodies = np.log(window.close[-bars:] / window.open[-bars:])
    mean = float(ranges.dot(ranges)) / bars / 2.0 - (2.0 * math.log(2.0) - 1.0) * float(bodies.dot(bodies)) / bars
    return 100.0 * math.sqrt(max(mean, 0.0))


@VOLATILITY.add(
    "downside",
    "Share of the negative returns in the squares of all",
    "sum of min(r, 0)^2 / sum of r^2 over bars log returns r",
    "0 to 1",
    bars_parameter(20),
    warm=lambda bars: bars + 1,
    bounds=(0.0, 1.0),
)
def _downside(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars:
        return None
    returns = context.log_returns[-bars:]
    squares = float(returns.dot(returns))
    negative = np.minimum(returns, 0.0)
    return float(negative.dot(negative)) / squares if squares > bars * ROUNDING**2 else None


@VOLATILITY.add(
    "skew",
    "Skewness of the log returns",
    "mean of (r - m)^3 / (mean of (r - m)^2)^1.5 over bars log returns r of mean m",
    "none",
    bars_parameter(20, lowest=3),
    warm=lambda bars: bars + 1,
)
def _skew(context: FeatureContext, bars: int) -> float | None:
    return _standard_moment(context, bars, 3)


@VOLATILITY.add(
    "kurtosis",
    "Excess kurtosis of the log returns",
    "mean of (r - m)^4 / (mean of (r - m)^2)^2 - 3 over bars log returns r of mean m",
    "none",
    bars_parameter(20, lowest=4),
    warm=lambda bars: bars + 1,
    bounds=(-2.0, math.inf),
)
def _kurtosis(context: FeatureContext, bars: int) -> float | None:
    found = _standard_moment(context, bars, 4)
    return None if found is None else max(found - 3.0, -2.0)


def _standard_moment(context: FeatureContext, bars: int, power: int) -> float | None:
    if context.bars <= bars:
        return None
    returns = context.log_returns[-bars:]
    deviations = returns - returns.mean()
    scale = math.sqrt(float(deviations.dot(deviations)) / bars)
    return float(((deviations / scale) ** power).mean()) if scale > ROUNDING else None


@BANDS.add(
    "zscore",
    "Distance of the close from the mean of the closes",
    "(c - mean) / standard deviation (population) over bars closes",
    "standard deviations",
    bars_parameter(20),
    warm=lambda bars: bars,
)
def _zscore(context: FeatureContext, bars: int) -> float | None:
    if context.bars < bars:
        return None
    closes = context.closes[-bars:]
    deviation = float(closes.std())
    return (context.price - float(closes.mean())) / deviation if side_of(deviation, context.price) else None


@BANDS.add(
    "donchian_position",
    "Place of the close in the channel of the extremes",
    "2 (c - lowest low) / (highest high - lowest low) - 1",
    "-1 to 1",
    bars_parameter(20),
    warm=lambda bars: bars,
    bounds=(-1.0, 1.0),
    source="R. Donchian, Commodities: High Finance in Copper (1960)",
)
def _donchian_position(context: FeatureContext, bars: int) -> float | None:
    if (found := context.extremes(bars)) is None:
        return None
    highest, lowest = found
    return clipped(2.0 * (context.price - lowest) / (highest - lowest) - 1.0, 1.0)


@BANDS.add(
    "donchian_width",
    "Distance of the extremes",
    "(highest high - lowest low) / ATR 14",
    "ATR",
    bars_parameter(20),
    warm=lambda bars: max(bars, ATR_BARS),
    bounds=(0.0, math.inf),
    source="R. Donchian, Commodities: High Finance in Copper (1960)",
)
def _donchian_width(context: FeatureContext, bars: int) -> float | None:
    if (found := context.extremes(bars)) is None or context.unit is None:
        return None
    highest, lowest = found
    return (highest - lowest) / context.unit


@BANDS.add(
    "keltner_position",
    "Distance of the close from its moving average, in widths of the Keltner channel",
    "(c - EMA bars) / (width ATR bars)",
    "half channel widths",
    bars_parameter(20),
    WIDTH,
    warm=lambda bars, _: bars + 1,
    source="L. Raschke's form of C. Keltner, How to Make Money in Commodities (1960); TA-Lib EMA, ATR",
)
def _keltner_position(context: FeatureContext, bars: int, width: float) -> float | None:
    average, atr = context.ema(bars), context.atr(bars)
    return None if average is None or not atr else (context.price - average) / (width * atr)


@CANDLE.add(
    "body",
    "Body of the bar as a fraction of its range",
    "(c - o) / (h - l)",
    "-1 to 1",
    warm=lambda: 1,
    bounds=(-1.0, 1.0),
)
def _body(context: FeatureContext) -> float | None:
    return _of_range(context, context.price - context.window.open.item(-1))


@CANDLE.add(
    "upper_shadow",
    "Part of the range above the body",
    "(h - max(o, c)) / (h - l)",
    "0 to 1",
    warm=lambda: 1,
    bounds=(0.0, 1.0),
)
def _upper_shadow(context: FeatureContext) -> float | None:
    return _of_range(context, context.window.high.item(-1) - max(context.window.open.item(-1), context.price))


@CANDLE.add(
    "lower_shadow",
    "Part of the range below the body",
    "(min(o, c) - l) / (h - l)",
    "0 to 1",
    warm=lambda: 1,
    bounds=(0.0, 1.0),
)
def _lower_shadow(context: FeatureContext) -> float | None:
    return _of_range(context, min(context.window.open.item(-1), context.price) - context.window.low.item(-1))


@CANDLE.add(
    "close_position",
    "Place of the close in the range of the bar",
    "(c - l) / (h - l)",
    "0 to 1",
    warm=lambda: 1,
    bounds=(0.0, 1.0),
    neutral=0.5,
)
def _close_position(context: FeatureContext) -> float | None:
    return _of_range(context, context.price - context.window.low.item(-1))


@CANDLE.add(
    "range_pct",
    "Range of the bar",
    "100 (h - l) / c",
    "percent",
    warm=lambda: 1,
    bounds=(0.0, math.inf),
)
def _range_pct(context: FeatureContext) -> float:
    return 100.0 * (context.window.high.item(-1) - context.window.low.item(-1)) / context.price


@CANDLE.add(
    "body_pct",
    "Log return from the open to the close of the bar",
    "100 ln(c / o)",
    "percent",
    warm=lambda: 1,
)
def _body_pct(context: FeatureContext) -> float:
    return 100.0 * math.log(context.price / context.window.open.item(-1))


def _of_range(context: FeatureContext, part: float) -> float | None:
    found = context.extremes(1)
    return None if found is None else clipped(part / (found[0] - found[1]), 1.0)
