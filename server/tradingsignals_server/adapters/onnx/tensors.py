"""Names, types and shapes of the inputs and outputs of a model file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...application.ports.policy import TensorShape
from ...domain.features import M5_V1
from ...domain.recurrent_state import ResetRule
from .errors import Unfit
from .metadata import ACTIONS, PREFIX, Metadata

FEATURES = M5_V1.size

_OBSERVATION = "observation"
_STATE = ("hidden", "cell")
_NEXT_STATE = ("hidden_next", "cell_next")
_FLOAT = "tensor(float)"
_LABELS = ("tensor(int64)", "tensor(string)")
_OPEN = -1
_POSITIONS = {"input": "behind the input", "output": "before the output"}


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors in use, in a fixed order, and the shape of the recurrent state: layers = size = 0 if there is none.

    inputs: observation, hidden, cell. outputs: probabilities or logits, next hidden, next cell.
    """

    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]
    layers: int = 0
    hidden_size: int = 0

    @property
    def open_batch(self) -> bool:
        """Whether the model takes any number of observations at once."""
        return all(tensor.shape[0] == _OPEN for tensor in (*self.inputs, *self.outputs))


def tensors_of(session: Any, metadata: Metadata | None) -> Tensors:
    """Check the tensors of a session against the contract, or the seed contract without metadata, and return them.

    Raises:
        Unfit: a tensor is missing, unknown, or of another type or shape.
    """
    inputs = {tensor.name: _described(tensor) for tensor in session.get_inputs()}
    outputs = {tensor.name: _described(tensor) for tensor in session.get_outputs()}
    if metadata is None:
        return _plain(inputs, outputs)
    recurrent = metadata.reset is not ResetRule.NONE
    if recurrent and {"cell", "cell_next"}.isdisjoint(inputs.keys() | outputs.keys()) and "hidden" in inputs:
        raise Unfit(
            "carries a hidden state and no cell, as a GRU does; give the graph an input cell of the shape of hidden "
            "and an output cell_next, joined by an Identity"
        )
    carried = [name for name in (*_STATE, *_NEXT_STATE) if name in inputs or name in outputs]
    if carried and not recurrent:
        raise Unfit(
            f"carries a recurrent state ({', '.join(carried)}) and has {PREFIX}recurrent_reset=none; "
            "set session or never, whichever it was trained with"
        )
    input_names = (_OBSERVATION, *(_STATE if recurrent else ()))
    output_names = (metadata.output.value, *(_NEXT_STATE if recurrent else ()))
    _require_names("input", input_names, inputs, metadata)
    _require_names("output", output_names, outputs, metadata)
    if unknown := sorted(inputs.keys() - set(input_names)):
        raise Unfit(f"has an unknown input {unknown[0]}; its inputs must be {', '.join(input_names)}")
    used_inputs = tuple(inputs[name] for name in input_names)
    used_outputs = tuple(outputs[name] for name in output_names)
    _require_observation(used_inputs[0])
    _require_output(used_outputs[0])
    layers, size = _recurrent_axes(used_inputs[1:], used_outputs[1:]) if recurrent else (0, 0)
    return Tensors(used_inputs, used_outputs, layers, size)


def _plain(inputs: dict[str, TensorShape], outputs: dict[str, TensorShape]) -> Tensors:
    # Converters of classifiers add an output with the most probable label beside the probabilities.
    numeric = [tensor for tensor in outputs.values() if len(outputs) == 1 or tensor.type not in _LABELS]
    for what, tensors in (("input", list(inputs.values())), ("output", numeric)):
        if any(tensor.type.startswith("seq(map") for tensor in tensors):
            raise Unfit(
                "gives its probabilities as a map (ZipMap), and a tensor is needed; convert it again with "
                "options={'zipmap': False}"
            )
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise Unfit(
                f"has {len(tensors)} {what}s ({names}) and no metadata that describes them; export it with "
                "`tradingsignals export`, or set the metadata of models/README.md"
            )
    (observation,), (output,) = inputs.values(), numeric
    _require_observation(observation)
    _require_output(output)
    return Tensors((observation,), (output,))


