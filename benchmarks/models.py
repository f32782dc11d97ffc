"""Models made on the spot: the seed contract (16 features in, probabilities of [HOLD, BUY, SELL] out), random weights.

They have learnt nothing. Their last layer is scaled so that they are sure of themselves often enough: on the simulated
market they open and close positions at a lively pace, so that what is measured includes that work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tradingsignals_server.domain.features import FEATURE_NAMES

FEATURES = len(FEATURE_NAMES)
ACTIONS = 3
SEED = 7

_SURENESS = 6.0
"""Standard deviation of the logits over hidden values of about one half."""

Weights = npt.NDArray[np.float32]


def make_mlp(path: Path, width: int = 64) -> Path:
    """A perceptron with two hidden layers of `width`, the size of PPO's default policy."""
    draw = np.random.default_rng(SEED)
    nodes = [
        helper.make_node("Gemm", ["observation", "w1"], ["a1"]),
        helper.make_node("Tanh", ["a1"], ["h1"]),
        helper.make_node("Gemm", ["h1", "w2"], ["a2"]),
        helper.make_node("Tanh", ["a2"], ["h2"]),
        *_head("h2"),
    ]
    weights = {
        "w1": _normal(draw, (FEATURES, width), 1.0 / FEATURES**0.5),
        "w2": _normal(draw, (width, width), 1.0 / width**0.5),
        "head": _normal(draw, (width, ACTIONS), _SURENESS / width**0.5),
    }
    return _save(path, "mlp", nodes, weights)


def make_lstm(path: Path, hidden: int = 128) -> Path:
    """An LSTM of `hidden` units that starts from a state of zeros each time, as the older design ran it."""
    draw = np.random.default_rng(SEED)
    nodes = [
        helper.make_node("Unsqueeze", ["observation", "first"], ["sequence"]),
        helper.make_node("LSTM", ["sequence", "w", "r"], ["", "hidden"], hidden_size=hidden),
        helper.make_node("Squeeze", ["hidden", "first"], ["h"]),
        *_head("h"),
    ]
    weights: dict[str, npt.NDArray[Any]] = {
        "w": _normal(draw, (1, 4 * hidden, FEATURES), 2.0 / FEATURES**0.5),
        "r": _normal(draw, (1, 4 * hidden, hidden), 1.0 / hidden**0.5),
        "head": _normal(draw, (hidden, ACTIONS), 3.0 * _SURENESS / hidden**0.5),
        "first": np.array([0], dtype=np.int64),
    }
    return _save(path, "lstm", nodes, weights)


def _head(hidden: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gemm", [hidden, "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]


def _normal(draw: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Weights:
    return (deviation * draw.standard_normal(shape)).astype(np.float32)


def _save(path: Path, name: str, nodes: Sequence[onnx.NodeProto], weights: Mapping[str, npt.NDArray[Any]]) -> Path:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", ACTIONS])],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path
