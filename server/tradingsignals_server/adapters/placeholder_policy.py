"""The policy that is used without a model: simulated predictions, deterministic in the observation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..application.ports.policy import PolicyDescription, PolicyOutput
from ..domain.features import M5_V1, Observation
from ..domain.recurrent_state import RecurrentState
from ..domain.signals import Probabilities

_TREND = M5_V1.names.index("ema_spread")
_MOMENTUM = M5_V1.names.index("macd_histogram")
_RSI = M5_V1.names.index("rsi")
_HOLD_LOGIT = 1.0
_NO_STATE = RecurrentState.zeros(0, 0)


class PlaceholderPolicy:
    """A fixed rule that weakly follows the trend. It is not trained; it lets the service run without a model file."""

    description = PolicyDescription(version="placeholder", type="placeholder", mode="placeholder", interval=None)
    features = M5_V1

    def initial_state(self) -> RecurrentState:
        """Return the empty state: the policy is not recurrent."""
        return _NO_STATE

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """Return a softmax over a constant logit for HOLD and a score of trend, momentum and RSI, and `state`."""
        score = float(0.9 * observation[_TREND] + 2.0 * observation[_MOMENTUM] + 1.5 * observation[_RSI])
        weights = (math.exp(_HOLD_LOGIT), math.exp(score), math.exp(-score))
        total = sum(weights)
        return Probabilities(*(weight / total for weight in weights)), state

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> Sequence[PolicyOutput]:
        """Decide on each row of `observations`, shape (n, 16), one after the other."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]
