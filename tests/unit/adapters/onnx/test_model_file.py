"""Valid model files and their specifications."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
    refusal,
    write,
)

from tradingsignals_server.adapters.onnx.declared_features import DeclaredFeatures
from tradingsignals_server.adapters.onnx.metadata import Metadata, OutputKind, read_metadata
from tradingsignals_server.adapters.onnx.model_file import load_model
from tradingsignals_server.domain.features import M5_V1
from tradingsignals_server.domain.recurrent_state import ResetRule
from tradingsignals_server.domain.signals import Action


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
    assert (model.features.specification, model.features.names) == ("m5-v1", M5_V1.names)
    assert (model.features.lookback_bars, model.interval) == (100, timedelta(minutes=5))
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


FORMAT_1 = {
    key: text for key, text in NOT_RECURRENT.to_properties().items() if not key.endswith(("interval", "frame_stack"))
} | {"tradingsignals.format": "1"}


def test_file_of_format_1_is_read_as_before(tmp_path: Path) -> None:
    model = load_model(write(tmp_path, graph(metadata=FORMAT_1))).specification
    assert model.features == load_model(write(tmp_path, graph(metadata=NOT_RECURRENT))).specification.features
    assert (model.interval, model.features.stack) == (timedelta(minutes=5), 1)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"feature_specification": "m5-v9"}, "'m5-v9' and this service computes m5-v1; train it on those, or run"),
        ({"feature_names": ""}, "lacks the metadata tradingsignals.feature_names"),
        (
            {"normalisation": '{"kind": "standard", "mean": [0], "scale": [1]}'},
            "whose kind is none or in_graph is needed",
        ),
    ],
)
def test_file_of_format_1_has_nothing_of_format_2(changed: dict[str, str], expected: str, tmp_path: Path) -> None:
    metadata = FORMAT_1 | {f"tradingsignals.{key}": text for key, text in changed.items()}
    assert expected in refusal(tmp_path, graph(metadata=metadata))


FORMAT_2 = NOT_RECURRENT.to_properties()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"interval": "7m"}, "has tradingsignals.interval='7m'; it must be one of 1m, 5m"),
        ({"interval": "1d", "recurrent_reset": "session"}, "bars of a day, each of which is a session of its own"),
        ({"frame_stack": "0"}, "has tradingsignals.frame_stack='0'; a whole number from 1 to 256 is needed"),
        ({"lookback_bars": "many"}, "has tradingsignals.lookback_bars='many'; a whole number from 1 to 5000"),
        ({"state": '["h", "hn"]'}, "a list of pairs of an input and an output is needed"),
        ({"state": '[["h", "hn"]]'}, "has no input h, which its state names; its inputs are observation"),
        (
            {"feature_specification": "mine", "features": '["rsi(1400)"]'},
            "has a feature that cannot be computed: rsi has",
        ),
        ({"feature_specification": "mine", "features": "[]"}, "has 0 names in tradingsignals.features; 1 to 4096"),
        (
            {"feature_specification": "mine", "features": '["rsi(14)"]', "lookback_bars": "9"},
            "has rsi(14), which needs 15 bars, and a lookback of 9; stamp it with the features that it was trained on",
        ),
        ({"feature_specification": "mine", "features": '["rsi"]', "feature_limit": "-1"}, "a number above 0 or none"),
        ({"normalisation": '{"kind": "standard", "mean": [0], "scale": [1]}'}, "does not have 16 numbers as mean"),
        (
            {"normalisation": json.dumps({"kind": "standard", "mean": [0] * 16, "scale": [0] * 16})},
            "has a scale of 0 in tradingsignals.normalisation",
        ),
        (
            {"normalisation": json.dumps({"kind": "standard", "mean": [0] * 16, "variance": [0] * 16})},
            "has a mean or a scale is not finite, or a scale is not above 0 in tradingsignals.normalisation",
        ),
        (
            {"output_tensor": "q"},
            "has no output q, which tradingsignals.output_tensor=q requires; its outputs are prob",
        ),
    ],
)
def test_invalid_entry_of_format_2_is_refused(changed: dict[str, str], expected: str, tmp_path: Path) -> None:
    metadata = FORMAT_2 | {f"tradingsignals.{key}": text for key, text in changed.items()}
    assert expected in refusal(tmp_path, graph(metadata=metadata))


def test_metadata_survives_writing_and_reading() -> None:
    metadata = Metadata(
        "mine",
        "3",
        "GRU",
        OutputKind.ACTION_VALUES,
        ResetRule.SESSION,
        actions=(Action.SELL, Action.SELL, Action.BUY),
        features=DeclaredFeatures("catalogue", ("rsi(14)", "return(3)"), ("rsi(14)", "return(3)"), 60, 4, None),
        interval=timedelta(hours=1),
        state=(("h", "hn"),),
        output_tensor="q",
    )
    assert read_metadata(metadata.to_properties()) == metadata
    assert read_metadata(NOT_RECURRENT.to_properties()) == NOT_RECURRENT
