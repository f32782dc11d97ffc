"""What each group of features contributed to the choice of a policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...domain.attribution import MOST_PLAYERS, Floats, coalitions, shapley_values
from ...domain.features import Features, Observation
from ...domain.features.groups import ObservationGroup, groups_of, mean_observation, neutral_observation
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Action, Probabilities
from ...domain.values import dataclass
from ..decision.prefetch import Inference
from ..ports.policy import Policy

RECURRENT_STATE = "Recurrent state"
TRAINING_MEAN, NEUTRAL_VALUES = "training mean", "neutral values"
LEAST_PROBABILITY = 1e-9
"""Probabilities are taken to lie this far from 0 and 1, so that their log-odds are finite."""
MOST_NUMBERS = 1_000_000
"""Numbers of the observations of one batch at most."""


class NoAttribution(Exception):
    """A choice cannot be attributed. The message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a group of features, given by their names, added to the log-odds of the choice."""

    group: str
    features: tuple[str, ...]
    log_odds: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """The log-odds of the choice of a policy as a sum: those at the baseline, and the contributions.

    baseline: TRAINING_MEAN or NEUTRAL_VALUES; its recurrent state is that of the first bar of a session.
    """

    action: Action
    log_odds: float
    baseline_log_odds: float
    baseline: str
    contributions: tuple[Contribution, ...]


def log_odds(probability: float) -> float:
    """Return ln(p / (1 - p)), with p at least LEAST_PROBABILITY from 0 and 1."""
    bounded = min(max(probability, LEAST_PROBABILITY), 1.0 - LEAST_PROBABILITY)
    return math.log(bounded / (1.0 - bounded))


def attribute(policy: Policy, inference: Inference) -> Attribution:
    """Attribute the choice of an inference to the groups of features, and to the recurrent state.

    Raises:
        NoAttribution: the policy gave no probabilities, here or between here and the baseline.
    """
    if inference.probabilities is None:
        raise NoAttribution("the model gave no probabilities, so there is nothing to attribute")
    action, _ = inference.probabilities.choice()
    base, name = _baseline(policy, inference.observation)
    start = policy.initial_state()
    is_recurrent = start.values.size > 0
    groups = groups_of(policy.features, MOST_PLAYERS - is_recurrent)
    worths = _worths(policy, inference, base, [group.columns for group in groups], action)
    found = shapley_values(worths).tolist()
    contributions = [
        Contribution(group.title, _names(policy.features, group), value)
        for group, value in zip(groups, found, strict=False)
    ]
    if is_recurrent:
        contributions.append(Contribution(RECURRENT_STATE, (), found[-1]))
    return Attribution(action, float(worths[-1]), float(worths[0]), name, tuple(contributions))


def _names(features: Features, group: ObservationGroup) -> tuple[str, ...]:
    return tuple(dict.fromkeys(features.names[column % len(features.names)] for column in group.columns))


def _baseline(policy: Policy, observation: Observation) -> tuple[Observation, str]:
    mean = mean_observation(policy.features, policy.description.training_mean or ())
    if mean is not None:
        return mean, TRAINING_MEAN
    return neutral_observation(policy.features, observation), NEUTRAL_VALUES


def _worths(
    policy: Policy, inference: Inference, base: Observation, groups: Sequence[tuple[int, ...]], action: Action
) -> Floats:
    """Return the log-odds of `action` for each coalition of `groups`, and of the recurrent state if there is one.

    Args:
        policy: decides on the observations.
        inference: what is explained.
        base: the observation of the empty coalition.
        groups: the places of each group.
        action: the choice.
    """
    start = policy.initial_state()
    is_recurrent = start.values.size > 0
    members = coalitions(len(groups) + is_recurrent)
    owner = np.zeros(len(base), dtype=np.int64)
    for number, columns in enumerate(groups):
        owner[list(columns)] = number
    worths: list[float] = []
    step = max(1, MOST_NUMBERS // len(base))
    for first in range(0, len(members), step):
        part = members[first : first + step]
        rows = np.where(part[:, owner], inference.observation, base).astype(np.float32)
        states: list[RecurrentState] = [start] * len(part)
        if is_recurrent:
            states = [inference.before if member else start for member in part[:, -1]]
        for probabilities, _ in policy.decide_batch(rows, states):
            if probabilities is None:
                raise NoAttribution("the model gives no probabilities for observations beside that of the signal")
            worths.append(log_odds(probability_of(probabilities, action)))
    return np.array(worths)


def probability_of(probabilities: Probabilities, action: Action) -> float:
    """Return the probability of one action."""
    return {Action.HOLD: probabilities.hold, Action.BUY: probabilities.buy, Action.SELL: probabilities.sell}[action]
