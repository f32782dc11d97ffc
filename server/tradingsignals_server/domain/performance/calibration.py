"""Calibration of win_probability: the Brier score with its parts, the expected calibration error, and the bins.

Murphy's decomposition holds for forecasts of a few values. Within bins the forecasts differ, which adds a term
(D. Stephenson et al., "Two extra components in the Brier score decomposition", 2008); with it the parts add up exactly.
"""

from __future__ import annotations

import numpy as np

from ..values import dataclass
from .bootstrap import percentile_interval
from .figures import Figure, defined
from .trades import FloatArray, TradeColumns

BINS = 10
"""Bins of equal width over 0..1; a bound belongs to the bin above it, 1 to the last."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Trades of similar win_probability, `low` <= p < `high`.

    n: trades. mean_probability: their mean win_probability. win_rate: share that won, 0..1, with its interval.
    """

    low: float
    high: float
    n: int
    mean_probability: float
    win_rate: Figure


def bin_sums(columns: TradeColumns) -> FloatArray:
    """Return for each session and bin the sums n, p, y, p^2 and p y, shape (sessions, bins, 5).

    p is win_probability and y is 1 for a win; trades without win_probability do not count.
    """
    known = ~np.isnan(columns.win_probability)
    p, y = columns.win_probability[known], columns.won[known]
    cell = columns.session[known] * BINS + np.minimum((p * BINS).astype(np.int64), BINS - 1)
    cells = len(columns.session_days) * BINS
    terms = (np.ones(len(p)), p, y, p * p, p * y)
    sums: FloatArray = np.stack([np.bincount(cell, term, cells).astype(np.float64) for term in terms], axis=-1)
    return sums.reshape(-1, BINS, len(terms))


def brier_parts(sums: FloatArray) -> dict[str, FloatArray]:
    """Return the Brier score and its parts from sums of shape (..., bins, 5), each of shape (...).

    brier = brier_reliability - brier_resolution + brier_uncertainty + brier_within_bins.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n, p, y, pp, py = np.moveaxis(sums, -1, 0)
        total = n.sum(axis=-1)
        rate = y.sum(axis=-1) / total
        mean_p, mean_y = (np.where(n > 0.0, part / n, 0.0) for part in (p, y))

        def mean_over_bins(term: FloatArray) -> FloatArray:
            return np.asarray((n * term).sum(axis=-1) / total)

        brier = (pp - 2.0 * py + y).sum(axis=-1) / total
        uncertainty = rate * (1.0 - rate)
        within = (pp - p * mean_p - 2.0 * (py - p * mean_y)).sum(axis=-1) / total
        return {
            "brier": brier,
            "brier_reliability": mean_over_bins((mean_p - mean_y) ** 2),
            "brier_resolution": mean_over_bins((mean_y - rate[..., None]) ** 2),
            "brier_uncertainty": uncertainty,
            "brier_within_bins": within,
            "brier_skill": np.where(uncertainty > 0.0, 1.0 - brier / uncertainty, np.nan),
            "expected_calibration_error": mean_over_bins(np.abs(mean_p - mean_y)),
        }


def calibration_figures(sessions: FloatArray, weights: FloatArray) -> dict[str, Figure]:
    """Return the Brier score, its parts and the expected calibration error.

    Args:
        sessions: the sums of each session, from `bin_sums`.
        weights: how often each resample drew each session, shape (resamples, sessions).
    """
    total = sessions.sum(axis=0)
    trades = int(total[:, 0].sum())
    values = brier_parts(total)
    samples = brier_parts(_resampled_sums(sessions, weights)) if len(weights) and trades else {}
    figures = {}
    for name, value in values.items():
        known = defined(float(value))
        interval = percentile_interval(samples[name]) if samples and known is not None else None
        figures[name] = Figure(known, trades, interval)
    return figures


def calibration_bins(sessions: FloatArray, weights: FloatArray) -> tuple[CalibrationBin, ...]:
    """Return the bins that have trades, from low to high; arguments as for `calibration_figures`."""
    total = sessions.sum(axis=0)
    resampled = _resampled_sums(sessions, weights) if len(weights) else None
    bins = []
    for at, (n, p, y, _, _) in enumerate(total):
        if not n:
            continue
        interval = None
        if resampled is not None:
            with np.errstate(invalid="ignore"):
                interval = percentile_interval(resampled[:, at, 2] / resampled[:, at, 0])
        rate = Figure(float(y / n), int(n), interval)
        bins.append(CalibrationBin(at / BINS, (at + 1) / BINS, int(n), float(p / n), rate))
    return tuple(bins)


def _resampled_sums(sessions: FloatArray, weights: FloatArray) -> FloatArray:
    count, bins, terms = sessions.shape
    return (weights @ sessions.reshape(count, bins * terms)).reshape(-1, bins, terms)
