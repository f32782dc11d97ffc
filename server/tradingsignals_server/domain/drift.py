"""Drift of a feature: how far its recent values are from those of a reference, as the population stability index.

The reference is divided into bins of equal counts; the index is the sum over the bins of (p - q) ln(p / q), where p and
q are the shares of the recent values and of the reference in the bin. Its customary reading: below 0.1 no drift, above
0.25 much. For two samples of n independent values of one distribution it is some 2 (bins - 1) / n by chance. Successive
values of a feature are not independent: eight sessions of low volatility are far from three years of all kinds. So what
the runs of a training reached themselves is no drift either.

Source: Siddiqi, Credit Risk Scorecards (2006), chapter 11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]

BINS: Final = 10
RUN: Final = 500
"""Successive values that are compared with a reference."""
MUCH: Final = 0.25
"""Customary limit of the index."""

_PSEUDO_COUNT: Final = 0.5
"""Added to each bin, so that an empty one makes the index large and not infinite."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of a feature in a reference, such as its training: `shares` (n + 1,) of them in the bins between
    `edges` (n,).

    A value at an edge belongs to the bin above it, so a feature of few distinct values has a bin for each. `highest` is
    the highest index of a run of RUN successive values of the reference, 0 if it is not known.

    Raises:
        ValueError: on construction, if edges are not finite and in ascending order, if shares are not above 0 with a
            sum of 1, or if `highest` is not finite and >= 0.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    highest: float = 0.0

    def __post_init__(self) -> None:
        edges, shares = np.array(self.edges), np.array(self.shares)
        if not (len(edges) and np.isfinite(edges).all() and (np.diff(edges) > 0.0).all()):
            raise ValueError("edges that are not finite numbers in ascending order")
        # Numbers in a file are rounded, so the sum is 1 to their precision only.
        if len(shares) != len(edges) + 1 or not ((shares > 0.0).all() and abs(shares.sum() - 1.0) < 1e-3):
            raise ValueError("shares that are not those of the bins between its edges")
        if not 0.0 <= self.highest < np.inf:
            raise ValueError("a highest index that is not finite and >= 0")

    @property
    def limit(self) -> float:
        """The index above which a run of values has drifted."""
        return max(MUCH, self.highest)

    @classmethod
    def of(cls, values: Values) -> Self:
        """Return the distribution of `values` (n,), which are finite, n > 0: between their deciles, each once."""
        # To six digits, as a file states them: the index is then the same from the values and from the file.
        deciles = np.quantile(values, np.arange(1, BINS) / BINS, method="higher")
        edges = np.unique([float(f"{decile:.6g}") for decile in deciles])
        return cls(tuple(edges.tolist()), tuple(round(share, 6) for share in _shares(values, edges).tolist()))

    @classmethod
    def of_training(cls, values: Values) -> Self:
        """Return the distribution of `values` (n,) in the order of time, with the highest index of their runs."""
        plain = cls.of(values)
        runs = values[: len(values) // RUN * RUN].reshape(-1, RUN)
        highest = max((population_stability_index(plain, run) for run in runs), default=0.0)
        return replace(plain, highest=round(highest, 4))


def population_stability_index(reference: Distribution, recent: Values) -> float:
    """Return the index of `recent` (n,) against `reference`, >= 0. The values are finite, and there are some."""
    expected = np.array(reference.shares)
    found = _shares(recent, np.array(reference.edges))
    return float(np.sum((found - expected) * np.log(found / expected)))


def _shares(values: Values, edges: Values) -> npt.NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + _PSEUDO_COUNT
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares
