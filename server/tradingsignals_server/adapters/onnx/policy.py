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
from typing import Any

import numpy as np
import numpy.typing as npt

from ...application.ports.policy import PolicyDescription, PolicyOutput
from ...domain.features import M5_V1, Observation
from ...domain.recurrent_state import RecurrentState
from .model_file import LoadedModel, ModelSpecification, load_model
from .tensors import FEATURES
from .trial import columns_of, probabilities_of

BATCH_SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
"""Candidate batch sizes. Fewer rows use the next larger size; more rows than the largest use more than one batch."""


class OnnxPolicy:
    """The policy in the model file at `path`.

    With `confined` the file is loaded first in a separate process with limits on time and memory, as a file of unknown
    origin needs it.

    Raises:
        ModelRefused: on construction, if the file cannot be used.
    """

    def __init__(self, path: Path, *, confined: bool = False) -> None:
        model = load_model(path, confined=confined)
        self.features = M5_V1
        self.specification: ModelSpecification = model.specification
        self.description = PolicyDescription(
            version=model.specification.version,
            type=model.specification.type,
            mode="onnx",
            name=model.specification.name,
            reset=model.specification.reset,
            layers=model.specification.layers,
            hidden_size=model.specification.hidden_size,
            training_range=model.specification.training_range,
            win_calibration=model.specification.win_calibration,
            git_revision=model.specification.git_revision,
            providers=tuple(model.session.get_providers()),
            inputs=model.specification.inputs,
            outputs=model.specification.outputs,
            file_sha256=model.specification.file_sha256,
        )
        self._columns = columns_of(model.specification.actions)
        self._initial = RecurrentState.zeros(model.specification.layers, model.specification.hidden_size)
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
        """Run one inference on an observation of shape (16,), float32; return the probabilities and the next state.

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
        """Return what `decide` returns for each row of `observations`, shape (n, 16), and each of the n states.

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
        probabilities = probabilities_of(output, self.specification.output, self._columns) if finite else None
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


class InferenceBatch:
    """Buffers for one batch size, bound to ONNX Runtime.

    Write `observations` (size, 16) and `states` (2, size, layers, hidden), run, then read `outputs` (size, 3) and
    `next_states`, which has the shape of `states`. All are float32.
    """

    def __init__(self, model: LoadedModel, size: int) -> None:
        self.size = size
        state = (2, size, model.specification.layers, model.specification.hidden_size)
        self.observations = np.zeros((size, FEATURES), dtype=np.float32)
        self.states = np.zeros(state, dtype=np.float32)
        self.outputs = np.zeros((size, len(model.specification.actions)), dtype=np.float32)
        self.next_states = np.zeros(state, dtype=np.float32)
        self._session = model.session
        self._binding: Any = model.session.io_binding()
        # A policy that is not recurrent has no inputs and outputs for the empty states.
        for tensor, buffer in zip(model.specification.inputs, (self.observations, *self.states), strict=False):
            self._binding.bind_input(tensor.name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        for tensor, buffer in zip(model.specification.outputs, (self.outputs, *self.next_states), strict=False):
            self._binding.bind_output(tensor.name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)

    def run(self) -> None:
        """Run one inference on all rows."""
        self._session.run_with_iobinding(self._binding)


def identical_batches(model: LoadedModel, single: InferenceBatch) -> tuple[InferenceBatch, ...]:
    """Return a batch for each size whose results are bit-identical to those of `single` in every row."""
    if not model.specification.open_batch:
        return ()
    random = np.random.default_rng(1)
    largest = max(BATCH_SIZES)
    observations = random.normal(scale=2.0, size=(largest, FEATURES)).clip(-M5_V1.limit, M5_V1.limit)
    shape = (2, largest, *single.states.shape[2:])
    # Hidden states lie within +/- 1, cell states do not.
    states = np.tanh(random.normal(size=shape)) * np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    outputs, next_states = np.empty((largest, single.outputs.shape[1]), np.float32), np.empty(shape, np.float32)
    for row in range(largest):
        single.observations[0], single.states[:, 0] = observations[row], states[:, row]
        single.run()
        outputs[row], next_states[:, row] = single.outputs[0], single.next_states[:, 0]
    identical = []
    for size in BATCH_SIZES:
        batch = InferenceBatch(model, size)
        batch.observations[:], batch.states[:] = observations[:size], states[:, :size]
        # A graph that declares an open batch may still have a fixed one inside; such a size is not used.
        with suppress(Exception):
            batch.run()
            same_outputs = batch.outputs.tobytes() == outputs[:size].tobytes()
            if same_outputs and batch.next_states.tobytes() == next_states[:, :size].tobytes():
                identical.append(batch)
    return tuple(identical)
