"""Model files for tests: policies with random weights, small graphs as text, and a reference recurrence in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.graph import (
    Activation,
    DenseLayer,
    LstmLayer,
    Normalisation,
    PolicyWeights,
    build_model,
)
from tradingsignals_server.adapters.onnx.metadata import Metadata, OutputKind
from tradingsignals_server.adapters.onnx.model_file import load_model
from tradingsignals_server.domain.recurrent_state import ResetRule

RECURRENT = Metadata("test", "1", "PPO-LSTM", OutputKind.PROBABILITIES, ResetRule.SESSION)
NOT_RECURRENT = replace(RECURRENT, type="PPO", reset=ResetRule.NONE)

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

OBSERVATION = "float[batch,16] observation"
PROBABILITIES = "float[batch,3] probabilities"
STATE = "float[batch,1,4] hidden, float[batch,1,4] cell"
NEXT_STATE = "float[batch,1,4] hidden_next, float[batch,1,4] cell_next"

THREE = """
    sizes = Constant <value_ints = [3, 13]> ()
    three, rest = Split <axis = 1> (observation, sizes)
"""
SOFTMAX = THREE + "probabilities = Softmax <axis = -1> (three)"
"""A softmax over the first three features."""
NEXT_STATES = """
    hidden_next = Tanh (hidden)
    cell_next = Identity (cell)
"""


def write(folder: Path, content: bytes, name: str = "model.onnx") -> Path:
    """Write `content` to a file and return its path."""
    path = folder / name
    path.write_bytes(content)
    return path


def graph(
    inputs: str = OBSERVATION,
    outputs: str = PROBABILITIES,
    body: str = SOFTMAX,
    metadata: Metadata | dict[str, str] | None = None,
    *,
    opset: int = 17,
    ir_version: int = 8,
) -> bytes:
    """Return a model file from ONNX's text syntax, without any check."""
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>'
    model = onnx.parser.parse_model(f"{header} g ({inputs}) => ({outputs}) {{ {body} }}")
    if metadata is not None:
        properties = metadata.to_properties() if isinstance(metadata, Metadata) else metadata
        onnx.helper.set_model_props(model, properties)
    return bytes(model.SerializeToString())


def recurrent_graph(
    state: str = STATE,
    next_state: str = NEXT_STATE,
    body: str = SOFTMAX + NEXT_STATES,
    metadata: Metadata | dict[str, str] = RECURRENT,
) -> bytes:
    """Return a model file with a state of one layer of four, on which the probabilities do not depend."""
    return graph(f"{OBSERVATION}, {state}", f"{PROBABILITIES}, {next_state}", body, metadata)


def classifier(
    labels: Sequence[int] | Sequence[str],
    metadata: dict[str, str] | None = None,
    *,
    zip_map: bool = False,
    looked_up_in: Sequence[str] | None = None,
) -> bytes:
    """Return a linear classifier as converters of scikit-learn write it, with one column for each label.

    zip_map: the probabilities are a map from labels. looked_up_in: constant from which the best label is looked up.
    """
    texts, columns = isinstance(labels[0], str), len(labels)

    def named(integers: str) -> dict[str, Any]:
        return {"classlabels_strings" if texts else integers: list(labels)}

    linear = helper.make_node(
        "LinearClassifier",
        ["float_input"],
        ["label", "p"],
        domain="ai.onnx.ml",
        coefficients=np.linspace(-0.2, 0.3, 16 * columns).tolist(),
        intercepts=[0.1 * column for column in range(columns)],
        post_transform="SOFTMAX",
        **named("classlabels_ints"),
    )
    nodes, kind = [linear], TensorProto.STRING if texts else TensorProto.INT64
    outputs = [helper.make_tensor_value_info("label", kind, [None])]
    initializers = []
    if zip_map:
        nodes.append(helper.make_node("ZipMap", ["p"], ["map"], domain="ai.onnx.ml", **named("classlabels_int64s")))
        one = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs.append(helper.make_value_info("map", helper.make_sequence_type_proto(one)))
    else:
        outputs.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, columns]))
    if looked_up_in is not None:
        initializers.append(numpy_helper.from_array(np.array(looked_up_in, dtype=object), "classes"))
        nodes.append(helper.make_node("ArgMax", ["p"], ["best"], axis=1))
        nodes.append(helper.make_node("ArrayFeatureExtractor", ["classes", "best"], ["name"], domain="ai.onnx.ml"))
    observation = helper.make_tensor_value_info("float_input", TensorProto.FLOAT, [None, 16])
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_graph(nodes, "classifier", [observation], outputs, initializers)
    model = helper.make_model(made, opset_imports=domains, ir_version=8)
    helper.set_model_props(model, metadata or {})
    return bytes(model.SerializeToString())


def with_work(nodes: Sequence[onnx.NodeProto], constants: dict[str, Any], functions: Sequence[Any] = ()) -> bytes:
    """Return a plain file whose probabilities depend on `work`, a number that `nodes` compute; its value is unused."""
    model = onnx.load_from_string(
        graph(
            body=SOFTMAX.replace("probabilities =", "p =")
            + "none = Constant <value_float = 0.0> () probabilities = Identity (p)"
        )
    )
    del model.graph.node[-1]
    model.graph.node.extend(nodes)
    model.graph.node.append(helper.make_node("Mul", ["work", "none"], ["nothing"]))
    model.graph.node.append(helper.make_node("Add", ["p", "nothing"], ["probabilities"]))
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items())
    model.functions.extend(functions)
    model.opset_import.append(helper.make_opsetid("own", 1))
    return bytes(model.SerializeToString())


