"""Weights of a policy in torch, in the form that the writer of graphs takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.torch_layers import FlattenExtractor

from ..onnx.errors import ExportRefused
from ..onnx.graph import ACTIVATIONS, Activation, DenseLayer, Layer, LstmLayer, Normalisation, PolicyWeights
from .kinds import parts_of
from .policy import TrainedPolicy
from .traced import traced

Float32 = npt.NDArray[np.float32]


def weights_of(path: Path, policy: TrainedPolicy, normalisation: Normalisation | None) -> PolicyWeights:
    """Return the weights of the parts that decide; a critic is not exported. `path` is for error messages.

    Raises:
        ExportRefused: the network has a part that cannot be exported, or a weight that is not finite.
    """
    for name, parameter in policy.network.state_dict().items():
        if not torch.isfinite(parameter).all():
            raise ExportRefused(f"{path}: {name} contains numbers that are not finite; the training has diverged")
    parts = parts_of(policy.network)
    head = _dense(parts.head)
    if parts.quantiles > 1:
        # The output is all actions of the first quantile, then of the second ...; a mean of linear layers is one.
        weights, bias = (
            values.reshape(parts.quantiles, -1, *values.shape[1:]).mean(axis=0, dtype=np.float64).astype(np.float32)
            for values in (head.weights, head.bias)
        )
        head = DenseLayer(weights, bias)
    return PolicyWeights(
        lstm=() if parts.lstm is None else _lstm(path, parts.lstm),
        layers=_layers(path, parts.layers),
        logits=DenseLayer(head.weights[policy.columns], head.bias[policy.columns]),
        normalisation=normalisation,
        extractor=_extractor(path, parts.extractor, policy.spaces.observation.shape),
        output=policy.kind.output,
    )


def _extractor(path: Path, module: torch.nn.Module, shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Convert a features extractor, which takes observations of `shape`. One that flattens them has no layers."""
    return () if type(module) is FlattenExtractor else (traced(path, module, shape),)


def _layers(path: Path, modules: Sequence[torch.nn.Module]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    width: int | None = None
    for module in modules:
        name = type(module).__name__
        if isinstance(module, torch.nn.Linear):
            layers.append(_dense(module))
            width = module.out_features
        elif name in ACTIVATIONS:
            alpha = getattr(module, "negative_slope", getattr(module, "alpha", 1.0))
            layers.append(Activation(name, float(alpha)))
        elif width is not None:
            layers.append(traced(path, module, (width,)))
        else:
            raise ExportRefused(f"{path}: begins with a layer {name}, which cannot be exported; train it without")
    return tuple(layers)


def _lstm(path: Path, lstm: torch.nn.RNNBase) -> tuple[LstmLayer, ...]:
    if not isinstance(lstm, torch.nn.LSTM):
        raise ExportRefused(f"{path}: has a recurrent layer {type(lstm).__name__}; train it with an LSTM")
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


def _dense(linear: torch.nn.Linear) -> DenseLayer:
    weights = _array(linear.weight)
    return DenseLayer(weights, np.zeros(len(weights), np.float32) if linear.bias is None else _array(linear.bias))


def _array(parameter: torch.Tensor) -> Float32:
    values: Float32 = parameter.detach().numpy().astype(np.float32)
    return values
