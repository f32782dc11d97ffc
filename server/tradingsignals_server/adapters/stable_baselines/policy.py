"""The policy in a zip: its spaces, and its network in torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ..onnx.errors import ExportRefused, first_line
from ..onnx.metadata import OutputKind
from .archive import SavedPolicy
from .kinds import PolicyKind, policy_class_of

Float32 = npt.NDArray[np.float32]

MAX_LAYERS = 64
"""Largest number of layers of each kind in a network."""
_NEEDED_ACTIONS = "Discrete actions are needed, or MultiDiscrete ones of which one branch is the action"
_NEEDED_OBSERVATION = "a Box of floats is needed, the features of one bar"


@dataclass(frozen=True, slots=True)
class PolicySpaces:
    """What a policy observes and how it acts.

    observation: the space of the observation, a Box of floats.
    action: the space of the action, Discrete or MultiDiscrete.
    branches: the number of actions in each branch; one branch of a Discrete space.
    """

    observation: spaces.Box
    action: spaces.Discrete | spaces.MultiDiscrete
    branches: tuple[int, ...]

    @property
    def observed(self) -> int:
        """Size of the observation."""
        return prod(self.observation.shape)


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """A policy and what the zip tells of its training.

    network: the network in torch.
    columns: the columns of its output that are the action.
    seed: seed of the training, if one was set.
    behind_vecnormalize: whether it was trained behind VecNormalize; None if unknown, as before any training and of an
        off-policy algorithm.
    observations: raw observations of the training that the zip contains, shape (n, size), or (n, size of one frame) if
        normalised frames were stacked; n is often 0.
    """

    network: Any
    kind: PolicyKind
    spaces: PolicySpaces
    columns: slice
    seed: int | None
    behind_vecnormalize: bool | None
    observations: Float32


def spaces_of(saved: SavedPolicy) -> PolicySpaces:
    """Return the spaces of the policy in a zip.

    Raises:
        ExportRefused: the policy observes or acts in a space that cannot be exported.
    """
    observation = saved.unpickled("observation_space", lambda name: f"observes a {name}; {_NEEDED_OBSERVATION}")
    if isinstance(observation, spaces.Dict):
        raise ExportRefused(
            f"{saved.path}: observes a Dict of {', '.join(observation.spaces)}; {_NEEDED_OBSERVATION}: flatten it with "
            "gymnasium.wrappers.FlattenObservation and train with MlpPolicy or MlpLstmPolicy"
        )
    if not isinstance(observation, spaces.Box) or observation.dtype.kind != "f" or not prod(observation.shape):
        raise ExportRefused(f"{saved.path}: observes {_format(observation)}; {_NEEDED_OBSERVATION}")
    action = saved.unpickled("action_space", lambda name: f"acts in a {name}; {_NEEDED_ACTIONS}")
    if isinstance(action, spaces.Discrete) and action.start == 0:
        branches: tuple[int, ...] = (int(action.n),)
    elif isinstance(action, spaces.MultiDiscrete) and action.nvec.ndim == 1 and not np.any(action.start):
        branches = tuple(int(count) for count in action.nvec)
    else:
        raise ExportRefused(f"{saved.path}: acts in {_format(action)}; {_NEEDED_ACTIONS}")
    return PolicySpaces(observation, action, branches)


def build_policy(saved: SavedPolicy, found: PolicySpaces, branch: int) -> TrainedPolicy:
    """Build the network of the policy in a zip on the CPU, and load its weights.

    `branch` is the index of the branch that is the action.

    Raises:
        ExportRefused: a policy of this class cannot be exported, or the weights do not fit its arguments.
    """
    policy_class, kind = policy_class_of(saved)
    arguments = _network_arguments(saved)
    _require_own_size(saved, kind, found, arguments)
    try:
        network = policy_class(found.observation, found.action, lambda _progress: 0.0, **arguments)
        network.load_state_dict(saved.parameters)
    except (TypeError, RuntimeError, AssertionError, ValueError, AttributeError) as error:
        reason = f"its weights do not fit its policy_kwargs ({first_line(error)}); save it again"
        raise ExportRefused(f"{saved.path}: {reason}") from error
    network.set_training_mode(False)
    first = sum(found.branches[:branch])
    seed = saved.data.get("seed")
    return TrainedPolicy(
        network,
        kind,
        found,
        slice(first, first + found.branches[branch]),
        seed if isinstance(seed, int) else None,
        *_recorded(saved, found, kind),
    )


def _network_arguments(saved: SavedPolicy) -> dict[str, Any]:
    """Return the optional arguments of the network's constructor, from the member `data` of the zip."""
    arguments = saved.unpickled(
        "policy_kwargs",
        lambda name: (
            f"has policy_kwargs with {name}, which is not loaded; if it is a class of your own, add --trust "
            "module:Class, with the module on PYTHONPATH (the class of a script or notebook must move to a module)"
        ),
    )
    if not isinstance(arguments, dict):
        raise ExportRefused(f"{saved.path}: its policy_kwargs are no arguments by name; save it again")
    arguments = {key: value for key, value in arguments.items() if key != "device"}
    architecture = arguments.get("net_arch")
    if isinstance(architecture, list) and architecture and isinstance(architecture[0], dict):
        arguments["net_arch"] = architecture[0]  # the form of stable-baselines3 before 1.8
    return arguments


