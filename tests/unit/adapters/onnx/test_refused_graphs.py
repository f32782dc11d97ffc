"""Model files with contradictory labels, and graphs without a bound, are refused with one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper
from tests.support.onnx_models import GOOD, classifier, graph, refusal

from tradingsignals_server.adapters.onnx import envelope, model_file
from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.model_file import load_model
from tradingsignals_server.adapters.onnx.wire import length_delimited

BODY = onnx.parser.parse_graph("b (int64 i, bool c) => (bool d) { d = Identity (c) }")


def with_node(node: onnx.NodeProto) -> bytes:
    """Return a plain file with one more node, whose output is not used."""
    model = onnx.load_from_string(graph())
    model.graph.node.append(node)
    return bytes(model.SerializeToString())


def nested(depth: int) -> bytes:
    """Return a file of graphs nested `depth` deep."""
    content = b""
    for _ in range(depth):
        content = length_delimited(1, length_delimited(5, length_delimited(6, content)))
    return b"\x08\x08" + length_delimited(7, content)


LABELS: dict[str, tuple[Callable[[], bytes], str]] = {
    "unknown labels": (
        lambda: classifier((0, 1, 2)),
        "has the class labels '0, 1, 2', which do not identify HOLD, BUY, SELL; name their actions in that order: "
        "`tradingsignals stamp FILE --actions SELL,HOLD,BUY --out NEW_FILE`, or the metadata tradingsignals.actions",
    ),
    "two labels": (
        lambda: classifier((0, 1)),
        "has the class labels '0, 1', which do not identify HOLD, BUY, SELL; name their actions in that order",
    ),
    "labels against the metadata": (
        lambda: classifier((-1, 0, 1), metadata={"tradingsignals.actions": '["HOLD", "BUY", "SELL"]'}),
        "has tradingsignals.actions=HOLD,BUY,SELL and its graph has the class labels '-1, 0, 1', which are "
        "SELL,HOLD,BUY; correct the metadata",
    ),
    "labels in two orders": (
        lambda: classifier((-1, 0, 1), looked_up_in=("buy", "hold", "sell")),
        "has class labels in two orders ('-1, 0, 1'; 'buy, hold, sell'); set tradingsignals.actions to the right one",
    ),
    "probabilities as a map": (
        lambda: classifier((-1, 0, 1), zip_map=True),
        "gives its probabilities as a map (ZipMap), and a tensor is needed; `tradingsignals stamp FILE --out "
        "NEW_FILE ...` takes the tensor before the map, as does converting it with options={'zipmap': False}",
    ),
}
UNBOUNDED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a loop": (
        lambda: with_node(helper.make_node("Loop", ["", ""], ["v"], body=BODY)),
        "has a Loop, and nothing bounds how long one runs; a policy decides one bar at a time: export it",
    ),
    "a loop in a branch": (
        lambda: with_node(
            helper.make_node(
                "If",
                ["c"],
                ["v"],
                then_branch=helper.make_graph([helper.make_node("Loop", ["", ""], ["w"], body=BODY)], "b", [], []),
                else_branch=BODY,
            )
        ),
        "has a Loop",
    ),
    "nested without end": (
        lambda: nested(5000),
        "nests graphs more than 8 deep; export it with its graph flattened",
    ),
}


@pytest.mark.parametrize(("make", "expected"), LABELS.values(), ids=LABELS.keys())
def test_refuses_labels_that_contradict_or_identify_no_action(
    make: Callable[[], bytes], expected: str, tmp_path: Path
) -> None:
    assert expected in refusal(tmp_path, make())


@pytest.mark.parametrize(("make", "expected"), UNBOUNDED.values(), ids=UNBOUNDED.keys())
def test_refuses_a_graph_without_a_bound(make: Callable[[], bytes], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(tmp_path, make())


def test_refuses_a_pipe_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ModelRefused, match="is not a file but a device or a pipe; name a file"):
        load_model(tmp_path / "model.onnx")


def test_refuses_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "MAX_FILE_BYTES", 1 << 20)
    assert refusal(tmp_path, GOOD + bytes(1 << 20)) == "has more than 1 MiB; export a smaller network"


def test_refuses_a_graph_of_too_many_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_FIELDS", 50)
    assert refusal(tmp_path, GOOD) == "has more than 50 fields; export a smaller network"
