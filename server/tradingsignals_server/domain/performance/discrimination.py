"""AUC: how well a score tells trades that win from those that do not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .bootstrap import percentile_interval
from .figures import Figure, defined
from .trades import FloatArray, TradeColumns

_CHUNK_VALUES = 400_000


def auc_of(score: FloatArray, won: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the probability that a winner has a higher score than a trade that did not win; a tie counts half.

    A score that is the same for all trades has 0.5. NaN if all trades won or none did.

    Args:
        score: shape (trades,).
        won: 1.0 or 0.0, shape (trades,).
        weights: how often each trade counts, shape (trades, resamples); the result has shape (resamples,).
    """
    winners, others = np.flatnonzero(won > 0.0), np.flatnonzero(won <= 0.0)
    others = others[np.argsort(score[others], kind="stable")]
    first, end = (np.searchsorted(score[others], score[winners], side) for side in _SIDES)
    below = np.zeros((len(others) + 1, weights.shape[1]))
    np.cumsum(weights[others], axis=0, out=below[1:])
    winning = weights[winners]
    pairs = winning.sum(axis=0) * below[-1]
    ordered = 0.5 * np.einsum("ij,ij->j", winning, below[first] + below[end])
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
    parts = [auc_of(score, won, weights[at : at + step].T[session]) for at in range(0, len(weights), step)]
    return Figure(value, len(score), percentile_interval(np.concatenate(parts)))
