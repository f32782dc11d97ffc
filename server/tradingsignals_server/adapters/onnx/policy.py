"""The policy in a model file, run by ONNX Runtime on the calling thread.

One inference takes tens of microseconds, so overhead matters: input and output buffers are bound once for each batch
size and reused for every inference, which halves its cost. In return an instance serves one caller at a time, which is
how the engine calls it.

Observations of different symbols are computed in one batch, with results bit-identical to single inferences. A kernel
that adds in another order for another batch size would violate that, so at load time each batch size is compared with
single inferences in every row, and only identical sizes are used. The order of additions depends on the shapes, not on
the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...application.ports.policy import PolicyDescription, PolicyOutput
from ...domain.features import Features, Observation
from ...domain.recurrent_state import RecurrentState
from ..python_features import PythonFeatures
from .buffers import Array, InferenceBatch
from .metadata import training_mean_of
from .model_file import LoadedModel, load_model
from .outputs import conversion_of
from .policy_features import python_features
from .trial import random_observations

BATCH_SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
"""Candidate batch sizes. Fewer rows use the next larger size; more rows than the largest use more than one batch."""


class OnnxPolicy:
    """The policy in the model file at `path`.

    With `confined` the file is loaded first in a separate process with limits on time and memory, as a file of unknown
    origin needs it. `own` are the features of the module that the operator named, for a file that was trained on them.

    Raises:
        ModelRefused: on construction, if the file cannot be used.
    """

    def __init__(self, path: Path, *, confined: bool = False, own: PythonFeatures | None = None) -> None:
        model = load_model(path, confined=confined)
        specification = self.specification = model.specification
        self.features: Features = model.features or python_features(path, specification.features, own, model.scaling)
        self.description = PolicyDescription(
            version=specification.version,
            type=specification.type,
            mode="onnx",
            name=specification.name,
            reset=specification.reset,
            layers=specification.layers,
            hidden_size=specification.hidden_size,
            training_range=specification.training_range,
            training_mean=training_mean_of(specification.normalisation),
            distributions=specification.distributions,
            win_calibration=specification.win_calibration,
            git_revision=specification.git_revision,
            providers=tuple(model.session.get_providers()),
            inputs=specification.inputs,
            outputs=specification.outputs,
            file_sha256=specification.file_sha256,
            interval=specification.interval,
            actions=specification.actions,
            output=specification.output.value,
            feature_expressions=specification.features.expressions,
            frame_stack=specification.features.stack,
        )
        self._probabilities = conversion_of(specification.output, specification.actions)
        self._initial = RecurrentState.zeros(
            specification.layers, specification.hidden_size, specification.state_tensors
        )
        self._single = InferenceBatch(model, 1)
        self._batches = identical_batches(model, self._single)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes in use; empty if every observation needs an inference of its own."""
        return tuple(batch.size for batch in self._batches)

    def initial_state(self) -> RecurrentState:
        """Return the state before the first bar: zeros, or an empty state if the policy is not recurrent."""
        return self._initial

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """Run one inference on an observation of `features`, float32; return the probabilities and the next state.

        The probabilities are None if the output of the model is not valid, or the next state not finite. The next state
        is then the initial one, so that invalid values do not propagate.

        Raises:
            ValueError: `state` has the shape of another policy.
        """
        self._require_own(state)
        batch = self._single
        batch.observations[0] = observation
        batch.states[:, 0] = state.values
        batch.run()
        finite = bool(np.isfinite(batch.next_states).all())
        return self._policy_output(batch.outputs[0].tolist(), finite, batch.next_states[:, 0])

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """Return what `decide` returns for each row of `observations`, shape (n, numbers), and each of the n states.

        The results are bit-identical to those of `decide`.

        Raises:
            ValueError: there are not as many states as observations, or one has the shape of another policy.
        """
        if len(observations) != len(states):
            raise ValueError(f"{len(observations)} observations and {len(states)} states")
        outputs: list[PolicyOutput] = []
        while (done := len(outputs)) < len(states):
            pending = len(states) - done
            batch = self._batch_for(pending)
            if batch is None:
                outputs.append(self.decide(observations[done], states[done]))
            else:
                part = slice(done, done + min(pending, batch.size))
                outputs += self._decide_part(batch, observations[part], states[part])
        return outputs

    def _decide_part(
        self, batch: InferenceBatch, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        rows = len(states)
        batch.observations[:rows] = observations
        for row, state in enumerate(states):
            self._require_own(state)
            batch.states[:, row] = state.values
        batch.run()
        finite = np.logical_and.reduce(np.isfinite(batch.next_states[:, :rows]), axis=(0, 2, 3))
        outputs = batch.outputs[:rows].tolist()
        return [self._policy_output(outputs[row], bool(finite[row]), batch.next_states[:, row]) for row in range(rows)]

    def _policy_output(self, output: list[float], finite: bool, next_state: npt.NDArray[np.float32]) -> PolicyOutput:
        probabilities = self._probabilities(output) if finite else None
        if probabilities is None or not self.specification.recurrent:
            return probabilities, self._initial
        return probabilities, RecurrentState(next_state.copy())

    def _batch_for(self, rows: int) -> InferenceBatch | None:
        """Return the smallest batch with enough rows, else the largest; None for one row or without batches."""
        if rows == 1 or not self._batches:
            return None
        return next((batch for batch in self._batches if batch.size >= rows), self._batches[-1])

    def _require_own(self, state: RecurrentState) -> None:
        if state.values.shape != self._initial.values.shape:
            _, layers, size = self._initial.values.shape
            raise ValueError(f"a state of shape {state.values.shape} for a policy of {layers} layers of {size}")


def identical_batches(model: LoadedModel, single: InferenceBatch) -> tuple[InferenceBatch, ...]:
    """Return a batch for each size whose results are bit-identical to those of `single` in every row."""
    if not model.specification.open_batch:
        return ()
    largest = max(BATCH_SIZES)
    observations = random_observations(model.specification.features, model.scaling, largest, 1)
    random = np.random.default_rng(1)
    shape = (len(single.states), largest, *single.states.shape[2:])
    # Hidden states lie within +/- 1, cell states do not.
    scales = [1.0 if index % 2 == 0 else 3.0 for index in range(shape[0])]
    states = np.tanh(random.normal(size=shape)) * np.reshape(scales, (-1, 1, 1, 1))
    outputs, next_states = (
        np.empty((largest, single.outputs.shape[1]), single.outputs.dtype),
        np.empty(shape, np.float32),
    )
    for row in range(largest):
        single.observations[0], single.states[:, 0] = observations[row], states[:, row]
        single.run()
        outputs[row], next_states[:, row] = single.outputs[0], single.next_states[:, 0]
    batches = (InferenceBatch(model, size) for size in BATCH_SIZES)
    return tuple(batch for batch in batches if _identical(batch, observations, states, outputs, next_states))


def _identical(batch: InferenceBatch, observations: Array, states: Array, outputs: Array, next_states: Array) -> bool:
    """Return whether the results of a batch are those of single inferences, to the bit, for all rows.

    All rows pass through batches of every size, because another order of additions shows in few of the results only.
    """
    # A graph that declares an open batch may still have a fixed one inside; such a size is not used.
    with suppress(Exception):
        for first in range(0, len(observations), batch.size):
            part = slice(first, first + batch.size)
            batch.observations[:], batch.states[:] = observations[part], states[:, part]
            batch.run()
            if batch.outputs.tobytes() != outputs[part].tobytes():
                return False
            if batch.next_states.tobytes() != next_states[:, part].tobytes():
                return False
        return True
    return False
