"""What must be known of an ONNX file before anything loads it, read from its bytes by the field numbers of onnx.proto.

ONNX Runtime answers a broken file with "protobuf parsing failed", loads weights from other files where it finds them,
which the file's hash would not cover, and runs a loop for as long as the graph says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import Unfit
from .labels import LabelLists
from .wire import CutShort, fields

# Which fields of which message lead to nodes and tensors: a model's graph and functions, and so on down.
_BELOW = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
}
_NOT_ONNX = "is not an ONNX file; name one that `tradingsignals export` made"

MAX_FIELDS = 5_000_000
"""Fields of a file that are looked at: some ten for each node, and one for each integer of a forest of trees. It bounds
the time that this takes to a few seconds."""
MAX_NESTING = 8
"""How deep graphs may lie in nodes of graphs."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """`opset` is the version of ONNX's own operators that the graph asks for, `ir_version` that of the file format.

    labels: each distinct list of class labels that nodes of the graph give their outputs, in the order of the columns.
    """

    ir_version: int
    opset: int
    labels: tuple[tuple[str, ...], ...] = ()


def read_envelope(content: bytes) -> Envelope:
    """Read `content` as an ONNX model.

    Raises:
        Unfit: it is empty, not ONNX, cut short, keeps weights in other files, or has a graph that is not bounded.
    """
    if not content:
        raise Unfit("is empty; copy or export it again")
    if content.startswith(b"PK\x03\x04"):
        raise Unfit("is a zip file; `tradingsignals export` makes a model of a RecurrentPPO zip")
    view = memoryview(content)
    ir_version = opset = 0
    graph = None
    try:
        for place, (number, value) in enumerate(fields(view)):
            _require_few(place)
            match number, value:
                case 1, int(version):
                    ir_version = version
                case 7, memoryview():
                    graph = value
                case 8, memoryview() as operator_set:
                    opset = max(opset, _opset(operator_set))
    except CutShort as error:
        # What begins like a model is one that lost its end; anything else never was one.
        raise Unfit(
            f"is cut short at {len(content)} bytes; copy or export it again" if ir_version else _NOT_ONNX
        ) from error
    if not ir_version or graph is None:
        raise Unfit(_NOT_ONNX)
    survey = _Survey()
    try:
        survey.visit(view, "model")
    except (CutShort, UnicodeDecodeError) as error:
        raise Unfit("is damaged inside its graph; copy or export it again") from error
    return Envelope(ir_version, opset, survey.labels.found())


@dataclass(slots=True)
class _Survey:
    """A walk through every graph, function and tensor of a model, bounded in length and depth."""

    labels: LabelLists = field(default_factory=LabelLists)
    visited: int = 0

    def visit(self, message: memoryview, kind: str, depth: int = 0) -> None:
        """Look at a message and at all below it.

        Raises:
            Unfit: something in it is refused whatever else the model is.
            CutShort: it is damaged.
        """
        if kind == "graph" and (depth := depth + 1) > MAX_NESTING + 1:
            raise Unfit(f"nests graphs more than {MAX_NESTING} deep; export it with its graph flattened")
        children = _BELOW.get(kind, {})
        for number, value in fields(message):
            self.visited += 1
            _require_few(self.visited)
            if kind == "tensor" and (number == 13 or (number == 14 and value == 1)):
                # external_data, or a data_location that says EXTERNAL.
                raise Unfit(
                    "keeps weights in other files (external data); save it as one file that holds them: "
                    "torch.onnx.export(..., external_data=False), or onnx.save(onnx.load(FILE), NEW_FILE)"
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
        operator, domain = (_text(node, number) for number in (4, 7))
        if operator == "Loop" and domain in {"", "ai.onnx"}:
            raise Unfit(
                "has a Loop, and nothing bounds how long one runs; a policy decides one bar at a time: export it "
                "without the loop, unrolled"
            )


def _require_few(count: int) -> None:
    if count > MAX_FIELDS:
        raise Unfit(f"has more than {MAX_FIELDS} fields; export a smaller network")


def _text(message: memoryview, wanted: int) -> str:
    texts = [value for number, value in fields(message) if number == wanted and isinstance(value, memoryview)]
    return str(texts[-1], "utf-8") if texts else ""


def _opset(operator_set: memoryview) -> int:
    """Its version if it is of ONNX's own domain, else 0."""
    found = dict(fields(operator_set))
    domain, version = found.get(1), found.get(2)
    own = domain is None or (isinstance(domain, memoryview) and bytes(domain) in {b"", b"ai.onnx"})
    return version if own and isinstance(version, int) else 0
