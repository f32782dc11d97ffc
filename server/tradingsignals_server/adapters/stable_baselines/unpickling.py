"""An unpickler for the pickles in the zip of a policy and for the statistics of VecNormalize.

A pickle can run any code when it is loaded. This unpickler allows only the few classes that such files need, and those
that the caller names.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from typing import Any

from ..onnx.graph import ACTIVATIONS

_TRACED_ACTIVATIONS = (
    "CELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LogSigmoid",
    "PReLU",
    "ReLU6",
    "Softshrink",
    "Tanhshrink",
)
"""Activations that torch's exporter converts, because the writer of graphs has no operator for them."""
_OPTIMIZERS = ("ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
_ALLOWED = frozenset(
    {
        ("collections", "OrderedDict"),
        ("gymnasium.spaces.box", "Box"),
        ("gymnasium.spaces.dict", "Dict"),
        ("gymnasium.spaces.discrete", "Discrete"),
        ("gymnasium.spaces.multi_binary", "MultiBinary"),
        ("gymnasium.spaces.multi_discrete", "MultiDiscrete"),
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
        ("sb3_contrib.common.maskable.policies", "MaskableActorCriticPolicy"),
        ("sb3_contrib.common.recurrent.policies", "RecurrentActorCriticPolicy"),
        ("sb3_contrib.qrdqn.policies", "QRDQNPolicy"),
        ("stable_baselines3.common.policies", "ActorCriticPolicy"),
        ("stable_baselines3.common.running_mean_std", "RunningMeanStd"),
        ("stable_baselines3.common.sb2_compat.rmsprop_tf_like", "RMSpropTFLike"),
        ("stable_baselines3.common.torch_layers", "FlattenExtractor"),
        ("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize"),
        ("stable_baselines3.dqn.policies", "DQNPolicy"),
        ("torch.nn.modules.linear", "Identity"),
        *((f"torch.optim.{name.lower()}", name) for name in _OPTIMIZERS),
        *(("torch.nn.modules.activation", name) for name in (*ACTIVATIONS, *_TRACED_ACTIVATIONS)),
    }
)


class Forbidden(Exception):
    """A pickle contains a class that is not allowed. The message is its name."""


def unpickle(content: bytes, trusted: Iterable[str] = ()) -> Any:
    """Load a pickle that contains only allowed classes and those of `trusted`, each as `module:Class`.

    Raises:
        Forbidden: it contains another class.
        Exception: any other, for a damaged pickle.
    """
    return _Unpickler(content, trusted).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, trusted: Iterable[str]) -> None:
        super().__init__(io.BytesIO(content))
        self._allowed = _ALLOWED | {(module, name) for module, _, name in (text.partition(":") for text in trusted)}

    def find_class(self, module: str, name: str) -> Any:
        """See pickle.Unpickler."""
        module = module.replace("numpy.core.", "numpy._core.")  # the name in NumPy 1
        if (module, name) not in self._allowed:
            raise Forbidden(f"{module}.{name}")
        return super().find_class(module, name)
