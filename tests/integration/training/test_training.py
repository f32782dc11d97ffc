"""Training; these tests need the extra `train`."""
# ruff: noqa: E402 - modules of the extra are imported after the check that it is installed

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from models.training.history import History
from models.training.outcomes import Outcomes
from models.training.recipe import LEAST_ACTING, Recipe, Variant, rules_for
from models.training.split import Months, Split

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.bars import Bar

torch = pytest.importorskip("torch", reason="training needs the extra train")
sb3_contrib = pytest.importorskip("sb3_contrib", reason="training needs the extra train")

from models.training import card, command, trial
from models.training.environment import SessionEnvironment
from models.training.episode import ACTIONS, Episode
from models.training.imitation import Hindsight, imitate_hindsight, logits_of, preferred, seek_profit
from models.training.runs import RunFailed, run_all, runs_of
from models.training.train import Candidate, Course, run
from models.training.trial import policy_probabilities
from tests.support.builders import simulated_bars
from tests.support.histories import simulated_market

from tradingsignals_server.commands import arrays, parity
from tradingsignals_server.commands.export import ExportOptions, export

RULES = rules_for("USDCOP")
TINY = Variant(
    "tiny",
    hidden_size=8,
    head_size=8,
    imitation_epochs=3,
    profit_epochs=1,
    least_side=0.2,
    timesteps=960,
    environments=4,
    minibatch=120,
)


@pytest.fixture(scope="session")
def market() -> History:
    """See simulated_market."""
    return simulated_market()


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
    split = Split(sessions[:7], sessions[7:10], sessions[10:12], sessions[12:])
    return Course(history, split, Outcomes.of(history, split.training, RULES), RULES)


def new_policy(course: Course) -> Any:
    torch.manual_seed(3)
    return sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy",
        SessionEnvironment(course.history, course.split.training, RULES),
        policy_kwargs={"lstm_hidden_size": 8, "net_arch": {"pi": [8], "vf": [8]}},
        device="cpu",
    ).policy


def hindsight_of(course: Course, outcomes: Outcomes) -> Hindsight:
    return Hindsight.of(course.history.observations, outcomes, course.split.training)


def weights_after(course: Course, outcomes: Outcomes) -> dict[str, npt.NDArray[np.float32]]:
    policy = new_policy(course)
    hindsight = hindsight_of(course, outcomes)
    imitate_hindsight(policy, hindsight, TINY, 1)
    seek_profit(policy, hindsight, TINY, 1)
    return {name: values.numpy() for name, values in policy.state_dict().items()}


def test_rewards_do_not_depend_on_the_volatility_of_the_symbol(course: Course) -> None:
    quiet = replace(course.outcomes, net_pct=course.outcomes.net_pct / 16.0)
    lively, same = weights_after(course, course.outcomes), weights_after(course, quiet)
    assert all(np.allclose(lively[name], same[name], atol=1e-5) for name in lively)


@pytest.mark.parametrize("least_side", [0.0, 0.1])
def test_seeking_profit_takes_each_side_on_its_fraction_of_the_bars(course: Course, least_side: float) -> None:
    """Where no side is profitable a policy holds, but on the bars on which it is to take one, and is sure of both."""
    eager = replace(TINY, profit_epochs=60, imitation_rate=1e-2, least_side=least_side)
    policy, found = new_policy(course), hindsight_of(course, course.outcomes)
    hindsight = replace(found, worth=torch.tensor([0.0, -0.2, -0.3]).expand_as(found.worth))
    seek_profit(policy, hindsight, eager, 1)
    with torch.no_grad():
        probabilities = torch.softmax(logits_of(policy, hindsight.observations), dim=-1)[hindsight.known > 0.0]
    hold, buy, sell = (probabilities >= 0.65).double().mean(dim=0).tolist()
    assert buy == pytest.approx(least_side, abs=0.04)
    assert sell == pytest.approx(least_side, abs=0.04)
    assert hold > 0.95 - 2.0 * least_side


def test_preferred_bars_are_those_of_the_highest_probability() -> None:
    probabilities = torch.tensor([[[0.5, 0.4, 0.1], [0.1, 0.8, 0.1]], [[0.2, 0.1, 0.7], [0.0, 0.5, 0.5]]])
    known = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    marks = preferred(probabilities, known, 0.3)
    assert marks[..., 0].sum() == 0.0
    assert (marks[..., 1] * known).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert (marks[..., 2] * known).tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert preferred(probabilities, known, 0.0).sum() == 0.0


