"""The inputs and outputs of a model file that the service uses: which they are, their types and their layouts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...application.ports.policy import TensorShape
from ...domain.features import M5_V1
from ...domain.recurrent_state import ResetRule
from .declared_features import DeclaredFeatures
from .entries import PREFIX
from .errors import Unfit
from .metadata import Metadata, OutputKind
from .state_names import pairs_of

BATCH = -1
"""Stands for the axis of the batch in the axes of a tensor."""
OBSERVATION = "observation"
FEATURES = len(M5_V1.names)

_OPEN = -1
_UNKNOWN = -2
"""Stands for an axis that is open and not that of the batch."""
_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
_INTEGERS = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}
_LABELS = ("tensor(int64)", "tensor(string)")


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output in use.

    axes: its shape, with BATCH for the axis of the batch, if it has one.
    open: whether the axis of the batch takes any number.
    first, count: of an input, which numbers of the observation it takes.
    """

    tensor: TensorShape
    axes: tuple[int, ...]
    dtype: np.dtype[Any]
    open: bool
    first: int = 0
    count: int = 0

    @property
    def name(self) -> str:
        """Its name in the graph."""
        return self.tensor.name

    def shape(self, batch: int) -> tuple[int, ...]:
        """Return its shape for `batch` observations."""
        return tuple(batch if axis == BATCH else axis for axis in self.axes)


@dataclass(frozen=True, slots=True)
class StatePort:
    """One tensor of the recurrent state, as input and as output, of so many layers of so many numbers."""

    given: Port
    returned: Port
    layers: int
    size: int

    @property
    def layers_first(self) -> bool:
        """Whether its layout is (layers, batch, size), as torch has it."""
        return self.layers > 1 and len(self.given.axes) == 3 and self.given.axes[1] == BATCH


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors in use: the observation, as one input or as one for each feature, the output, and the state."""

    observation: tuple[Port, ...]
    output: Port
    state: tuple[StatePort, ...] = ()

    @property
    def inputs(self) -> tuple[TensorShape, ...]:
        """The observation, then the state."""
        return tuple(port.tensor for port in (*self.observation, *(part.given for part in self.state)))

    @property
    def outputs(self) -> tuple[TensorShape, ...]:
        """The output, then the next state."""
        return tuple(port.tensor for port in (self.output, *(part.returned for part in self.state)))

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Tensors, layers and size of the state: one tensor of one layer if they differ; (2, 0, 0) without a state."""
        if not self.state:
            return 2, 0, 0
        shapes = {(part.layers, part.size) for part in self.state}
        if len(shapes) == 1:
            return (len(self.state), *shapes.pop())
        return 1, 1, sum(part.layers * part.size for part in self.state)

    @property
    def open_batch(self) -> bool:
        """Whether the model takes any number of observations at once."""
        ports = (*self.observation, self.output, *(port for part in self.state for port in (part.given, part.returned)))
        return all(port.open for port in ports)


def described(tensor: Any) -> TensorShape:
    """Return an input or output of a session; ONNX Runtime represents an open axis as a name or None."""
    return TensorShape(
        tensor.name, tensor.type, tuple(axis if isinstance(axis, int) and axis >= 0 else _OPEN for axis in tensor.shape)
    )


def tensors_of(session: Any, metadata: Metadata, *, plain: bool) -> Tensors:
    """Identify and check the tensors of a session by the metadata of its file.

    With `plain` the file has none, `metadata` is that of the seed contract, and messages say to stamp the file.

    Raises:
        Unfit: a tensor is missing, unknown, or of a type or shape that the service cannot use.
    """
    inputs = {tensor.name: described(tensor) for tensor in session.get_inputs()}
    outputs = {tensor.name: described(tensor) for tensor in session.get_outputs()}
    pairs = pairs_of(tuple(inputs), tuple(outputs), metadata.state)
    named = [name for pair in pairs for name in pair]
    observed = [tensor for name, tensor in inputs.items() if name not in named]
    observation = _observation(observed, metadata.features, plain=plain)
    output = _output([tensor for name, tensor in outputs.items() if name not in named], metadata, observation[0])
    state = tuple(_state(inputs[given], outputs[returned]) for given, returned in pairs)
    _require_reset(metadata, state, plain=plain)
    return Tensors(observation, output, state)


def _require_reset(metadata: Metadata, state: Sequence[StatePort], *, plain: bool) -> None:
    if state and metadata.reset is ResetRule.NONE:
        carried = ", ".join(f"{part.given.name} to {part.returned.name}" for part in state)
        raise Unfit(
            f"carries a recurrent state ({carried}) and "
            + ("does not say when it is reset" if plain else f"has {PREFIX}recurrent_reset=none")
            + "; set session or never, whichever it was trained with: `tradingsignals stamp FILE --reset session ...`"
        )
    if not state and metadata.reset is not ResetRule.NONE and metadata.features.stack == 1:
        raise Unfit(
            f"has {PREFIX}recurrent_reset={metadata.reset} and no state that its names identify; name each tensor's "
            "input and output: `tradingsignals stamp FILE --state INPUT:OUTPUT,... ...`, or set none"
        )


