"""Calibration of the win probability, and how well confidence and win probability foretell a profit.

A case is a bar at which a policy chose BUY or SELL and a position would have been opened. It won if that position, left
to its stop, its target and the end of its session, ended with a profit after costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tradingsignals_server.domain.calibration import SideCalibration, WinBin, WinCalibration
from tradingsignals_server.domain.signals import Action

from .history import Session, bars_of
from .outcomes import SIDES, Outcomes

FloatArray = npt.NDArray[np.float64]

LEAST_BIN = 100
"""Cases of a bin at least, if there are as many: neighbouring cases share their future, so fewer say little."""

BINS = (0.0, 0.4, 0.5, 0.6, 0.65, 0.70, 0.75, 0.80, 0.90, 1.0)
"""Bounds of the bins of the card."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Every bar at which a policy chose BUY or SELL and a position would have been opened, in the order of time.

    confidence: the policy's probability of its choice, 0..1, shape (n,).
    side: 0 for BUY, 1 for SELL, shape (n,).
    net_pct: profit and loss after costs, in percent of the entry, shape (n,).
    bars: number of bars examined.
    """

    confidence: FloatArray
    side: npt.NDArray[np.intp]
    net_pct: FloatArray
    bars: int

    @classmethod
    def of(cls, probabilities: FloatArray, outcomes: Outcomes, sessions: Sequence[Session]) -> Choices:
        """The choices in `sessions` of a policy with these probabilities for every bar of the history, shape (n, 3)."""
        bars = bars_of(sessions)
        chosen = probabilities[bars].argmax(axis=1)
        index, side = bars[chosen > 0], chosen[chosen > 0] - 1
        known = ~np.isnan(outcomes.net_pct[index, side])
        index, side = index[known], side[known]
        return cls(probabilities[index, side + 1], side, outcomes.net_pct[index, side], len(bars))

    @property
    def won(self) -> FloatArray:
        """1 for a net profit, else 0, shape (n,)."""
        return (self.net_pct > 0.0).astype(np.float64)

    def where(self, kept: npt.NDArray[np.bool_]) -> Choices:
        """The choices that `kept`, shape (n,), marks."""
        return Choices(self.confidence[kept], self.side[kept], self.net_pct[kept], self.bars)


def fit(choices: Choices, span: tuple[datetime, datetime]) -> WinCalibration:
    """The calibration by these choices, which must be of bars in `span` that chose nothing in the training."""
    buy, sell = (_side(choices.where(choices.side == column)) for column in range(len(SIDES)))
    return WinCalibration(*span, buy, sell)


def _side(choices: Choices) -> SideCalibration:
    if not len(choices.confidence):
        return SideCalibration()
    order = np.argsort(choices.confidence, kind="stable")
    groups = grouped(choices.confidence[order], choices.won[order])
    bins = tuple(WinBin(low, won / cases, cases) for low, won, cases in pool_adjacent_violators(groups))
    return SideCalibration(bins, float(choices.confidence.max()))


Group = tuple[float, float, int]
"""Cases of neighbouring confidence: the lowest, the sum of those won, and their number."""


def grouped(confidence: FloatArray, won: FloatArray) -> list[Group]:
    """Groups of at least LEAST_BIN cases, fewer only if there are no more; equal confidences are never parted.

    confidence: rising, shape (n,). won: 0 or 1, shape (n,).
    """
    starts = [0]
    for index in range(1, len(confidence)):
        full = index - starts[-1] >= LEAST_BIN and len(confidence) - index >= LEAST_BIN
        if full and confidence[index] > confidence[index - 1]:
            starts.append(index)
    ends = [*starts[1:], len(confidence)]
    return [
        (float(confidence[start]), float(won[start:end].sum()), end - start)
        for start, end in zip(starts, ends, strict=True)
    ]


def pool_adjacent_violators(groups: Sequence[Group]) -> list[Group]:
    """Pool neighbouring groups until the frequency of winning rises from each to the next.

    It is the isotonic regression with the least squared error. Source: M. Ayer et al., "An Empirical Distribution
    Function for Sampling with Incomplete Information", 1955.
    """
    pooled = list[Group]()
    for group in groups:
        pooled.append(group)
        while len(pooled) > 1 and pooled[-2][1] * pooled[-1][2] >= pooled[-1][1] * pooled[-2][2]:
            (low, won, cases), (_, more, others) = pooled[-2:]
            pooled[-2:] = [(low, won + more, cases + others)]
    return pooled


def estimates(calibration: WinCalibration, choices: Choices) -> FloatArray:
    """The win probability of each choice, NaN where there is none: shape (n,)."""
    found = (
        calibration.estimate(_ACTIONS[side], confidence)
        for side, confidence in zip(choices.side.tolist(), choices.confidence.tolist(), strict=True)
    )
    return np.array([np.nan if one is None else one.probability for one in found], dtype=np.float64)


_ACTIONS: tuple[Action, ...] = SIDES


def brier(said: FloatArray, won: FloatArray) -> float:
    """The Brier score: mean squared difference of a probability and what came, 0..1; the smaller the better."""
    return float(((said - won) ** 2).mean())


def auc(said: FloatArray, won: FloatArray) -> float:
    """Area under the ROC curve: how often a case that won has the larger figure than one that lost, ties half.

    0.5: the figure says nothing about winning; below: the larger it is, the less often it wins. NaN if all are alike.
    """
    wins = int(won.sum())
    losses = len(won) - wins
    if not wins or not losses:
        return float("nan")
    _, place, counts = np.unique(said, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return float((ranks[place][won > 0.0].sum() - wins * (wins + 1) / 2.0) / (wins * losses))


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases with a figure from `low` up to `high`: mean of the figure, frequency of a net profit, mean net_pct."""

    low: float
    high: float
    count: int
    said: float
    won: float
    net_pct: float


def bins_of(said: FloatArray, choices: Choices, bounds: Sequence[float] = BINS) -> Iterator[Bin]:
    """The choices by a figure of theirs, shape (n,); empty bins are left out, and so are cases without the figure."""
    for low, high in pairwise(bounds):
        inside = (said >= low) & ((said < high) | (high == bounds[-1]))
        if inside.any():
            net_pct = choices.net_pct[inside]
            yield Bin(
                low,
                high,
                len(net_pct),
                float(said[inside].mean()),
                float((net_pct > 0.0).mean()),
                float(net_pct.mean()),
            )
