"""Checks of whether recorded observations, and statistics of a training, can be those of the service's features.

A policy of sixteen other numbers has the same shapes: it would run without an error, and its output would be
meaningless. Known properties of `m5-v1` expose most of these policies: the bounds of each feature, and the two features
that are differences of others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..domain.features import M5_V1

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_NARROWER = {
    "rsi": (-1.0, 1.0),
    "bb_width": (0.0, M5_V1.limit),
    "atr": (0.0, M5_V1.limit),
    "volatility": (0.0, M5_V1.limit),
    "session_progress": (0.0, 1.0),
}
"""Features with narrower bounds than +/- M5_V1.limit."""
_LOWEST, _HIGHEST = np.array([_NARROWER.get(name, (-M5_V1.limit, M5_V1.limit)) for name in M5_V1.names]).T
_DIFFERENCES = (("macd_histogram", "macd", "macd_signal"), ("ema_spread", "ema_50_gap", "ema_20_gap"))
"""Triples of features: the first is the second less the third, unless one of them is clipped or not yet known."""

_ROUNDING = 1e-3
_CLIPPING = 0.25
"""How far the mean of a difference may be from the difference of the means, because values of each may be clipped."""


def against_observations(observations: Numbers) -> str | None:
    """Return why `observations`, shape (n, 16), cannot be of M5_V1.name; None if they can."""
    for index, name in enumerate(M5_V1.names):
        outside = ~(np.abs(observations[:, index]) < np.inf) | (
            np.abs(observations[:, index] - np.clip(observations[:, index], _LOWEST[index], _HIGHEST[index]))
            > _ROUNDING
        )
        if outside.any():
            value = float(observations[outside][0, index])
            return f"{value:g} as feature {index}, where {name} lies within {_bounds(index)}"
    for difference, more, less in _DIFFERENCES:
        indexes = [M5_V1.names.index(name) for name in (difference, more, less)]
        three = observations[:, indexes].astype(np.float64)
        known = (three != 0.0).all(axis=1) & (np.abs(three) < M5_V1.limit).all(axis=1)
        apart = np.abs(three[:, 0] - (three[:, 1] - three[:, 2])) > _ROUNDING * (1.0 + np.abs(three).max(axis=1))
        if (known & apart).any():
            return f"feature {indexes[0]} is not feature {indexes[1]} less feature {indexes[2]}, as {difference} is"
    return None


def against_statistics(mean: Numbers, variance: Numbers) -> str | None:
    """Return why no observations of M5_V1.name can have this mean and variance, shape (16,), or None."""
    for index, name in enumerate(M5_V1.names):
        low, high = _LOWEST[index], _HIGHEST[index]
        if not low - _ROUNDING <= mean[index] <= high + _ROUNDING:
            return f"a mean of {mean[index]:g} of feature {index}, where {name} lies within {_bounds(index)}"
        # The inequality of Bhatia and Davis: the largest variance of a bounded distribution with this mean.
        largest = (high - mean[index]) * (mean[index] - low) + _ROUNDING
        if not 0.0 <= variance[index] <= 1.01 * largest:
            return (
                f"a variance of {variance[index]:g} of feature {index}, where that of {name} is at most {largest:.3g}"
            )
    for difference, more, less in _DIFFERENCES:
        first, second, third = (float(mean[M5_V1.names.index(name)]) for name in (difference, more, less))
        if abs(first - (second - third)) > _CLIPPING:
            return f"a mean of {first:g} of {difference}, where that of {more} less {less} is {second - third:g}"
    return None


def _bounds(index: int) -> str:
    return f"{_LOWEST[index]:g} and {_HIGHEST[index]:g} in {M5_V1.name}"
