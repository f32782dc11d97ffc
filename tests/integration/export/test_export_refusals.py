"""`tradingsignals export`: unsupported policies are refused with one line, and no code in a zip is run."""

from __future__ import annotations

import base64
import importlib.util
import pickle
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.trained import (
    SMALL,
    Make,
    edited,
    export,
    gymnasium,
    refusal,
    sb3_contrib,
    torch,
    trained,
)

from tradingsignals_server.adapters.onnx.errors import ExportRefused
from tradingsignals_server.commands.actions import parse_actions
from tradingsignals_server.commands.export_options import parse_range
from tradingsignals_server.domain.recurrent_state import ResetRule


def poisoned(folder: Path) -> Path:
    """Save a policy with a weight that is NaN, and return its path."""
    path = trained(folder, SMALL).zip
    model = sb3_contrib.RecurrentPPO.load(path, device="cpu")
    with torch.no_grad():
        model.policy.action_net.weight[1, 2] = float("nan")
    model.save(path)
    return path


def written(content: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / "policy.zip"
        path.write_bytes(content)
        return path

    return make


def cut(folder: Path) -> Path:
    path = trained(folder, SMALL).zip
    path.write_bytes(path.read_bytes()[:-1000])
    return path


def pickled(entry: Any) -> str:
    return base64.b64encode(pickle.dumps(entry)).decode()


def serialized_class(module: str, name: str) -> dict[str, str]:
    """Return an entry of the data whose pickle names a class."""
    return {":type:": "?", ":serialized:": base64.b64encode(f"c{module}\n{name}\n.".encode()).decode()}


NOT_POLICIES: dict[str, tuple[Make, str]] = {
    "no zip": (written(b"hello"), "is not a zip that model.save() of stable-baselines3 wrote"),
    "cut short": (cut, "is not a zip that model.save() of stable-baselines3 wrote"),
    "not there": (lambda folder: folder / "policy.zip", "cannot be read (No such file or directory)"),
    "class of another library": (
        edited(lambda data: data.update(policy_kwargs=serialized_class("fractions", "Fraction"))),
        "has policy_kwargs with fractions.Fraction, which is not loaded; if it is a class of your own, add --trust",
    ),
    "NaN among the weights": (
        poisoned,
        "action_net.weight contains numbers that are not finite; the training has",
    ),
    "weights of another size": (
        edited(lambda data: data.update(policy_kwargs={**SMALL, "lstm_hidden_size": 9})),
        "its weights do not fit its policy_kwargs (",
    ),
    "arguments of another kind": (
        edited(lambda data: data.update(policy_kwargs={":type:": "?", ":serialized:": pickled([1])})),
        "its policy_kwargs are no arguments by name; save it again",
    ),
    "no spaces": (
        edited(lambda data: data.pop("action_space")),
        "has no action_space, so it is not a zip of",
    ),
    "data of another kind": (
        edited(lambda data: data.clear()),
        "has no observation_space, so it is not a zip of",
    ),
    "observations of another size": (
        edited(lambda data: data.update(_last_obs={":type:": "?", ":serialized:": pickled(np.zeros((1, 12)))})),
        "stores observations without 16 numbers each; save it again",
    ),
}


@pytest.mark.parametrize(("make", "expected"), NOT_POLICIES.values(), ids=NOT_POLICIES.keys())
def test_file_that_cannot_be_exported_is_refused_with_the_reason(make: Make, expected: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    reason = refusal(path)
    assert reason.startswith(f"{path}: ")
    assert expected in reason


class Trap:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("key", ["policy_class", "observation_space", "action_space", "policy_kwargs"])
def test_zip_cannot_run_code(key: str, tmp_path: Path) -> None:
    created = tmp_path / "created"
    pickled = base64.b64encode(pickle.dumps(Trap(created))).decode()
    path = edited(lambda data: data[key].update({":serialized:": pickled}))(tmp_path)
    assert "pathlib" in refusal(path)
    assert not created.exists()


def test_pickles_that_the_network_does_not_need_are_not_loaded(tmp_path: Path) -> None:
    created = tmp_path / "created"
    pickled = base64.b64encode(pickle.dumps(Trap(created))).decode()
    path = edited(lambda data: data.update(lr_schedule={":type:": "?", ":serialized:": pickled}))(tmp_path)
    export(path, tmp_path / "model.onnx")
    assert not created.exists()


def test_statistics_cannot_run_code(tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL)
    created = tmp_path / "created"
    source.statistics.write_bytes(pickle.dumps(Trap(created)))
    reason = refusal(source.zip, vecnormalize=source.statistics)
    assert "which the statistics of VecNormalize do not; it is not loaded" in reason
    assert not created.exists()


def test_net_arch_of_older_versions_is_accepted(tmp_path: Path) -> None:
    architecture = [{"pi": [6], "vf": [6]}]
    path = edited(lambda data: data.update(policy_kwargs={**SMALL, "net_arch": architecture}))(tmp_path)
    assert export(path, tmp_path / "model.onnx").parity.holds


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"hello", "is not a file that VecNormalize.save() wrote"),
        (b"", "is not a file that VecNormalize.save() wrote"),
        (pickle.dumps({"mean": 0.0}), "contains a dict and not the statistics of VecNormalize"),
    ],
)
def test_refuses_other_statistics(content: bytes, expected: str, tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL)
    source.statistics.write_bytes(content)
    assert expected in refusal(source.zip, vecnormalize=source.statistics)
    source.statistics.unlink()
    assert "cannot be read (No such file or directory)" in refusal(source.zip, vecnormalize=source.statistics)


