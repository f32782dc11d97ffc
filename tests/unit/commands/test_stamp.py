"""`tradingsignals stamp`: the metadata that is written, what is asked for, and what stays as it was."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from tests.support.foreign_files import external, linear, recurrent, torch_net
from tests.support.onnx_models import GOOD, classifier, graph, write

from tradingsignals_server.adapters.onnx import model_file, rewriting
from tradingsignals_server.adapters.onnx.errors import ExportRefused, ModelRefused
from tradingsignals_server.adapters.onnx.metadata import OutputKind
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.cli.main import main
from tradingsignals_server.commands.stamp import StampOptions, stamp, stamp_command
from tradingsignals_server.domain.drift import population_stability_index
from tradingsignals_server.domain.recurrent_state import ResetRule

ACTIONS = ("SELL", "HOLD", "BUY")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load files in this process only: test_confinement.py tests the other one."""
    monkeypatch.setattr(model_file, "require_bounded", lambda _: None)


def options(**changed: Any) -> StampOptions:
    """Return options for a plain file of m5-v1."""
    return StampOptions(**{"features": "m5-v1", "actions": ACTIONS, **changed})


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    """Write a model and return its path."""
    return write(folder, model.SerializeToString(), "plain.onnx")


def test_metadata_is_written_and_the_graph_stays(tmp_path: Path) -> None:
    model = write(tmp_path, classifier((0, 1, 2)), "plain.onnx")
    out = tmp_path / "mine" / "2" / "model.onnx"
    report = stamp(model, out, options())
    assert report.startswith(f"{out}: will serve")
    assert "  model        mine 2 (onnx)\n" in report
    assert "probabilities of SELL, HOLD, BUY\n" in report
    specification = OnnxPolicy(out).specification
    assert (specification.actions, specification.name, specification.version) == (ACTIONS, "mine", "2")
    assert onnx.load(out).graph == onnx.load(model).graph
    assert [path.name for path in out.parent.iterdir()] == ["model.onnx"]


def test_stamped_file_can_be_stamped_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    stamp(write(tmp_path, graph(), "plain.onnx"), first, options(interval="1h", type="PPO"))
    stamp(first, second, StampOptions(version="7"))
    before, after = OnnxPolicy(first).specification, OnnxPolicy(second).specification
    assert (after.version, after.type, after.interval, after.actions) == ("7", "PPO", before.interval, before.actions)
    assert len(onnx.load(second).metadata_props) == len(onnx.load(first).metadata_props)


def test_other_metadata_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    stamp(write(tmp_path, graph(metadata={"author": "somebody"}), "plain.onnx"), out, options())
    assert "somebody" in {entry.value for entry in onnx.load(out).metadata_props}


def test_missing_options_are_asked_for_with_the_command(tmp_path: Path) -> None:
    model, out = saved(tmp_path, recurrent("GRU", ["h0"], ["hn"])), tmp_path / "out.onnx"
    with pytest.raises(ExportRefused) as refused:
        stamp(model, out, StampOptions(features="rsi(14),return(3)"))
    first, command = str(refused.value).splitlines()
    assert first == f"{model}: does not say what --actions, --interval, --reset would; as far as it is known:"
    assert command.strip() == (
        f"tradingsignals stamp {model} --out {out} --features 'rsi(14),return(3)' --actions 3_OF_HOLD_BUY_SELL "
        "--interval INTERVAL --reset SESSION_OR_NEVER"
    )
    assert not out.exists()


