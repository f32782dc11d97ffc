"""One training run: hindsight, then RecurrentPPO, with regular evaluation on the validation range."""

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

from .environment import SessionEnvironment
from .evaluation import served, trade
from .history import History, Session, bars_of
from .imitation import Hindsight, imitate_hindsight, logits_of, seek_profit, side_by_side
from .outcomes import Outcomes
from .recipe import LEAST_ACTING, STEPS, Variant
from .sharpe import Returns
from .split import Split

CHECK_EVERY = 5
"""Rollouts between evaluations on the validation range."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy at some point of its training, and its results on the validation range, as it would be served.

    acted: fraction of the bars with a BUY or SELL. mean_pct, standard_error: net profit and loss of a session, in
    percent. sharpe: mean over standard deviation of a session.
    """

    variant: str
    seed: int
    timesteps: int
    acted: float
    trades: int
    mean_pct: float
    standard_error: float
    sharpe: float

    @property
    def acts(self) -> bool:
        """Whether it acts on enough bars to be served."""
        return self.acted >= LEAST_ACTING

    @property
    def score(self) -> float:
        """The criterion of selection: the mean less its standard error, so that a few lucky trades are not enough."""
        return self.mean_pct - self.standard_error if self.acts else -np.inf


@dataclass(frozen=True, slots=True)
class Course:
    """Data and rules of every run. outcomes: at least over the training range."""

    history: History
    split: Split
    outcomes: Outcomes
    rules: RiskRules


def run(
    course: Course, variant: Variant, seed: int, folder: Path, report: Callable[[Candidate], None]
) -> list[Candidate]:
    """Train one policy, and call `report` with each candidate.

    The best candidate that PPO has trained is in `folder`: policy.zip and vecnormalize.pkl. Returns all candidates, the
    one before PPO (timesteps 0) first. The same arguments give the same weights, on the same machine and packages.
    """
    environment = _environment(course, variant, seed)
    ppo = RecurrentPPO(
        "MlpLstmPolicy",
        environment,
        n_steps=STEPS,
        batch_size=variant.minibatch,
        n_epochs=variant.epochs,
        learning_rate=variant.learning_rate,
        gamma=variant.gamma,
        gae_lambda=variant.gae_lambda,
        ent_coef=variant.entropy,
        seed=seed,
        device="cpu",
        policy_kwargs={
            "lstm_hidden_size": variant.hidden_size,
            "n_lstm_layers": 1,
            "net_arch": {"pi": [variant.head_size], "vf": [variant.head_size]},
        },
    )
    normalised = environment.normalize_obs(course.history.observations).astype(np.float32)
    hindsight = Hindsight.of(normalised, course.outcomes, course.split.training)
    imitate_hindsight(ppo.policy, hindsight, variant, seed)
    seek_profit(ppo.policy, hindsight, variant, seed)
    folder.mkdir(parents=True, exist_ok=True)
    environment.save(str(folder / "vecnormalize.pkl"))
    candidates = list[Candidate]()

    def evaluate() -> None:
        candidate = evaluate_candidate(course, ppo, normalised, variant, seed)
        trained = [earlier.score for earlier in candidates if earlier.timesteps]
        if candidate.timesteps and (not trained or candidate.score > max(trained)):
            ppo.save(folder / "policy.zip")
        candidates.append(candidate)
        report(candidate)

    evaluate()
    ppo.learn(variant.timesteps, callback=_EveryRollouts(CHECK_EVERY, variant, evaluate))
    environment.close()
    return candidates


def evaluate_candidate(
    course: Course, ppo: RecurrentPPO, normalised: npt.NDArray[np.float32], variant: Variant, seed: int
) -> Candidate:
    """Trade the policy on the validation range, as it is."""
    sessions = course.split.validation
    probabilities = probabilities_at(ppo, normalised, sessions)
    result = trade(course.history, sessions, course.rules, served(probabilities))
    return Candidate(
        variant.name,
        seed,
        ppo.num_timesteps,
        result.acted,
        len(result.positions),
        result.mean,
        result.standard_error,
        Returns.of(result.session_pct).sharpe,
    )


def probabilities_at(
    ppo: RecurrentPPO, normalised: npt.NDArray[np.float32], sessions: tuple[Session, ...]
) -> npt.NDArray[np.float64]:
    """The policy's probabilities at the bars of `sessions`, [1, 0, 0] at others: shape (bars, 3)."""
    with torch.no_grad():
        logits = logits_of(ppo.policy, side_by_side(normalised, sessions))
        outputs = torch.softmax(logits.double(), dim=-1).numpy()
    probabilities = np.tile((1.0, 0.0, 0.0), (len(normalised), 1))
    for column, session in enumerate(sessions):
        probabilities[session.first : session.last + 1] = outputs[: len(session), column]
    return probabilities


def _environment(course: Course, variant: Variant, seed: int) -> VecNormalize:
    """Environments over the training range. Observations are normalised by that range; rewards are not."""
    sessions = course.split.training
    environment = VecNormalize(
        DummyVecEnv([lambda: SessionEnvironment(course.history, sessions, course.rules)] * variant.environments),
        training=False,
        norm_reward=False,
    )
    observations = course.history.observations[bars_of(sessions)].astype(np.float64)
    environment.obs_rms.mean, environment.obs_rms.var = observations.mean(axis=0), observations.var(axis=0)
    environment.seed(seed)
    return environment


class _EveryRollouts(BaseCallback):  # type: ignore[misc] # the extra train has no types
    """Calls a function after every `every` rollouts that were learnt from, and at the end; lowers the entropy to 0."""

    def __init__(self, every: int, variant: Variant, then: Callable[[], None]) -> None:
        super().__init__()
        self._every = every
        self._variant = variant
        self._then = then
        self._rollouts = 0

    def _on_rollout_start(self) -> None:
        # The rollouts before this one have been learnt from by now.
        if self._rollouts and self._rollouts % self._every == 0:
            self._then()
        self._rollouts += 1

    def _on_rollout_end(self) -> None:
        # It is learnt from next.
        left = max(0.0, 1.0 - self.num_timesteps / self._variant.timesteps)
        self.model.ent_coef = left * self._variant.entropy

    def _on_training_end(self) -> None:
        self._then()

    def _on_step(self) -> bool:
        return True