def test_refuses_statistics_of_other_observations(tmp_path: Path) -> None:
    (tmp_path / "twelve").mkdir()
    space = gymnasium.spaces.Box(-1.0, 1.0, (12,), np.float32)
    twelve = trained(tmp_path / "twelve", SMALL, observation_space=space)
    source = trained(tmp_path, SMALL)
    reason = refusal(source.zip, vecnormalize=twelve.statistics)
    assert "normalises observations of shape (12,); (16,) is needed" in reason


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"reset": ResetRule.NONE},
            "--reset none: session or never is needed; a policy without a state has no reset anyway",
        ),
        ({"trust": ("mine",)}, "--trust mine: a class such as mymodule:MyExtractor is needed"),
        (
            {"actions_taken": Path("taken.npy")},
            "--actions-taken taken.npy: add --observations FILE, the observations that it belongs to",
        ),
    ],
)
def test_refuses_invalid_options(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "policy.zip", **options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"features": None, "actions": None},
            "does not define its 16 observations and its 3 actions; if they are those of models/README.md, add "
            "--features m5-v1 --actions HOLD,BUY,SELL, or name others of `tradingsignals features` in their order, or "
            "`bars`",
        ),
        (
            {"features": None},
            "does not define its 16 observations; if they are those of models/README.md, add --features m5-v1, or "
            "name others of `tradingsignals features` in their order, or `bars`",
        ),
        (
            {"actions": None},
            "policy.zip: does not define its actions 0 to 2; name them in that order, such as --actions HOLD,BUY,SELL",
        ),
        ({"actions": ("BUY", "SELL", "WAIT")}, "--actions BUY,SELL,WAIT: WAIT is none of HOLD, BUY, SELL"),
        (
            {"actions": ("BUY", "SELL")},
            "--actions BUY,SELL: 2 are named and the policy has 3; name each in the order of its number, such as "
            "--actions HOLD,BUY,SELL: two may be the same",
        ),
        ({"actions": ("HOLD", "HOLD", "HOLD")}, "--actions HOLD,HOLD,HOLD: none buys or sells"),
    ],
    ids=["neither", "features", "actions", "unknown action", "two actions", "no trade"],
)
def test_missing_features_and_actions_are_required(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert refusal(trained(tmp_path, SMALL).zip, **options).endswith(expected)


def test_unknown_features_are_refused(tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL)
    assert "--features m5-v9: " in refusal(source.zip, features="m5-v9")
    assert "did you mean rsi(14)?" in refusal(source.zip, features="rsii(14)")
    assert "rsi(14), which needs" in refusal(source.zip, features=", ".join(["rsi(14)"] * 16), lookback=3)


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "tradingsignals_server.commands.export.find_spec", lambda name: None if name == "torch" else find(name)
    )
    assert refusal(tmp_path / "policy.zip") == (
        "to export takes torch, which serving does not: `make setup-train` installs it, as does the extra `train` of "
        "this package"
    )


def test_refuses_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL)
    with pytest.raises(ExportRefused, match=r"model\.onnx: cannot be written \((Not a directory|File exists)\)"):
        export(source.zip, source.zip / "model.onnx")


def test_parse_range_accepts_dates_and_times() -> None:
    assert parse_range("2021-01-04..2022-12-30") == (
        datetime(2021, 1, 4, tzinfo=UTC),
        datetime(2022, 12, 30, tzinfo=UTC),
    )
    bogota = timezone(timedelta(hours=-5))
    assert parse_range("2021-01-04T08:00:00-05:00..2022-12-30T17:55:00Z") == (
        datetime(2021, 1, 4, 8, tzinfo=bogota),
        datetime(2022, 12, 30, 17, 55, tzinfo=UTC),
    )
    for wrong in ("", "2021", "2021-01-04", "2021-01-04..", "2021-01-04..2022-13-01", "a..b", "2021-01-04..x..y"):
        with pytest.raises(ExportRefused, match=r"a range such as 2021-01-04\.\.2022-12-30 is needed"):
            parse_range(wrong)
    with pytest.raises(ExportRefused, match="ends before it begins"):
        parse_range("2022-01-04..2021-01-04")


def test_parse_actions_ignores_case() -> None:
    assert parse_actions("sell, hold,BUY") == ("SELL", "HOLD", "BUY")