def test_command_has_the_actions_that_class_labels_identify(tmp_path: Path) -> None:
    path = saved(tmp_path, linear((-1, 0, 1), mapped=True))
    assert stamp_command(path) == (
        f"tradingsignals stamp {path} --out {tmp_path}/plain-stamped.onnx --features FEATURES_OF_16 "
        "--actions SELL,HOLD,BUY --interval INTERVAL"
    )
    assert stamp_command(write(tmp_path, b"text", "text.onnx")) is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"features": "rsi(14),rs(3)"}, "no feature is named rs"),
        ({"features": "@absent.txt"}, "absent.txt: cannot be read (No such file or directory)"),
        ({"features": "bars", "interval": "5m"}, "--lookback is needed, the number of bars that the graph takes"),
        ({"interval": "7m"}, "--interval 7m: one of 1m, 5m, 15m, 30m, 1h, 4h, 1d is needed"),
        ({"state": "h0"}, "--state h0: pairs INPUT:OUTPUT are needed, separated by commas"),
        ({"actions": ("HOLD", "LONG")}, "has an action 'LONG'; the actions are HOLD, BUY, SELL"),
        ({"version": "two\nlines"}, "up to 64 characters on one line are needed"),
        ({"output": OutputKind.ACTION}, "has no output action, which tradingsignals.output=action requires"),
        ({"reset": ResetRule.SESSION}, "has tradingsignals.recurrent_reset=session and no state"),
    ],
)
def test_wrong_options_are_refused(changed: dict[str, Any], expected: str, tmp_path: Path) -> None:
    model, out = write(tmp_path, graph(), "plain.onnx"), tmp_path / "out.onnx"
    with pytest.raises((ExportRefused, ModelRefused)) as refused:
        stamp(model, out, options(**changed))
    assert expected in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["plain.onnx"]


def test_labels_that_contradict_the_actions_are_refused(tmp_path: Path) -> None:
    model = write(tmp_path, classifier((-1, 0, 1)), "plain.onnx")
    with pytest.raises(ModelRefused, match="which are SELL,HOLD,BUY; correct the metadata"):
        stamp(model, tmp_path / "out.onnx", options(actions=("HOLD", "BUY", "SELL")))
    assert [path.name for path in tmp_path.iterdir()] == ["plain.onnx"]


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    model = write(tmp_path, GOOD, "plain.onnx")
    with pytest.raises(ExportRefused, match="exists already and is not overwritten"):
        stamp(model, model, options())
    assert model.read_bytes() == GOOD


def test_features_are_read_from_a_file(tmp_path: Path) -> None:
    features = tmp_path / "features.txt"
    features.write_text("# mine\nrsi( 14 )\n\nreturn(3)\nema_gap\n")
    model = saved(tmp_path, torch_net(("batch", 3), size=3))
    out = tmp_path / "out.onnx"
    stamp(model, out, options(features=f"@{features}", interval="15m", lookback=50))
    found = OnnxPolicy(out).specification.features
    assert (found.expressions, found.lookback_bars) == (("rsi(14)", "return(3)", "ema_gap(20)"), 50)


def test_service_scales_by_the_statistics_of_a_file(tmp_path: Path) -> None:
    statistics = tmp_path / "statistics.json"
    statistics.write_text(json.dumps({"mean": [0.5] * 16, "variance": [4.0] * 16, "epsilon": 0, "clip": 1.5}))
    model, out = write(tmp_path, graph(), "plain.onnx"), tmp_path / "out.onnx"
    stamp(model, out, options(normalisation=statistics))
    assert json.loads(OnnxPolicy(out).specification.normalisation)["kind"] == "standard"
    statistics.write_text(json.dumps({"mean": [0.5] * 3}))
    with pytest.raises(ExportRefused, match=r"does not have 16 numbers as mean .* an object such as"):
        stamp(model, tmp_path / "other.onnx", options(normalisation=statistics))


def test_distributions_of_the_training_are_as_the_policy_got_them(tmp_path: Path) -> None:
    statistics, recorded = tmp_path / "statistics.json", tmp_path / "observations.npy"
    statistics.write_text(json.dumps({"mean": [0.5] * 16, "scale": [2.0] * 16}))
    rows = np.random.default_rng(2).normal(size=(2000, 16)).astype(np.float32)
    np.save(recorded, rows)
    model, out = write(tmp_path, graph(), "plain.onnx"), tmp_path / "out.onnx"
    report = stamp(model, out, options(normalisation=statistics, observations=recorded))
    assert "  drift        of its features against their training" in report
    found = OnnxPolicy(out).description.distributions
    assert len(found) == 16
    assert all(population_stability_index(one, (rows[:, at] - 0.5) / 2.0) < 1e-3 for at, one in enumerate(found))
    stamp(out, tmp_path / "named.onnx", StampOptions(version="8"))
    assert OnnxPolicy(tmp_path / "named.onnx").description.distributions == found
    stamp(out, tmp_path / "plainer.onnx", StampOptions(normalisation=statistics))
    assert not OnnxPolicy(tmp_path / "plainer.onnx").description.distributions, "they may be of other numbers"


