"""Intervals by bootstrap over sessions.

Trades of one session share its market, and often overlap, so the sessions are drawn with replacement and bring all
their trades, of every symbol. The interval is that of percentiles: from 2.5% to 97.5% of the resampled figures.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..values import dataclass
from .figures import ConfidenceInterval
from .trades import FloatArray, IntArray

MIN_SESSIONS = 10
"""With fewer sessions there is no interval: percentiles of so few cover much less than 95%."""

MIN_DEFINED = 0.95
"""Share of the resamples in which a figure must be defined to have an interval."""

_CHUNK_VALUES = 200_000


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """Number of resamples, 0 for no intervals, and the seed: the same gives the same intervals."""

    resamples: int = 1000
    seed: int = 20_240_607

    def __post_init__(self) -> None:
        if self.resamples < 0 or self.seed < 0:
            raise ValueError("resamples and seed are not negative")


@dataclass(frozen=True, slots=True, eq=False)
class Resamples:
    """Sessions drawn with replacement, in rows of as many draws as there are sessions.

    draws: indices of the sessions, shape (resamples, sessions). Both are empty where no interval is to be had.
    """

    draws: IntArray

    @classmethod
    def of(cls, sessions: int, settings: BootstrapSettings) -> Resamples:
        """Draw from `sessions` sessions."""
        rows = settings.resamples if sessions >= MIN_SESSIONS else 0
        return cls(np.random.default_rng(settings.seed).integers(0, sessions, (rows, sessions)) if rows else _none())

    def weights(self) -> FloatArray:
        """Return how often each session was drawn, shape (resamples, sessions)."""
        rows, sessions = self.draws.shape
        flat = (self.draws + np.arange(rows)[:, None] * sessions).ravel()
        return np.bincount(flat, minlength=rows * sessions).reshape(rows, sessions).astype(np.float64)

    def chunks(self, values: FloatArray) -> Iterator[FloatArray]:
        """Yield `values`, one for each session, as the resamples have them: some rows at a time, to bound memory."""
        rows, sessions = self.draws.shape
        step = max(1, _CHUNK_VALUES // max(1, sessions))
        for start in range(0, rows, step):
            yield values[self.draws[start : start + step]]


def percentile_interval(resampled: npt.NDArray[np.float64]) -> ConfidenceInterval | None:
    """Return the 95% interval of a figure by its resampled values, shape (resamples,); NaN where it is undefined."""
    known = resampled[np.isfinite(resampled)]
    if len(known) == 0 or len(known) < MIN_DEFINED * len(resampled):
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return ConfidenceInterval(float(low), float(high))


def _none() -> IntArray:
    return np.empty((0, 0), np.int64)
