"""The kinds of policies that can be exported, by their class, and the parts of their networks that decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.dqn.policies import DQNPolicy

from ..onnx.errors import ExportRefused
from ..onnx.metadata import OutputKind
from .archive import SavedPolicy

NEEDED = "PPO, A2C, RecurrentPPO, MaskablePPO, DQN or QRDQN with MlpPolicy or MlpLstmPolicy"
_CONTINUOUS = ("sac", "td3", "ddpg", "tqc", "crossq")


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A kind of policy.

    type: name of the algorithm in the metadata of the model file.
    output: probabilities, or values of actions, of which the largest is taken.
    recurrent: whether it carries a state.
    """

    type: str
    output: OutputKind = OutputKind.PROBABILITIES
    recurrent: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a network in the order in which an observation passes them.

    lstm: None without a state.
    quantiles: number of quantiles of the value of each action, of which the mean is taken; 1 for plain values.
    """

    extractor: torch.nn.Module
    lstm: torch.nn.RNNBase | None
    layers: Sequence[torch.nn.Module]
    head: torch.nn.Linear
    quantiles: int = 1


_KINDS: Mapping[type, PolicyKind] = {
    RecurrentActorCriticPolicy: PolicyKind("PPO-LSTM", recurrent=True),
    ActorCriticPolicy: PolicyKind("PPO"),
    MaskableActorCriticPolicy: PolicyKind("MaskablePPO"),
    DQNPolicy: PolicyKind("DQN", OutputKind.ACTION_VALUES),
    QRDQNPolicy: PolicyKind("QRDQN", OutputKind.ACTION_VALUES),
}


def policy_class_of(saved: SavedPolicy) -> tuple[Any, PolicyKind]:
    """Return the class of the policy in a zip, and its kind.

    Raises:
        ExportRefused: a policy of this class cannot be exported.
    """
    policy_class = saved.unpickled("policy_class", _foreign_policy)
    kind = _KINDS.get(policy_class) if isinstance(policy_class, type) else None
    if kind is None:
        raise ExportRefused(f"{saved.path}: is not a policy of {NEEDED}, which alone can be exported")
    # A zip does not name its algorithm, which shows in the arguments that it was made with.
    if policy_class is ActorCriticPolicy and "clip_range" not in saved.data:
        kind = PolicyKind("TRPO" if "cg_max_steps" in saved.data else "A2C")
    return policy_class, kind


def parts_of(network: Any) -> Parts:
    """Return the parts of a network of one of the kinds that decide; critics and target networks are left out."""
    if isinstance(network, DQNPolicy):
        *layers, head = network.q_net.q_net
        return Parts(network.q_net.features_extractor, None, layers, head)
    if isinstance(network, QRDQNPolicy):
        *layers, head = network.quantile_net.quantile_net
        return Parts(network.quantile_net.features_extractor, None, layers, head, network.n_quantiles)
    lstm = getattr(network, "lstm_actor", None)
    return Parts(network.pi_features_extractor, lstm, list(network.mlp_extractor.policy_net), network.action_net)


def _foreign_policy(name: str) -> str:
    """Return what is said of a policy of another class, and what to do."""
    module = name.split(".")
    if "MultiInput" in name:
        advice = "flatten its Dict of observations with gymnasium.wrappers.FlattenObservation and train it again"
    elif "Cnn" in name:
        advice = "train it on features instead of images"
    elif set(_CONTINUOUS) & set(module):
        advice = "its actions are continuous: train one of these with Discrete actions"
    elif module[0] in {"stable_baselines3", "sb3_contrib"}:
        advice = "train one of these"
    else:
        advice = (
            "a policy class of your own is not loaded: give a features extractor to one of these, or convert it to "
            "ONNX yourself and describe the file with `tradingsignals stamp`"
        )
    return f"has the policy class {name}; {NEEDED} can be exported: {advice}"
