"""Valid model files and their specifications."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.onnx_models import (
    NOT_RECURRENT,
    PROBABILITIES,
    RECURRENT,
    THREE,
    graph,
    policy_file,
    random_weights,
    recurrent_graph,
    write,
)

from tradingsignals_server.adapters.onnx.metadata import Metadata, OutputKind
from tradingsignals_server.adapters.onnx.model_file import load_model
from tradingsignals_server.domain.features import M5_V1
from tradingsignals_server.domain.recurrent_state import ResetRule


def test_specification_contains_the_metadata_and_the_shapes(tmp_path: Path) -> None:
    metadata = Metadata(
        "usdcop",
        "2024.1",
        "PPO-LSTM",
        OutputKind.PROBABILITIES,
        ResetRule.NEVER,
        calibration='{"kind": "temperature", "temperature": 1.5, "range": ["2023-01-02T13:00Z", "2023-06-30T13:00Z"]}',
        training_range=(datetime(2021, 1, 4, 13, tzinfo=UTC), datetime(2022, 12, 30, 17, 55, tzinfo=UTC)),
        git_revision="0123abc",
        seed="7",
    )
    path = policy_file(tmp_path, random_weights(layers=2, size=12), metadata)
    model = load_model(path).specification
    assert (model.name, model.version, model.type) == ("usdcop", "2024.1", "PPO-LSTM")
    assert (model.feature_specification, model.feature_names) == ("m5-v1", M5_V1.names)
    assert model.lookback_bars == 100
    assert model.actions == ("HOLD", "BUY", "SELL")
    assert (model.output, model.reset) == (OutputKind.PROBABILITIES, ResetRule.NEVER)
    assert (model.recurrent, model.layers, model.hidden_size) == (True, 2, 12)
    assert json.loads(model.normalisation) == {"kind": "none"}
    assert json.loads(model.calibration)["temperature"] == 1.5
    assert model.training_range == metadata.training_range
    assert (model.git_revision, model.seed) == ("0123abc", "7")
    assert [(tensor.name, tensor.shape) for tensor in model.inputs] == [
        ("observation", (-1, 16)),
        ("hidden", (-1, 2, 12)),
        ("cell", (-1, 2, 12)),
    ]
    assert [tensor.name for tensor in model.outputs] == ["probabilities", "hidden_next", "cell_next"]
    assert (model.open_batch, model.opset) == (True, 17)
    assert model.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_plain_file_follows_the_seed_contract(tmp_path: Path) -> None:
    body = THREE.replace("observation", "x") + "y = Softmax <axis = -1> (three)"
    path = write(tmp_path, graph("float[batch,16] x", "float[batch,3] y", body), "lucky.onnx")
    model = load_model(path).specification
    assert (model.name, model.version, model.type) == ("onnx", "lucky", "onnx")
    assert (model.recurrent, model.reset) == (False, ResetRule.NONE)
    assert [tensor.name for tensor in (*model.inputs, *model.outputs)] == ["x", "y"]


def test_plain_model_onnx_is_named_after_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "lucky" / "2024.1"
    folder.mkdir(parents=True)
    model = load_model(write(folder, graph())).specification
    assert (model.name, model.version) == ("lucky", "2024.1")


@pytest.mark.parametrize(
    "content",
    [
        graph(metadata=NOT_RECURRENT),
        graph("float[1,16] observation", "float[1,3] probabilities", metadata=NOT_RECURRENT),
        graph(
            outputs="float[batch,3] logits",
            body=THREE + "logits = Identity (three)",
            metadata=replace(NOT_RECURRENT, output=OutputKind.LOGITS),
        ),
        graph(outputs=f"{PROBABILITIES}, float[batch,13] rest", metadata=NOT_RECURRENT),
        graph(outputs="float[batch,n] probabilities"),
        graph(opset=21, ir_version=10),
        graph(metadata={"author": "somebody"}),
        graph(metadata={"tradingsignals.actions": '["SELL", "HOLD", "BUY"]'}),
        recurrent_graph(metadata={**RECURRENT.to_properties(), "tradingsignals.actions": '["SELL", "HOLD", "BUY"]'}),
        recurrent_graph(metadata={**RECURRENT.to_properties(), "tradingsignals.novelty": "of a later writer"}),
    ],
    ids=[
        "memoryless",
        "one at a time",
        "logits",
        "output more",
        "open axis",
        "opset 21",
        "other metadata",
        "plain with actions",
        "other order",
        "new key",
    ],
)
def test_accepts_valid_files(content: bytes, tmp_path: Path) -> None:
    load_model(write(tmp_path, content))
