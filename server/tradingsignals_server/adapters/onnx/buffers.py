"""Buffers for the inferences of one batch size, bound to ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .tensors import Port, StatePort, Tensors

if TYPE_CHECKING:
    from .model_file import LoadedModel

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]


class InferenceBatch:
    """Buffers for one batch size.

    Write `observations` (size, numbers) and `states` (tensors, size, layers, numbers), run, then read `outputs` (size,
    columns) and `next_states`, which has the shape of `states`. All are float32 but `outputs`, which has the type of
    the graph. A tensor of float32 with the batch first is bound as it is; one of another type or layout is copied at
    each run.
    """

    def __init__(self, model: LoadedModel, size: int) -> None:
        used: Tensors = model.tensors
        tensors, layers, numbers = used.state_shape
        self.size = size
        self.observations = np.zeros((size, model.specification.features.size), dtype=np.float32)
        self.states = np.zeros((tensors, size, layers, numbers), dtype=np.float32)
        self.next_states = np.zeros_like(self.states)
        self._session = model.session
        self._binding: Any = model.session.io_binding()
        self._given: list[tuple[Array, Float32]] = []
        self._returned: list[tuple[Float32, Array]] = []
        for port in used.observation:
            part = self.observations[:, port.first : port.first + port.count]
            self._bind_input(port, part)
        for state, part in zip(used.state, state_parts(self.states, used.state), strict=True):
            self._bind_input(state.given, _laid_out(part, state))
        output = np.zeros(used.output.shape(size), dtype=used.output.dtype)
        self.outputs = output.reshape(size, -1)
        self._bind_output(used.output, output)
        for state, part in zip(used.state, state_parts(self.next_states, used.state), strict=True):
            values = _laid_out(part, state)
            bound = values if _fits(state.returned, values) else np.zeros(values.shape, state.returned.dtype)
            if bound is not values:
                self._returned.append((values, bound))
            self._bind_output(state.returned, bound)

    def run(self) -> None:
        """Run one inference on all rows."""
        if self._given or self._returned:
            self._run_with_copies()
        else:
            self._session.run_with_iobinding(self._binding)

    def _run_with_copies(self) -> None:
        with np.errstate(over="ignore"):
            for bound, values in self._given:
                np.copyto(bound, values, casting="same_kind")
            self._session.run_with_iobinding(self._binding)
            for kept, found in self._returned:
                np.copyto(kept, found, casting="same_kind")

    def _bind_input(self, port: Port, values: Float32) -> None:
        bound: Array = values if _fits(port, values) else np.zeros(values.shape, port.dtype)
        if bound is not values:
            self._given.append((bound, values))
        self._binding.bind_input(port.name, "cpu", 0, port.dtype.type, port.shape(self.size), bound.ctypes.data)

    def _bind_output(self, port: Port, bound: Array) -> None:
        self._binding.bind_output(port.name, "cpu", 0, port.dtype.type, port.shape(self.size), bound.ctypes.data)


def state_parts(values: Float32, state: tuple[StatePort, ...]) -> list[Float32]:
    """Return the part of each tensor in states of shape (tensors, size, layers, numbers): (size, layers, numbers)."""
    if len(values) == len(state):
        return list(values)
    size = values.shape[1]
    ends = np.cumsum([0, *(part.layers * part.size for part in state)])
    return [
        values[0, :, 0, first:end].reshape((size, part.layers, part.size), copy=False)
        for part, first, end in zip(state, ends, ends[1:], strict=False)
    ]


def _laid_out(part: Float32, state: StatePort) -> Float32:
    return part.transpose(1, 0, 2) if state.layers_first else part


def _fits(port: Port, values: Float32) -> bool:
    return port.dtype == np.float32 and values.flags.c_contiguous
