"""Build the ONNX file of a recurrent policy from its weights, operator by operator.

Without a tracer, the graph contains only the operators of the policy, and equal weights give equal bytes. This module
needs the `onnx` package, which serving does not.

    observation -> normalised -> LSTM layers -> dense layers -> logits -> / temperature -> softmax -> probabilities
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .tensors import FEATURES

OPSET = 17
_IR_VERSION = 8  # the one that belongs to this opset

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(observation - mean) / sqrt(variance + epsilon), clipped to +/- clip. Mean and variance: shape (16,), float64."""

    mean: Float64
    variance: Float64
    epsilon: float
    clip: float


@dataclass(frozen=True, slots=True)
class LstmLayer:
    """One LSTM layer in the layout of torch: gates in the order input, forget, cell, output.

    input_weights: (4 size, inputs). recurrent_weights: (4 size, size). Both biases: (4 size,); their sum is applied.
    """

    input_weights: Float32
    recurrent_weights: Float32
    input_bias: Float32
    recurrent_bias: Float32

    @property
    def size(self) -> int:
        """Number of units."""
        return int(self.recurrent_weights.shape[1])


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function. `name` is its class in torch, one of ACTIVATIONS; `alpha` is its parameter, if any."""

    name: str
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """One dense layer. weights: (outputs, inputs). bias: (outputs,)."""

    weights: Float32
    bias: Float32


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """A recurrent policy. `layers` lie between the LSTM and `logits`, whose three rows are HOLD, BUY and SELL.

    temperature: divisor of the logits before the softmax, None for 1.
    """

    lstm: tuple[LstmLayer, ...]
    layers: tuple[DenseLayer | Activation, ...]
    logits: DenseLayer
    normalisation: Normalisation | None = None
    temperature: float | None = None


def build_model(weights: PolicyWeights, properties: Mapping[str, str]) -> bytes:
    """Return the model file of `weights`, with `properties` as its metadata_props."""
    graph = _Graph()
    features = "observation" if weights.normalisation is None else _normalised(graph, weights.normalisation)
    latent = _recurrence(graph, features, weights.lstm)
    for layer in weights.layers:
        if isinstance(layer, Activation):
            latent = ACTIVATIONS[layer.name](graph, latent, layer.alpha)
        else:
            latent = _dense(graph, latent, layer)
    logits = _dense(graph, latent, weights.logits)
    if weights.temperature is not None:
        logits = graph.add("Div", logits, graph.constant(np.float32(weights.temperature)))
    graph.add("Softmax", logits, out="probabilities", axis=-1)

    state = ("batch", len(weights.lstm), weights.lstm[0].size)
    made = helper.make_graph(
        graph.nodes,
        "policy",
        [_tensor("observation", ("batch", FEATURES)), _tensor("hidden", state), _tensor("cell", state)],
        [_tensor("probabilities", ("batch", 3)), _tensor("hidden_next", state), _tensor("cell_next", state)],
        graph.initializers,
    )
    model = helper.make_model(
        made,
        producer_name="tradingsignals",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
    )
    helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants of a graph in the order in which they are added. It assigns their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output and return the name of the output."""
        return self.add_many(operator, inputs, [out or f"{operator.lower()}_{len(self.nodes)}"], **attributes)[0]

    def add_many(self, operator: str, inputs: Sequence[str], outs: Sequence[str], **attributes: Any) -> Sequence[str]:
        """Add an operator with the outputs `outs`. An empty name omits an output."""
        self.nodes.append(helper.make_node(operator, list(inputs), list(outs), f"node_{len(self.nodes)}", **attributes))
        return outs

    def constant(self, values: npt.ArrayLike) -> str:
        """Add a constant of the dtype of `values` and return its name."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name))
        return name


def _tensor(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _normalised(graph: _Graph, normalisation: Normalisation) -> str:
    # In float64, as in VecNormalize, so that the observation is bit-identical to that in training; in float32 a small
    # variance would magnify the rounding of the mean.
    observation = graph.add("Cast", "observation", to=TensorProto.DOUBLE)
    centred = graph.add("Sub", observation, graph.constant(normalisation.mean))
    scale = np.sqrt(normalisation.variance + normalisation.epsilon)
    scaled = graph.add("Div", centred, graph.constant(scale))
    limits = (graph.constant(np.float64(limit)) for limit in (-normalisation.clip, normalisation.clip))
    return graph.add("Cast", graph.add("Clip", scaled, *limits), to=TensorProto.FLOAT)


def _recurrence(graph: _Graph, features: str, lstm: Sequence[LstmLayer]) -> str:
    """Add one step of every LSTM layer and return the output of the last, shape (batch, size).

    Inputs and outputs of the graph have states of shape (batch, layers, size); the operator takes (1, batch, size).
    """
    first_axis = graph.constant(np.array([0], dtype=np.int64))
    hidden, cell = _by_layer(graph, "hidden", len(lstm)), _by_layer(graph, "cell", len(lstm))
    sequence = graph.add("Unsqueeze", features, first_axis)
    hidden_next, cell_next = [], []
    for index, layer in enumerate(lstm):
        weights = [
            graph.constant(_gates(layer.input_weights)[np.newaxis]),
            graph.constant(_gates(layer.recurrent_weights)[np.newaxis]),
            graph.constant(np.concatenate([_gates(layer.input_bias), _gates(layer.recurrent_bias)])[np.newaxis]),
        ]
        before = [graph.add("Transpose", state, perm=[1, 0, 2]) for state in (hidden[index], cell[index])]
        # Of a sequence of one step, the last hidden state (1, batch, size) is also the output of the whole sequence.
        _, sequence, after = graph.add_many(
            "LSTM",
            [sequence, *weights, "", *before],
            ["", f"hidden_{index}", f"cell_{index}"],
            hidden_size=layer.size,
        )
        hidden_next.append(sequence)
        cell_next.append(after)
    _batch_first(graph, hidden_next, "hidden_next")
    _batch_first(graph, cell_next, "cell_next")
    return graph.add("Squeeze", sequence, first_axis)


def _by_layer(graph: _Graph, state: str, layers: int) -> Sequence[str]:
    """Split a state of shape (batch, layers, size) into one of shape (batch, 1, size) for each layer."""
    if layers == 1:
        return [state]
    return graph.add_many("Split", [state], [f"{state}_before_{index}" for index in range(layers)], axis=1)


def _batch_first(graph: _Graph, states: Sequence[str], out: str) -> None:
    """Join the states of all layers, each of shape (1, batch, size), into one of shape (batch, layers, size)."""
    stacked = states[0] if len(states) == 1 else graph.add("Concat", *states, axis=0)
    graph.add("Transpose", stacked, out=out, perm=[1, 0, 2])


def _gates(values: Float32) -> Float32:
    """Reorder gates from torch's order (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    input_gate, forget, cell, output = np.split(values, 4)
    return np.concatenate([input_gate, output, forget, cell])


