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
    SIXTEEN,
    SMALL,
    Make,
    edited,
    export,
    gymnasium,
    refusal,
    sb3,
    sb3_contrib,
    torch,
    trained,
)

from tradingsignals_server.adapters.onnx.errors import ExportRefused
from tradingsignals_server.commands.actions import parse_actions
from tradingsignals_server.commands.export import parse_range
from tradingsignals_server.domain.recurrent_state import ResetRule


def saved(policy_kwargs: dict[str, Any] | None = None, **options: Any) -> Make:
    return lambda folder: trained(folder, {**SMALL, **(policy_kwargs or {})}, **options).zip


def other(algorithm: Any, policy: str = "MlpPolicy") -> Make:
    return lambda folder: trained(folder, policy=policy, algorithm=algorithm).zip


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


PIXELS = gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)
NOT_POLICIES: dict[str, tuple[Make, str]] = {
    "no zip": (written(b"hello"), "is not a zip that model.save() of sb3-contrib's RecurrentPPO wrote"),
    "cut short": (cut, "is not a zip that model.save() of sb3-contrib's RecurrentPPO wrote"),
    "not there": (lambda folder: folder / "policy.zip", "cannot be read (No such file or directory)"),
    "PPO": (
        other(sb3.PPO),
        "has the policy class stable_baselines3.common.policies.ActorCriticPolicy; "
        "RecurrentPPO with MlpLstmPolicy can be exported",
    ),
    "A2C": (other(sb3.A2C), "; RecurrentPPO with MlpLstmPolicy can be exported"),
    "DQN": (other(sb3.DQN), "has the policy class stable_baselines3.dqn.policies.DQNPolicy; RecurrentPPO"),
    "CNN": (
        saved({"net_arch": []}, policy="CnnLstmPolicy", observation_space=PIXELS),
        "has the policy class sb3_contrib.common.recurrent.policies.RecurrentActorCriticCnnPolicy; RecurrentPPO",
    ),
    "Dict of observations": (
        saved(policy="MultiInputLstmPolicy", observation_space=gymnasium.spaces.Dict({"bars": SIXTEEN})),
        "RecurrentMultiInputActorCriticPolicy; RecurrentPPO with MlpLstmPolicy can be exported",
    ),
    "other observations": (
        saved(observation_space=gymnasium.spaces.Box(-1.0, 1.0, (12,), np.float32)),
        "observes a Box of shape (12,); a Box of 16 numbers, the features of m5-v1, is needed",
    ),
    "discrete observations": (
        saved(observation_space=gymnasium.spaces.Discrete(16)),
        "observes Discrete(16); a Box of 16 numbers, the features of m5-v1, is needed",
    ),
    "continuous actions": (
        saved(action_space=gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)),
        "acts in a Box of shape (3,); Discrete(3) is needed: HOLD, BUY, SELL",
    ),
    "two actions": (saved(action_space=gymnasium.spaces.Discrete(2)), "acts in Discrete(2); Discrete(3) is needed"),
    "several actions at once": (
        saved(action_space=gymnasium.spaces.MultiDiscrete([3, 3])),
        "has actions in gymnasium.spaces.multi_discrete.MultiDiscrete; Discrete(3) is needed",
    ),
    "unknown activation": (
        saved({"activation_fn": torch.nn.Hardshrink}),
        "has policy_kwargs with torch.nn.modules.activation.Hardshrink; an MLP with one of ELU, GELU,",
    ),
    "LSTM batch first": (
        saved({"lstm_kwargs": {"batch_first": True}}),
        "has lstm_kwargs with batch_first, which cannot be exported; train it without",
    ),
    "NaN among the weights": (
        poisoned,
        "action_net.weight contains numbers that are not finite; the training has",
    ),
    "weights of another size": (
        edited(lambda data: data.update(policy_kwargs={**SMALL, "lstm_hidden_size": 9})),
        "its weights do not fit its policy_kwargs (",
    ),
    "no spaces": (
        edited(lambda data: data.pop("action_space")),
        "has no action_space, so it is not a zip of",
    ),
    "data of another kind": (
        edited(lambda data: data.clear()),
        "has no policy_class, so it is not a zip of",
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
        ({"temperature": 0.0}, "--temperature 0.0: a number above 0 is needed"),
        ({"temperature": float("nan")}, "--temperature nan: a number above 0 is needed"),
        ({"temperature": float("inf")}, "--temperature inf: a number above 0 is needed"),
        ({"actions": ("BUY", "SELL")}, "--actions BUY,SELL: HOLD, BUY, SELL are needed, each once"),
        ({"actions": ("BUY", "BUY", "SELL")}, "--actions BUY,BUY,SELL: HOLD, BUY, SELL are needed, each once"),
        ({"reset": ResetRule.NONE}, "--reset none: a RecurrentPPO policy has a state; session or never is needed"),
    ],
)
def test_refuses_invalid_options(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "policy.zip", **options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"features": None, "actions": None},
            "does not define its 16 observations and its 3 actions; if they are the features of models/README.md"
            ", and in the order of its actions, add --features m5-v1 --actions HOLD,BUY,SELL",
        ),
        (
            {"features": None},
            "does not define its 16 observations; if they are the features of models/README.md, add --features m5-v1",
        ),
        (
            {"actions": None},
            "policy.zip: does not define its actions 0, 1 and 2; name them in that order, such as --actions "
            "HOLD,BUY,SELL",
        ),
        ({"features": "m5-v9"}, "--features m5-v9: this service computes m5-v1; train it on those"),
    ],
    ids=["neither", "features", "actions", "other features"],
)
def test_missing_features_and_actions_are_required(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "policy.zip", **options).endswith(expected)


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
