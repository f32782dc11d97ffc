"""One training run: imitation of hindsight, then RecurrentPPO, with regular evaluation on the validation range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from tradingsignals_server.domain.risk import RiskRules

from .calibration import Choices, fit_temperature, softmax
from .environment import SessionEnvironment
from .evaluation import served, trade
from .history import History, Session
from .imitation import imitate_hindsight, logits_of, side_by_side
from .outcomes import Outcomes
from .recipe import STEPS, Recipe
from .split import Split

CHECK_EVERY = 5
"""Rollouts between evaluations on the validation range."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy at some point of its training, and its calibrated results on the validation range.

    temperature is None if there is none at which the policy acts on enough bars (calibration.fit_temperature); the
    results are then of the uncalibrated policy. mean_pct, standard_error: net profit and loss of a session, in percent.
    """

    recipe: str
    seed: int
    timesteps: int
    temperature: float | None
    acted: float
    trades: int
    mean_pct: float
    standard_error: float

    @property
    def score(self) -> float:
        """The criterion of selection: the mean less its standard error, so that a few lucky trades are not enough."""
        return -np.inf if self.temperature is None else self.mean_pct - self.standard_error


@dataclass(frozen=True, slots=True)
class Course:
    """Data and rules of every run."""

    history: History
    split: Split
    outcomes: Outcomes
    rules: RiskRules


def run(
    course: Course, recipe: Recipe, seed: int, folder: Path, report: Callable[[Candidate], None]
) -> list[Candidate]:
    """Train one policy, and call `report` with each candidate.

    The best candidate that PPO has trained is in `folder`: policy.zip and vecnormalize.pkl. Returns all candidates, the
    one before PPO (timesteps 0) first. The same arguments give the same weights, on the same machine and packages.
    """
    environment = _environment(course, recipe, seed)
    ppo = RecurrentPPO(
        "MlpLstmPolicy",
        environment,
        n_steps=STEPS,
        batch_size=recipe.minibatch,
        n_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        gamma=recipe.gamma,
        gae_lambda=recipe.gae_lambda,
        ent_coef=recipe.entropy,
        seed=seed,
        device="cpu",
        policy_kwargs={
            "lstm_hidden_size": recipe.hidden_size,
            "n_lstm_layers": 1,
            "net_arch": {"pi": [recipe.head_size], "vf": [recipe.head_size]},
        },
    )
    normalised = environment.normalize_obs(course.history.observations).astype(np.float32)
    imitate_hindsight(ppo.policy, normalised, course.outcomes, course.split.training, recipe=recipe, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    environment.save(str(folder / "vecnormalize.pkl"))
    candidates = list[Candidate]()

    def evaluate() -> None:
        candidate = evaluate_candidate(course, ppo, normalised, recipe, seed)
        trained = [earlier.score for earlier in candidates if earlier.timesteps]
        if candidate.timesteps and (not trained or candidate.score > max(trained)):
            ppo.save(folder / "policy.zip")
        candidates.append(candidate)
        report(candidate)

    evaluate()
    ppo.learn(recipe.timesteps, callback=_EveryRollouts(CHECK_EVERY, evaluate))
    environment.close()
    return candidates


def evaluate_candidate(
    course: Course, ppo: RecurrentPPO, normalised: npt.NDArray[np.float32], recipe: Recipe, seed: int
) -> Candidate:
    """Calibrate the policy on the validation range and trade it there."""
    sessions = course.split.validation
    logits = logits_at(ppo, normalised, sessions)
    choices = Choices.of(logits, course.outcomes, sessions)
    temperature = fit_temperature(choices, course.rules.confidence_threshold)
    probabilities = softmax(logits / (temperature or 1.0))
    result = trade(course.history, sessions, course.rules, served(probabilities))
    return Candidate(
        recipe.name,
        seed,
        ppo.num_timesteps,
        temperature,
        result.acted,
        len(result.positions),
        result.mean,
        result.standard_error,
    )


def logits_at(
    ppo: RecurrentPPO, normalised: npt.NDArray[np.float32], sessions: tuple[Session, ...]
) -> npt.NDArray[np.float64]:
    """The policy's logits at the bars of `sessions`, zeros at others: shape (bars, 3)."""
    with torch.no_grad():
        outputs = logits_of(ppo.policy, side_by_side(normalised, sessions)).numpy()
    logits = np.zeros((len(normalised), outputs.shape[-1]))
    for column, session in enumerate(sessions):
        logits[session.first : session.last + 1] = outputs[: len(session), column]
    return logits


def _environment(course: Course, recipe: Recipe, seed: int) -> VecNormalize:
    """Environments over the training range. Observations are normalised by that range; rewards are not."""
    sessions = course.split.training
    environment = VecNormalize(
        DummyVecEnv([lambda: SessionEnvironment(course.history, sessions, course.rules)] * recipe.environments),
        training=False,
        norm_reward=False,
    )
    deciding = np.concatenate([np.arange(session.first, session.last + 1) for session in sessions])
    observations = course.history.observations[deciding].astype(np.float64)
    environment.obs_rms.mean, environment.obs_rms.var = observations.mean(axis=0), observations.var(axis=0)
    environment.seed(seed)
    return environment


class _EveryRollouts(BaseCallback):  # type: ignore[misc] # the extra train has no types
    """Calls a function after every `every` rollouts that were learnt from, and at the end."""

    def __init__(self, every: int, then: Callable[[], None]) -> None:
        super().__init__()
        self._every = every
        self._then = then
        self._rollouts = 0

    def _on_rollout_start(self) -> None:
        # The rollouts before this one have been learnt from by now.
        if self._rollouts and self._rollouts % self._every == 0:
            self._then()
        self._rollouts += 1

    def _on_training_end(self) -> None:
        self._then()

    def _on_step(self) -> bool:
        return True
