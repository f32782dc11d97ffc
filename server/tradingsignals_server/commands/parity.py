"""Holds an exported policy against the one it was made of, step by step, each carrying its own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.graph import Normalisation
from ..adapters.onnx.policy import OnnxPolicy
from ..domain.features import FEATURE_LIMIT, FEATURE_NAMES
from ..domain.recurrent_state import RecurrentState

Float32 = npt.NDArray[np.float32]

TOLERANCE = 1e-5
"""How far a probability may be off; a number of the state that much of itself, or of 1 where it is smaller."""

STEPS = {1: 2000, 3: 500, 8: 300, 64: 60}
"""Steps for each batch size."""

MOST_RECORDED = 2000
"""Recorded observations that are compared, from the first on."""

_RESET_RATE = 0.02


class Witness(Protocol):
    """The policy as it was trained; see adapters.stable_baselines.TorchWitness."""

    def decide(
        self, observations: Float32, hidden: Float32, cell: Float32, begins: npt.NDArray[np.bool_]
    ) -> tuple[Float32, Float32, Float32]:
        """One step for each row: probabilities and the next states, which are forgotten first where `begins`."""
        ...


@dataclass(frozen=True, slots=True)
class Parity:
    """What the comparison found: the largest differences over `decisions` in batches of every size of STEPS.

    recorded: observations of the training that both decided on besides, one after the other.
    A file that answered something that is not probabilities differs by infinity.
    """

    steps: int
    decisions: int
    resets: int
    recorded: int
    probability_difference: float
    state_difference: float

    @property
    def holds(self) -> bool:
        """True if both differences are within TOLERANCE."""
        return self.probability_difference < TOLERANCE and self.state_difference < TOLERANCE


def compare(
    policy: OnnxPolicy,
    witness: Witness,
    normalisation: Normalisation | None,
    recorded: Float32,
    *,
    carried: bool = True,
) -> Parity:
    """Give both the same random observations and resets, for the steps and batch sizes of STEPS, then those `recorded`.

    Both begin with zeros and carry what they made of it, so that a difference adds up; unless `carried` is False, and
    both take every step from the state of the witness.
    """
    random = np.random.default_rng(0)
    resets = 0
    runs = list[_Run]()
    for rows, steps in STEPS.items():
        run = _Run(policy, witness, rows)
        runs.append(run)
        for _ in range(steps):
            observations = _observations(random, rows, normalisation)
            begins = random.random(rows) < _RESET_RATE
            resets += int(begins.sum())
            run.step(observations, begins, carried=carried)
    run = _Run(policy, witness, 1)
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
    """A file and its witness, side by side over so many rows, and how far they came to differ."""

    def __init__(self, policy: OnnxPolicy, witness: Witness, rows: int) -> None:
        size = (rows, policy.specification.layers, policy.specification.hidden_size)
        self._policy = policy
        self._witness = witness
        self._states = [policy.initial_state()] * rows
        self._hidden = np.zeros(size, dtype=np.float32)
        self._cell = np.zeros(size, dtype=np.float32)
        self.probability_difference = 0.0
        self.state_difference = 0.0

    def step(self, observations: Float32, begins: npt.NDArray[np.bool_], *, carried: bool) -> None:
        """Let both decide, their states back at zeros first where `begins`."""
        initial = self._policy.initial_state()
        states = [initial if begin else state for begin, state in zip(begins, self._states, strict=True)]
        if len(states) == 1:
            decisions = [self._policy.decide(observations[0], states[0])]
        else:
            decisions = self._policy.decide_batch(observations, states)
        expected, self._hidden, self._cell = self._witness.decide(observations, self._hidden, self._cell, begins)
        self._states = [state for _, state in decisions]
        found = np.stack([state.values for state in self._states])
        if not carried:
            self._states = [RecurrentState(np.stack(pair)) for pair in zip(self._hidden, self._cell, strict=True)]
        answers = [(p.hold, p.buy, p.sell) if p else (np.inf, np.inf, np.inf) for p, _ in decisions]
        self.probability_difference = max(
            self.probability_difference, float(np.abs(np.array(answers) - expected).max())
        )
        self.state_difference = max(
            self.state_difference, _difference(found, np.stack([self._hidden, self._cell], axis=1))
        )


def _difference(found: Float32, expected: Float32) -> float:
    # A cell state grows with what it has summed up, and so does the rounding of its last bit.
    return float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max())


def _observations(random: np.random.Generator, rows: int, normalisation: Normalisation | None) -> Float32:
    """Half of them spread over what features can be, half, if it is known, as those of the training were."""
    shape = (rows, len(FEATURE_NAMES))
    wide = random.normal(scale=3.0, size=shape)
    if normalisation is not None:
        usual = normalisation.mean + 2.0 * np.sqrt(normalisation.variance) * random.normal(size=shape)
        wide = np.where(random.random((rows, 1)) < 0.5, wide, usual)
    return wide.clip(-FEATURE_LIMIT, FEATURE_LIMIT).astype(np.float32)