def _require_own_size(saved: SavedPolicy, kind: PolicyKind, found: PolicySpaces, arguments: dict[str, Any]) -> None:
    """Check, before it is built, that the network of `arguments` is not larger than its weights in the file."""
    widest = max((max(values.shape, default=0) for values in saved.parameters.values()), default=0)
    if kind.recurrent:
        size, layers = arguments.get("lstm_hidden_size", 256), arguments.get("n_lstm_layers", 1)
        recurrent = [
            values.shape for name, values in saved.parameters.items() if name.startswith("lstm_actor.weight_hh_l")
        ]
        known = isinstance(layers, int) and 0 < layers <= MAX_LAYERS
        if not known or recurrent != [(4 * size, size)] * layers:
            kind_text = f"{layers} LSTM layers of {size}"
            raise ExportRefused(f"{saved.path}: its weights do not fit its policy_kwargs ({kind_text}); save it again")
    architecture = arguments.get("net_arch") or []
    parts = architecture.values() if isinstance(architecture, dict) else [architecture]
    widths = list(chain.from_iterable(part if isinstance(part, list) else [part] for part in parts))
    if len(widths) > MAX_LAYERS or any(not isinstance(width, int) or not 0 < width <= widest for width in widths):
        raise ExportRefused(f"{saved.path}: its weights do not fit its policy_kwargs (net_arch); save it again")
    quantiles = arguments.get("n_quantiles", 1)
    if not isinstance(quantiles, int) or sum(found.branches) * quantiles > widest:
        raise ExportRefused(f"{saved.path}: its weights do not fit its actions; save it again")


def _recorded(saved: SavedPolicy, found: PolicySpaces, kind: PolicyKind) -> tuple[bool | None, Float32]:
    """Return whether the policy was trained behind VecNormalize, and the raw observations that the zip contains."""
    last, original = (
        None if saved.data.get(key) is None else saved.unpickled(key, _foreign_observation)
        for key in ("_last_obs", "_last_original_obs")
    )
    raw = last if original is None else original
    behind = None if last is None and original is None else original is not None
    if kind.output is OutputKind.ACTION_VALUES and original is not None:
        # Off-policy algorithms keep an original observation also without VecNormalize.
        behind = None
    if raw is None:
        return behind, np.empty((0, found.observed), np.float32)
    if not isinstance(raw, np.ndarray) or raw.ndim < 2 or raw.dtype.kind != "f" or found.observed % _width(raw):
        raise ExportRefused(f"{saved.path}: stores observations without {found.observed} numbers each; save it again")
    return behind, raw.astype(np.float32).reshape(len(raw), _width(raw))


def _foreign_observation(name: str) -> str:
    return f"stores an observation with {name}, which none has; save it again"


def _width(rows: npt.NDArray[Any]) -> int:
    return prod(rows.shape[1:]) or 1


def _format(space: Any) -> str:
    if isinstance(space, spaces.Box):
        return f"a Box of {space.dtype} of shape {space.shape}"
    return f"{space}"