def _observation(tensors: Sequence[TensorShape], features: DeclaredFeatures, *, plain: bool) -> tuple[Port, ...]:
    """Return the one input that is the observation, or the inputs of the features."""
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(tensors) > 1 and features.frames[0] == 1 and by_name.keys() == set(features.names):
        return tuple(_one_feature(by_name[name], index) for index, name in enumerate(features.names))
    if len(tensors) != 1:
        named = by_name.get(OBSERVATION)
        others = [name for name in by_name if name != OBSERVATION]
        what = f"unknown inputs ({', '.join(others)})" if named else f"{len(tensors)} inputs ({', '.join(by_name)})"
        raise Unfit(
            f"has {what} besides its observation and its state; if they are a state, name their outputs: "
            "`tradingsignals stamp FILE --state INPUT:OUTPUT,... ...`; if not, export it with the observation as its "
            "only input"
        )
    (tensor,) = tensors
    return (_whole_observation(tensor, features, plain=plain),)


def _one_feature(tensor: TensorShape, index: int) -> Port:
    dtype = _float(tensor, "input")
    axes = _with_batch(tensor.shape, 0)
    if math.prod(axis for axis in axes if axis != BATCH) != 1 or len(axes) > 2:
        raise Unfit(f"input {tensor.name} is {formatted(tensor)}; one number is needed, as (batch, 1)")
    return Port(tensor, axes, dtype, BATCH in axes and tensor.shape[0] == _OPEN, index, 1)


def _whole_observation(tensor: TensorShape, features: DeclaredFeatures, *, plain: bool) -> Port:
    dtype = _float(tensor, "input")
    size, shape = features.size, tensor.shape
    for axis in _batch_axes(shape):
        axes = _filled(_with_batch(shape, axis), size)
        numbers = [number for number in axes if number not in {1, BATCH}]
        if BATCH in axes and (numbers in ([size], list(features.frames)) or (size == 1 and not numbers)):
            return Port(tensor, axes, dtype, shape[axes.index(BATCH)] == _OPEN, 0, size)
    if shape == (size,):
        return Port(tensor, shape, dtype, open=False, count=size)
    raise Unfit(_observation_problem(tensor, features, plain=plain))


def _observation_problem(tensor: TensorShape, features: DeclaredFeatures, *, plain: bool) -> str:
    frames, names = features.frames
    size, numbers = features.size, [axis for axis in tensor.shape if axis not in {1, _OPEN}]
    needed = f"(batch, {size})" if frames == 1 else f"(batch, {frames}, {names}) or (batch, {size})"
    problem = f"input {tensor.name} is {formatted(tensor)}; shape {needed} is needed, "
    problem += f"the {size} features of {features.specification}" if frames == 1 else "the oldest bar first"
    if len(numbers) == 2 and numbers == [names, frames]:
        return problem + ": put a Transpose of its last two axes behind the input"
    if math.prod(numbers) == size or (len(numbers) == 2 and numbers[-1] == size):
        return problem + ": leave its first axis open (torch: dynamic_axes), or export it with a batch of 1"
    if plain:
        return problem + ", unless it says which: `tradingsignals stamp FILE --features ... --out NEW_FILE`"
    return problem + ": stamp it with the features that it was trained on"


def _batch_axes(shape: tuple[int, ...]) -> list[int]:
    """Return the axes that can be that of the batch: of the first two, but not the last one, those that are open."""
    axes = range(min(max(len(shape) - 1, 1), 2) if shape else 0)
    return [axis for axis in axes if shape[axis] == _OPEN] or list(axes)


