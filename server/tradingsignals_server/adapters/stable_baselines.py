"""Policies trained with RecurrentPPO of sb3-contrib: reader of its zip, and torch's own decisions as a reference.

The zip and the statistics of VecNormalize contain pickles, which can run any code when they are loaded. This reader
allows only the few classes that such files need, and reads only the parts of the zip that define the network.

This module needs torch, gymnasium and sb3-contrib, which serving does not.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize

from ..domain.features import M5_V1
from .onnx.entries import ACTIONS
from .onnx.errors import ExportRefused, first_line
from .onnx.graph import ACTIVATIONS, Activation, DenseLayer, LstmLayer, Normalisation, PolicyWeights
from .onnx.tensors import FEATURES

Float32 = npt.NDArray[np.float32]

_NEEDED = "RecurrentPPO with MlpLstmPolicy"
_ALLOWED = frozenset(
    {
        ("collections", "OrderedDict"),
        ("gymnasium.spaces.box", "Box"),
        ("gymnasium.spaces.discrete", "Discrete"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.random._pcg64", "PCG64"),
        ("numpy.random._pickle", "__bit_generator_ctor"),
        ("numpy.random._pickle", "__generator_ctor"),
        ("numpy.random.bit_generator", "SeedSequence"),
        ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
        ("sb3_contrib.common.recurrent.policies", "RecurrentActorCriticPolicy"),
        ("stable_baselines3.common.running_mean_std", "RunningMeanStd"),
        ("stable_baselines3.common.sb2_compat.rmsprop_tf_like", "RMSpropTFLike"),
        ("stable_baselines3.common.torch_layers", "FlattenExtractor"),
        ("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize"),
        ("torch.nn.modules.linear", "Identity"),
        ("torch.optim.adam", "Adam"),
        ("torch.optim.adamw", "AdamW"),
        ("torch.optim.rmsprop", "RMSprop"),
        ("torch.optim.sgd", "SGD"),
        *(("torch.nn.modules.activation", name) for name in ACTIVATIONS),
    }
)


MAX_MEMBERS, MAX_TENSORS, MAX_LAYERS = 64, 10_000, 64
"""Limits: members of the zip, members of the inner zip of the weights, layers of each kind in a network."""
MAX_DATA_BYTES = 16 << 20
MAX_WEIGHTS_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """A RecurrentPPO policy.

    network: the network in torch.
    seed: seed of the training, if one was set.
    behind_vecnormalize: whether it was trained behind VecNormalize; None if unknown, as before any training.
    observations: raw observations of the training that the zip contains, shape (n, 16); n is often 0.
    """

    network: RecurrentActorCriticPolicy
    seed: int | None
    behind_vecnormalize: bool | None
    observations: Float32


def read_policy(path: Path) -> TrainedPolicy:
    """Read the policy in a zip that RecurrentPPO saved, and load it on the CPU.

    Raises:
        ExportRefused: the file is not such a zip, or the policy cannot be exported.
    """
    saved, parameters = _read_zip(path)
    arguments = _network_arguments(path, saved)
    _require_own_size(path, arguments, parameters)
    try:
        network = RecurrentActorCriticPolicy(lr_schedule=lambda _progress: 0.0, **arguments)
        network.load_state_dict(parameters)
    except (TypeError, RuntimeError, AssertionError, ValueError) as error:
        reason = f"its weights do not fit its policy_kwargs ({first_line(error)}); save it again"
        raise ExportRefused(f"{path}: {reason}") from error
    network.set_training_mode(False)
    seed = saved.get("seed")
    return TrainedPolicy(network, seed if isinstance(seed, int) else None, *_recorded(path, saved))


def read_statistics(path: Path) -> VecNormalize:
    """Read the statistics that VecNormalize.save() wrote.

    Raises:
        ExportRefused: the file is not one of these, or its observations have another shape.
    """
    try:
        with path.open("rb") as file:
            statistics = _Unpickler(io.BytesIO(file.read(MAX_DATA_BYTES))).load()
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    except _Forbidden as error:
        raise ExportRefused(
            f"{path}: contains {error}, which the statistics of VecNormalize do not; it is not loaded"
        ) from error
    except Exception as error:
        # The unpickler can raise nearly any exception for a file that is not a pickle.
        raise ExportRefused(f"{path}: is not a file that VecNormalize.save() wrote") from error
    if not isinstance(statistics, VecNormalize):
        raise ExportRefused(f"{path}: contains a {type(statistics).__name__} and not the statistics of VecNormalize")
    if statistics.norm_obs:
        shape = getattr(getattr(statistics.obs_rms, "mean", None), "shape", None)
        if shape != (FEATURES,):
            raise ExportRefused(f"{path}: normalises observations of shape {shape}; ({FEATURES},) is needed")
    return statistics


def normalisation_of(statistics: VecNormalize) -> Normalisation | None:
    """Return the normalisation of observations, or None if VecNormalize does not normalise them."""
    if not statistics.norm_obs:
        return None
    return Normalisation(
        mean=np.asarray(statistics.obs_rms.mean, dtype=np.float64),
        variance=np.asarray(statistics.obs_rms.var, dtype=np.float64),
        epsilon=float(statistics.epsilon),
        clip=float(statistics.clip_obs),
    )


def weights_of(
    path: Path,
    network: RecurrentActorCriticPolicy,
    actions: Sequence[str],
    normalisation: Normalisation | None,
    temperature: float | None,
) -> PolicyWeights:
    """Return the weights of the actor, which decides; the critic is not exported.

    Args:
        path: file of the policy, for error messages.
        network: the network in torch.
        actions: the meaning of actions 0, 1 and 2 in training.
        normalisation: normalisation of observations.
        temperature: divisor of the logits, None for 1.

    Raises:
        ExportRefused: the network has a part that cannot be exported, or a weight that is not finite.
    """
    for name, parameter in network.state_dict().items():
        if not torch.isfinite(parameter).all():
            raise ExportRefused(f"{path}: {name} contains numbers that are not finite; the training has diverged")
    head = _dense(network.action_net)
    order = [actions.index(action) for action in ACTIONS]
    return PolicyWeights(
        lstm=_lstm(path, network.lstm_actor),
        layers=tuple(_layer(path, module) for module in network.mlp_extractor.policy_net),
        logits=DenseLayer(head.weights[order], head.bias[order]),
        normalisation=normalisation,
        temperature=temperature,
    )


class TorchReference:
    """The policy in torch, behind the normalisation of VecNormalize: the reference for an exported policy."""

    def __init__(
        self,
        network: RecurrentActorCriticPolicy,
        statistics: VecNormalize | None,
        actions: Sequence[str],
        temperature: float | None,
    ) -> None:
        self._network = network
        self._statistics = statistics
        self._order = [actions.index(action) for action in ACTIONS]
        self._temperature = temperature or 1.0

    def decide(
        self, observations: Float32, hidden: Float32, cell: Float32, begins: npt.NDArray[np.bool_]
    ) -> tuple[Float32, Float32, Float32]:
        """Return the probabilities of HOLD, BUY and SELL, shape (n, 3), and the next states.

        Args:
            observations: shape (n, 16).
            hidden: hidden states, shape (n, layers, size).
            cell: cell states, shape (n, layers, size).
            begins: shape (n,), true where the states are reset to zeros first.
        """
        if self._statistics is not None:
            observations = self._statistics.normalize_obs(observations)
        states = tuple(torch.from_numpy(state.swapaxes(0, 1).copy()) for state in (hidden, cell))
        with torch.no_grad():
            distribution, (hidden_next, cell_next) = self._network.get_distribution(
                torch.from_numpy(observations), states, torch.from_numpy(begins.astype(np.float32))
            )
            tempered = torch.softmax(distribution.distribution.logits / self._temperature, dim=-1)
            if self._temperature == 1.0:
                tempered = distribution.distribution.probs
        return (
            tempered.numpy()[:, self._order],
            hidden_next.numpy().swapaxes(0, 1),
            cell_next.numpy().swapaxes(0, 1),
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Restrict torch to one thread; for networks of this size more threads only add overhead."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Forbidden(Exception):
    """A pickle contains a class that is not allowed. The message is its name."""


class _Unpickler(pickle.Unpickler):
    """An unpickler that allows only the classes of `_ALLOWED`, so that a file cannot run code of its own."""

    def find_class(self, module: str, name: str) -> Any:
        """See pickle.Unpickler."""
        module = module.replace("numpy.core.", "numpy._core.")  # the name in NumPy 1
        if (module, name) not in _ALLOWED:
            raise _Forbidden(f"{module}.{name}")
        return super().find_class(module, name)


def _read_zip(path: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return the member `data` and the weights of the policy, both limited in size."""
    try:
        with zipfile.ZipFile(path) as archive:
            _require_small(path, archive, MAX_MEMBERS, MAX_WEIGHTS_BYTES)
            saved = json.loads(_member(path, archive, "data", MAX_DATA_BYTES))
            weights = io.BytesIO(_member(path, archive, "policy.pth", MAX_WEIGHTS_BYTES))
        with zipfile.ZipFile(weights) as tensors:
            _require_small(path, tensors, MAX_TENSORS, MAX_WEIGHTS_BYTES)
        weights.seek(0)
        parameters = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    except ExportRefused:
        raise
    except Exception as error:
        # A damaged or malicious zip can raise nearly any exception.
        raise ExportRefused(f"{path}: is not a zip that model.save() of sb3-contrib's RecurrentPPO wrote") from error
    if not isinstance(parameters, dict) or not all(isinstance(value, torch.Tensor) for value in parameters.values()):
        raise ExportRefused(f"{path}: its policy.pth contains no weights by name; save it again")
    return saved, parameters


