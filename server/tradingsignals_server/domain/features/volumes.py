"""Features of the volumes. Without a volume in the bars of a feature it is not defined."""

from __future__ import annotations

import math

import numpy as np

from .context import ATR_BARS, FeatureContext, clipped
from .kind import FeatureGroup, bars_parameter

VOLUME = FeatureGroup("Volume")


@VOLUME.add(
    "volume_ratio",
    "Volume as a fraction of its mean",
    "v / mean of bars volumes - 1",
    "ratio",
    bars_parameter(20),
    warm=lambda bars: bars,
    bounds=(-1.0, math.inf),
    needs_volume=True,
)
def _volume_ratio(context: FeatureContext, bars: int) -> float | None:
    volumes = context.volumes(bars)
    return None if volumes is None else float(volumes[-1] / volumes.mean()) - 1.0


@VOLUME.add(
    "volume_zscore",
    "Distance of the volume from its mean",
    "(v - mean) / standard deviation (population) of bars volumes",
    "standard deviations",
    bars_parameter(20),
    warm=lambda bars: bars,
    needs_volume=True,
)
def _volume_zscore(context: FeatureContext, bars: int) -> float | None:
    if (volumes := context.volumes(bars)) is None:
        return None
    deviation = float(volumes.std())
    return float(volumes[-1] - volumes.mean()) / deviation if deviation > 1e-12 else None


@VOLUME.add(
    "obv",
    "On-balance volume, as a fraction of the volume",
    "sum of sign(c[i] - c[i + 1]) v[i] / sum of v[i] over bars changes",
    "-1 to 1",
    bars_parameter(20, lowest=1),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source="J. Granville, New Key to Stock Market Profits (1963), over a window",
    needs_volume=True,
)
def _obv(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars or (volumes := context.volumes(bars)) is None:
        return None
    sides = np.sign(np.diff(context.closes[-1 - bars :]))
    return clipped(float(sides.dot(volumes) / volumes.sum()), 1.0)


@VOLUME.add(
    "mfi",
    "Money flow index, centred",
    "(p - n) / (p + n), where p and n are the sums of t v of the bars whose t = (h + l + c) / 3 rose and fell",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source="G. Quong, A. Soudack, Stocks & Commodities 7:3 (1989); (MFI - 50) / 50, for volumes of any size",
    needs_volume=True,
)
def _mfi(context: FeatureContext, bars: int) -> float | None:
    if context.bars <= bars or (volumes := context.volumes(bars)) is None:
        return None
    window = context.window
    typical = (window.high[-1 - bars :] + window.low[-1 - bars :] + window.close[-1 - bars :]) / 3.0
    sides = np.sign(np.diff(typical))
    flows = typical[1:] / context.price * volumes
    moved = float((np.abs(sides) * flows).sum())
    return clipped(float(sides.dot(flows)) / moved, 1.0) if moved > 0.0 else None


@VOLUME.add(
    "money_flow",
    "Chaikin money flow",
    "sum of ((c - l) - (h - c)) / (h - l) v / sum of v over bars bars",
    "-1 to 1",
    bars_parameter(20, lowest=1),
    warm=lambda bars: bars,
    bounds=(-1.0, 1.0),
    source="M. Chaikin, Chaikin Money Flow",
    needs_volume=True,
)
def _money_flow(context: FeatureContext, bars: int) -> float | None:
    if (volumes := context.volumes(bars)) is None:
        return None
    high, low, close = (row[-bars:] for row in (context.window.high, context.window.low, context.closes))
    ranges = high - low
    places = np.divide(2.0 * close - high - low, ranges, out=np.zeros(bars), where=ranges > 0.0)
    return clipped(float(places.dot(volumes) / volumes.sum()), 1.0)


@VOLUME.add(
    "vwap_gap",
    "Distance of the close from the volume-weighted mean price",
    "(c - sum of t v / sum of v) / ATR 14 over bars bars, where t = (h + l + c) / 3",
    "ATR",
    bars_parameter(20, lowest=1),
    warm=lambda bars: max(bars, ATR_BARS),
    needs_volume=True,
)
def _vwap_gap(context: FeatureContext, bars: int) -> float | None:
    if context.unit is None or (volumes := context.volumes(bars)) is None:
        return None
    typical = (context.window.high[-bars:] + context.window.low[-bars:] + context.closes[-bars:]) / 3.0
    return (context.price - float(typical.dot(volumes) / volumes.sum())) / context.unit