def doubling() -> bytes:
    """Return a file of functions that each call the previous one twice: 2 to the 40th nodes when they are inlined."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "f0", ["x"], ["z"], [helper.make_node("Sin", ["x"], ["z"])], opsets)]
    for number in range(1, 41):
        calls = [helper.make_node(f"f{number - 1}", [a], [b], domain="own") for a, b in (("x", "y"), ("y", "z"))]
        functions.append(helper.make_function("own", f"f{number}", ["x"], ["z"], calls, opsets))
    return with_work([helper.make_node("f40", ["a"], ["work"], domain="own")], {"a": 1.0}, functions)


def random_weights(
    layers: int = 1,
    size: int = 8,
    hidden: Sequence[int] = (6,),
    *,
    normalised: bool = False,
    seed: int = 0,
    observed: int = 16,
) -> PolicyWeights:
    """Return random weights of a policy with observations of `observed` numbers."""
    random = np.random.default_rng(seed)

    def uniform(*shape: int) -> npt.NDArray[np.float32]:
        return random.uniform(-0.7, 0.7, shape).astype(np.float32)

    dense: list[DenseLayer | Activation] = []
    width = size
    for outputs in hidden:
        dense += [DenseLayer(uniform(outputs, width), uniform(outputs)), Activation("Tanh")]
        width = outputs
    return PolicyWeights(
        lstm=tuple(
            LstmLayer(
                uniform(4 * size, size if layer else observed),
                uniform(4 * size, size),
                uniform(4 * size),
                uniform(4 * size),
            )
            for layer in range(layers)
        ),
        layers=tuple(dense),
        logits=DenseLayer(3.0 * uniform(3, width), uniform(3)),
        normalisation=Normalisation(random.normal(size=observed), random.uniform(1e-4, 4.0, observed), 1e-8, 10.0)
        if normalised
        else None,
    )


def policy_file(folder: Path, weights: PolicyWeights, metadata: Metadata = RECURRENT) -> Path:
    """Write a model file with `weights` and return its path."""
    return write(folder, build_model(weights, metadata.to_properties()))


def observations(count: int, seed: int = 7) -> npt.NDArray[np.float32]:
    """Return random observations, shape (count, 16)."""
    return np.random.default_rng(seed).normal(scale=2.0, size=(count, 16)).clip(-10.0, 10.0).astype(np.float32)


@dataclass
class NumpyPolicy:
    """A reference implementation of a recurrent policy in numpy and float64, without ONNX and torch.

    lstm: for each layer the weights of input and recurrence and their biases, gates in the order i, f, g, o.
    dense: weights and bias of each layer, with tanh between the layers and none after the last.
    """

    lstm: Sequence[tuple[Numbers, Numbers, Numbers, Numbers]]
    dense: Sequence[tuple[Numbers, Numbers]]
    mean: Numbers | float = 0.0
    variance: Numbers | float = 1.0
    epsilon: float = 0.0
    clip: float = np.inf

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset the state to zeros."""
        self.hidden = [np.zeros(recurrent.shape[1]) for _, recurrent, _, _ in self.lstm]
        self.cell = [np.zeros_like(hidden) for hidden in self.hidden]

    @classmethod
    def of(cls, weights: PolicyWeights) -> NumpyPolicy:
        """Return a policy with `weights` and a state of zeros."""
        dense = [layer for layer in weights.layers if isinstance(layer, DenseLayer)]
        scale = weights.normalisation
        policy = cls(
            [(w.input_weights, w.recurrent_weights, w.input_bias, w.recurrent_bias) for w in weights.lstm],
            [(layer.weights, layer.bias) for layer in (*dense, weights.logits)],
        )
        if scale is not None:
            policy.mean, policy.variance = scale.mean, scale.variance
            policy.epsilon, policy.clip = scale.epsilon, scale.clip
        return policy

    def decide(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probabilities for one more bar and update the state."""
        x = (observation.astype(np.float64) - self.mean) / np.sqrt(self.variance + self.epsilon)
        x = np.clip(x, -self.clip, self.clip)
        for layer, (w, u, b, c) in enumerate(self.lstm):
            i, f, g, o = np.split(w.astype(np.float64) @ x + b + u.astype(np.float64) @ self.hidden[layer] + c, 4)
            self.cell[layer] = _sigmoid(f) * self.cell[layer] + _sigmoid(i) * np.tanh(g)
            self.hidden[layer] = x = _sigmoid(o) * np.tanh(self.cell[layer])
        for place, (w, b) in enumerate(self.dense):
            x = w.astype(np.float64) @ x + b
            x = np.tanh(x) if place < len(self.dense) - 1 else x
        weights = np.exp(x - x.max())
        probabilities: npt.NDArray[np.float64] = weights / weights.sum()
        return probabilities


def _sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sigmoid: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-x))
    return sigmoid


GOOD = build_model(random_weights(), RECURRENT.to_properties())
"""The file of a recurrent policy that serves."""


def refusal(folder: Path, content: bytes) -> str:
    """Return the reason for which the file is refused."""
    path = write(folder, content)
    with pytest.raises(ModelRefused) as refused:
        load_model(path)
    message = str(refused.value)
    assert message == f"{path}: {refused.value.reason}"
    assert "\n" not in message
    assert len(refused.value.reason) < 500
    return refused.value.reason
