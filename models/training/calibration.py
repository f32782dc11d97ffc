"""Calibration of the confidence: a temperature fitted on the validation range, and reliability tables.

The confidence of a BUY or SELL is calibrated to the frequency with which the position that it opens is ahead of its
costs at some time before it ends. (The frequency of a final profit would be more useful, but with a stop nearer than
the target it is some 40% for a side taken at random, and no feature lifts it near a threshold of 65%.) Where both sides
would get ahead, three probabilities that add up to 1 cannot express it; so only the signals that the service acts on
are calibrated: those at or above the confidence threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .history import Session
from .outcomes import Outcomes

FloatArray = npt.NDArray[np.float64]

TEMPERATURES = np.exp(np.linspace(np.log(0.05), np.log(20.0), 600))
LEAST_ACTING = 0.02
"""A policy that would act on a smaller fraction of the bars is not served."""

BINS = (0.0, 0.5, 0.6, 0.65, 0.70, 0.75, 0.80, 1.0)


@dataclass(frozen=True, slots=True)
class Choices:
    """Every bar at which a policy chose BUY or SELL and a position would have been opened.

    logits: shape (n, 3), of [HOLD, BUY, SELL], up to a constant of each row.
    chosen: 1 or 2, the column of the choice, shape (n,).
    ahead, net_pct: see Outcomes, of the side chosen, shape (n,).
    bars: number of bars examined.
    """

    logits: FloatArray
    chosen: npt.NDArray[np.intp]
    ahead: FloatArray
    net_pct: FloatArray
    bars: int

    @classmethod
    def of(cls, logits: FloatArray, outcomes: Outcomes, sessions: Sequence[Session]) -> Choices:
        """The choices in `sessions` of a policy with these `logits` for every bar of the history."""
        bars = np.concatenate([np.arange(session.first, session.last + 1) for session in sessions])
        chosen = logits[bars].argmax(axis=1)
        acts = chosen > 0
        index, column = bars[acts], chosen[acts] - 1
        known = ~np.isnan(outcomes.net_pct[index, column])
        index, column = index[known], column[known]
        return cls(
            logits[index],
            column + 1,
            outcomes.ahead[index, column],
            outcomes.net_pct[index, column],
            len(bars),
        )

    def confidence(self, temperature: float) -> FloatArray:
        """The probability of each choice at this temperature, shape (n,)."""
        return softmax(self.logits / temperature)[np.arange(len(self.chosen)), self.chosen]


def fit_temperature(choices: Choices, threshold: float) -> float | None:
    """The lowest temperature at which the signals at or above `threshold` are not overconfident.

    That is: their mean confidence is not above the frequency with which their positions got ahead. The lower the
    temperature, the more signals pass. None if there is no such temperature at which LEAST_ACTING of the bars pass.
    """
    for temperature in TEMPERATURES:
        confidence = choices.confidence(float(temperature))
        passes = confidence >= threshold
        if passes.sum() < LEAST_ACTING * choices.bars:
            return None
        if confidence[passes].mean() <= choices.ahead[passes].mean():
            return float(temperature)
    return None


@dataclass(frozen=True, slots=True)
class Bin:
    """Choices with a confidence from `low` up to `high`, and their results.

    confidence: their mean. ahead: frequency of being ahead of costs. won: frequency of a net profit. net_pct: mean.
    """

    low: float
    high: float
    count: int
    confidence: float
    ahead: float
    won: float
    net_pct: float


def reliability(choices: Choices, temperature: float = 1.0) -> list[Bin]:
    """The choices by confidence; empty bins are left out."""
    confidence = choices.confidence(temperature)
    bins = list[Bin]()
    for low, high in pairwise(BINS):
        inside = (confidence >= low) & ((confidence < high) | (high == BINS[-1]))
        if inside.any():
            bins.append(
                Bin(
                    low,
                    high,
                    int(inside.sum()),
                    float(confidence[inside].mean()),
                    float(choices.ahead[inside].mean()),
                    float((choices.net_pct[inside] > 0.0).mean()),
                    float(choices.net_pct[inside].mean()),
                )
            )
    return bins


def softmax(logits: FloatArray) -> FloatArray:
    """The probabilities of logits along the last axis."""
    weights: FloatArray = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: FloatArray = weights / weights.sum(axis=-1, keepdims=True)
    return result
