"""Drift of a feature: how far its recent values are from those of a reference, as the population stability index.

The reference is divided into bins of equal counts; the index is the sum over the bins of (p - q) ln(p / q), where p and
q are the shares of the recent values and of the reference in the bin. Its customary reading: below 0.1 no drift, above
0.25 much. For two samples of n values of one distribution it is some 2 (bins - 1) / n by chance.

Source: Siddiqi, Credit Risk Scorecards (2006), chapter 11.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]

BINS: Final = 10

_PSEUDO_COUNT: Final = 0.5
"""Added to each bin, so that an empty one makes the index large and not infinite."""


def bin_edges(reference: Values) -> Values:
    """Return the edges between the bins of a reference of shape (n,): its deciles, each once.

    A value at an edge belongs to the bin above it, so a feature of few distinct values has a bin for each.
    """
    edges: Values = np.unique(np.quantile(reference, np.arange(1, BINS) / BINS, method="higher"))
    return edges


def population_stability_index(reference: Values, recent: Values) -> float:
    """Return the index of `recent` (m,) against `reference` (n,), >= 0. Both are finite and have a value."""
    edges = bin_edges(reference)
    expected, found = _shares(reference, edges), _shares(recent, edges)
    return float(np.sum((found - expected) * np.log(found / expected)))


def _shares(values: Values, edges: Values) -> npt.NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + _PSEUDO_COUNT
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares
