"""`tradingsignals export`: kinds of zips, each served with parity to torch or refused with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.extractors import BarsExtractor, DenseExtractor
from tests.support.trained import (
    OBSERVED,
    SIXTEEN,
    export,
    gymnasium,
    refusal,
    sb3,
    sb3_contrib,
    torch,
    trained,
)

from tradingsignals_server.commands import parity
from tradingsignals_server.commands.check import check
from tradingsignals_server.domain.recurrent_state import ResetRule

pytestmark = pytest.mark.slow

spaces = gymnasium.spaces


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shorten the comparison, and use one thread."""
    monkeypatch.setattr(parity, "STEPS", {1: 20, 3: 10, 8: 3})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(11)
    yield
    torch.set_num_threads(threads)


def bars(count: int) -> Any:
    """Return windows of a random walk, shape (20, count, 5): open, high, low, close, volume."""
    random = np.random.default_rng(3)
    closes = 4000.0 * np.exp(np.cumsum(random.normal(scale=1e-3, size=(20, count + 1)), axis=1))
    opens, closes = closes[:, :-1], closes[:, 1:]
    high, low = np.maximum(opens, closes) * 1.0001, np.minimum(opens, closes) * 0.9999
    return np.stack([opens, high, low, closes, random.uniform(10.0, 90.0, opens.shape)], axis=2).astype(np.float32)


def box(*shape: int, dtype: Any = np.float32) -> Any:
    return spaces.Box(-np.inf, np.inf, shape, dtype)


