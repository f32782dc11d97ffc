"""Training; these tests need the extra `train`."""
# ruff: noqa: E402 - modules of the extra are imported after the check that it is installed

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from models.training.history import History
from models.training.outcomes import Outcomes
from models.training.recipe import RECIPES, rules_for
from models.training.split import Split

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.bars import Bar

torch = pytest.importorskip("torch", reason="training needs the extra train")
sb3_contrib = pytest.importorskip("sb3_contrib", reason="training needs the extra train")

from models.training import card, command, train
from models.training.card import policy_probabilities
from models.training.environment import SessionEnvironment
from models.training.episode import ACTIONS, Episode
from models.training.imitation import imitate_hindsight
from models.training.train import Candidate, Course, run
from tests.support.builders import simulated_bars

from tradingsignals_server.commands import parity
from tradingsignals_server.commands.export import ExportOptions, export

RULES = rules_for("USDCOP")
TINY = replace(
    RECIPES[0],
    hidden_size=8,
    head_size=8,
    imitation_epochs=3,
    timesteps=960,
    environments=4,
    minibatch=120,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, as `python -m models.training` does: more threads only add overhead for so small a network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def course() -> Course:
    history = History.of(simulated_bars(19))
    sessions = history.sessions
    split = Split(sessions[:7], sessions[7:10], sessions[10:])
    return Course(history, split, Outcomes.of(history, split.training + split.validation, RULES), RULES)


def weights_after(course: Course, outcomes: Outcomes) -> dict[str, npt.NDArray[np.float32]]:
    torch.manual_seed(3)
    policy = sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy",
        SessionEnvironment(course.history, course.split.training, RULES),
        policy_kwargs={"lstm_hidden_size": 8, "net_arch": {"pi": [8], "vf": [8]}},
        device="cpu",
    ).policy
    imitate_hindsight(policy, course.history.observations, outcomes, course.split.training, recipe=TINY, seed=1)
    return {name: values.numpy() for name, values in policy.state_dict().items()}


def test_rewards_do_not_depend_on_the_volatility_of_the_symbol(course: Course) -> None:
    quiet = replace(course.outcomes, net_pct=course.outcomes.net_pct / 16.0)
    lively, same = weights_after(course, course.outcomes), weights_after(course, quiet)
    assert all(np.allclose(lively[name], same[name], atol=1e-5) for name in lively)


def euro(folder: Path) -> Path:
    """Write a file of EURUSD bars over three years, and return its path."""
    rows = ["time,symbol,open,high,low,close,volume"]
    for bar in (bar for year in range(3) for bar in shifted(year)):
        prices = ",".join(f"{price / 3600.0:.6f}" for price in (bar.open, bar.high, bar.low, bar.close))
        rows.append(f"{bar.time.isoformat()},EURUSD,{prices},0")
    path = folder / "eurusd.csv"
    path.write_text("\n".join(rows))
    return path


def shifted(years: int) -> list[Bar]:
    return [replace(bar, time=bar.time + timedelta(weeks=52 * years)) for bar in simulated_bars(12)]


def test_training_writes_new_versions_and_overwrites_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "RECIPES", (replace(TINY, imitation_epochs=1, timesteps=240),))
    monkeypatch.setattr(parity, "STEPS", {1: 20, 3: 10})
    monkeypatch.setattr(train, "fit_temperature", lambda *_: 1.0)
    monkeypatch.setattr(card, "COINS", 3)
    options = ["--data", str(euro(tmp_path)), "--models", str(tmp_path / "models"), "--work", str(tmp_path / "work")]
    options += ["--seeds", "1", "--spread", "0.5pip"]

    def trained(*more: str) -> Result:
        return CliRunner().invoke(command.main, [*options, *more])

    assert trained().exit_code == 0
    folder = tmp_path / "models" / "ppo-lstm-eurusd"
    first = {path.name: path.read_bytes() for path in (folder / "1.0.0").iterdir()}
    assert sorted(first) == ["MODEL_CARD.md", "model.onnx", "training.json"]
    assert OnnxPolicy(folder / "1.0.0" / "model.onnx").specification.name == "ppo-lstm-eurusd"
    record = json.loads(first["training.json"])
    assert (record["spread"], record["fills"]) == ("0.00005", "target")
    assert b"spread 0.00005, commission 0" in first["MODEL_CARD.md"]

    refused = trained("--version", "1.0.0")
    assert refused.exit_code == 1
    assert "1.0.0: is there already and is not written over; name another version with --version" in refused.output
    assert trained().exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["1.0.0", "1.1.0"]
    assert {path.name: path.read_bytes() for path in (folder / "1.0.0").iterdir()} == first

    monkeypatch.setattr(train, "fit_temperature", lambda *_: None)
    none_acts = trained()
    assert "no policy acts on 2% of the bars without claiming too much, at a spread of 0.00005" in none_acts.output
    assert sorted(path.name for path in folder.iterdir()) == ["1.0.0", "1.1.0"]


def test_environment_runs_episodes(market: History) -> None:
    environment = SessionEnvironment(market, market.sessions[1:], RULES)
    session = market.sessions[3]
    observation, _ = environment.reset(seed=1, options={"session": session})
    episode = Episode(market, session, RULES)
    over = False
    for number in range(len(session)):
        assert not over
        assert observation.tobytes() == market.observations[session.first + number].tobytes()
        assert environment.observation_space.contains(observation)
        action = number % 3
        observation, reward, over, truncated, _ = environment.step(np.int64(action))
        assert reward == episode.step(ACTIONS[action])
        assert not truncated
    assert over


def test_seed_determines_the_order_of_sessions(market: History) -> None:
    def drawn(seed: int) -> list[bytes]:
        environment = SessionEnvironment(market, market.sessions[1:], RULES)
        first = environment.reset(seed=seed)[0]
        return [first.tobytes(), *(environment.reset()[0].tobytes() for _ in range(9))]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 3


def test_seed_determines_the_policy_and_its_export(course: Course, tmp_path: Path) -> None:
    candidates_by_run: list[list[Candidate]] = [[], [], []]
    files = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        candidates = run(course, TINY, seed, folder, candidates_by_run[number].append)
        assert candidates == candidates_by_run[number]
        assert [c.timesteps for c in candidates] == [0, 960]
        exported = export(
            folder / "policy.zip",
            folder / "model.onnx",
            ExportOptions(features="m5-v1", actions=ACTIONS, vecnormalize=folder / "vecnormalize.pkl"),
        )
        files.append(policy_probabilities(OnnxPolicy(exported.path), course.history, course.split.test))
    assert candidates_by_run[0] == candidates_by_run[1] != candidates_by_run[2]
    assert files[0].tobytes() == files[1].tobytes() != files[2].tobytes()
