"""Policies for tests of the exporter. They need the extra `train`; without it the tests are skipped."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.training.history import History

from tradingsignals_server.adapters.onnx.entries import ACTIONS
from tradingsignals_server.adapters.onnx.errors import ExportRefused
from tradingsignals_server.commands.export import Exported
from tradingsignals_server.commands.export import export as export_command
from tradingsignals_server.commands.export_options import ExportOptions
from tradingsignals_server.domain.features import M5_V1

from .builders import simulated_bars
from .onnx_models import NumpyPolicy

WHY = "needs the extra `train`: make setup-train"
torch: Any = pytest.importorskip("torch", reason=WHY)
gymnasium: Any = pytest.importorskip("gymnasium", reason=WHY)
sb3: Any = pytest.importorskip("stable_baselines3", reason=WHY)
sb3_contrib: Any = pytest.importorskip("sb3_contrib", reason=WHY)
vec_env: Any = pytest.importorskip("stable_baselines3.common.vec_env", reason=WHY)

SIXTEEN = gymnasium.spaces.Box(-10.0, 10.0, (16,), np.float32)
THREE = gymnasium.spaces.Discrete(3)
SMALL = {"lstm_hidden_size": 8, "net_arch": [6]}

Make = Callable[[Path], Path]
"""Writes a zip to a folder and returns its path."""


def _features() -> Any:
    """Return observations of the service, shape (n, 16)."""
    history = History.of(simulated_bars(4))
    return np.concatenate([history.observations[session.first : session.last + 1] for session in history.sessions])


OBSERVED = _features()


class Market(gymnasium.Env):  # type: ignore[misc] # the extra `train` has no types here
    """An environment with features of a simulated market in random order, or other random observations.

    Action 1 is always rewarded. `rows` has the observations, shape (n, ...); None samples them from the space, unless
    it is that of m5-v1.
    """

    def __init__(self, observation_space: Any = SIXTEEN, action_space: Any = THREE, rows: Any = None) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.rows = OBSERVED if rows is None and observation_space == SIXTEEN else rows

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.bars = 0
        return self.observed(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.bars += 1
        return self.observed(), float(np.sum(action) == 1), self.bars == 20, False, {}

    def observed(self) -> Any:
        """Return the next observation."""
        if self.rows is None:
            return self.observation_space.sample()
        return self.rows[self.np_random.integers(len(self.rows))].astype(self.observation_space.dtype)

    def action_masks(self) -> Any:
        """Return that every action is allowed; MaskablePPO asks for it."""
        return np.ones(int(np.sum(getattr(self.action_space, "nvec", [getattr(self.action_space, "n", 1)]))), np.bool_)


def export(policy: Path, out: Path, **options: Any) -> Exported:
    """Export a policy that observes m5-v1 and has the actions of the seed contract, unless `options` differ."""
    return export_command(policy, out, ExportOptions(**{"features": M5_V1.name, "actions": ACTIONS, **options}))


@dataclass
class Trained:
    """Files of a training."""

    zip: Path
    statistics: Path


def trained(
    folder: Path,
    policy_kwargs: dict[str, Any] | None = None,
    *,
    policy: str = "MlpLstmPolicy",
    algorithm: Any = sb3_contrib.RecurrentPPO,
    observation_space: Any = SIXTEEN,
    action_space: Any = THREE,
    steps: int = 0,
    seed: int | None = 5,
    normalised: bool = True,
    rows: Any = None,
    frames: int = 1,
    stack_normalised: bool = False,
    **arguments: Any,
) -> Trained:
    """Save a policy with random weights, trained for `steps`, and the statistics of its observations.

    Args:
        folder: where the files are written.
        policy_kwargs: of the algorithm.
        policy: the policy of the algorithm.
        algorithm: class of stable-baselines3 or sb3-contrib.
        observation_space: of the environment.
        action_space: of the environment.
        steps: of training.
        seed: of the algorithm.
        normalised: whether it is trained behind VecNormalize, if observations are flat.
        rows: observations of the environment, shape (n, ...); see Market.
        frames: number of frames that VecFrameStack joins.
        stack_normalised: whether frames are stacked after they are normalised.
        arguments: others of the algorithm.
    """
    market = vec_env.DummyVecEnv([lambda: Market(observation_space, action_space, rows)])
    flat = isinstance(observation_space, gymnasium.spaces.Box) and len(observation_space.shape) == 1
    normalised = normalised and flat
    env, statistics = market, None
    if frames > 1 and not stack_normalised:
        env = vec_env.VecFrameStack(env, frames)
    if normalised:
        env = statistics = vec_env.VecNormalize(env, clip_obs=5.0)
    if frames > 1 and stack_normalised:
        env = vec_env.VecFrameStack(env, frames)
    # The algorithm changes its arguments.
    network = dict(policy_kwargs or {})
    options = {**_defaults(algorithm), **arguments}
    model = algorithm(policy, env, seed=seed, device="cpu", policy_kwargs=network, **options)
    if steps:
        model.learn(steps)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.5 * parameter.shape[-1] ** -0.5 * torch.randn_like(parameter))
    made = Trained(folder / "policy.zip", folder / "statistics.pkl")
    model.save(made.zip)
    if statistics is not None:
        # As features have them, one of them nearly constant.
        width = observation_space.shape[0]
        seen = OBSERVED[:, :width] if rows is None else rows
        repeated = statistics.observation_space.shape[0] // width
        variance = np.minimum(seen.var(axis=0, dtype=np.float64), [1e-6, *[9.0] * (width - 1)])
        statistics.obs_rms.mean = np.tile(seen.mean(axis=0, dtype=np.float64), repeated)
        statistics.obs_rms.var = np.tile(variance, repeated)
        statistics.save(made.statistics)
    return made


def _defaults(algorithm: Any) -> dict[str, Any]:
    """Return arguments that make a training short."""
    if "PPO" in algorithm.__name__:
        return {"n_steps": 32, "batch_size": 16, "n_epochs": 2}
    return {"buffer_size": 500, "learning_starts": 10} if "DQN" in algorithm.__name__ else {}


def refusal(zipped: Path, **options: Any) -> str:
    """Return the reason of the refusal."""
    out = zipped.parent / "out" / "model.onnx"
    with pytest.raises(ExportRefused) as refused:
        export(zipped, out, **options)
    assert "\n" not in str(refused.value)
    assert not out.exists()
    return str(refused.value)


def edited(change: Callable[[dict[str, Any]], None]) -> Make:
    """Return a function that saves a policy and applies `change` to the member `data` of its zip."""

    def make(folder: Path) -> Path:
        path = trained(folder, SMALL).zip
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        saved_data = json.loads(members["data"])
        change(saved_data)
        members["data"] = json.dumps(saved_data).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make


def in_numpy(model: Any, statistics: Any) -> NumpyPolicy:
    """Return the reference implementation in numpy with the weights of a model loaded by sb3-contrib."""
    weights = {name: values.numpy() for name, values in model.policy.state_dict().items()}
    lstm = [
        tuple(
            weights.get(f"lstm_actor.{part}_l{layer}", np.zeros(1, np.float32))
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        for layer in range(model.policy.lstm_actor.num_layers)
    ]
    dense = [
        (weights[f"mlp_extractor.policy_net.{place}.weight"], weights[f"mlp_extractor.policy_net.{place}.bias"])
        for place in range(0, len(model.policy.mlp_extractor.policy_net), 2)
    ]
    head = (weights["action_net.weight"], weights["action_net.bias"])
    return NumpyPolicy(
        lstm,
        [*dense, head],
        mean=statistics.obs_rms.mean,
        variance=statistics.obs_rms.var,
        epsilon=statistics.epsilon,
        clip=statistics.clip_obs,
    )