@dataclass(frozen=True)
class Zip:
    """A kind of zip: how it is trained, and the options of its export."""

    algorithm: Any
    policy_kwargs: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def source(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """Save the zip and return its path, and the options of its export."""
        recurrent = self.algorithm is sb3_contrib.RecurrentPPO
        source = trained(
            folder,
            self.policy_kwargs,
            **{
                "algorithm": self.algorithm,
                "policy": "MlpLstmPolicy" if recurrent else "MlpPolicy",
                "normalised": False,
                "steps": 32,
                **self.training,
            },
        )
        options = {"vecnormalize": source.statistics} if self.training.get("normalised") else {}
        return source.zip, {**options, **self.options}


LSTM = {"lstm_hidden_size": 8, "net_arch": [6]}
SMALL = {"net_arch": [8]}
EXTRACTOR = {"features_extractor_class": DenseExtractor}
TRUSTED = {"trust": ("tests.support.extractors:DenseExtractor",)}
BARS_TRUSTED = {"trust": ("tests.support.extractors:BarsExtractor",), "features": "bars", "lookback": 10}
THREE_FEATURES = {
    "observation_space": box(3),
    "rows": OBSERVED[:, [4, 1, 15]],
}
BY_NAME = {"features": "rsi(14), return(3), session_progress"}
TWO = {"action_space": spaces.Discrete(2)}
FIVE = {"action_space": spaces.Discrete(5)}
MEANT_TWO = {"actions": ("BUY", "SELL")}
MEANT_FIVE = {"actions": ("SELL", "SELL", "HOLD", "BUY", "BUY")}
BRANCHES = {"action_space": spaces.MultiDiscrete([2, 3, 4])}
MIDDLE = {"branch": 1}
NORMALISED = {"normalised": True}
R, P, A, D, Q, M, T = (
    sb3_contrib.RecurrentPPO,
    sb3.PPO,
    sb3.A2C,
    sb3.DQN,
    sb3_contrib.QRDQN,
    sb3_contrib.MaskablePPO,
    sb3_contrib.TRPO,
)

SERVED: dict[str, Zip] = {
    "RecurrentPPO as it comes": Zip(R),
    "RecurrentPPO, LSTM of 64": Zip(R, {"lstm_hidden_size": 64}),
    "RecurrentPPO, LSTM shared": Zip(R, {**LSTM, "shared_lstm": True, "enable_critic_lstm": False}),
    "RecurrentPPO, critic without LSTM": Zip(R, {**LSTM, "enable_critic_lstm": False}),
    "RecurrentPPO, two layers": Zip(R, {**LSTM, "n_lstm_layers": 2}),
    "RecurrentPPO, three layers without bias": Zip(R, {**LSTM, "n_lstm_layers": 3, "lstm_kwargs": {"bias": False}}),
    "RecurrentPPO, two layers shared": Zip(
        R, {**LSTM, "n_lstm_layers": 2, "shared_lstm": True, "enable_critic_lstm": False}
    ),
    "RecurrentPPO, dropout between layers": Zip(R, {**LSTM, "n_lstm_layers": 2, "lstm_kwargs": {"dropout": 0.2}}),
    "RecurrentPPO, not orthogonal at first": Zip(R, {**LSTM, "ortho_init": False}),
    "RecurrentPPO, no layer after the LSTM": Zip(R, {**LSTM, "net_arch": []}),
    "RecurrentPPO, layers of both apart": Zip(R, {**LSTM, "net_arch": {"pi": [8, 6, 4], "vf": [5]}}),
    "RecurrentPPO, layers of the critic only": Zip(R, {**LSTM, "net_arch": {"vf": [5]}}),
    "RecurrentPPO, ReLU": Zip(R, {**LSTM, "activation_fn": torch.nn.ReLU}),
    "RecurrentPPO, GELU": Zip(R, {**LSTM, "activation_fn": torch.nn.GELU}),
    "RecurrentPPO, activation by torch's exporter": Zip(R, {**LSTM, "activation_fn": torch.nn.Hardswish}),
    "RecurrentPPO, activation with weights": Zip(R, {**LSTM, "activation_fn": torch.nn.PReLU}),
    "RecurrentPPO, two flat extractors": Zip(R, {**LSTM, "share_features_extractor": False}),
    "RecurrentPPO, extractor of one's own": Zip(R, {**LSTM, **EXTRACTOR}, options=TRUSTED),
    "RecurrentPPO, two extractors of one's own": Zip(
        R, {**LSTM, **EXTRACTOR, "share_features_extractor": False}, options=TRUSTED
    ),
    "RecurrentPPO, extractor with arguments": Zip(
        R, {**LSTM, **EXTRACTOR, "features_extractor_kwargs": {"features_dim": 3}}, options=TRUSTED
    ),
    "RecurrentPPO, another optimizer": Zip(R, {**LSTM, "optimizer_class": torch.optim.Adamax}),
    "RecurrentPPO behind VecNormalize": Zip(R, LSTM, NORMALISED),
    "RecurrentPPO, extractor behind VecNormalize": Zip(R, {**LSTM, **EXTRACTOR}, NORMALISED, TRUSTED),
    "RecurrentPPO, frames": Zip(R, LSTM, {"frames": 3}, {"stack": 3}),
    "RecurrentPPO, frames normalised together": Zip(R, LSTM, {"frames": 3, **NORMALISED}, {"stack": 3}),
    "RecurrentPPO, normalised frames": Zip(
        R, LSTM, {"frames": 3, "stack_normalised": True, **NORMALISED}, {"stack": 3}
    ),
    "RecurrentPPO, two actions": Zip(R, LSTM, TWO, MEANT_TWO),
    "RecurrentPPO, five actions": Zip(R, LSTM, FIVE, MEANT_FIVE),
    "RecurrentPPO, a branch of actions": Zip(R, LSTM, BRANCHES, MIDDLE),
    "RecurrentPPO, float64": Zip(R, LSTM, {"observation_space": box(16, dtype=np.float64), "rows": OBSERVED}),
    "RecurrentPPO, no bounds": Zip(R, LSTM, {"observation_space": box(16), "rows": OBSERVED}),
    "RecurrentPPO, never reset": Zip(R, LSTM, options={"reset": ResetRule.NEVER}),
    "RecurrentPPO, features by name": Zip(R, LSTM, THREE_FEATURES, BY_NAME),
    "RecurrentPPO, features by name behind VecNormalize": Zip(R, LSTM, {**THREE_FEATURES, **NORMALISED}, BY_NAME),
    "RecurrentPPO, raw bars": Zip(
        R,
        {**LSTM, "features_extractor_class": BarsExtractor},
        {"observation_space": box(10, 5), "rows": bars(10)},
        BARS_TRUSTED,
    ),
    "PPO as it comes": Zip(P),
    "PPO, deep": Zip(P, {"net_arch": {"pi": [16, 12, 8, 8], "vf": [8]}, "activation_fn": torch.nn.ReLU}),
    "PPO, linear": Zip(P, {"net_arch": []}),
    "PPO, extractor of one's own": Zip(P, {**SMALL, **EXTRACTOR}, options=TRUSTED),
    "PPO, two extractors": Zip(P, {**SMALL, **EXTRACTOR, "share_features_extractor": False}, options=TRUSTED),
    "PPO behind VecNormalize": Zip(P, SMALL, NORMALISED),
    "PPO, frames": Zip(P, SMALL, {"frames": 4}, {"stack": 4}),
    "PPO, normalised frames": Zip(P, SMALL, {"frames": 4, "stack_normalised": True, **NORMALISED}, {"stack": 4}),
    "PPO, frames as rows": Zip(
        P, SMALL, {"observation_space": box(2, 16), "rows": np.stack([OBSERVED[:-1], OBSERVED[1:]], 1)}, {"stack": 2}
    ),
    "PPO, two actions": Zip(P, SMALL, TWO, MEANT_TWO),
    "PPO, five actions": Zip(P, SMALL, FIVE, MEANT_FIVE),
    "PPO, a branch of actions": Zip(P, SMALL, BRANCHES, MIDDLE),
    "PPO, float64": Zip(P, SMALL, {"observation_space": box(16, dtype=np.float64), "rows": OBSERVED}),
    "PPO, features by name": Zip(P, SMALL, THREE_FEATURES, BY_NAME),
    "PPO, raw bars": Zip(
        P,
        {**SMALL, "features_extractor_class": BarsExtractor},
        {"observation_space": box(10, 5), "rows": bars(10)},
        BARS_TRUSTED,
    ),
    "A2C as it comes": Zip(A),
    "A2C behind VecNormalize with Adam": Zip(A, SMALL, {**NORMALISED, "use_rms_prop": False}),
    "A2C, five actions": Zip(A, SMALL, FIVE, MEANT_FIVE),
    "A2C, a branch of actions": Zip(A, SMALL, BRANCHES, MIDDLE),
    "DQN as it comes": Zip(D),
    "DQN, linear": Zip(D, {"net_arch": []}),
    "DQN behind VecNormalize": Zip(D, SMALL, NORMALISED),
    "DQN, five actions": Zip(D, SMALL, FIVE, MEANT_FIVE),
    "DQN, frames": Zip(D, SMALL, {"frames": 2}, {"stack": 2}),
    "DQN, extractor of one's own": Zip(D, {**SMALL, **EXTRACTOR}, options=TRUSTED),
    "QRDQN as it comes": Zip(Q),
    "QRDQN, two actions of eight quantiles": Zip(Q, {**SMALL, "n_quantiles": 8}, TWO, MEANT_TWO),
    "MaskablePPO as it comes": Zip(M),
    "MaskablePPO, a branch of actions": Zip(M, SMALL, BRANCHES, MIDDLE),
    "TRPO": Zip(T, SMALL),
}


def test_table_has_the_kinds_of_the_trial() -> None:
    assert len(SERVED) >= 40
    assert len(SERVED) + len(REFUSED) >= 47


@pytest.mark.parametrize("kind", SERVED.values(), ids=SERVED.keys())
def test_zip_is_served_with_parity(kind: Zip, tmp_path: Path) -> None:
    source, options = kind.source(tmp_path)
    out = tmp_path / "model.onnx"
    made = export(source, out, **options)
    assert made.parity.holds
    assert made.parity.recorded >= (not kind.training.get("stack_normalised"))
    assert check(out).startswith(f"{out}: will serve")


class OwnPolicy(sb3.common.policies.ActorCriticPolicy):  # type: ignore[misc] # the extra `train` has no types here
    """A policy class of a user."""


class OwnExtractor(sb3.common.torch_layers.FlattenExtractor):  # type: ignore[misc] # the extra `train` has no types here
    """An extractor of a user that the export is not told to trust."""


IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
CONTINUOUS = {"action_space": spaces.Box(-1.0, 1.0, (1,), np.float32)}

REFUSED: dict[str, tuple[Zip, str]] = {
    "Dict of observations": (
        Zip(P, training={"policy": "MultiInputPolicy", "observation_space": spaces.Dict({"bars": SIXTEEN})}),
        "observes a Dict of bars; a Box of floats is needed, the features of one bar: flatten it with "
        "gymnasium.wrappers.FlattenObservation and train with MlpPolicy or MlpLstmPolicy",
    ),
    "images": (
        Zip(P, training={"policy": "CnnPolicy", "observation_space": IMAGE, "steps": 0}),
        "observes a Box of uint8 of shape (3, 36, 36); a Box of floats is needed",
    ),
    "states by number": (
        Zip(P, training={"observation_space": spaces.Discrete(16)}),
        "observes Discrete(16); a Box of floats is needed",
    ),
    "continuous actions of PPO": (Zip(P, SMALL, CONTINUOUS), "acts in a Box of float32 of shape (1,); Discrete"),
    "continuous actions of SAC": (
        Zip(sb3.SAC, SMALL, {**CONTINUOUS, "buffer_size": 100, "steps": 0}),
        "acts in a Box of float32 of shape (1,); Discrete",
    ),
    "several actions at once": (
        Zip(P, SMALL, {"action_space": spaces.MultiBinary(3)}),
        "acts in MultiBinary(3); Discrete actions are needed, or MultiDiscrete ones of which one branch is the action",
    ),
    "branches without --branch": (
        Zip(P, SMALL, BRANCHES),
        "chooses in 3 branches of 2, 3, 4 actions; name the one that is the action with --branch, from 0 to 2",
    ),
    "a branch that is not there": (Zip(P, SMALL, BRANCHES, {"branch": 3}), "--branch 3: "),
    "five actions as three": (
        Zip(P, SMALL, FIVE),
        "3 are named and the policy has 5; name each in the order of its number, such as --actions SELL,SELL,HOLD,",
    ),
    "frames without --stack": (
        Zip(P, SMALL, {"frames": 3}),
        "observes 48 numbers; m5-v1 has 16: if 3 frames were stacked, add --stack 3",
    ),
    "another number of frames": (
        Zip(P, SMALL, {"frames": 3}, {"stack": 2}),
        "observes 48 numbers; 16 features in 2 frames are 32",
    ),
    "other features": (
        Zip(P, SMALL, {"observation_space": box(12)}),
        "observes 12 numbers; m5-v1 has 16; name those that it was trained on with --features",
    ),
    "bars without --lookback": (
        Zip(P, SMALL, {"observation_space": box(10, 5), "rows": bars(10)}, {"features": "bars"}),
        "observes 50 numbers; bars of 5 columns are 10: add --lookback 10",
    ),
    "extractor of one's own without --trust": (
        Zip(P, {**SMALL, "features_extractor_class": OwnExtractor}),
        "add --trust module:Class, with the module on PYTHONPATH",
    ),
    "policy of one's own": (
        Zip(P, SMALL, {"policy": OwnPolicy}),
        "a policy class of your own is not loaded: give a features extractor to one of these, or convert it to ONNX",
    ),
    "ARS": (
        Zip(sb3_contrib.ARS, training={"policy": "LinearPolicy", "steps": 0}),
        "has the policy class sb3_contrib.ars.policies.ARSLinearPolicy; PPO, A2C,",
    ),
    "LSTM batch first": (
        Zip(R, {**LSTM, "lstm_kwargs": {"batch_first": True}}, {"steps": 0}),
        "has lstm_kwargs with batch_first, which cannot be exported; train it without",
    ),
    "trained behind VecNormalize without its statistics": (
        Zip(P, SMALL, NORMALISED, {"vecnormalize": None}),
        "give its statistics with --vecnormalize FILE",
    ),
}


@pytest.mark.parametrize(("kind", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_zip_is_refused_with_what_to_do(kind: Zip, expected: str, tmp_path: Path) -> None:
    source, options = kind.source(tmp_path)
    reason = refusal(source, **options)
    assert expected in reason
