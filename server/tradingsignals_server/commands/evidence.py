"""Whether observations that were recorded, and the statistics of a training, can be those of the service's features.

A policy of sixteen other numbers has the same shape, and would be served without an error and without a meaning. What
is known of each feature of `m5-v1` tells most of them apart: where it lies, and that two of them are differences.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..domain.features import FEATURE_LIMIT, FEATURE_NAMES, FEATURE_SPECIFICATION

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_NARROWER = {
    "rsi": (-1.0, 1.0),
    "bb_width": (0.0, FEATURE_LIMIT),
    "atr": (0.0, FEATURE_LIMIT),
    "volatility": (0.0, FEATURE_LIMIT),
    "session_progress": (0.0, 1.0),
}
"""Features that lie in less than +/- FEATURE_LIMIT."""
_LOWEST, _HIGHEST = np.array([_NARROWER.get(name, (-FEATURE_LIMIT, FEATURE_LIMIT)) for name in FEATURE_NAMES]).T
_DIFFERENCES = (("macd_histogram", "macd", "macd_signal"), ("ema_spread", "ema_50_gap", "ema_20_gap"))
"""Features of which the first is the second less the third, unless one is cut off or not yet known."""

_ROUNDING = 1e-3
_CUT_OFF = 0.25
"""How far the mean of a difference may be from the difference of the means: some values of each are cut off."""


def against_observations(observations: Numbers) -> str | None:
    """Why `observations`, shape (n, 16), cannot be of FEATURE_SPECIFICATION; None if they can."""
    for place, name in enumerate(FEATURE_NAMES):
        outside = ~(np.abs(observations[:, place]) < np.inf) | (
            np.abs(observations[:, place] - np.clip(observations[:, place], _LOWEST[place], _HIGHEST[place]))
            > _ROUNDING
        )
        if outside.any():
            value = float(observations[outside][0, place])
            return f"{value:g} as feature {place}, where {name} lies within {_bounds(place)}"
    for difference, more, less in _DIFFERENCES:
        places = [FEATURE_NAMES.index(name) for name in (difference, more, less)]
        three = observations[:, places].astype(np.float64)
        known = (three != 0.0).all(axis=1) & (np.abs(three) < FEATURE_LIMIT).all(axis=1)
        apart = np.abs(three[:, 0] - (three[:, 1] - three[:, 2])) > _ROUNDING * (1.0 + np.abs(three).max(axis=1))
        if (known & apart).any():
            return f"feature {places[0]} is not feature {places[1]} less feature {places[2]}, as {difference} is"
    return None


def against_statistics(mean: Numbers, variance: Numbers) -> str | None:
    """Why no observations of FEATURE_SPECIFICATION can have this mean and variance, shape (16,); None if some can."""
    for place, name in enumerate(FEATURE_NAMES):
        low, high = _LOWEST[place], _HIGHEST[place]
        if not low - _ROUNDING <= mean[place] <= high + _ROUNDING:
            return f"a mean of {mean[place]:g} of feature {place}, where {name} lies within {_bounds(place)}"
        # Bhatia and Davis: no distribution within bounds has a larger variance at this mean.
        largest = (high - mean[place]) * (mean[place] - low) + _ROUNDING
        if not 0.0 <= variance[place] <= 1.01 * largest:
            return (
                f"a variance of {variance[place]:g} of feature {place}, where that of {name} is at most {largest:.3g}"
            )
    for difference, more, less in _DIFFERENCES:
        first, second, third = (float(mean[FEATURE_NAMES.index(name)]) for name in (difference, more, less))
        if abs(first - (second - third)) > _CUT_OFF:
            return f"a mean of {first:g} of {difference}, where that of {more} less {less} is {second - third:g}"
    return None


def _bounds(place: int) -> str:
    return f"{_LOWEST[place]:g} and {_HIGHEST[place]:g} in {FEATURE_SPECIFICATION}"
