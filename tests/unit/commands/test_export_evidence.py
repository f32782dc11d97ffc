"""`tradingsignals export`: options that contradict the zip, recorded observations or statistics are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.trained import OBSERVED, SMALL, Market, refusal, trained, vec_env


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