def _dense(graph: _Graph, latent: str, layer: DenseLayer) -> str:
    return graph.add("Gemm", latent, graph.constant(layer.weights), graph.constant(layer.bias), transB=1)


def _gelu(graph: _Graph, x: str, _: float) -> str:
    scaled = graph.add("Mul", x, graph.constant(np.float32(np.sqrt(0.5))))
    probability = graph.add("Add", graph.add("Erf", scaled), graph.constant(np.float32(1.0)))
    return graph.add("Mul", graph.add("Mul", x, graph.constant(np.float32(0.5))), probability)


def _mish(graph: _Graph, x: str, _: float) -> str:
    return graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x)))


def _silu(graph: _Graph, x: str, _: float) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


ACTIVATIONS: Mapping[str, Callable[[_Graph, str, float], str]] = {
    "ELU": lambda graph, x, alpha: graph.add("Elu", x, alpha=alpha),
    "GELU": _gelu,
    "Identity": lambda _graph, x, _alpha: x,
    "LeakyReLU": lambda graph, x, alpha: graph.add("LeakyRelu", x, alpha=alpha),
    "Mish": _mish,
    "ReLU": lambda graph, x, _alpha: graph.add("Relu", x),
    "SELU": lambda graph, x, _alpha: graph.add("Selu", x),
    "SiLU": _silu,
    "Sigmoid": lambda graph, x, _alpha: graph.add("Sigmoid", x),
    "Softplus": lambda graph, x, _alpha: graph.add("Softplus", x),
    "Softsign": lambda graph, x, _alpha: graph.add("Softsign", x),
    "Tanh": lambda graph, x, _alpha: graph.add("Tanh", x),
}
"""The activations that can be exported, by the name of the class in torch."""
