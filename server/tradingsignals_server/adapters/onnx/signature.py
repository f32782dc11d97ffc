"""The inputs and outputs that a model file declares, read from its bytes: no graph is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from ...application.ports.policy import TensorShape
from .wire import fields, messages_of, text_of

_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12
_TYPES = {1: "float", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool"} | {
    10: "float16",
    11: "double",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs, without those that have a constant value, and outputs, in the order of the file."""

    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]


def read_signature(content: bytes) -> Signature:
    """Return the signature of a model whose envelope was read."""
    inputs, outputs = list[TensorShape](), list[TensorShape]()
    constants = set[str]()
    for graph in messages_of(memoryview(content), _GRAPH):
        constants |= {text_of(tensor, 8) for tensor in messages_of(graph, _INITIALIZER)}
        inputs += map(_tensor, messages_of(graph, _INPUT))
        outputs += map(_tensor, messages_of(graph, _OUTPUT))
    return Signature(tuple(tensor for tensor in inputs if tensor.name not in constants), tuple(outputs))


def _tensor(value_info: memoryview) -> TensorShape:
    for kind in messages_of(value_info, 2):
        for tensor in messages_of(kind, 1):
            code = dict(fields(tensor)).get(1)
            sizes = [dict(fields(axis)).get(1) for shape in messages_of(tensor, 2) for axis in messages_of(shape, 1)]
            shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in sizes)
            name = _TYPES.get(code, str(code)) if isinstance(code, int) else "unknown"
            return TensorShape(text_of(value_info, 1), f"tensor({name})", shape)
    return TensorShape(text_of(value_info, 1), "map", ())
