"""What decides when there is no model: made-up predictions, the same for the same observation, marked simulated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..application.ports.policy import PolicyDescription, PolicyOutput
from ..domain.features import FEATURE_NAMES, Observation
from ..domain.recurrent_state import RecurrentState
from ..domain.signals import Probabilities

_TREND = FEATURE_NAMES.index("ema_spread")
_MOMENTUM = FEATURE_NAMES.index("macd_histogram")
_RSI = FEATURE_NAMES.index("rsi")
_HOLD_LOGIT = 1.0
_NO_STATE = RecurrentState.zeros(0, 0)


class PlaceholderPolicy:
    """Follows the trend a little. Nothing was learnt; it lets everything around a model be seen at work."""

    description = PolicyDescription(version="placeholder", type="placeholder", mode="placeholder")

    def initial_state(self) -> RecurrentState:
        """It carries nothing."""
        return _NO_STATE

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """A softmax over a bias for HOLD and a score of trend, momentum and RSI."""
        score = float(0.9 * observation[_TREND] + 2.0 * observation[_MOMENTUM] + 1.5 * observation[_RSI])
        weights = (math.exp(_HOLD_LOGIT), math.exp(score), math.exp(-score))
        total = sum(weights)
        return Probabilities(*(weight / total for weight in weights)), state

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> Sequence[PolicyOutput]:
        """One by one."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]
