"""Comparison of an exported policy with the original in torch, step by step, each with its own recurrent state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.entries import ACTIONS
from ..adapters.onnx.policy import OnnxPolicy
from ..domain.recurrent_state import RecurrentState
from ..domain.signals import Action
from .samples import Sampler

Float32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

TOLERANCE = 1e-5
"""Maximum absolute difference of a probability, and of a value of an action or a state relative to max(1, value)."""

STEPS = {1: 2000, 3: 500, 8: 300, 64: 60}
"""Number of steps, by batch size."""

MOST_RECORDED = 2000
"""Maximum number of recorded observations that are compared, the first ones."""

_RESET_RATE = 0.02


class ReferencePolicy(Protocol):
    """The policy as it was trained; see adapters.stable_baselines.reference.TorchReference."""

    @property
    def state_shape(self) -> tuple[int, int]:
        """Layers and size of the recurrent state, both 0 without one."""
        ...

    def decide(
        self, observations: Float32, hidden: Float32, cell: Float32, begins: Flags
    ) -> tuple[Float32, Float32, Float32]:
        """Return the outputs of each action and the next states, by row. Rows with `begins` start from zeros."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exported policy, as the service decides by it.

    actions: the action of each column of its output.
    values: the values that its graph gives the actions for observations of shape (n, size), shape (n, actions); None
        for a policy of probabilities.
    """

    policy: OnnxPolicy
    actions: Sequence[Action]
    values: Callable[[Float32], Float32] | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """Observations of the training, one after the other: shape (n, size), and where episodes begin, shape (n,).

    given: the number of those that the user has given, which are the first.
    """

    observations: Float32
    begins: Flags
    given: int = 0


@dataclass(frozen=True, slots=True)
class Parity:
    """Result of a comparison: the largest differences over `decisions` in batches of every size of STEPS.

    recorded: number of observations from the training that were compared in addition, one after the other.
    output_difference: of a probability, or of a value of an action. An output that is not probabilities, or another
        choice by values, counts as an infinite difference.
    """

    steps: int
    decisions: int
    resets: int
    recorded: int
    output_difference: float
    state_difference: float

    @property
    def holds(self) -> bool:
        """Whether both differences are within TOLERANCE."""
        return self.output_difference < TOLERANCE and self.state_difference < TOLERANCE


def compare(
    candidate: Candidate,
    reference: ReferencePolicy,
    sampler: Sampler,
    recording: Recording,
    *,
    carried: bool = True,
) -> Parity:
    """Run both policies on the same random observations and resets, as STEPS defines them, then on the recording.

    Args:
        candidate: the exported policy.
        reference: the original policy.
        sampler: makes random observations.
        recording: raw observations of the training.
        carried: whether each policy carries its own state, so that differences accumulate; otherwise both start every
            step from the state of `reference`.
    """
    random = np.random.default_rng(0)
    resets = 0
    runs = list[_Run]()
    for rows, steps in STEPS.items():
        run = _Run(candidate, reference, rows)
        runs.append(run)
        for _ in range(steps):
            observations = sampler.sample(random, rows)
            begins = random.random(rows) < _RESET_RATE
            resets += int(begins.sum())
            run.step(observations, begins, carried=carried)
    run = _Run(candidate, reference, 1)
    runs.append(run)
    recorded = recording.observations[:MOST_RECORDED]
    for row, begins in zip(recorded, recording.begins, strict=False):
        run.step(row[np.newaxis], begins[np.newaxis], carried=carried)
    return Parity(
        steps=sum(STEPS.values()),
        decisions=sum(rows * steps for rows, steps in STEPS.items()),
        resets=resets,
        recorded=len(recorded),
        output_difference=max(run.output_difference for run in runs),
        state_difference=max(run.state_difference for run in runs),
    )


def actions_of(reference: ReferencePolicy, recording: Recording) -> npt.NDArray[np.int64]:
    """Return the index of the action with the largest output at each recorded observation, shape (n,).

    It is -1 where another output is so close that rounding may decide.
    """
    layers, size = reference.state_shape
    hidden, cell = (np.zeros((1, layers, size), dtype=np.float32) for _ in range(2))
    chosen = []
    for row, begins in zip(recording.observations, recording.begins, strict=True):
        outputs, hidden, cell = reference.decide(row[np.newaxis], hidden, cell, begins[np.newaxis])
        best, *others = np.sort(outputs[0])[::-1]
        close = bool(others) and best - others[0] <= TOLERANCE * max(1.0, abs(float(best)))
        chosen.append(-1 if close else int(np.argmax(outputs[0])))
    return np.array(chosen, dtype=np.int64)


class _Run:
    """Runs both policies side by side on batches of `rows` and keeps the largest differences."""

    def __init__(self, candidate: Candidate, reference: ReferencePolicy, rows: int) -> None:
        size = (rows, *reference.state_shape)
        self._candidate = candidate
        self._policy = candidate.policy
        self._reference = reference
        self._states = [self._policy.initial_state()] * rows
        self._hidden = np.zeros(size, dtype=np.float32)
        self._cell = np.zeros(size, dtype=np.float32)
        self.output_difference = 0.0
        self.state_difference = 0.0

    def step(self, observations: Float32, begins: Flags, *, carried: bool) -> None:
        """Run both policies on `observations`, after a reset of the states of rows with `begins`."""
        initial = self._policy.initial_state()
        states = [initial if begin else state for begin, state in zip(begins, self._states, strict=True)]
        if len(states) == 1:
            decisions = [self._policy.decide(observations[0], states[0])]
        else:
            decisions = list(self._policy.decide_batch(observations, states))
        expected, self._hidden, self._cell = self._reference.decide(observations, self._hidden, self._cell, begins)
        self._states = [state for _, state in decisions]
        probabilities = np.array([(p.hold, p.buy, p.sell) if p else (np.inf, np.inf, np.inf) for p, _ in decisions])
        self.output_difference = max(self.output_difference, self._outputs(observations, probabilities, expected))
        if not self._hidden.size:
            return
        found = np.stack([state.values for state in self._states])
        if not carried:
            self._states = [RecurrentState(np.stack(pair)) for pair in zip(self._hidden, self._cell, strict=True)]
        self.state_difference = max(
            self.state_difference, _difference(found, np.stack([self._hidden, self._cell], axis=1))
        )

    def _outputs(self, observations: Float32, probabilities: npt.NDArray[np.float64], expected: Float32) -> float:
        """Return the largest difference of the outputs from those that the reference gives."""
        actions = self._candidate.actions
        if self._candidate.values is None:
            by_action = [
                expected[:, [column == action for column in actions]].sum(axis=1, dtype=np.float64)
                for action in ACTIONS
            ]
            return float(np.abs(probabilities - np.stack(by_action, axis=1)).max())
        difference = _difference(self._candidate.values(observations), expected)
        best = np.sort(expected, axis=1)[:, ::-1]
        clear = best[:, 0] - best[:, 1] > 2.0 * TOLERANCE * np.maximum(1.0, np.abs(best[:, 0]))
        chosen = [actions[column] for column in expected.argmax(axis=1)]
        wanted = np.array([[float(action is choice) for action in ACTIONS] for choice in chosen])
        return np.inf if (probabilities != wanted)[clear].any() else difference


def _difference(found: Float32, expected: Float32) -> float:
    # A cell state is a sum that may grow, and its rounding grows with it; so may the value of an action.
    return float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max())
