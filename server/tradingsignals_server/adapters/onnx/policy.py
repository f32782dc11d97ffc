"""A policy in a model file, run by ONNX Runtime on the calling thread.

One inference takes tens of microseconds, so what surrounds it counts: input and output buffers are bound once for each
batch size and used for every inference, which halves its cost. The price is that an instance serves one caller at a
time, which is how the engine works anyway.

Several symbols go through as one batch, with results identical to the bit to one by one. A kernel that adds in another
order for another batch size would break that, so at loading every batch size is held against one by one, at every place
in the batch, and only those that give the same bits are used. The order depends on the shapes, not on the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...application.ports.policy import PolicyDescription, PolicyOutput
from ...domain.features import FEATURE_LIMIT, Observation
from ...domain.recurrent_state import RecurrentState
from .model_file import LoadedModel, ModelSpecification, load_model
from .tensors import FEATURES
from .trial import places_of, probabilities_of

BATCH_SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
"""The batch sizes that are tried. Fewer symbols are filled up to the next one, more go through in several batches."""


class OnnxPolicy:
    """The policy in the model file at `path`, ready to decide.

    confined: load it first in a process of its own, bounded in time and memory; for a file of unknown origin.

    Raises:
        ModelRefused: on construction, if the file will not serve.
    """

    def __init__(self, path: Path, *, confined: bool = False) -> None:
        model = load_model(path, confined=confined)
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
            git_revision=model.specification.git_revision,
            providers=tuple(model.session.get_providers()),
            inputs=model.specification.inputs,
            outputs=model.specification.outputs,
            file_sha256=model.specification.file_sha256,
        )
        self._places = places_of(model.specification.actions)
        self._initial = RecurrentState.zeros(model.specification.layers, model.specification.hidden_size)
        self._single = Batch(model, 1)
        self._batches = identical_batches(model, self._single)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes in use; empty if the file cannot take several observations with the same results."""
        return tuple(batch.size for batch in self._batches)

    def initial_state(self) -> RecurrentState:
        """The state before the first bar: zeros, and of no size for a policy without memory."""
        return self._initial

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """What to do on an observation of shape (16,), float32, after `state`; and the state for the next bar.

        The probabilities are None if the model answered what is not probabilities, or its state left the finite range;
        the next state is then the initial one, so that the bad numbers go nowhere.

        Raises:
            ValueError: the state is that of a policy of another size.
        """
        self._require_own(state)
        batch = self._single
        batch.observations[0] = observation
        batch.states[:, 0] = state.values
        batch.run()
        finite = bool(np.isfinite(batch.next_states).all())
        return self._decision(batch.answers[0].tolist(), finite, batch.next_states[:, 0])

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """What `decide` says to each row of `observations`, shape (n, 16), after each of the n states; to the bit.

        Raises:
            ValueError: there are not as many states as observations, or one is that of a policy of another size.
        """
        if len(observations) != len(states):
            raise ValueError(f"{len(observations)} observations and {len(states)} states")
        decisions: list[PolicyOutput] = []
        while (done := len(decisions)) < len(states):
            left = len(states) - done
            batch = self._batch_for(left)
            if batch is None:
                decisions.append(self.decide(observations[done], states[done]))
            else:
                part = slice(done, done + min(left, batch.size))
                decisions += self._decide_part(batch, observations[part], states[part])
        return decisions

    def _decide_part(
        self, batch: Batch, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        rows = len(states)
        batch.observations[:rows] = observations
        for row, state in enumerate(states):
            self._require_own(state)
            batch.states[:, row] = state.values
        batch.run()
        finite = np.logical_and.reduce(np.isfinite(batch.next_states[:, :rows]), axis=(0, 2, 3))
        answers = batch.answers[:rows].tolist()
        return [self._decision(answers[row], bool(finite[row]), batch.next_states[:, row]) for row in range(rows)]

    def _decision(self, answer: list[float], finite: bool, next_state: npt.NDArray[np.float32]) -> PolicyOutput:
        probabilities = probabilities_of(answer, self.specification.output, self._places) if finite else None
        if probabilities is None or not self.specification.recurrent:
            return probabilities, self._initial
        return probabilities, RecurrentState(next_state.copy())

    def _batch_for(self, rows: int) -> Batch | None:
        """The smallest batch that takes so many rows, the largest there is if none does, None for a single row."""
        if rows == 1 or not self._batches:
            return None
        return next((batch for batch in self._batches if batch.size >= rows), self._batches[-1])

    def _require_own(self, state: RecurrentState) -> None:
        if state.values.shape != self._initial.values.shape:
            _, layers, size = self._initial.values.shape
            raise ValueError(f"a state of shape {state.values.shape} for a policy of {layers} layers of {size}")


class Batch:
    """ONNX Runtime's buffers for one batch size. Write `observations` and `states`, run, and read the other two."""

    def __init__(self, model: LoadedModel, size: int) -> None:
        self.size = size
        state = (2, size, model.specification.layers, model.specification.hidden_size)
        self.observations = np.zeros((size, FEATURES), dtype=np.float32)
        self.states = np.zeros(state, dtype=np.float32)
        self.answers = np.zeros((size, len(model.specification.actions)), dtype=np.float32)
        self.next_states = np.zeros(state, dtype=np.float32)
        self._session = model.session
        self._binding: Any = model.session.io_binding()
        # A policy without memory has neither inputs nor outputs for its empty states.
        for tensor, buffer in zip(model.specification.inputs, (self.observations, *self.states), strict=False):
            self._binding.bind_input(tensor.name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        for tensor, buffer in zip(model.specification.outputs, (self.answers, *self.next_states), strict=False):
            self._binding.bind_output(tensor.name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)

    def run(self) -> None:
        """One inference of all rows."""
        self._session.run_with_iobinding(self._binding)


def identical_batches(model: LoadedModel, single: Batch) -> tuple[Batch, ...]:
    """A batch for each size that gives, at each of its places, the bits that `single` gives."""
    if not model.specification.open_batch:
        return ()
    random = np.random.default_rng(1)
    largest = max(BATCH_SIZES)
    observations = random.normal(scale=2.0, size=(largest, FEATURES)).clip(-FEATURE_LIMIT, FEATURE_LIMIT)
    shape = (2, largest, *single.states.shape[2:])
    # Hidden states lie within 1, cell states do not.
    states = np.tanh(random.normal(size=shape)) * np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    answers, next_states = np.empty((largest, single.answers.shape[1]), np.float32), np.empty(shape, np.float32)
    for row in range(largest):
        single.observations[0], single.states[:, 0] = observations[row], states[:, row]
        single.run()
        answers[row], next_states[:, row] = single.answers[0], single.next_states[:, 0]
    identical = []
    for size in BATCH_SIZES:
        batch = Batch(model, size)
        batch.observations[:], batch.states[:] = observations[:size], states[:, :size]
        # A graph that promises any batch may still have one fixed inside; it then serves one by one.
        with suppress(Exception):
            batch.run()
            same_answers = batch.answers.tobytes() == answers[:size].tobytes()
            if same_answers and batch.next_states.tobytes() == next_states[:, :size].tobytes():
                identical.append(batch)
    return tuple(identical)
