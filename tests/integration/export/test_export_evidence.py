"""`tradingsignals export`: options that contradict the zip, recorded observations or statistics are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.trained import (
    OBSERVED,
    SMALL,
    Market,
    Trained,
    export,
    gymnasium,
    refusal,
    sb3,
    sb3_contrib,
    trained,
    vec_env,
)


def test_missing_statistics_of_vecnormalize_are_refused(tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL, steps=32)
    assert refusal(source.zip) == (
        f"{source.zip}: was trained behind VecNormalize, for it stores an original observation beside the normalised "
        "one; give its statistics with --vecnormalize FILE, which VecNormalize.save() writes"
    )


def test_statistics_without_vecnormalize_in_training_are_refused(tmp_path: Path) -> None:
    statistics = trained(tmp_path, SMALL).statistics
    plain = trained(tmp_path, SMALL, steps=32, normalised=False)
    assert refusal(plain.zip, vecnormalize=statistics) == (
        f"{plain.zip}: was not trained behind VecNormalize, so omit --vecnormalize"
    )


class OwnMarket(Market):
    """A market with sixteen other features, which have the same shape as those of the service."""

    def observed(self) -> Any:
        """Return sixteen numbers near zero, as after a normalisation outside the graph."""
        return self.np_random.normal(size=16).astype(np.float32)


def test_policy_with_other_observations_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.trained.Market", OwnMarket)
    source = trained(tmp_path, SMALL, steps=32, normalised=False)
    assert "policy.zip: was not recorded from the features m5-v1: it has " in refusal(source.zip)


def changed(place: int, value: float) -> Any:
    rows = OBSERVED[:20].copy()
    rows[7, place] = value
    return rows


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (
            changed(4, 71.0),
            "was not recorded from the features m5-v1: it has 71 as feature 4, where rsi lies within -1 and 1",
        ),
        (changed(0, 4012.5), "it has 4012.5 as feature 0, where return_1 lies within -10 and 10"),
        (changed(15, float("nan")), "it has nan as feature 15"),
        (changed(7, 3.0), "feature 7 is not feature 5 less feature 6, as macd_histogram is"),
        (OBSERVED[:, :12], "raw observations of shape (n, 16) are needed, as floats"),
    ],
    ids=["RSI of 71", "a price", "NaN", "another seventh", "twelve"],
)
def test_refuses_observations_of_other_features(recorded: Any, expected: str, tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL)
    np.save(tmp_path / "recorded.npy", recorded)
    assert expected in refusal(source.zip, observations=tmp_path / "recorded.npy")


def test_refuses_a_file_without_observations(tmp_path: Path) -> None:
    source = trained(tmp_path, SMALL)
    (tmp_path / "recorded.npy").write_bytes(b"hello")
    assert "is not a file that numpy.save wrote" in refusal(source.zip, observations=tmp_path / "recorded.npy")


@pytest.mark.parametrize(
    ("attribute", "place", "value", "expected"),
    [
        ("mean", 0, 4012.5, "a mean of 4012.5 of feature 0, where return_1 lies within -10 and 10 in m5-v1"),
        ("var", 15, 1.0, "a variance of 1 of feature 15, where that of session_progress is at most"),
        ("var", 1, 1e6, "a variance of 1e+06 of feature 1, where that of return_3 is at most"),
        ("mean", 12, 2.0, "a mean of 2 of ema_spread, where that of ema_50_gap less ema_20_gap is"),
    ],
)
def test_refuses_statistics_that_are_impossible_for_the_features(
    attribute: str, place: int, value: float, expected: str, tmp_path: Path
) -> None:
    source = trained(tmp_path, SMALL)
    statistics = vec_env.VecNormalize.load(str(source.statistics), vec_env.DummyVecEnv([Market]))
    getattr(statistics.obs_rms, attribute)[place] = value
    statistics.save(source.statistics)
    reason = refusal(source.zip, vecnormalize=source.statistics)
    assert f"{source.statistics}: are not statistics of the features m5-v1: {expected}" in reason


def recorded_run(folder: Path, **kind: Any) -> tuple[Trained, Any, Any]:
    """Train a policy and run it over recorded observations; return its files, the actions and the episode starts."""
    source = trained(folder, steps=32, normalised=False, **kind)
    model = kind["algorithm"].load(source.zip, device="cpu")
    starts = np.zeros(60, np.bool_)
    starts[[0, 25]] = True
    state, actions = None, []
    for row, start in zip(OBSERVED[:60], starts, strict=True):
        action, state = model.predict(row[np.newaxis], state, np.array([start]), deterministic=True)
        actions.append(action[0])
    for name, rows in (("seen", OBSERVED[:60]), ("taken", np.array(actions)), ("starts", starts)):
        np.save(folder / f"{name}.npy", rows)
    return source, np.array(actions), starts


RECURRENT = {"algorithm": sb3_contrib.RecurrentPPO, "policy_kwargs": SMALL}
DQN = {"algorithm": sb3.DQN, "policy": "MlpPolicy", "policy_kwargs": {"net_arch": [8]}}
BRANCHES = {
    "algorithm": sb3.PPO,
    "policy": "MlpPolicy",
    "policy_kwargs": {"net_arch": [8]},
    "action_space": gymnasium.spaces.MultiDiscrete([2, 3]),
}


@pytest.mark.parametrize("kind", [RECURRENT, DQN, BRANCHES], ids=["recurrent", "DQN", "branches"])
def test_actions_of_the_trained_policy_are_confirmed(kind: dict[str, Any], tmp_path: Path) -> None:
    source, actions, _ = recorded_run(tmp_path, **kind)
    options = {
        "observations": tmp_path / "seen.npy",
        "actions_taken": tmp_path / "taken.npy",
        "episode_starts": tmp_path / "starts.npy",
        "branch": 1 if actions.ndim == 2 else None,
    }
    made = export(source.zip, tmp_path / "model.onnx", **options)
    assert made.confirmed == 60
    assert "60 recorded actions are those of the policy" in made.report()
    taken = actions[:, 1] if actions.ndim == 2 else actions
    other = np.where(taken == 2, 0, taken + 1)
    np.save(tmp_path / "taken.npy", np.stack([other, other], axis=1) if actions.ndim == 2 else other)
    reason = refusal(source.zip, **options)
    assert "decides otherwise than recorded at 60 of 60 observations, first at row 0: " in reason


def test_recordings_of_another_length_are_refused(tmp_path: Path) -> None:
    source, actions, _ = recorded_run(tmp_path, **RECURRENT)
    options = {"observations": tmp_path / "seen.npy", "actions_taken": tmp_path / "taken.npy"}
    np.save(tmp_path / "taken.npy", np.concatenate([actions, actions]))
    assert "taken.npy: has 120 actions for 60 observations" in refusal(source.zip, **options)
    np.save(tmp_path / "taken.npy", actions.astype(np.float32))
    assert "taken.npy: whole numbers of shape (n, 1) are needed" in refusal(source.zip, **options)
    np.save(tmp_path / "taken.npy", actions)
    np.save(tmp_path / "starts.npy", np.ones(59, np.bool_))
    reason = refusal(source.zip, episode_starts=tmp_path / "starts.npy", **options)
    assert "starts.npy: true or false for each of the 60 observations is needed" in reason
