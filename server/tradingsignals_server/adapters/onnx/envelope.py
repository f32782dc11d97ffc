"""What must be known of an ONNX file before anything loads it: is it whole, its opset, is anything kept outside it.

ONNX Runtime answers a broken file with "protobuf parsing failed", and loads weights from other files where it finds
them, which the file's hash would not cover. So the few fields that matter are read here, from the bytes, by the rules
of https://protobuf.dev/programming-guides/encoding and with the field numbers of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import Unfit

# Which fields of which message lead to tensors: a model's graph and functions, and so on down.
_TOWARDS_TENSORS = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
}
_NOT_ONNX = "is not an ONNX file; name one that `tradingsignals export` made"


@dataclass(frozen=True, slots=True)
class Envelope:
    """`opset` is the version of ONNX's own operators that the graph asks for, `ir_version` that of the file format."""

    ir_version: int
    opset: int


def read_envelope(content: bytes) -> Envelope:
    """Read `content` as an ONNX model.

    Raises:
        Unfit: it is empty, not ONNX, cut short, or keeps weights in other files.
    """
    if not content:
        raise Unfit("is empty; copy or export it again")
    if content.startswith(b"PK\x03\x04"):
        raise Unfit("is a zip file; `tradingsignals export` makes a model of a RecurrentPPO zip")
    view = memoryview(content)
    ir_version = opset = 0
    graph = None
    try:
        for number, value in _fields(view):
            match number, value:
                case 1, int(version):
                    ir_version = version
                case 7, memoryview():
                    graph = value
                case 8, memoryview() as operator_set:
                    opset = max(opset, _opset(operator_set))
    except _CutShort as error:
        # What begins like a model is one that lost its end; anything else never was one.
        raise Unfit(
            f"is cut short at {len(content)} bytes; copy or export it again" if ir_version else _NOT_ONNX
        ) from error
    if not ir_version or graph is None:
        raise Unfit(_NOT_ONNX)
    try:
        external = _keeps_weights_outside(view, "model")
    except _CutShort as error:
        raise Unfit("is damaged inside its graph; copy or export it again") from error
    if external:
        raise Unfit("keeps weights in other files (external data); save it as one file that holds them")
    return Envelope(ir_version, opset)


class _CutShort(Exception):
    """The bytes end in the middle of a field, or are no fields at all."""


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message that is an integer or has a length; other fields are passed over."""
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire_type == 2:
            length, at = _varint(view, at)
        else:
            length = {1: 8, 5: 4}.get(wire_type, end)
        if number == 0 or length > end - at:
            raise _CutShort
        if wire_type == 2:
            yield number, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """The integer at `at`, seven bits a byte, and where the next thing begins."""
    result = 0
    for place, byte in enumerate(view[at : at + 10]):
        result |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return result, at + place + 1
    raise _CutShort


def _opset(operator_set: memoryview) -> int:
    """Its version if it is of ONNX's own domain, else 0."""
    fields = dict(_fields(operator_set))
    domain, version = fields.get(1), fields.get(2)
    own = domain is None or (isinstance(domain, memoryview) and bytes(domain) in {b"", b"ai.onnx"})
    return version if own and isinstance(version, int) else 0


def _keeps_weights_outside(message: memoryview, kind: str) -> bool:
    if kind == "tensor":
        # external_data, or a data_location that says EXTERNAL.
        return any(number == 13 or (number == 14 and value == 1) for number, value in _fields(message))
    children = _TOWARDS_TENSORS[kind]
    return any(
        _keeps_weights_outside(value, children[number])
        for number, value in _fields(message)
        if number in children and isinstance(value, memoryview)
    )
