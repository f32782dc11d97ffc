"""Checks of whether recorded observations, and statistics of a training, can be those of the named features.

A policy of as many other numbers has the same shapes: it would run without an error, and its output would be
meaningless. Known properties of features expose most of these policies: their bounds, features that are differences of
others, the order of prices in a bar, and the order of frames.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..domain.features import CatalogueFeatures, Features, RawBars
from ..domain.features.specification import NO_LIMIT

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_DIFFERENCES = (
    ("macd_histogram({0},{1},{2})", "macd({0},{1},{2})", "macd_signal({0},{1},{2})"),
    ("ema_spread({0},{1})", "ema_gap({1})", "ema_gap({0})"),
)
"""Features with their parameters: the first is the second less the third, unless one is clipped or not yet known."""
_ORDERED = (("low", "open"), ("low", "close"), ("open", "high"), ("close", "high"))
"""Columns of a bar of which the first is never above the second."""

_ROUNDING = 1e-3
_CLIPPING = 0.25
"""How far the mean of a difference may be from the difference of the means, because values of each may be clipped."""


def against_observations(features: Features, observations: Numbers) -> str | None:
    """Return why `observations` cannot be of `features`; None if they can.

    They have the shape (n, features.size), or (n, size of one frame).
    """
    width = len(features.names)
    frames = observations.reshape(-1, width)
    if observations.shape[1] > width:
        # Frames before the first bar of an episode are zeros.
        frames = frames[frames.any(axis=1)]
    lowest, highest = bounds_of(features)
    with np.errstate(invalid="ignore"):
        outside = ~(np.abs(frames) < np.inf) | (
            np.abs(frames - np.clip(frames, lowest, highest)) > _ROUNDING * (1.0 + np.minimum(np.abs(frames), 1.0))
        )
    if outside.any():
        row, index = (int(axis[0]) for axis in np.nonzero(outside))
        return f"{frames[row, index]:g} as feature {index}, where {_within(features, index)}"
    for difference, more, less in _differences(features):
        three = frames[:, [difference, more, less]].astype(np.float64)
        limit = features.limit if isinstance(features, CatalogueFeatures) else math.inf
        known = (three != 0.0).all(axis=1) & (np.abs(three) < limit).all(axis=1)
        apart = np.abs(three[:, 0] - (three[:, 1] - three[:, 2])) > _ROUNDING * (1.0 + np.abs(three).max(axis=1))
        if (known & apart).any():
            name = features.names[difference]
            return f"feature {difference} is not feature {more} less feature {less}, as {name} is"
    for first, second in _ordered(features):
        if (frames[:, first] > frames[:, second]).any():
            return f"a {features.names[first]} above the {features.names[second]} of the same bar"
    return _newest_first(observations, width)


def against_statistics(features: Features, mean: Numbers, variance: Numbers) -> str | None:
    """Return why no observations of `features` can have this mean and variance, or None.

    Both have the shape (features.size,), or (size of one frame,).
    """
    width = len(features.names)
    stacked = len(mean) > width
    for first in range(0, len(mean), width):
        frame = slice(first, first + width)
        if (reason := _against_frame(features, mean[frame], variance[frame], absent=stacked)) is not None:
            return reason
    return None


def bounds_of(features: Features) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lowest and highest value of each number of a frame, infinite where nothing is known."""
    if isinstance(features, RawBars):
        return np.zeros(len(features.names)), np.full(len(features.names), np.inf)
    if not isinstance(features, CatalogueFeatures):
        return np.full(len(features.names), -np.inf), np.full(len(features.names), np.inf)
    kinds = [feature.kind for feature in features.features]
    limit = math.inf if features.limit == NO_LIMIT else features.limit
    lowest = [min(max(kind.lowest, -limit), kind.neutral) for kind in kinds]
    highest = [max(min(kind.highest, limit), kind.neutral) for kind in kinds]
    return np.array(lowest), np.array(highest)


def _against_frame(features: Features, mean: Numbers, variance: Numbers, *, absent: bool) -> str | None:
    lowest, highest = bounds_of(features)
    if absent:
        lowest, highest = np.minimum(lowest, 0.0), np.maximum(highest, 0.0)
    for index, name in enumerate(features.names):
        low, high = float(lowest[index]), float(highest[index])
        if not low - _ROUNDING <= mean[index] <= high + _ROUNDING:
            return f"a mean of {mean[index]:g} of feature {index}, where {_within(features, index)}"
        # The inequality of Bhatia and Davis: the largest variance of a bounded distribution with this mean.
        largest = math.inf if math.isinf(high - low) else (high - mean[index]) * (mean[index] - low) + _ROUNDING
        if not 0.0 <= variance[index] <= 1.01 * largest:
            return (
                f"a variance of {variance[index]:g} of feature {index}, where that of {name} is at most {largest:.3g}"
            )
    for triple in _differences(features):
        first, second, third = (float(mean[index]) for index in triple)
        if abs(first - (second - third)) > _CLIPPING:
            difference, more, less = (features.names[index] for index in triple)
            return f"a mean of {first:g} of {difference}, where that of {more} less {less} is {second - third:g}"
    for lower, upper in _ordered(features):
        if mean[lower] > mean[upper] * (1.0 + _ROUNDING):
            return f"a mean of the {features.names[lower]} above that of the {features.names[upper]}"
    return None


def _newest_first(observations: Numbers, width: int) -> str | None:
    """Return that frames are stacked in the other order, by what successive observations have in common."""
    if observations.shape[1] == width:
        return None
    oldest_first = (observations[:-1, width:] == observations[1:, :-width]).all(axis=1)
    newest_first = (observations[:-1, :-width] == observations[1:, width:]).all(axis=1)
    if newest_first.sum() > oldest_first.sum():
        return "the newest frame first, where frames are stacked with the oldest first"
    return None


def _differences(features: Features) -> list[tuple[int, int, int]]:
    """Return the indexes of each feature that is a difference of two others, and of those."""
    if not isinstance(features, CatalogueFeatures):
        return []
    places = {str(feature): index for index, feature in enumerate(features.features)}
    found = list[tuple[int, int, int]]()
    for feature in features.features:
        for forms in _DIFFERENCES:
            if not forms[0].startswith(f"{feature.kind.name}("):
                continue
            texts = [form.format(*feature.parameters) for form in forms]
            if all(text in places for text in texts):
                difference, more, less = (places[text] for text in texts)
                found.append((difference, more, less))
    return found


def _ordered(features: Features) -> list[tuple[int, int]]:
    if not isinstance(features, RawBars):
        return []
    names = features.names
    return [(names.index(low), names.index(high)) for low, high in _ORDERED if low in names and high in names]


def _within(features: Features, index: int) -> str:
    lowest, highest = bounds_of(features)
    name = features.names[index]
    if math.isinf(lowest[index]) and math.isinf(highest[index]):
        return f"{name} is a finite number"
    if math.isinf(highest[index]):
        return f"{name} is at least {lowest[index]:g} and finite"
    return f"{name} lies within {lowest[index]:g} and {highest[index]:g} in {features.name}"
