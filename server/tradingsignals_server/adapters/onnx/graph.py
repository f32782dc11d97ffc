"""Build the ONNX file of a policy from its weights, operator by operator.

Without a tracer, the graph contains only the operators of the policy, and equal weights give equal bytes. A part for
which there is no operator here is given as a graph of its own (`Traced`). This module needs the `onnx` package, which
serving does not.

    observation -> normalised -> extractor -> LSTM -> layers -> logits -> softmax -> probabilities

A policy without a recurrent state has no LSTM layers. Of one that gives the values of its actions, `logits` is the last
layer, and there is no softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .metadata import OutputKind

OPSET = 17
_IR_VERSION = 8  # the one that belongs to this opset

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(observation - mean) / sqrt(variance + epsilon), clipped to +/- clip. Mean and variance: shape (n,), float64.

    frames: number of frames of n numbers in the observation. Above 1, each frame is normalised by itself, and a frame
        of zeros stays one: an environment that stacks normalised frames fills the absent ones with zeros.
    """

    mean: Float64
    variance: Float64
    epsilon: float
    clip: float
    frames: int = 1


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
class Traced:
    """A part of a network as an ONNX model of opset OPSET: one input (batch, inputs), one output (batch, outputs)."""

    model: bytes
    inputs: int


Layer = DenseLayer | Activation | Traced


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """A policy. Each row of `logits` is an action.

    lstm: empty for a policy without a recurrent state.
    layers: between the LSTM and `logits`.
    extractor: between the observation and the LSTM.
    output: PROBABILITIES, or ACTION_VALUES for the values of `logits` as they are.
    """

    lstm: tuple[LstmLayer, ...]
    layers: tuple[Layer, ...]
    logits: DenseLayer
    normalisation: Normalisation | None = None
    extractor: tuple[Layer, ...] = ()
    output: OutputKind = OutputKind.PROBABILITIES

    @property
    def observed(self) -> int:
        """Size of the observation."""
        for part in (*self.extractor, *self.lstm, *self.layers, self.logits):
            match part:
                case Traced():
                    return part.inputs
                case LstmLayer():
                    return int(part.input_weights.shape[1])
                case DenseLayer():
                    return int(part.weights.shape[1])
        raise AssertionError("logits is a dense layer")


def build_model(weights: PolicyWeights, properties: Mapping[str, str]) -> bytes:
    """Return the model file of `weights`, with `properties` as its metadata_props."""
    graph = _Graph()
    latent = "observation" if weights.normalisation is None else _normalised(graph, weights.normalisation)
    latent = _through(graph, latent, weights.extractor)
    if weights.lstm:
        latent = _recurrence(graph, latent, weights.lstm)
    latent = _through(graph, latent, weights.layers)
    if weights.output is OutputKind.PROBABILITIES:
        graph.add("Softmax", _dense(graph, latent, weights.logits), out=weights.output, axis=-1)
    else:
        _dense(graph, latent, weights.logits, out=weights.output)

    state = ("batch", len(weights.lstm), weights.lstm[0].size) if weights.lstm else ()
    made = helper.make_graph(
        graph.nodes,
        "policy",
        [
            _tensor("observation", ("batch", weights.observed)),
            *(_tensor(name, state) for name in ("hidden", "cell") if state),
        ],
        [
            _tensor(weights.output, ("batch", len(weights.logits.bias))),
            *(_tensor(name, state) for name in ("hidden_next", "cell_next") if state),
        ],
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

    def inline(self, model: onnx.ModelProto, source: str) -> str:
        """Add the graph of a model with one input, which is `source`, and return the name of its output."""
        prefix = f"traced_{len(self.nodes)}_"
        names = {"": "", model.graph.input[0].name: source}
        for initializer in model.graph.initializer:
            names[initializer.name] = prefix + initializer.name
            self.initializers.append(onnx.TensorProto.FromString(initializer.SerializeToString()))
            self.initializers[-1].name = names[initializer.name]
        for node in model.graph.node:
            copy = onnx.NodeProto.FromString(node.SerializeToString())
            names |= {name: prefix + name for name in node.output if name}
            copy.name = f"node_{len(self.nodes)}"
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self.nodes.append(copy)
        return names[model.graph.output[0].name]


def _tensor(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _normalised(graph: _Graph, normalisation: Normalisation) -> str:
    # In float64, as in VecNormalize, so that the observation is bit-identical to that in training; in float32 a small
    # variance would magnify the rounding of the mean.
    raw = graph.add("Cast", "observation", to=TensorProto.DOUBLE)
    observation = raw
    if normalisation.frames > 1:
        frames = np.array([-1, normalisation.frames, len(normalisation.mean)], dtype=np.int64)
        observation = graph.add("Reshape", raw, graph.constant(frames))
    centred = graph.add("Sub", observation, graph.constant(normalisation.mean))
    scale = np.sqrt(normalisation.variance + normalisation.epsilon)
    scaled = graph.add("Div", centred, graph.constant(scale))
    limits = (graph.constant(np.float64(limit)) for limit in (-normalisation.clip, normalisation.clip))
    clipped = graph.add("Clip", scaled, *limits)
    if normalisation.frames > 1:
        largest = graph.add("ReduceMax", graph.add("Abs", observation), axes=[2])
        present = graph.add("Greater", largest, graph.constant(np.float64(0.0)))
        clipped = graph.add("Where", present, clipped, graph.constant(np.float64(0.0)))
        whole = np.array([-1, normalisation.frames * len(normalisation.mean)], dtype=np.int64)
        clipped = graph.add("Reshape", clipped, graph.constant(whole))
    return graph.add("Cast", clipped, to=TensorProto.FLOAT)


def _through(graph: _Graph, latent: str, layers: Sequence[Layer]) -> str:
    """Add layers one after the other and return the output of the last."""
    for layer in layers:
        match layer:
            case DenseLayer():
                latent = _dense(graph, latent, layer)
            case Activation():
                latent = ACTIVATIONS[layer.name](graph, latent, layer.alpha)
            case Traced():
                latent = graph.inline(onnx.load_from_string(layer.model), latent)
    return latent


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


def _dense(graph: _Graph, latent: str, layer: DenseLayer, out: str | None = None) -> str:
    return graph.add("Gemm", latent, graph.constant(layer.weights), graph.constant(layer.bias), out=out, transB=1)


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
