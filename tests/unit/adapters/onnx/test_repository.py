"""Lookup of model files by path, and the errors for paths without a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.onnx_models import RECURRENT, policy_file, random_weights

from tradingsignals_server.adapters.onnx.repository import (
    fingerprint,
    load_newest,
    newest_model,
    shipped_models,
    versions,
)
from tradingsignals_server.domain.errors import ModelNotLoaded


def empty_models(folder: Path, *versions: str) -> Path:
    """Create an empty model file for each version, and return `folder`."""
    for version in versions:
        file = folder / version / "model.onnx"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    return folder


def test_newest_model_of_a_file_is_the_file(tmp_path: Path) -> None:
    file = empty_models(tmp_path, "1") / "1" / "model.onnx"
    assert newest_model(file) == file
    assert versions(file) == []
    assert newest_model(tmp_path / "1") == file
    assert versions(tmp_path / "1") == []


@pytest.mark.parametrize(
    "in_order",
    [
        ("1", "2", "10"),
        ("0.9.0", "0.10.0", "1.0.0"),
        ("1.0.0-rc1", "1.0.0-rc2", "1.0.0-rc10", "1.0.0", "1.0.0.1"),
        ("2024-11-30", "2024-12-01", "2025-01-01"),
        ("v1", "v2", "v11"),
    ],
)
def test_newest_version_is_selected(tmp_path: Path, in_order: tuple[str, ...]) -> None:
    empty_models(tmp_path, *reversed(in_order))
    assert newest_model(tmp_path) == tmp_path / in_order[-1] / "model.onnx"
    assert versions(tmp_path) == list(in_order)


def test_folder_of_one_model_with_its_versions_is_accepted(tmp_path: Path) -> None:
    empty_models(tmp_path, "usdcop/1", "usdcop/2")
    assert newest_model(tmp_path) == tmp_path / "usdcop/2/model.onnx"
    assert versions(tmp_path) == ["1", "2"]


def test_folder_of_two_models_is_refused(tmp_path: Path) -> None:
    empty_models(tmp_path, "usdcop/1", "eurcop/2")
    with pytest.raises(ModelNotLoaded, match=r"contains 2 models \(eurcop, usdcop\); name the folder of one"):
        newest_model(tmp_path)
    assert versions(tmp_path) == []


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotLoaded, match=r"contains no <version>/model\.onnx"):
        newest_model(tmp_path)


@pytest.mark.parametrize("setting", ["MODEL_PATH", "SHADOW_MODEL_PATH"])
def test_error_names_the_setting_and_the_path_in_one_line(tmp_path: Path, setting: str) -> None:
    for path in (tmp_path / "none.onnx", tmp_path, empty_models(tmp_path / "a", "1")):
        with pytest.raises(ModelNotLoaded) as caught:
            load_newest(path, setting)
        assert caught.value.message.startswith(f"{setting}: {path}")
        assert "\n" not in caught.value.message


def test_load_newest_loads_the_newest_version(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        policy_file(tmp_path / version, random_weights(), RECURRENT)
    assert load_newest(tmp_path, "MODEL_PATH").description.file_sha256


def test_fingerprint_changes_with_the_newest_file(tmp_path: Path) -> None:
    assert fingerprint(tmp_path) is None
    fingerprints = {fingerprint(empty_models(tmp_path, "1"))}
    fingerprints.add(fingerprint(empty_models(tmp_path, "2")))
    file = tmp_path / "2" / "model.onnx"
    file.write_bytes(b"longer")
    fingerprints.add(fingerprint(tmp_path))
    os.utime(file, ns=(1, 1))
    fingerprints.add(fingerprint(tmp_path))
    assert len(fingerprints) == 4
    empty_models(tmp_path, "0.5")
    assert fingerprint(tmp_path) in fingerprints, "an older version beside it changes nothing"


def test_shipped_model_loads() -> None:
    folder = shipped_models()
    assert folder is not None
    described = load_newest(folder, "MODEL_PATH").description
    assert (described.type, described.layers > 0, described.reset) == ("PPO-LSTM", True, "session")
    assert described.training_range is not None


def test_hidden_folder_is_ignored(tmp_path: Path) -> None:
    empty_models(tmp_path, "1")
    empty_models(tmp_path, ".2.part")
    assert versions(tmp_path) == ["1"]
    assert newest_model(tmp_path) == tmp_path / "1" / "model.onnx"
