"""A recurrent policy on any features, and lists of features that differ in what they rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tradingsignals_server.application.ports.policy import PolicyDescription, PolicyOutput
from tradingsignals_server.domain.features import M5_V1, CatalogueFeatures, Features, Observation
from tradingsignals_server.domain.features.expression import parse
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.signals import Probabilities

SIZE = 4

STACKED = CatalogueFeatures(
    "stacked",
    [
        parse(text)
        for text in (
            "return(1)",
            "rsi(9)",
            "ema_gap(100)",
            "adx(14)",
            "macd_histogram(5,35,5)",
            "hour_sin",
            "bars_to_session_end",
        )
    ],
    lookback_bars=130,
    stack=3,
    stack_in_session=True,
)
"""A longer lookback, and frames of the bars before."""
OF_POSITION = CatalogueFeatures(
    "of_position",
    [parse(text) for text in ("return(1)", "zscore(20)", "position_side", "position_pnl_r", "bars_held")],
    lookback_bars=60,
)
"""A shorter lookback, and the position that the policy holds."""
FEATURE_LISTS: dict[str, Features] = {"m5-v1": M5_V1, "stacked": STACKED, "of_position": OF_POSITION}


class RecurrentNumpyPolicy:
    """A recurrent policy with random weights, which often changes sides. Every bit of an observation has an effect."""

    def __init__(self, features: Features, version: str = "r1") -> None:
        self.features = features
        self.description = PolicyDescription(
            version, "test", "onnx", reset=ResetRule.SESSION, layers=1, hidden_size=SIZE
        )
        random = np.random.default_rng(5)
        self._inputs = random.normal(size=(SIZE, features.size)).astype(np.float32)
        self._carry = random.normal(scale=0.4, size=(SIZE, SIZE)).astype(np.float32)
        self._out = random.normal(scale=3.0, size=(3, SIZE)).astype(np.float32)

    def initial_state(self) -> RecurrentState:
        """See Policy."""
        return RecurrentState.zeros(1, SIZE)

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        hidden = np.tanh(self._inputs @ observation + self._carry @ state.hidden[0])
        logits = (self._out @ hidden).astype(np.float64)
        weights = np.exp(logits - logits.max())
        hold, buy, sell = (weights / weights.sum()).tolist()
        after = np.stack([hidden, state.cell[0] + np.float32(1.0)])[:, np.newaxis].astype(np.float32)
        return Probabilities(hold, buy, sell), RecurrentState(after)

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]
