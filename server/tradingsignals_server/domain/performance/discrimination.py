"""AUC: how well a score tells trades that win from those that do not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .bootstrap import percentile_interval
from .figures import Figure, defined
from .trades import FloatArray, TradeColumns

_CHUNK_VALUES = 200_000


def auc_of(score: FloatArray, won: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the probability that a winner has a higher score than a trade that did not win; a tie counts half.

    A score that is the same for all trades has 0.5. NaN if all trades won or none did.

    Args:
        score: shape (trades,).
        won: 1.0 or 0.0, shape (trades,).
        weights: how often each trade counts, shape (trades, resamples); the result has shape (resamples,).
    """
    return _PairOrder(score, won).auc(weights)


class _PairOrder:
    """The pairs of a winner and another trade, ordered by their scores once for many resamples."""

    def __init__(self, score: FloatArray, won: FloatArray) -> None:
        others = np.flatnonzero(won <= 0.0)
        self._winners = np.flatnonzero(won > 0.0)
        self._others = others[np.argsort(score[others], kind="stable")]
        self._first, self._end = (np.searchsorted(score[self._others], score[self._winners], side) for side in _SIDES)

    def auc(self, weights: FloatArray) -> FloatArray:
        """Return the AUC for each resample; `weights` as for `auc_of`."""
        below = np.zeros((len(self._others) + 1, weights.shape[1]))
        np.cumsum(weights[self._others], axis=0, out=below[1:])
        winning = weights[self._winners]
        pairs = winning.sum(axis=0) * below[-1]
        ordered = 0.5 * np.einsum("ij,ij->j", winning, below[self._first] + below[self._end])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(ordered / pairs)


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def auc_figures(columns: TradeColumns, weights: FloatArray) -> dict[str, Figure]:
    """Return the AUC of confidence, and of win_probability over the trades that have one.

    `weights` is how often each resample drew each session, shape (resamples, sessions).
    """
    scores = {"auc_confidence": columns.confidence, "auc_win_probability": columns.win_probability}
    return {name: _figure(score, columns, weights) for name, score in scores.items()}


def _figure(score: FloatArray, columns: TradeColumns, weights: FloatArray) -> Figure:
    known = ~np.isnan(score)
    score, won, session = score[known], columns.won[known], columns.session[known]
    value = defined(float(auc_of(score, won, np.ones((len(score), 1)))[0]))
    if value is None or not len(weights):
        return Figure(value, len(score))
    step = max(1, _CHUNK_VALUES // len(score))
    order = _PairOrder(score, won)
    parts = [order.auc(weights[at : at + step].T[session]) for at in range(0, len(weights), step)]
    return Figure(value, len(score), percentile_interval(np.concatenate(parts)))
