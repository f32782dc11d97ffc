"""The inputs and outputs that a model file must have: names, types and shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...application.ports.policy import TensorShape
from ...domain.features import FEATURE_NAMES, FEATURE_SPECIFICATION
from ...domain.recurrent_state import ResetRule
from .errors import Unfit
from .metadata import ACTIONS, PREFIX, Metadata

FEATURES = len(FEATURE_NAMES)

_OBSERVATION = "observation"
_STATE = ("hidden", "cell")
_NEXT_STATE = ("hidden_next", "cell_next")
_FLOAT = "tensor(float)"
_LABELS = ("tensor(int64)", "tensor(string)")
_OPEN = -1
_AT = {"input": "behind the input", "output": "before the output"}


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors that are used, in a fixed order, and the recurrent state they carry: layers = size = 0 if none.

    inputs: the observation, then hidden and cell. outputs: the answer, then the next hidden and the next cell.
    """

    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]
    layers: int = 0
    hidden_size: int = 0

    @property
    def open_batch(self) -> bool:
        """True if any number of observations is taken at once."""
        return all(tensor.shape[0] == _OPEN for tensor in (*self.inputs, *self.outputs))


def tensors_of(session: Any, metadata: Metadata | None) -> Tensors:
    """The tensors of an ONNX Runtime session, checked against the contract; the seed contract if there is no metadata.

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
            "and an output cell_next, joined by an Identity, and it serves as it is"
        )
    carried = [name for name in (*_STATE, *_NEXT_STATE) if name in inputs or name in outputs]
    if carried and not recurrent:
        raise Unfit(
            f"carries a recurrent state ({', '.join(carried)}) and says {PREFIX}recurrent_reset=none; "
            "set session or never, whichever it was trained with"
        )
    taken = (_OBSERVATION, *(_STATE if recurrent else ()))
    given = (metadata.output.value, *(_NEXT_STATE if recurrent else ()))
    _require_names("input", taken, inputs, metadata)
    _require_names("output", given, outputs, metadata)
    if unknown := sorted(inputs.keys() - set(taken)):
        raise Unfit(f"has an input {unknown[0]} that nothing can fill; its inputs must be {', '.join(taken)}")
    used_inputs, used_outputs = tuple(inputs[name] for name in taken), tuple(outputs[name] for name in given)
    _require_observation(used_inputs[0])
    _require_answer(used_outputs[0])
    layers, size = _recurrent_axes(used_inputs[1:], used_outputs[1:]) if recurrent else (0, 0)
    return Tensors(used_inputs, used_outputs, layers, size)


def _plain(inputs: dict[str, TensorShape], outputs: dict[str, TensorShape]) -> Tensors:
    # Converters of classifiers give the label that they would choose beside the probabilities.
    answers = [tensor for tensor in outputs.values() if len(outputs) == 1 or tensor.type not in _LABELS]
    for what, tensors in (("input", list(inputs.values())), ("output", answers)):
        if any(tensor.type.startswith("seq(map") for tensor in tensors):
            raise Unfit(
                "gives its probabilities as a map (ZipMap), and a tensor is needed; convert it again with "
                "options={'zipmap': False}"
            )
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise Unfit(
                f"has {len(tensors)} {what}s ({names}) and no metadata that explains them; export it with "
                "`tradingsignals export`, or set the metadata of models/README.md"
            )
    (observation,), (answer,) = inputs.values(), answers
    _require_observation(observation)
    _require_answer(answer)
    return Tensors((observation,), (answer,))


def _require_names(what: str, names: Iterable[str], there: dict[str, TensorShape], metadata: Metadata) -> None:
    for name in names:
        if name in there:
            continue
        because = ""
        if name == metadata.output:
            because = f", which {PREFIX}output={metadata.output} names"
        elif name != _OBSERVATION:
            because = f", which {PREFIX}recurrent_reset={metadata.reset} asks for"
        raise Unfit(
            f"has no {what} {name}{because}; its {what}s are {', '.join(there)}: rename one, or export it again"
        )


def _require_observation(tensor: TensorShape) -> None:
    _require("input", tensor, (FEATURES,), f"the {FEATURES} features of {FEATURE_SPECIFICATION}")


def _require_answer(tensor: TensorShape) -> None:
    _require("output", tensor, (len(ACTIONS),), f"a number each for {', '.join(ACTIONS)}")


def _recurrent_axes(inputs: tuple[TensorShape, ...], outputs: tuple[TensorShape, ...]) -> tuple[int, int]:
    """Layers and size, which all four tensors of the state must share."""
    first = inputs[0]
    if len(first.shape) != 3 or min(first.shape[1:]) < 1:
        transposed = len(first.shape) == 3 and first.shape[0] != _OPEN and first.shape[1] == _OPEN
        raise Unfit(
            f"input {first.name} is {_words(first)}; {_FLOAT} of shape (batch, layers, size) is needed, batch first, "
            + (
                "where torch has (layers, batch, size): put a Transpose of perm [1, 0, 2] behind each state's input "
                "and before its output"
                if transposed
                else "with layers and size as numbers"
            )
        )
    _, layers, size = first.shape
    state = f"the recurrent state of input {first.name}: all four of its tensors must be alike"
    _require("input", first, (layers, size), state)
    _require("input", inputs[1], (layers, size), state)
    for tensor in outputs:
        _require("output", tensor, (layers, size), state)
    return layers, size


def _require(what: str, tensor: TensorShape, axes: tuple[int, ...], meaning: str) -> None:
    """Refuse what is not float32 of shape (batch, *axes). An output may leave axes open: the trial will tell."""
    batch, *rest = tensor.shape or (0,)
    fits = len(rest) == len(axes) and all(
        there == needed or (there == _OPEN and what == "output") for there, needed in zip(rest, axes, strict=True)
    )
    if tensor.type != _FLOAT or batch not in {_OPEN, 1} or not fits:
        needed = ", ".join(map(str, axes))
        raise Unfit(
            f"{what} {tensor.name} is {_words(tensor)}; {_FLOAT} of shape (batch, {needed}) is needed, {meaning}"
            f"{_advice(what, tensor, axes)}"
        )


def _advice(what: str, tensor: TensorShape, axes: tuple[int, ...]) -> str:
    """What would make a tensor fit that does not, "" if only another network would."""
    if tensor.type != _FLOAT:
        return f": export it in float32 (torch: model.float()), or put a Cast {_AT[what]}"
    batch, *rest = tensor.shape or (0,)
    if len(rest) == len(axes) + 1 and rest[-1] in {axes[-1], _OPEN}:
        return f": it is given one bar at a time, so take the axis of time away, with a Reshape {_AT[what]}"
    if len(rest) + 1 == len(axes) and batch == axes[0]:
        return f": put a Reshape {_AT[what]} that adds the batch"
    if tuple(rest) == axes:
        return ": leave its first axis open (torch: dynamic_axes), or export it with a batch of 1"
    return ""


def _described(tensor: Any) -> TensorShape:
    # An axis that the file leaves open is a name or None.
    return TensorShape(
        tensor.name, tensor.type, tuple(axis if isinstance(axis, int) else _OPEN for axis in tensor.shape)
    )


def _words(tensor: TensorShape) -> str:
    axes = ", ".join("any" if axis == _OPEN else str(axis) for axis in tensor.shape)
    return f"{tensor.type} of shape ({axes})"
