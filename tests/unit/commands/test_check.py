"""`tradingsignals check`: the description of a valid model file, and the refusal of an invalid one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.calibrations import CALIBRATION
from tests.support.onnx_models import (
    NOT_RECURRENT,
    RECURRENT,
    THREE,
    classifier,
    graph,
    policy_file,
    random_weights,
    write,
)

from tradingsignals_server.adapters.onnx.declared_features import DeclaredFeatures
from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.metadata import KIND_NONE, OutputKind
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.cli.main import main
from tradingsignals_server.commands.check import check
from tradingsignals_server.domain.recurrent_state import ResetRule
from tradingsignals_server.domain.signals import Action


def described(path: Path) -> dict[str, str]:
    """Return the rows of the description, by their titles."""
    first, *rows = check(path).splitlines()
    assert first == f"{path}: will serve"
    return {row[2:15].strip(): row[15:] for row in rows}


def test_check_describes_a_recurrent_policy(tmp_path: Path) -> None:
    span = ["2023-01-02T13:00:00Z", "2023-06-30T17:55:00Z"]
    metadata = replace(
        RECURRENT,
        name="usdcop",
        version="2024.1",
        normalisation=json.dumps({"kind": "in_graph", "mean": [0.0] * 16, "variance": [1.0] * 16, "clip": 10.0}),
        calibration=json.dumps({"kind": "temperature", "temperature": 1.25, "range": span}),
        training_range=(datetime(2021, 1, 4, 13, tzinfo=UTC), datetime(2022, 12, 30, 17, 55, tzinfo=UTC)),
        git_revision="0123abc",
        seed="7",
    )
    rows = described(policy_file(tmp_path, random_weights(layers=2, size=16), metadata))
    assert len(rows.pop("sha256")) == 64
    assert rows == {
        "model": "usdcop 2024.1 (PPO-LSTM)",
        "features": "m5-v1: 16, of the last 100 bars",
        "interval": "bars of 5m",
        "normalised": "in the graph, by the mean and variance of training, clipped at 10.0",
        "outputs": "probabilities of HOLD, BUY, SELL",
        "calibrated": "by temperature 1.25, fitted to 2023-01-02T13:00:00Z to 2023-06-30T17:55:00Z",
        "state": "2 layers of 16, reset at each session's first bar",
        "batches": "of up to 256 symbols, bit-identical to single inferences",
        "opset": "17",
        "trained on": "2021-01-04T13:00:00Z to 2022-12-30T17:55:00Z",
        "seed": "7",
        "git revision": "0123abc",
    }


def test_check_describes_the_calibration_of_the_win_probability(tmp_path: Path) -> None:
    metadata = replace(RECURRENT, calibration=json.dumps(CALIBRATION.entry()))
    path = policy_file(tmp_path, random_weights(), metadata)
    assert described(path)["calibrated"] == (
        "win probability, of 199 cases (160 BUY, 39 SELL) from 2023-07-04T13:00:00Z to 2023-12-29T18:00:00Z"
    )
    assert OnnxPolicy(path).description.win_calibration == CALIBRATION


def test_check_omits_absent_metadata(tmp_path: Path) -> None:
    rows = described(
        policy_file(tmp_path, random_weights(), replace(RECURRENT, reset=ResetRule.NEVER, calibration=KIND_NONE))
    )
    assert rows["state"] == "1 layer of 8, never reset"
    assert (rows["normalised"], rows["calibrated"]) == ("no", "no")
    assert not rows.keys() & {"trained on", "seed", "git revision"}


def test_check_describes_a_plain_file(tmp_path: Path) -> None:
    rows = described(write(tmp_path, graph("float[1,16] observation", "float[1,3] probabilities"), "lucky.onnx"))
    assert rows["model"] == "onnx lucky (onnx)"
    assert rows["state"] == "none: each decision depends on its own observation only"
    assert rows["batches"] == "none: one inference for each symbol"


def test_check_refuses_an_invalid_file_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"not a model")
    with pytest.raises(ModelRefused) as refused:
        check(path)
    assert str(refused.value) == f"{path}: is not an ONNX file; name one that `tradingsignals export` made"


def test_check_prints_the_command_that_stamps(tmp_path: Path) -> None:
    path = write(tmp_path, classifier((0, 1, 2)), "plain.onnx")
    result = CliRunner().invoke(main, ["check", str(path)])
    assert result.exit_code == 1
    assert "has the class labels '0, 1, 2'" in result.output
    command = f"tradingsignals stamp {path} --out {tmp_path}/plain-stamped.onnx --features FEATURES_OF_16"
    assert f"To stamp it: {command} --actions 3_OF_HOLD_BUY_SELL --interval INTERVAL\n" in result.output


def test_check_says_what_a_greedy_model_of_other_features_is(tmp_path: Path) -> None:
    metadata = replace(
        NOT_RECURRENT,
        output=OutputKind.ACTION_VALUES,
        actions=(Action.SELL, Action.BUY, Action.BUY),
        features=DeclaredFeatures("catalogue", ("rsi(14)", "return(3)") * 8, ("rsi(14)", "return(3)") * 8, 60),
        interval=timedelta(hours=1),
        normalisation=json.dumps({"kind": "standard", "mean": [0.0] * 16, "scale": [1.0] * 16}),
    )
    body = THREE + "action_values = Identity (three)"
    rows = described(write(tmp_path, graph(outputs="float[batch,3] action_values", body=body, metadata=metadata)))
    assert rows["features"].startswith("catalogue: 16 (rsi(14), return(3), ")
    assert rows["features"].endswith("), of the last 60 bars")
    assert rows["interval"] == "bars of 1h"
    assert rows["outputs"] == "action_values of SELL, BUY, BUY; its choice has confidence 1"
    assert rows["normalised"] == "by the service, by the mean and scale of training"


@pytest.mark.parametrize("reset", ResetRule)
def test_check_shows_decisions_on_bars(tmp_path: Path, reset: ResetRule) -> None:
    rows = ["time,symbol,open,high,low,close,volume"]
    begin = datetime(2024, 3, 4, tzinfo=UTC)
    for number in range(150):
        price = 100.0 + number % 7
        rows.append(
            f"{begin + timedelta(hours=number):%Y-%m-%dT%H:%MZ},BTCUSDT,{price},{price + 1},{price - 1},{price},5"
        )
    bars = tmp_path / "bars.csv"
    bars.write_text("\n".join(rows))
    metadata = replace(RECURRENT, interval=timedelta(hours=1), reset=reset)
    recurrent = reset is not ResetRule.NONE
    model = (
        policy_file(tmp_path, random_weights(), metadata) if recurrent else write(tmp_path, graph(metadata=metadata))
    )
    result = CliRunner().invoke(main, ["check", str(model), "--bars", str(bars)])
    assert result.exit_code == 0, result.output
    shown = result.output[result.output.index("on the newest") :].splitlines()
    assert shown[0].startswith(f"on the newest 150 bars of BTCUSDT in {bars}: ")
    assert sum(int(part.split()[0]) for part in shown[0].rsplit(": ", 1)[1].split(", ")) > 50
    assert len(shown) == 4
    assert shown[-1].startswith("  2024-03-10 06:00 UTC at 102: ")
    assert ", probabilities HOLD 0." in shown[-1]
