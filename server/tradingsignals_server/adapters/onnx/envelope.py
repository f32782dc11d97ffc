"""Checks of an ONNX file before ONNX Runtime loads it, on its bytes, by the field numbers of onnx.proto.

ONNX Runtime reports a broken file as "protobuf parsing failed", loads weights from other files if it finds them, which
the hash of the file would not cover, and runs a loop without any bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import Unfit
from .labels import LabelLists
from .wire import Truncated, fields, text_of

CHILDREN = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
}
"""For each message, the fields that contain nodes or tensors, directly or further down."""
_NOT_ONNX = "is not an ONNX file; name one that `tradingsignals export` made"

MAX_FIELDS = 5_000_000
"""Limit of the fields in a file, which bounds the time of the scan to a few seconds.

A node has some ten fields; a forest of trees has one for each of its integers.
"""
MAX_NESTING = 8
"""Limit of the depth of graphs within nodes of graphs."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Properties of an ONNX file that are known before it is loaded.

    ir_version: version of the file format.
    opset: version of ONNX's own operators that the graph requires.
    labels: each distinct list of class labels that nodes of the graph assign to their outputs, in order of the columns.
    """

    ir_version: int
    opset: int
    labels: tuple[tuple[str, ...], ...] = ()


def read_envelope(content: bytes, *, external: bool = False) -> Envelope:
    """Check `content` as an ONNX model and return its properties. With `external` weights may be in other files.

    Raises:
        Unfit: it is empty, not ONNX or truncated, keeps weights in other files, or has a graph without a bound.
    """
    if not content:
        raise Unfit("is empty; copy or export it again")
    if content.startswith(b"PK\x03\x04"):
        raise Unfit("is a zip file; `tradingsignals export` makes a model of a zip of Stable-Baselines3")
    view = memoryview(content)
    ir_version = opset = 0
    graph = None
    try:
        for index, (number, value) in enumerate(fields(view)):
            _require_few(index)
            match number, value:
                case 1, int(version):
                    ir_version = version
                case 7, memoryview():
                    graph = value
                case 8, memoryview() as operator_set:
                    opset = max(opset, _opset(operator_set))
    except Truncated as error:
        # A file that begins with a version is a truncated model; any other file never was a model.
        raise Unfit(
            f"is cut short at {len(content)} bytes; copy or export it again" if ir_version else _NOT_ONNX
        ) from error
    if not ir_version or graph is None:
        raise Unfit(_NOT_ONNX)
    survey = _Survey(external)
    try:
        survey.visit(view, "model")
    except (Truncated, UnicodeDecodeError) as error:
        raise Unfit("is damaged inside its graph; copy or export it again") from error
    return Envelope(ir_version, opset, survey.labels.found())


@dataclass(slots=True)
class _Survey:
    """Traversal of every graph, function and tensor of a model, with limits on fields and depth."""

    external: bool
    labels: LabelLists = field(default_factory=LabelLists)
    visited: int = 0

    def visit(self, message: memoryview, kind: str, depth: int = 0) -> None:
        """Check a message and all messages below it.

        Raises:
            Unfit: a message contains what no model may contain.
            Truncated: the bytes are damaged.
        """
        if kind == "graph" and (depth := depth + 1) > MAX_NESTING + 1:
            raise Unfit(f"nests graphs more than {MAX_NESTING} deep; export it with its graph flattened")
        children = CHILDREN.get(kind, {})
        for number, value in fields(message):
            self.visited += 1
            _require_few(self.visited)
            if kind == "tensor" and not self.external and (number == 13 or (number == 14 and value == 1)):
                # external_data, or a data_location of EXTERNAL.
                raise Unfit(
                    "keeps weights in other files (external data); save it as one file that holds them: "
                    "`tradingsignals stamp FILE --out NEW_FILE ...`, or torch.onnx.export(..., external_data=False)"
                )
            if number in children and isinstance(value, memoryview):
                self.visit(value, children[number], depth)
                if (kind, number) == ("graph", 5):
                    self.labels.add_initializer(value)
        if kind == "node":
            self._require_bounded(message)
            self.labels.add_node(message)

    @staticmethod
    def _require_bounded(node: memoryview) -> None:
        operator, domain = (text_of(node, number) for number in (4, 7))
        if operator == "Loop" and domain in {"", "ai.onnx"}:
            raise Unfit(
                "has a Loop, and nothing bounds how long one runs; a policy decides one bar at a time: export it "
                "without the loop, unrolled"
            )


def _require_few(count: int) -> None:
    if count > MAX_FIELDS:
        raise Unfit(f"has more than {MAX_FIELDS} fields; export a smaller network")


def _opset(operator_set: memoryview) -> int:
    """Return the version of an operator set of ONNX's own domain, 0 for another domain."""
    found = dict(fields(operator_set))
    domain, version = found.get(1), found.get(2)
    own = domain is None or (isinstance(domain, memoryview) and bytes(domain) in {b"", b"ai.onnx"})
    return version if own and isinstance(version, int) else 0