def test_too_few_observations_are_no_distribution(tmp_path: Path) -> None:
    recorded = tmp_path / "observations.npy"
    np.save(recorded, np.zeros((999, 16), np.float32))
    with pytest.raises(ExportRefused, match=r"999 observations of m5-v1; at least 1000 of features other than raw"):
        stamp(write(tmp_path, graph(), "plain.onnx"), tmp_path / "out.onnx", options(observations=recorded))


# ---------------------------------------------------------------------------------------------------- external data


def test_external_weights_are_folded_in(tmp_path: Path) -> None:
    external(tmp_path, torch_net())
    out = tmp_path / "elsewhere" / "out.onnx"
    stamp(tmp_path / "model.onnx", out, options())
    folded = onnx.load(out, load_external_data=False)
    assert {tensor.data_location for tensor in folded.graph.initializer} == {onnx.TensorProto.DEFAULT}
    assert [tensor.raw_data for tensor in folded.graph.initializer] == [
        tensor.raw_data for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer
    ]


def changed_location(folder: Path, **changed: str) -> Path:
    """Write a model whose weights are described otherwise, and return its path."""
    external(folder, torch_net())
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = changed.get(entry.key, entry.value)
    return write(folder, model.SerializeToString())


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"location": "/etc/passwd"}, "read only from the folder of the model"),
        ({"location": "../model.onnx.data"}, "read only from the folder of the model"),
        ({"location": ""}, "read only from the folder of the model"),
        ({"location": "absent"}, "which cannot be read (No such file or directory); copy it there"),
        ({"location": "link"}, "which is not a file of the folder of the model"),
        ({"location": "pipe"}, "which is not a file of the folder of the model"),
        ({"offset": "99999999"}, "of its weights in 'model.onnx.data', which has"),
        ({"length": "-1"}, "has length '-1' in its external data; copy or export it again"),
    ],
)
def test_weights_of_other_places_are_not_read(changed: dict[str, str], expected: str, tmp_path: Path) -> None:
    import os  # noqa: PLC0415 - for a pipe only

    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    with pytest.raises(ModelRefused) as refused:
        stamp(changed_location(folder, **changed), tmp_path / "out.onnx", options())
    assert expected in str(refused.value)


def test_external_weights_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    external(tmp_path, torch_net())
    monkeypatch.setattr(rewriting, "MAX_EXTERNAL_BYTES", 100)
    with pytest.raises(ModelRefused, match="keeps more than 0 MiB in other files"):
        stamp(tmp_path / "model.onnx", tmp_path / "out.onnx", options())


# --------------------------------------------------------------------------------------------------- the command line


def test_command_line_stamps(tmp_path: Path) -> None:
    model, out = saved(tmp_path, recurrent("LSTM", ["a", "b"], ["c", "d"])), tmp_path / "out.onnx"
    command = (
        f"stamp {model} --out {out} --features m5-v1 --actions hold,buy,sell --state a:c,b:d --reset never "
        "--name lstm --version 3 --type LSTM"
    )
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output
    assert "lstm 3 (LSTM)" in result.output
    assert OnnxPolicy(out).specification.reset is ResetRule.NEVER


def test_export_of_an_onnx_file_stamps_it(tmp_path: Path) -> None:
    model, out = write(tmp_path, classifier((0, 1, 2)), "plain.onnx"), tmp_path / "mine" / "2" / "model.onnx"
    result = CliRunner().invoke(main, ["export", str(model), "--out", str(out), "--actions", "SELL,HOLD,BUY"])
    assert result.exit_code == 0, result.output
    specification = OnnxPolicy(out).specification
    assert (specification.name, specification.version, specification.actions) == ("mine", "2", ACTIONS)
