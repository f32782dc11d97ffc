"""Versions of a training: atomic creation beside existing ones, which are never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from models.training import release
from models.training.recipe import rules_for

from tradingsignals_server.adapters.onnx.repository import versions
from tradingsignals_server.domain.costs import Charge


def shelf(model: Path, *names: str) -> Path:
    for name in names:
        (model / name).mkdir(parents=True)
        (model / name / "model.onnx").write_bytes(name.encode())
    return model


@pytest.mark.parametrize(
    ("there", "expected"),
    [((), "1.0.0"), (("1.0.0",), "1.1.0"), (("1.0.0", "1.9.3", "1.10.0"), "1.11.0"), (("mine", "2.0.0"), "2.1.0")],
)
def test_next_version_is_new(there: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    model = shelf(tmp_path / "usdcop", *there)
    assert release.folder_for(model, None) == model / expected


def test_existing_version_is_refused_before_training(tmp_path: Path) -> None:
    model = shelf(tmp_path / "usdcop", "1.0.0")
    with pytest.raises(release.Refused) as refused:
        release.folder_for(model, "1.0.0")
    assert str(refused.value) == (
        f"{model / '1.0.0'}: is there already and is not written over; name another version with --version"
    )
    for impossible in ("../1.1.0", "", ".hidden"):
        with pytest.raises(release.Refused, match=r"the name of a folder is needed, such as 1\.0\.0"):
            release.folder_for(model, impossible)


def test_version_is_written_atomically(tmp_path: Path) -> None:
    model = shelf(tmp_path / "usdcop", "1.0.0")
    with release.new_version(model / "1.1.0") as written:
        (written / "model.onnx").write_bytes(b"new")
        assert versions(model) == ["1.0.0"]
    assert versions(model) == ["1.0.0", "1.1.0"]
    with pytest.raises(ZeroDivisionError), release.new_version(model / "1.2.0") as written:
        (written / "model.onnx").write_bytes(bytes(1 // 0))
    assert sorted(path.name for path in model.iterdir()) == ["1.0.0", "1.1.0"]


def test_version_created_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    model = shelf(tmp_path / "usdcop", "1.0.0")
    with pytest.raises(release.Refused, match="is there already"), release.new_version(model / "1.1.0"):
        shelf(model, "1.1.0")
    assert (model / "1.1.0" / "model.onnx").read_bytes() == b"1.1.0"
    assert sorted(path.name for path in model.iterdir()) == ["1.0.0", "1.1.0"]


def test_model_is_named_after_its_symbol() -> None:
    assert [release.name_for(symbol) for symbol in ("USDCOP", "BTC/USDT")] == ["ppo-lstm-usdcop", "ppo-lstm-btcusdt"]


@pytest.mark.parametrize(
    ("symbol", "spread", "expected"),
    [
        ("USDCOP", "USDCOP=1.0,*=2bp", Charge(1.0)),
        ("EURUSD", "USDCOP=1.0,*=2bp", Charge(2.0, in_bp=True)),
        ("EURUSD", "0.5pip", Charge(0.00005)),
        ("EURUSD", "2bp", Charge(2.0, in_bp=True)),
        ("EURUSD", "0.0001", Charge(0.0001)),
    ],
)
def test_spread_is_that_of_the_trained_symbol(symbol: str, spread: str, expected: Charge) -> None:
    assert rules_for(symbol, spread).spread.of(symbol) == expected


def test_invalid_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a number, in price, or one with bp or pip"):
        rules_for("EURUSD", "cheap")
