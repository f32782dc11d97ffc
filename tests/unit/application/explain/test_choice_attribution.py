"""Attribution of the choice of a policy: by hand for a linear one, and against the recurrent state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.application.decision.prefetch import Inference
from tradingsignals_server.application.explain.attribution import (
    NEUTRAL_VALUES,
    RECURRENT_STATE,
    TRAINING_MEAN,
    NoAttribution,
    attribute,
    log_odds,
)
from tradingsignals_server.application.ports.policy import PolicyDescription, PolicyOutput
from tradingsignals_server.domain.features import M5_V1, Features, Observation
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.signals import Action, Probabilities

observations = st.lists(st.floats(-3.0, 3.0, width=32), min_size=16, max_size=16).map(
    lambda values: np.array(values, dtype=np.float32)
)


class LinearPolicy:
    """A policy whose log-odds of BUY are linear in the observation, and in the sum of its recurrent state."""

    def __init__(self, weights: Sequence[float], state_weight: float = 0.0, mean: tuple[float, ...] | None = None):
        self.features: Features = M5_V1
        self.description = PolicyDescription(version="linear", type="test", mode="onnx", training_mean=mean)
        self._weights = np.array(weights)
        self._state_weight = state_weight

    def initial_state(self) -> RecurrentState:
        """Return zeros."""
        return RecurrentState.zeros(1, 2) if self._state_weight else RecurrentState.zeros(0, 0)

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        score = float(self._weights @ observation.astype(np.float64)) + self._state_weight * float(state.values.sum())
        buy = 1.0 / (1.0 + math.exp(-score))
        return Probabilities(hold=0.0, buy=buy, sell=1.0 - buy), state

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


def inference(policy: LinearPolicy, observation: Observation, state: RecurrentState | None = None) -> Inference:
    before = state or policy.initial_state()
    probabilities, after = policy.decide(observation, before)
    return Inference(observation, probabilities, before, after, 0.0)


@given(observations)
def test_contribution_of_a_linear_policy_is_weight_times_distance(observation: Observation) -> None:
    weights, mean = [0.1 * (number - 8) for number in range(16)], tuple(0.25 for _ in range(16))
    policy = LinearPolicy(weights, mean=mean)
    found = attribute(policy, inference(policy, observation))
    sign = 1.0 if found.action is Action.BUY else -1.0
    by_group = {one.group: one for one in found.contributions}

    averages = by_group["Averages"]
    assert averages.features == ("ema_20_gap", "ema_50_gap", "ema_spread")
    expected = sum(weights[place] * (float(observation[place]) - 0.25) for place in (10, 11, 12))
    assert averages.log_odds == pytest.approx(sign * expected, abs=1e-6)
    assert found.baseline == TRAINING_MEAN
    assert found.baseline_log_odds == pytest.approx(sign * 0.25 * sum(weights), abs=1e-6)
    total = sum(one.log_odds for one in found.contributions)
    assert found.log_odds - found.baseline_log_odds == pytest.approx(total, abs=1e-6)


def test_recurrent_state_contributes_against_that_of_a_first_bar() -> None:
    policy = LinearPolicy([0.1] * 16, state_weight=0.5)
    state = RecurrentState(np.array([[[1.0, 2.0]], [[0.0, -0.5]]], dtype=np.float32))
    found = attribute(policy, inference(policy, np.ones(16, np.float32), state))
    assert found.baseline == NEUTRAL_VALUES
    assert found.contributions[-1].group == RECURRENT_STATE
    assert found.contributions[-1].log_odds == pytest.approx(0.5 * 2.5, abs=1e-6)
    assert found.baseline_log_odds == 0.0


def test_certain_probabilities_have_finite_log_odds() -> None:
    policy = LinearPolicy([100.0] * 16)
    found = attribute(policy, inference(policy, np.ones(16, np.float32)))
    assert found.log_odds == log_odds(1.0) == pytest.approx(20.7, abs=0.1)
    assert sum(one.log_odds for one in found.contributions) == pytest.approx(found.log_odds, abs=1e-6)


def test_failed_inference_has_no_attribution() -> None:
    policy = LinearPolicy([0.1] * 16)
    failed = replace(inference(policy, np.ones(16, np.float32)), probabilities=None)
    with pytest.raises(NoAttribution, match="gave no probabilities"):
        attribute(policy, failed)
