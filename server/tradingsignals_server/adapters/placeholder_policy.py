"""What decides when there is no model: made-up predictions, the same for the same observation, marked simulated."""

from __future__ import annotations

import math

from ..application.ports import PolicyDescription
from ..domain.features import FEATURE_NAMES, Observation
from ..domain.signals import Probabilities

_TREND = FEATURE_NAMES.index("ema_spread")
_MOMENTUM = FEATURE_NAMES.index("macd_histogram")
_RSI = FEATURE_NAMES.index("rsi")
_HOLD_LOGIT = 1.0


class PlaceholderPolicy:
    """Follows the trend a little. Nothing was learnt; it lets everything around a model be seen at work."""

    description = PolicyDescription(version="placeholder", type="placeholder", mode="placeholder")

    def probabilities(self, observation: Observation) -> Probabilities:
        """A softmax over a bias for HOLD and a score of trend, momentum and RSI."""
        score = float(0.9 * observation[_TREND] + 2.0 * observation[_MOMENTUM] + 1.5 * observation[_RSI])
        weights = (math.exp(_HOLD_LOGIT), math.exp(score), math.exp(-score))
        total = sum(weights)
        return Probabilities(*(weight / total for weight in weights))
