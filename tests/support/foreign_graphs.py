"""Graphs in the forms that frameworks and converters write, with the same computation in numpy beside each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Numbers = npt.NDArray[Any]
Logits = Callable[[Numbers], Numbers]
Info = tuple[str, int, Sequence[int | str | None]]

FLOAT, DOUBLE, HALF, INT64, INT32, STRING = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.STRING,
)
_NUMPY: dict[int, Any] = {FLOAT: np.float32, DOUBLE: np.float64, HALF: np.float16}
HIDDEN = 6


def weights(*shape: int, seed: int) -> Numbers:
    """Return random weights, float32."""
    return np.random.default_rng(seed).uniform(-0.8, 0.8, shape).astype(np.float32)


class Net:
    """A graph that is built node by node."""

    def __init__(self, kind: int = FLOAT) -> None:
        self.kind = kind
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, values: Any) -> str:
        """Add a constant; floats get the type of the graph."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            values = values.astype(_NUMPY[self.kind])
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node and return its first output, which is named after its place without `outputs`."""
        outs = outputs or (f"/{operator}_{len(self.nodes)}_output_0",)
        self.nodes.append(helper.make_node(operator, list(inputs), list(outs), domain=domain, **attributes))
        return outs[0]

    def dense(self, x: str, columns: int, size: int = 16, out: str | None = None) -> str:
        """Add a dense layer with tanh and a dense layer, as logits_of computes them, on the last axis of `x`."""
        names = [self.constant(f"net.{i}.{k}", v) for (i, k), v in _dense_weights(columns, size).items()]
        hidden = self.node("Add", [self.node("MatMul", [x, names[0]]), names[1]])
        product = self.node("MatMul", [self.node("Tanh", [hidden]), names[2]])
        return self.node("Add", [product, names[3]], *([out] if out else []))

    def softmax(self, logits: str, out: str) -> str:
        """Add a softmax over the last axis."""
        return self.node("Softmax", [logits], out, axis=-1)

    def model(
        self, inputs: Sequence[Info], outputs: Sequence[Info], *, opset: int = 17, ir_version: int = 8, ml: int = 0
    ) -> onnx.ModelProto:
        """Return the model."""
        made = helper.make_graph(
            self.nodes,
            "main_graph",
            [helper.make_tensor_value_info(*info) for info in inputs],
            [helper.make_tensor_value_info(*info) for info in outputs],
            self.initializers,
        )
        domains = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("ai.onnx.ml", ml)] if ml else [])
        return helper.make_model(made, opset_imports=domains, ir_version=ir_version)


def _dense_weights(columns: int, size: int) -> dict[tuple[int, str], Numbers]:
    return {
        (0, "weight"): weights(size, HIDDEN, seed=1) / np.float32(np.sqrt(size / 16)),
        (0, "bias"): weights(HIDDEN, seed=2),
        (2, "weight"): weights(HIDDEN, columns, seed=3) * np.float32(2),
        (2, "bias"): weights(columns, seed=4),
    }


def logits_of(x: Numbers, columns: int = 3) -> Numbers:
    """Return what Net.dense gives, in float64."""
    w, b, v, c = (values.astype(np.float64) for values in _dense_weights(columns, len(x)).values())
    logits: Numbers = np.tanh(x.astype(np.float64) @ w + b) @ v + c
    return logits


def softmax_of(logits: Numbers) -> Numbers:
    """Return probabilities."""
    shifted: Numbers = np.exp(logits - logits.max())
    found: Numbers = shifted / shifted.sum()
    return found


class Recurrence:
    """An LSTM or GRU of ONNX with `layers` layers, and the same in numpy; gates as ONNX orders them."""

    def __init__(self, cell: str, size: int = 4, layers: int = 1, inputs: int = 16, seed: int = 20) -> None:
        self.cell, self.size, self.layers, self.inputs = cell, size, layers, inputs
        gates = 4 if cell == "LSTM" else 3
        self.weights = [
            (
                weights(1, gates * size, inputs if layer == 0 else size, seed=seed + layer),
                weights(1, gates * size, size, seed=seed + 40 + layer),
                weights(1, 2 * gates * size, seed=seed + 80 + layer),
            )
            for layer in range(layers)
        ]

    def add(self, net: Net, x: str, state: Sequence[str], returned: Sequence[str], prefix: str = "") -> str:
        """Add it to a graph on `x` (1, batch, inputs), with states (layers, batch, size); return its output."""
        before = [self._split(net, name, prefix) for name in state]
        after: list[list[str]] = [[] for _ in state]
        for layer, (w, u, b) in enumerate(self.weights):
            names = [net.constant(f"{prefix}{self.cell}_{layer}_{k}", v) for k, v in zip("WRB", (w, u, b), strict=True)]
            outs = [f"{prefix}y_{layer}", *(f"{prefix}{name}_{layer}_after" for name in state)]
            extra: dict[str, Any] = {} if self.cell == "LSTM" else {"linear_before_reset": 1}
            inputs = [x, *names, "", *(parts[layer] for parts in before)]
            net.node(self.cell, inputs, *outs, hidden_size=self.size, **extra)
            for found, out in zip(after, outs[1:], strict=True):
                found.append(out)
            axis = net.constant(f"{prefix}axis_{layer}", np.array([1]))
            x = net.node("Squeeze", [outs[0], axis])
        for found, name in zip(after, returned, strict=True):
            net.node("Concat", found, name, axis=0)
        return x

    def _split(self, net: Net, name: str, prefix: str) -> list[str]:
        if self.layers == 1:
            return [name]
        sizes = net.constant(f"{prefix}{name}_sizes", np.ones(self.layers, np.int64))
        outs = [f"{prefix}{name}_{layer}" for layer in range(self.layers)]
        net.node("Split", [name, sizes], *outs, axis=0)
        return outs

    def zeros(self) -> list[Numbers]:
        """Return the state before the first bar: tensors of shape (layers, size)."""
        return [np.zeros((self.layers, self.size)) for _ in range(2 if self.cell == "LSTM" else 1)]

    def step(self, x: Numbers, state: Sequence[Numbers]) -> tuple[Numbers, list[Numbers]]:
        """Return the output and the next state for one bar."""
        after = [np.array(part, np.float64) for part in state]
        x = x.astype(np.float64)
        for layer, (w, u, b) in enumerate(self.weights):
            w0, u0, b0 = w[0].astype(np.float64), u[0].astype(np.float64), b[0].astype(np.float64)
            if self.cell == "LSTM":
                x, after[1][layer] = self._lstm(x, after[0][layer], after[1][layer], w0, u0, b0)
            else:
                x = self._gru(x, after[0][layer], w0, u0, b0)
            after[0][layer] = x
        return x, after

    @staticmethod
    def _lstm(x: Numbers, h: Numbers, c: Numbers, w: Numbers, u: Numbers, b: Numbers) -> tuple[Numbers, Numbers]:
        wb, rb = np.split(b, 2)
        i, o, f, g = np.split(w @ x + wb + u @ h + rb, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c), c

    @staticmethod
    def _gru(x: Numbers, h: Numbers, w: Numbers, u: Numbers, b: Numbers) -> Numbers:
        wb, rb = np.split(b, 2)
        (wz, wr, wh), (uz, ur, uh) = np.split(w @ x + wb, 3), np.split(u @ h + rb, 3)
        z, r = _sigmoid(wz + uz), _sigmoid(wr + ur)
        found: Numbers = (1.0 - z) * np.tanh(wh + r * uh) + z * h
        return found


def _sigmoid(x: Numbers) -> Numbers:
    found: Numbers = 1.0 / (1.0 + np.exp(-x))
    return found


# Stumps: (feature, threshold, weights of the classes below or at it, weights above it).
STUMPS: Any = (
    (0, 0.25, (0.7, 0.2, 0.1), (0.1, 0.3, 0.6)),
    (4, -0.5, (0.2, 0.5, 0.3), (0.5, 0.25, 0.25)),
    (15, 0.5, (0.1, 0.1, 0.8), (0.3, 0.6, 0.1)),
)


def trees(net: Net, x: str, label: str, scores: str, labels: Sequence[Any], *, transform: str = "NONE") -> None:
    """Add the stumps as a TreeEnsembleClassifier: their mean, or with SOFTMAX the softmax of their sum."""
    texts, columns = isinstance(labels[0], str), len(labels)
    weight = 1.0 if transform == "SOFTMAX" else 1.0 / len(STUMPS)
    ids = range(len(STUMPS))
    leaves = [
        (tree, leaf, column, weight * stump[1 + leaf][column])
        for tree, stump in enumerate(STUMPS)
        for leaf in (1, 2)
        for column in range(columns)
    ]
    net.node(
        "TreeEnsembleClassifier",
        [x],
        label,
        scores,
        domain="ai.onnx.ml",
        nodes_treeids=[tree for tree in ids for _ in range(3)],
        nodes_nodeids=[0, 1, 2] * len(STUMPS),
        nodes_featureids=[number for stump in STUMPS for number in (stump[0], 0, 0)],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * len(STUMPS),
        nodes_values=[number for stump in STUMPS for number in (float(stump[1]), 0.0, 0.0)],
        nodes_truenodeids=[1, 0, 0] * len(STUMPS),
        nodes_falsenodeids=[2, 0, 0] * len(STUMPS),
        nodes_missing_value_tracks_true=[0] * 3 * len(STUMPS),
        nodes_hitrates=[1.0] * 3 * len(STUMPS),
        class_treeids=[tree for tree, _, _, _ in leaves],
        class_nodeids=[leaf for _, leaf, _, _ in leaves],
        class_ids=[column for _, _, column, _ in leaves],
        class_weights=[score for _, _, _, score in leaves],
        post_transform=transform,
        **{"classlabels_strings" if texts else "classlabels_int64s": list(labels)},
    )


def scores_of(x: Numbers) -> Numbers:
    """Return the sum of the stumps."""
    found: Numbers = np.sum(
        [below if x[feature] <= limit else above for feature, limit, below, above in STUMPS], axis=0
    )
    return found


def zip_map(net: Net, scores: str, out: str, labels: Sequence[Any]) -> onnx.ValueInfoProto:
    """Add a ZipMap as converters do, and return the description of its output."""
    texts = isinstance(labels[0], str)
    name = "classlabels_strings" if texts else "classlabels_int64s"
    net.node("ZipMap", [scores], out, domain="ai.onnx.ml", **{name: list(labels)})
    one = helper.make_map_type_proto(STRING if texts else INT64, helper.make_tensor_type_proto(FLOAT, []))
    return helper.make_value_info(out, helper.make_sequence_type_proto(one))