def _filled(axes: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Return axes of `size` numbers: the last unknown one has what the known ones lack, and the others are 1."""
    fixed = math.prod(axis for axis in axes if axis > 0)
    filled = [1 if axis == _UNKNOWN else axis for axis in axes]
    if _UNKNOWN in axes and fixed and size % fixed == 0:
        filled[max(index for index, axis in enumerate(axes) if axis == _UNKNOWN)] = size // fixed
    return tuple(filled)


def _with_batch(shape: tuple[int, ...], at: int) -> tuple[int, ...]:
    """Return the axes of a tensor whose batch is at `at`, if that is open or 1, and _UNKNOWN for other open axes."""
    axes = [_UNKNOWN if axis == _OPEN else axis for axis in shape]
    if shape and shape[at] in {_OPEN, 1}:
        axes[at] = BATCH
    return tuple(axes)


def _output(tensors: Sequence[TensorShape], metadata: Metadata, observation: Port) -> Port:
    tensor = _output_tensor(tensors, metadata)
    action = metadata.output is OutputKind.ACTION
    dtype = np.dtype(_INTEGERS[tensor.type]) if action and tensor.type in _INTEGERS else _float(tensor, "output")
    width, shape = 1 if action else len(metadata.actions), tensor.shape
    batch_at = observation.axes.index(BATCH) if BATCH in observation.axes else None
    for axis in sorted(_batch_axes(shape), key=lambda axis: axis != batch_at):
        axes = _filled(_with_batch(shape, axis), width)
        numbers = [number for number in axes if number not in {1, BATCH}]
        if BATCH in axes and numbers == ([] if width == 1 else [width]):
            return Port(tensor, axes, dtype, batch_at is not None and shape[axis] == _OPEN)
    if batch_at is None and math.prod(shape) == width and _OPEN not in shape:
        return Port(tensor, shape, dtype, open=False)
    if action:
        raise Unfit(f"output {tensor.name} is {formatted(tensor)}; one action a row is needed, shape (batch)")
    raise Unfit(
        f"output {tensor.name} is {formatted(tensor)}; shape (batch, {width}) is needed, one number for "
        f"each of {', '.join(metadata.actions)}: {_output_advice(shape)}"
    )


def _output_advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 and shape[1] == 1:
        return "one number is the chance of one side only; give the other's beside it, as 1 less it"
    if len(shape) == 2 and shape[1] > 1 and shape[0] in {1, _OPEN}:
        return f"name the {shape[1]} columns: `tradingsignals stamp FILE --actions ... --out NEW_FILE`"
    return "export it with one row for each observation"


def _output_tensor(tensors: Sequence[TensorShape], metadata: Metadata) -> TensorShape:
    """Return the output: the declared one, the one with the name of its kind, or the only one that can be it."""
    by_name = {tensor.name: tensor for tensor in tensors}
    wanted = metadata.output_tensor or metadata.output.value
    if wanted in by_name:
        return by_name[wanted]
    of_other_kinds = [kind.value for kind in OutputKind if kind is not metadata.output]
    action = metadata.output is OutputKind.ACTION
    # Converters of classifiers add an output with the most probable label beside the probabilities.
    fit = [
        tensor
        for tensor in tensors
        if tensor.name not in of_other_kinds and (tensor.type in _INTEGERS if action else tensor.type not in _LABELS)
    ]
    if any(tensor.type.startswith("seq(map") for tensor in tensors) and not action and len(fit) == 1:
        raise Unfit(
            "gives its probabilities as a map (ZipMap), and a tensor is needed; `tradingsignals stamp FILE --out "
            "NEW_FILE ...` takes the tensor before the map, as does converting it with options={'zipmap': False}"
        )
    if metadata.output_tensor is None and len(fit) == 1:
        return fit[0]
    because = f", which {PREFIX}{'output_tensor' if metadata.output_tensor else 'output'}={wanted} requires"
    raise Unfit(
        f"has no output {wanted}{because}; its outputs are {_names(tensors)}: name one with "
        "`tradingsignals stamp FILE --output KIND --output-tensor NAME ...`"
    )


def _state(given: TensorShape, returned: TensorShape) -> StatePort:
    """Return a tensor of the state: (batch, layers, size), (layers, batch, size), (batch, size), or without a batch."""
    axes, layers, size = _state_axes(given)
    fits = len(returned.shape) == len(axes) and all(
        found in {_OPEN, axis} or (axis == BATCH and found == 1)
        for found, axis in zip(returned.shape, axes, strict=True)
    )
    if not fits:
        raise Unfit(
            f"output {returned.name} is {formatted(returned)} and its input {given.name} is {formatted(given)}; they "
            "must have equal shapes"
        )
    at = axes.index(BATCH) if BATCH in axes else None
    return StatePort(
        Port(given, axes, _float(given, "input"), at is not None and given.shape[at] == _OPEN),
        Port(returned, axes, _float(returned, "output"), at is not None and returned.shape[at] == _OPEN),
        layers,
        size,
    )


def _state_axes(tensor: TensorShape) -> tuple[tuple[int, ...], int, int]:
    """Return the axes of a state, its layers and its size."""
    match tensor.shape:
        case (first, layers, size) if first in {_OPEN, 1} and min(layers, size) > 0:
            return (BATCH, layers, size), layers, size
        case (layers, middle, size) if middle in {_OPEN, 1} and min(layers, size) > 0:
            return (layers, BATCH, size), layers, size
        case (first, size) if first in {_OPEN, 1} and size > 0:
            return (BATCH, size), 1, size
        case (layers, size) if min(layers, size) > 0:
            return (layers, size), layers, size
        case (size,) if size > 0:
            return (size,), 1, size
    raise Unfit(
        f"input {tensor.name} is {formatted(tensor)}; a state of shape (batch, layers, size) or (layers, batch, size) "
        "is needed, with layers and size as numbers"
    )


def _float(tensor: TensorShape, what: str) -> np.dtype[Any]:
    if tensor.type not in _FLOATS:
        where = "behind the input" if what == "input" else "before the output"
        raise Unfit(
            f"{what} {tensor.name} is {formatted(tensor)}; float, double or float16 is needed: export it in float32 "
            f"(torch: model.float()), or put a Cast {where}"
        )
    return np.dtype(_FLOATS[tensor.type])


def _names(tensors: Iterable[TensorShape]) -> str:
    return ", ".join(f"{tensor.name} ({formatted(tensor)})" for tensor in tensors)


def formatted(tensor: TensorShape) -> str:
    """Return type and shape of a tensor in a form fit for a message."""
    axes = ", ".join("any" if axis == _OPEN else str(axis) for axis in tensor.shape)
    return f"{tensor.type} of shape ({axes})"