def _require_names(what: str, names: Iterable[str], tensors: dict[str, TensorShape], metadata: Metadata) -> None:
    for name in names:
        if name in tensors:
            continue
        because = ""
        if name == metadata.output:
            because = f", which {PREFIX}output={metadata.output} requires"
        elif name != _OBSERVATION:
            because = f", which {PREFIX}recurrent_reset={metadata.reset} requires"
        raise Unfit(
            f"has no {what} {name}{because}; its {what}s are {', '.join(tensors)}: rename one, or export it again"
        )


def _require_observation(tensor: TensorShape) -> None:
    _require("input", tensor, (FEATURES,), f"the {FEATURES} features of {M5_V1.name}")


def _require_output(tensor: TensorShape) -> None:
    _require("output", tensor, (len(ACTIONS),), f"one number for each of {', '.join(ACTIONS)}")


def _recurrent_axes(inputs: tuple[TensorShape, ...], outputs: tuple[TensorShape, ...]) -> tuple[int, int]:
    """Return layers and size, which must be equal in all four tensors of the state."""
    first = inputs[0]
    if len(first.shape) != 3 or min(first.shape[1:]) < 1:
        transposed = len(first.shape) == 3 and first.shape[0] != _OPEN and first.shape[1] == _OPEN
        raise Unfit(
            f"input {first.name} is {_format(first)}; {_FLOAT} of shape (batch, layers, size) is needed, batch first, "
            + (
                "where torch has (layers, batch, size): put a Transpose of perm [1, 0, 2] behind each state's input "
                "and before its output"
                if transposed
                else "with layers and size as numbers"
            )
        )
    _, layers, size = first.shape
    state = f"the recurrent state of input {first.name}: all four of its tensors must have equal shapes"
    _require("input", first, (layers, size), state)
    _require("input", inputs[1], (layers, size), state)
    for tensor in outputs:
        _require("output", tensor, (layers, size), state)
    return layers, size


def _require(what: str, tensor: TensorShape, axes: tuple[int, ...], meaning: str) -> None:
    """Require float32 of shape (batch, *axes). An output may leave axes open, because the trial checks their size."""
    batch, *rest = tensor.shape or (0,)
    fits = len(rest) == len(axes) and all(
        axis == needed or (axis == _OPEN and what == "output") for axis, needed in zip(rest, axes, strict=True)
    )
    if tensor.type != _FLOAT or batch not in {_OPEN, 1} or not fits:
        needed = ", ".join(map(str, axes))
        raise Unfit(
            f"{what} {tensor.name} is {_format(tensor)}; {_FLOAT} of shape (batch, {needed}) is needed, {meaning}"
            f"{_advice(what, tensor, axes)}"
        )


def _advice(what: str, tensor: TensorShape, axes: tuple[int, ...]) -> str:
    """Return how to change the graph so that a tensor fits, "" if only another network would."""
    if tensor.type != _FLOAT:
        return f": export it in float32 (torch: model.float()), or put a Cast {_POSITIONS[what]}"
    batch, *rest = tensor.shape or (0,)
    if len(rest) == len(axes) + 1 and rest[-1] in {axes[-1], _OPEN}:
        return f": the service passes one bar at a time, so remove the axis of time, with a Reshape {_POSITIONS[what]}"
    if len(rest) + 1 == len(axes) and batch == axes[0]:
        return f": put a Reshape {_POSITIONS[what]} that adds the batch"
    if tuple(rest) == axes:
        return ": leave its first axis open (torch: dynamic_axes), or export it with a batch of 1"
    return ""


def _described(tensor: Any) -> TensorShape:
    # ONNX Runtime represents an open axis as a name or None.
    return TensorShape(
        tensor.name, tensor.type, tuple(axis if isinstance(axis, int) else _OPEN for axis in tensor.shape)
    )


def _format(tensor: TensorShape) -> str:
    axes = ", ".join("any" if axis == _OPEN else str(axis) for axis in tensor.shape)
    return f"{tensor.type} of shape ({axes})"
