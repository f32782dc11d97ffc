"""`tradingsignals export` of a plain ONNX file: only the actions are added to its metadata."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from tests.support.onnx_models import NOT_RECURRENT, classifier, graph, write

from tradingsignals_server.adapters.onnx.errors import ExportRefused, ModelRefused
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.commands.label import label

ACTIONS = ("SELL", "HOLD", "BUY")


def test_actions_are_written_for_unknown_labels(tmp_path: Path) -> None:
    model = write(tmp_path, classifier((0, 1, 2)), "plain.onnx")
    out = tmp_path / "mine" / "2" / "model.onnx"
    report = label(model, out, ACTIONS)
    assert report.startswith(f"{out}: will serve")
    assert "  model        mine 2 (onnx)\n" in report
    assert "probabilities of SELL, HOLD, BUY\n" in report
    specification = OnnxPolicy(out).specification
    assert (specification.actions, specification.name, specification.version) == (ACTIONS, "mine", "2")
    before, after = onnx.load(model), onnx.load(out)
    assert after.graph == before.graph
    assert [path.name for path in out.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("content", "actions", "expected"),
    [
        (graph(), None, "the columns of its output have no names; name them in that order, such as --actions"),
        (graph(), ("BUY", "SELL"), "--actions BUY,SELL: HOLD, BUY, SELL are needed, each once"),
        (
            graph(metadata=NOT_RECURRENT),
            ACTIONS,
            "has metadata of its own, which defines its actions; edit that",
        ),
    ],
)
def test_invalid_file_or_actions_are_refused_with_the_reason(
    content: bytes, actions: tuple[str, ...] | None, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportRefused) as refused:
        label(write(tmp_path, content, "plain.onnx"), tmp_path / "model.onnx", actions)
    assert expected in str(refused.value)
    assert not (tmp_path / "model.onnx").exists()


def test_labels_that_contradict_the_actions_are_refused(tmp_path: Path) -> None:
    model = write(tmp_path, classifier((-1, 0, 1)), "plain.onnx")
    with pytest.raises(ModelRefused, match="which are SELL,HOLD,BUY; correct the metadata"):
        label(model, tmp_path / "model.onnx", ("HOLD", "BUY", "SELL"))
    assert [path.name for path in tmp_path.iterdir()] == ["plain.onnx"]


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    model = write(tmp_path, graph(), "plain.onnx")
    with pytest.raises(ExportRefused, match="exists already and is not overwritten"):
        label(model, model, ACTIONS)