def euro(folder: Path) -> Path:
    """Write a file of EURUSD bars over a year and a half, and return its path."""
    rows = ["time,symbol,open,high,low,close,volume"]
    for bar in (bar for half in range(4) for bar in shifted(half)):
        prices = ",".join(f"{price / 3600.0:.6f}" for price in (bar.open, bar.high, bar.low, bar.close))
        rows.append(f"{bar.time.isoformat()},EURUSD,{prices},0")
    path = folder / "eurusd.csv"
    path.write_text("\n".join(rows))
    return path


def shifted(halves: int) -> list[Bar]:
    return [replace(bar, time=bar.time + timedelta(weeks=26 * halves)) for bar in simulated_bars(12)]


def test_training_writes_new_versions_and_overwrites_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "STEPS", {1: 20, 3: 10})
    monkeypatch.setattr(trial, "COINS", 3)
    monkeypatch.setattr(arrays, "LEAST_OBSERVATIONS", 100)
    acted = [0.5]
    monkeypatch.setattr(command, "chosen_of", lambda candidates: replace(candidates[-1], acted=acted[-1]))
    recipe = tmp_path / "short.toml"
    short = replace(TINY, imitation_epochs=1, timesteps=240)
    recipe.write_text(Recipe((short,), seeds=(1,), months=Months(6, 6, 6)).text())
    options = ["--data", str(euro(tmp_path)), "--models", str(tmp_path / "models"), "--work", str(tmp_path / "work")]
    options += ["--recipe", str(recipe), "--spread", "0.5pip", "--jobs", "1"]

    def trained(*more: str) -> Result:
        return CliRunner().invoke(command.main, [*options, *more])

    first_run = trained("--tried", "4")
    assert first_run.exit_code == 0, first_run.output
    folder = tmp_path / "models" / "ppo-lstm-eurusd"
    first = {path.name: path.read_bytes() for path in (folder / "1.0.0").iterdir()}
    assert sorted(first) == ["MODEL_CARD.md", "model.onnx", "recipe.toml", "training.json"]
    policy = OnnxPolicy(folder / "1.0.0" / "model.onnx")
    assert policy.specification.name == "ppo-lstm-eurusd"
    assert policy.description.win_calibration is not None
    assert len(policy.description.distributions) == 16
    written = Recipe.read(folder / "1.0.0" / "recipe.toml")
    assert (written.spread, written.tried, written.seeds) == ("0.5pip", 4, (1,))
    assert b"spread 0.00005, commission 0" in first["MODEL_CARD.md"]
    again = CliRunner().invoke(card.main, [str(folder / "1.0.0"), "--data", str(tmp_path / "eurusd.csv")])
    assert again.exit_code == 0, again.output
    assert (folder / "1.0.0" / "MODEL_CARD.md").read_bytes() == first["MODEL_CARD.md"]

    refused = trained("--version", "1.0.0")
    assert refused.exit_code == 1
    assert "1.0.0: is there already and is not written over; name another version with --version" in refused.output
    assert trained().exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["1.0.0", "1.1.0"]

    acted.append(LEAST_ACTING / 2.0)
    none_acts = trained()
    assert "no policy acts on 2% of the bars at a confidence of 0.65 and a spread of 0.00005" in none_acts.output
    assert sorted(path.name for path in folder.iterdir()) == ["1.0.0", "1.1.0"]


@pytest.mark.slow
def test_processes_give_the_candidates_of_one_process(course: Course, tmp_path: Path) -> None:
    short = replace(TINY, imitation_epochs=1, timesteps=240)
    runs = runs_of(Recipe((short,), seeds=(1, 2)))
    alone, seen = run_all(course, runs, tmp_path / "alone", 1, lambda _: None), list[Candidate]()
    assert run_all(course, runs, tmp_path / "beside", 2, seen.append) == alone
    assert sorted(map(str, seen)) == sorted(map(str, alone))
    (tmp_path / "a file").touch()
    with pytest.raises(RunFailed, match="tiny, seed 1: its process ended with 1"):
        run_all(course, runs[:1], tmp_path / "a file", 2, seen.append)


def test_cold_start_has_one_seed() -> None:
    cold = replace(TINY, name="cold", imitation_epochs=0, profit_epochs=0)
    assert [str(one) for one in runs_of(Recipe((TINY, cold), seeds=(3, 4)))] == [
        "tiny, seed 3",
        "tiny, seed 4",
        "cold, seed 3",
    ]


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
