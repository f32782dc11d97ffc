"""Models with random weights: a recurrent one as the exporter writes it, and a plain one.

They are not trained. Their last layer is scaled so that they often exceed the confidence threshold: on the simulated
market they open and close many positions, so that the measurements include that work.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tradingsignals_server.adapters.onnx.entries import ACTIONS
from tradingsignals_server.adapters.onnx.graph import DenseLayer, Float32, LstmLayer, PolicyWeights, build_model
from tradingsignals_server.adapters.onnx.metadata import Metadata, OutputKind
from tradingsignals_server.adapters.onnx.tensors import FEATURES
from tradingsignals_server.domain.recurrent_state import ResetRule

SEED = 8

_SURENESS = 6.0
"""Standard deviation of the logits over hidden values of about one half."""


def make_lstm(path: Path, hidden: int = 128) -> Path:
    """A recurrent policy of one LSTM of `hidden` units, reset at each session's first bar."""
    draw = np.random.default_rng(SEED)
    lstm = LstmLayer(
        input_weights=_normal(draw, (4 * hidden, FEATURES), 2.0 / FEATURES**0.5),
        recurrent_weights=_normal(draw, (4 * hidden, hidden), 1.0 / hidden**0.5),
        input_bias=np.zeros(4 * hidden, np.float32),
        recurrent_bias=np.zeros(4 * hidden, np.float32),
    )
    head = _normal(draw, (len(ACTIONS), hidden), 3.0 * _SURENESS / hidden**0.5)
    weights = PolicyWeights((lstm,), (), DenseLayer(head, np.zeros(len(ACTIONS), np.float32)))
    metadata = Metadata("random-lstm", str(hidden), "LSTM", OutputKind.PROBABILITIES, ResetRule.SESSION)
    path.write_bytes(build_model(weights, metadata.to_properties()))
    return path


def make_mlp(path: Path, width: int = 64) -> Path:
    """A perceptron of two hidden layers of `width`, without recurrent state and without metadata."""
    draw = np.random.default_rng(SEED)
    layers = {
        "w1": _normal(draw, (FEATURES, width), 1.0 / FEATURES**0.5),
        "w2": _normal(draw, (width, width), 1.0 / width**0.5),
        "head": _normal(draw, (width, len(ACTIONS)), _SURENESS / width**0.5),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["observation", "w1"], ["a1"]),
            helper.make_node("Tanh", ["a1"], ["h1"]),
            helper.make_node("Gemm", ["h1", "w2"], ["a2"]),
            helper.make_node("Tanh", ["a2"], ["h2"]),
            helper.make_node("Gemm", ["h2", "head"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "perceptron",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(ACTIONS)])],
        [numpy_helper.from_array(values, name) for name, values in layers.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def _normal(draw: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Float32:
    return (deviation * draw.standard_normal(shape)).astype(np.float32)
