"""Comparison of an exported policy with the original in torch, step by step, each with its own recurrent state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.graph import Normalisation
from ..adapters.onnx.policy import OnnxPolicy
from ..domain.features import M5_V1
from ..domain.recurrent_state import RecurrentState

Float32 = npt.NDArray[np.float32]

TOLERANCE = 1e-5
"""Maximum absolute difference of a probability, and maximum difference of a state value relative to max(1, value)."""

STEPS = {1: 2000, 3: 500, 8: 300, 64: 60}
"""Number of steps, by batch size."""

MOST_RECORDED = 2000
"""Maximum number of recorded observations that are compared, the first ones."""

_RESET_RATE = 0.02


class ReferencePolicy(Protocol):
    """The policy as it was trained; see adapters.stable_baselines.TorchReference."""

    def decide(
        self, observations: Float32, hidden: Float32, cell: Float32, begins: npt.NDArray[np.bool_]
    ) -> tuple[Float32, Float32, Float32]:
        """Return probabilities and next states for each row. Rows with `begins` start from a state of zeros."""
        ...


@dataclass(frozen=True, slots=True)
class Parity:
    """Result of a comparison: the largest differences over `decisions` in batches of every size of STEPS.

    recorded: number of observations from the training that were compared in addition, one after the other.
    An output that is not probabilities counts as an infinite difference.
    """

    steps: int
    decisions: int
    resets: int
    recorded: int
    probability_difference: float
    state_difference: float

    @property
    def holds(self) -> bool:
        """Whether both differences are within TOLERANCE."""
        return self.probability_difference < TOLERANCE and self.state_difference < TOLERANCE


def compare(
    policy: OnnxPolicy,
    reference: ReferencePolicy,
    normalisation: Normalisation | None,
    recorded: Float32,
    *,
    carried: bool = True,
) -> Parity:
    """Run both policies on the same random observations and resets, as STEPS defines them, then on `recorded`.

    Args:
        policy: the exported policy.
        reference: the original policy.
        normalisation: normalisation of the policy; it makes half of the random observations typical of the training.
        recorded: raw observations of the training, shape (n, 16).
        carried: whether each policy carries its own state, so that differences accumulate; otherwise both start every
            step from the state of `reference`.
    """
    random = np.random.default_rng(0)
    resets = 0
    runs = list[_Run]()
    for rows, steps in STEPS.items():
        run = _Run(policy, reference, rows)
        runs.append(run)
        for _ in range(steps):
            observations = _observations(random, rows, normalisation)
            begins = random.random(rows) < _RESET_RATE
            resets += int(begins.sum())
            run.step(observations, begins, carried=carried)
    run = _Run(policy, reference, 1)
    runs.append(run)
    for row in recorded[:MOST_RECORDED]:
        run.step(row[np.newaxis], np.array([False]), carried=carried)
    return Parity(
        steps=sum(STEPS.values()),
        decisions=sum(rows * steps for rows, steps in STEPS.items()),
        resets=resets,
        recorded=len(recorded[:MOST_RECORDED]),
        probability_difference=max(run.probability_difference for run in runs),
        state_difference=max(run.state_difference for run in runs),
    )


class _Run:
    """Runs both policies side by side on batches of `rows` and keeps the largest differences."""

    def __init__(self, policy: OnnxPolicy, reference: ReferencePolicy, rows: int) -> None:
        size = (rows, policy.specification.layers, policy.specification.hidden_size)
        self._policy = policy
        self._reference = reference
        self._states = [policy.initial_state()] * rows
        self._hidden = np.zeros(size, dtype=np.float32)
        self._cell = np.zeros(size, dtype=np.float32)
        self.probability_difference = 0.0
        self.state_difference = 0.0

    def step(self, observations: Float32, begins: npt.NDArray[np.bool_], *, carried: bool) -> None:
        """Run both policies on `observations`, after a reset of the states of rows with `begins`."""
        initial = self._policy.initial_state()
        states = [initial if begin else state for begin, state in zip(begins, self._states, strict=True)]
        if len(states) == 1:
            decisions = [self._policy.decide(observations[0], states[0])]
        else:
            decisions = self._policy.decide_batch(observations, states)
        expected, self._hidden, self._cell = self._reference.decide(observations, self._hidden, self._cell, begins)
        self._states = [state for _, state in decisions]
        found = np.stack([state.values for state in self._states])
        if not carried:
            self._states = [RecurrentState(np.stack(pair)) for pair in zip(self._hidden, self._cell, strict=True)]
        probabilities = [(p.hold, p.buy, p.sell) if p else (np.inf, np.inf, np.inf) for p, _ in decisions]
        self.probability_difference = max(
            self.probability_difference, float(np.abs(np.array(probabilities) - expected).max())
        )
        self.state_difference = max(
            self.state_difference, _difference(found, np.stack([self._hidden, self._cell], axis=1))
        )


def _difference(found: Float32, expected: Float32) -> float:
    # A cell state is a sum that may grow, and its rounding grows with it.
    return float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max())


def _observations(random: np.random.Generator, rows: int, normalisation: Normalisation | None) -> Float32:
    """Return random observations: half of them over the whole range of features, half typical of the training."""
    shape = (rows, len(M5_V1.names))
    wide = random.normal(scale=3.0, size=shape)
    if normalisation is not None:
        usual = normalisation.mean + 2.0 * np.sqrt(normalisation.variance) * random.normal(size=shape)
        wide = np.where(random.random((rows, 1)) < 0.5, wide, usual)
    return wide.clip(-M5_V1.limit, M5_V1.limit).astype(np.float32)