def _require_small(path: Path, archive: zipfile.ZipFile, members: int, size: int) -> None:
    if len(archive.infolist()) > members:
        raise ExportRefused(f"{path}: has more than {members} members; save it again with this sb3-contrib")
    if sum(member.file_size for member in archive.infolist()) > size:
        raise ExportRefused(f"{path}: unpacks to more than {size >> 20} MiB; train a smaller network")


def _member(path: Path, archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    # The declared size of a member may be wrong, so the limit applies to the unpacked bytes.
    with archive.open(name) as member:
        content = member.read(size + 1)
    if len(content) > size:
        raise ExportRefused(f"{path}: its member {name} has more than {size >> 20} MiB; train a smaller network")
    return content


def _require_own_size(path: Path, arguments: dict[str, Any], parameters: dict[str, torch.Tensor]) -> None:
    """Check, before it is built, that the network of `arguments` is not larger than its weights in the file."""
    size, layers = arguments.get("lstm_hidden_size", 256), arguments.get("n_lstm_layers", 1)
    recurrent = [values.shape for name, values in parameters.items() if name.startswith("lstm_actor.weight_hh_l")]
    if recurrent != [(4 * size, size)] * (layers if isinstance(layers, int) and 0 < layers <= MAX_LAYERS else 0):
        raise ExportRefused(
            f"{path}: its weights do not fit its policy_kwargs ({layers} LSTM layers of {size}); save it again"
        )
    architecture = arguments.get("net_arch") or []
    parts = architecture.values() if isinstance(architecture, dict) else [architecture]
    widths = list(chain.from_iterable(part if isinstance(part, list) else [part] for part in parts))
    widest = max((max(values.shape, default=0) for values in parameters.values()), default=0)
    if len(widths) > MAX_LAYERS or any(not isinstance(width, int) or not 0 < width <= widest for width in widths):
        raise ExportRefused(f"{path}: its weights do not fit its policy_kwargs (net_arch); save it again")


def _recorded(path: Path, saved: dict[str, Any]) -> tuple[bool | None, Float32]:
    """Return whether the policy was trained behind VecNormalize, and the raw observations that the zip contains."""
    last, original = (
        None if saved.get(key) is None else _unpickled(path, saved, key, f"a {key} with {{}}, which no observation has")
        for key in ("_last_obs", "_last_original_obs")
    )
    raw = last if original is None else original
    behind = None if last is None and original is None else original is not None
    if raw is None:
        return behind, np.empty((0, FEATURES), np.float32)
    if not isinstance(raw, np.ndarray) or raw.ndim != 2 or raw.shape[1] != FEATURES or raw.dtype.kind != "f":
        raise ExportRefused(f"{path}: stores observations that are not {FEATURES} numbers each; save it again")
    return behind, raw.astype(np.float32)


def _network_arguments(path: Path, saved: Any) -> dict[str, Any]:
    """Return the arguments of the network's constructor, from the member `data` of the zip."""
    policy_class = _unpickled(path, saved, "policy_class", f"the policy class {{}}; {_NEEDED} can be exported")
    if policy_class is not RecurrentActorCriticPolicy:
        raise ExportRefused(f"{path}: is not a policy of {_NEEDED}, which alone can be exported")
    needed = f"a Box of {FEATURES} numbers, the features of {M5_V1.name}, is needed"
    observation_space = _unpickled(path, saved, "observation_space", f"observations in {{}}; {needed}")
    if not isinstance(observation_space, spaces.Box) or observation_space.shape != (FEATURES,):
        raise ExportRefused(f"{path}: observes {_format(observation_space)}; {needed}")
    needed = f"Discrete({len(ACTIONS)}) is needed: {', '.join(ACTIONS)}"
    action_space = _unpickled(path, saved, "action_space", f"actions in {{}}; {needed}")
    if not isinstance(action_space, spaces.Discrete) or action_space.n != len(ACTIONS) or action_space.start != 0:
        raise ExportRefused(f"{path}: acts in {_format(action_space)}; {needed}")
    activations = ", ".join(ACTIVATIONS)
    arguments = _unpickled(
        path, saved, "policy_kwargs", f"policy_kwargs with {{}}; an MLP with one of {activations} can be exported"
    )
    arguments = {key: value for key, value in arguments.items() if key != "device"}
    architecture = arguments.get("net_arch")
    if isinstance(architecture, list) and architecture and isinstance(architecture[0], dict):
        arguments["net_arch"] = architecture[0]  # the form of stable-baselines3 before 1.8
    return {"observation_space": observation_space, "action_space": action_space, **arguments}


def _unpickled(path: Path, saved: Any, key: str, refusal: str) -> Any:
    entry = saved.get(key) if isinstance(saved, dict) else None
    if isinstance(entry, dict) and ":serialized:" in entry:
        try:
            return _Unpickler(io.BytesIO(base64.b64decode(entry[":serialized:"]))).load()
        except _Forbidden as error:
            raise ExportRefused(f"{path}: has {refusal.format(error)}") from error
        except Exception as error:
            # The unpickler can raise nearly any exception for a damaged pickle.
            raise ExportRefused(f"{path}: its {key} cannot be read; save it again with this sb3-contrib") from error
    if key == "policy_kwargs" and isinstance(entry, dict):
        return entry  # arguments without a class are plain JSON
    raise ExportRefused(f"{path}: has no {key}, so it is not a zip of {_NEEDED}")


def _format(space: Any) -> str:
    return f"a {type(space).__name__} of shape {space.shape}" if isinstance(space, spaces.Box) else str(space)


def _lstm(path: Path, lstm: torch.nn.LSTM) -> tuple[LstmLayer, ...]:
    for option in ("bidirectional", "proj_size", "batch_first"):
        if getattr(lstm, option):
            raise ExportRefused(f"{path}: has lstm_kwargs with {option}, which cannot be exported; train it without")
    layers = []
    for index in range(lstm.num_layers):
        recurrent = _array(getattr(lstm, f"weight_hh_l{index}"))
        biases = [
            _array(getattr(lstm, f"bias_{what}_l{index}")) if lstm.bias else np.zeros(len(recurrent), np.float32)
            for what in ("ih", "hh")
        ]
        layers.append(LstmLayer(_array(getattr(lstm, f"weight_ih_l{index}")), recurrent, *biases))
    return tuple(layers)


def _layer(path: Path, module: torch.nn.Module) -> DenseLayer | Activation:
    if isinstance(module, torch.nn.Linear):
        return _dense(module)
    name = type(module).__name__
    if name not in ACTIVATIONS:
        raise ExportRefused(f"{path}: has a layer {name} that cannot be exported; {', '.join(ACTIVATIONS)} can")
    alpha = getattr(module, "negative_slope", getattr(module, "alpha", 1.0))
    return Activation(name, float(alpha))


def _dense(linear: torch.nn.Linear) -> DenseLayer:
    return DenseLayer(_array(linear.weight), _array(linear.bias))


def _array(parameter: torch.Tensor) -> Float32:
    values: Float32 = parameter.detach().numpy().astype(np.float32)
    return values
