"""Training itself; needs the extra `train`."""
# ruff: noqa: E402 - what needs the extra is imported once it is known to be there

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models.training.history import History
from models.training.outcomes import Outcomes
from models.training.recipe import RECIPES, RULES
from models.training.split import Split

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy

torch = pytest.importorskip("torch", reason="training needs the extra train")
pytest.importorskip("sb3_contrib", reason="training needs the extra train")

from models.training.card import answers
from models.training.environment import SessionEnvironment
from models.training.episode import ACTIONS, Episode
from models.training.train import Candidate, Course, run

from tradingsignals_server.commands.export import export

from .conftest import simulated_bars

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
    """As `python -m models.training` does: so small a network gains nothing from more, and waits for them."""
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


def test_the_environment_plays_episodes(market: History) -> None:
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


def test_sessions_are_drawn_by_the_seed(market: History) -> None:
    def drawn(seed: int) -> list[bytes]:
        environment = SessionEnvironment(market, market.sessions[1:], RULES)
        first = environment.reset(seed=seed)[0]
        return [first.tobytes(), *(environment.reset()[0].tobytes() for _ in range(9))]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 3


def test_a_seed_gives_the_same_policy_again_and_its_export_says_the_same(course: Course, tmp_path: Path) -> None:
    heard: list[list[Candidate]] = [[], [], []]
    files = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        candidates = run(course, TINY, seed, folder, heard[number].append)
        assert candidates == heard[number]
        assert [c.timesteps for c in candidates] == [0, 960]
        exported = export(
            folder / "policy.zip",
            folder / "model.onnx",
            features="m5-v1",
            actions=ACTIONS,
            vecnormalize=folder / "vecnormalize.pkl",
        )
        files.append(answers(OnnxPolicy(exported.path), course.history, course.split.test))
    assert heard[0] == heard[1] != heard[2]
    assert files[0].tobytes() == files[1].tobytes() != files[2].tobytes()
