"""Model files as frameworks and converters write them: each is served as its reference decides, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from tests.support.foreign_graphs import (
    FLOAT,
    INT32,
    INT64,
    STRING,
    STUMPS,
    Info,
    Net,
    Numbers,
    Recurrence,
    logits_of,
    scores_of,
    softmax_of,
    trees,
    weights,
    zip_map,
)

from tradingsignals_server.domain.features import M5_V1

HBS = ("HOLD", "BUY", "SELL")
SHB = ("SELL", "HOLD", "BUY")
FIVE = ("SELL", "SELL", "HOLD", "BUY", "BUY")
M5: Mapping[str, Any] = {"features": "m5-v1", "actions": HBS}
CATALOGUE = "rsi(14),return(3),ema_gap(20),atr_pct(14),volatility(20),session_progress"

State = Any
Step = Callable[[Numbers, State], tuple[Numbers, State]]
"""(observation, state) -> (numbers of the columns as probabilities, next state); None is the first state."""


@dataclass(frozen=True)
class Served:
    """A file that is served, as it is or after a stamp with `options`.

    step: what it decides, for each column of `actions`. files: others of its folder. tolerance: absolute.
    """

    make: Callable[[], onnx.ModelProto]
    step: Step
    options: Mapping[str, Any] | None = None
    actions: Sequence[str] = HBS
    files: Callable[[Path, onnx.ModelProto], None] | None = None
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Refused:
    """A file that is refused with `reason`, as it is or by a stamp with `options`."""

    make: Callable[[], onnx.ModelProto]
    reason: str
    options: Mapping[str, Any] | None = None
    files: Callable[[Path, onnx.ModelProto], None] | None = field(default=None)


def stateless(columns: Callable[[Numbers], Numbers]) -> Step:
    """Return a step without a state."""
    return lambda x, state: (columns(x), state)


def probabilities(count: int = 3) -> Step:
    """Return the step of a softmax over the dense layers."""
    return stateless(lambda x: softmax_of(logits_of(x, count)))


def one_hot(values: Numbers) -> Numbers:
    """Return 1 for the highest value."""
    found: Numbers = np.eye(len(values))[int(np.argmax(values))]
    return found


def greedy(count: int = 3) -> Step:
    """Return the step of the highest value."""
    return stateless(lambda x: one_hot(logits_of(x, count)))


# ------------------------------------------------------------------------------------------------------------- torch


def torch_net(
    shape: Sequence[int | str | None] = ("batch", 16),
    out_shape: Sequence[int | str | None] = ("batch", 3),
    *,
    kind: int = FLOAT,
    ends: str = "softmax",
    names: tuple[str, str] = ("input", "output"),
    size: int = 16,
    extra: Callable[[Net, str, str], list[Info]] | None = None,
    **versions: int,
) -> onnx.ModelProto:
    """Return a perceptron as torch exports it: ends with a softmax, logits, or an argmax."""
    net, (x, y) = Net(kind), names
    columns = next((axis for axis in reversed(out_shape) if isinstance(axis, int) and axis > 1), 3)
    outputs: list[Info] = [(y, kind, out_shape)]
    if ends == "softmax":
        net.softmax(net.dense(x, columns, size), y)
    elif ends == "logits":
        net.dense(x, columns, size, out=y)
    else:
        keep = int(ends == "argmax, kept")
        net.node("ArgMax", [net.dense(x, columns, size)], y, axis=-1, keepdims=keep)
        outputs = [(y, INT64, out_shape)]
    if extra is not None:
        outputs += extra(net, x, y)
    model = net.model([(x, kind, shape)], outputs, **versions)
    model.producer_name = "pytorch"
    return model


def argmax_of_five() -> onnx.ModelProto:
    """Return the index of the best of five columns, as int32, as TensorFlow gives it."""
    net = Net()
    net.node("ArgMax", [net.dense("x", 5)], "best", axis=1, keepdims=0)
    net.node("Cast", ["best"], "action", to=INT32)
    return net.model([("x", FLOAT, [None, 16])], [("action", INT32, [None])])


def with_value(net: Net, x: str, _: str) -> list[Info]:
    """Add the value of a critic."""
    net.constant("critic.weight", weights(16, 1, seed=9))
    net.node("MatMul", [x, "critic.weight"], "value")
    return [("value", FLOAT, ["batch", 1])]


def policy_of_stable_baselines() -> onnx.ModelProto:
    """Return the actions, values and log probabilities of the example in the documentation of Stable-Baselines3."""
    net = Net()
    logits = net.dense("observation", 3)
    net.node("ArgMax", [logits], "actions", axis=1, keepdims=0)
    with_value(net, "observation", "")
    net.node("LogSoftmax", [logits], "all", axis=1)
    net.node("ReduceMax", ["all"], "log_prob", axes=[1], keepdims=0)
    return net.model(
        [("observation", FLOAT, ["batch_size", 16])],
        [("actions", INT64, ["batch_size"]), ("value", FLOAT, ["batch_size", 1]), ("log_prob", FLOAT, ["batch_size"])],
    )


def external(folder: Path, model: onnx.ModelProto) -> None:
    """Save a model as torch's newer exporter does, with its weights in a file beside it."""
    onnx.save_model(
        model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0
    )


def in_shards(folder: Path, model: onnx.ModelProto) -> None:
    """Save a model with each weight in a file of its own, as older exporters do."""
    onnx.save_model(
        model, folder / "model.onnx", save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0
    )


def outside(folder: Path, model: onnx.ModelProto) -> None:
    """Save a model with its weights in a file above its folder."""
    external(folder, model)
    written = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in written.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    (folder / "model.onnx").write_bytes(written.SerializeToString())
    (folder.parent / "secret").write_bytes((folder / "model.onnx.data").read_bytes())


# --------------------------------------------------------------------------------------------------------- recurrent


def recurrent(
    cell: str,
    given: Sequence[str],
    returned: Sequence[str],
    *,
    layers: int = 1,
    layout: str = "layers first",
    kind: int = FLOAT,
    ends: str = "softmax",
    observed: Sequence[int | str] = ("batch", 16),
) -> onnx.ModelProto:
    """Return a recurrent policy; `layout` is that of its states: layers first, batch first, cell, or unbatched."""
    net, unit = Net(kind), Recurrence(cell, layers=layers)
    steps = net.constant("steps", np.array([1, -1, 16]))
    x = net.node("Reshape", ["obs", steps])
    states = list(given)
    inner = [f"{name}.inner" for name in returned]
    if layout == "batch first":
        states = [net.node("Transpose", [name], perm=[1, 0, 2]) for name in given]
    elif layout in {"cell", "unbatched"}:
        axis = net.constant("state.axis", np.array([0 if layout == "cell" else 1]))
        states = [net.node("Unsqueeze", [name, axis]) for name in given]
    y = unit.add(net, x, states, inner if layout != "layers first" else returned)
    axis = net.constant("time", np.array([0]))
    y = net.node("Squeeze", [y, axis])
    for found, name in zip(inner, returned, strict=True):
        if layout == "batch first":
            net.node("Transpose", [found], name, perm=[1, 0, 2])
        elif layout in {"cell", "unbatched"}:
            net.node("Squeeze", [found, "state.axis"], name)
    logits = net.node(
        "MatMul", [y, net.constant("head", 3 * weights(unit.size, 3, seed=5))], *(["policy"] * (ends == "logits"))
    )
    if ends != "logits":
        net.softmax(logits, "policy")
    layouts: dict[str, list[int | str | None]] = {
        "layers first": [layers, "batch", unit.size],
        "batch first": ["batch", layers, unit.size],
        "cell": ["batch", unit.size],
        "unbatched": [layers, unit.size],
    }
    shape = layouts[layout]
    batch = observed[0] if layout != "unbatched" else 1
    if observed[0] == 1:
        batch = "batch"
    return net.model(
        [("obs", kind, observed), *((name, kind, shape) for name in given)],
        [("policy", kind, [batch, 3]), *((name, kind, shape) for name in returned)],
    )


def steps_of(cell: str, layers: int = 1) -> Step:
    """Return the step of `recurrent`."""
    unit = Recurrence(cell, layers=layers)

    def step(x: Numbers, state: State) -> tuple[Numbers, State]:
        y, after = unit.step(x, unit.zeros() if state is None else state)
        return softmax_of(y @ (3 * weights(unit.size, 3, seed=5)).astype(np.float64)), after

    return step


def elman(kind: int) -> onnx.ModelProto:
    """Return a recurrence of products of matrices in another type than float32."""
    net = Net(kind)
    x = net.node("MatMul", ["obs", net.constant("w", weights(16, 4, seed=6))])
    h = net.node("MatMul", ["h0", net.constant("u", weights(4, 4, seed=7))])
    net.node("Tanh", [net.node("Add", [x, h])], "h1")
    net.softmax(net.node("MatMul", ["h1", net.constant("head", 3 * weights(4, 3, seed=5))]), "policy")
    return net.model(
        [("obs", kind, ["n", 16]), ("h0", kind, ["n", 4])], [("policy", kind, ["n", 3]), ("h1", kind, ["n", 4])]
    )


def step_of_elman(x: Numbers, state: State) -> tuple[Numbers, State]:
    """Return the step of `elman`."""
    before = np.zeros(4) if state is None else state
    after = np.tanh(x.astype(np.float64) @ weights(16, 4, seed=6) + before @ weights(4, 4, seed=7))
    return softmax_of(after @ (3 * weights(4, 3, seed=5))), after


def two_units() -> tuple[Recurrence, Recurrence]:
    """Return an LSTM of 5 and a GRU of 3 on it."""
    return Recurrence("LSTM", size=5, seed=50), Recurrence("GRU", size=3, inputs=5, seed=300)


def of_two_units() -> onnx.ModelProto:
    """Return a policy with states of different sizes, whose names say nothing."""
    net, (first, second) = Net(), two_units()
    x = net.node("Reshape", ["obs", net.constant("steps", np.array([1, -1, 16]))])
    y = first.add(net, x, ["a", "b"], ["a2", "b2"], "first.")
    y = second.add(net, y, ["g"], ["g2"], "second.")
    y = net.node("Squeeze", [y, net.constant("time", np.array([0]))])
    net.softmax(net.node("MatMul", [y, net.constant("head", 3 * weights(3, 3, seed=5))]), "policy")
    sizes = {"a": 5, "b": 5, "g": 3}
    states: list[Info] = [(name, FLOAT, [1, "n", size]) for name, size in sizes.items()]
    return net.model(
        [("obs", FLOAT, ["n", 16]), *states],
        [("policy", FLOAT, ["n", 3]), *((f"{name}2", kind, shape) for name, kind, shape in states)],
    )


def step_of_two_units(x: Numbers, state: State) -> tuple[Numbers, State]:
    """Return the step of `of_two_units`."""
    first, second = two_units()
    before, gru = (first.zeros(), second.zeros()) if state is None else state
    y, after = first.step(x, before)
    y, gru = second.step(y, gru)
    return softmax_of(y @ (3 * weights(3, 3, seed=5)).astype(np.float64)), (after, gru)


# ------------------------------------------------------------------------------------- scikit-learn, LightGBM, XGBoost

INPUT: Info = ("float_input", FLOAT, [None, 16])


def linear(labels: Sequence[Any], *, mapped: bool = False, inputs: Sequence[Info] = (INPUT,)) -> onnx.ModelProto:
    """Return a logistic regression as skl2onnx writes it: LinearClassifier, Normalizer, and a ZipMap if `mapped`."""
    net, count = Net(), len(labels)
    x = inputs[0][0]
    if len(inputs) > 1:
        x = net.node("Concat", [name for name, _, _ in inputs], axis=1)
    texts = isinstance(labels[0], str)
    net.node(
        "LinearClassifier",
        [x],
        "label",
        "probability_tensor",
        domain="ai.onnx.ml",
        coefficients=weights(count, 16, seed=11).reshape(-1).tolist(),
        intercepts=weights(count, seed=12).tolist(),
        multi_class=1,
        post_transform="SOFTMAX",
        **{"classlabels_strings" if texts else "classlabels_ints": list(labels)},
    )
    net.node("Normalizer", ["probability_tensor"], "probabilities", domain="ai.onnx.ml", norm="L1")
    return _classifier(net, inputs, "probabilities", labels, mapped=mapped)


def step_of_linear(count: int = 3) -> Step:
    """Return the step of `linear`."""
    w, b = weights(count, 16, seed=11).astype(np.float64), weights(count, seed=12).astype(np.float64)
    return stateless(lambda x: softmax_of(w @ x + b))


def forest(labels: Sequence[Any], transform: str = "NONE", *, mapped: bool = False) -> onnx.ModelProto:
    """Return trees as skl2onnx (NONE) and the converters of LightGBM and XGBoost (SOFTMAX) write them."""
    net = Net()
    trees(net, "float_input", "label", "probabilities", labels, transform=transform)
    return _classifier(net, [INPUT], "probabilities", labels, mapped=mapped)


def _classifier(
    net: Net,
    inputs: Sequence[Info],
    scores: str,
    labels: Sequence[Any],
    *,
    mapped: bool,
    out: str = "output_probability",
) -> onnx.ModelProto:
    kind = STRING if isinstance(labels[0], str) else INT64
    described = zip_map(net, scores, out, labels) if mapped else None
    outputs: list[Info] = [("label", kind, [None])]
    if not mapped:
        outputs.append((scores, FLOAT, [None, len(labels)]))
    model = net.model(inputs, outputs, ml=1)
    if described is not None:
        model.graph.output.append(described)
    return model


def perceptron() -> onnx.ModelProto:
    """Return an MLPClassifier as skl2onnx writes it: the label is looked up in a constant."""
    net = Net()
    net.softmax(net.dense("X", 3), "probabilities")
    net.constant("classes", np.array([-1, 0, 1], dtype=np.int32))
    net.node("ArgMax", ["probabilities"], "argmax_output", axis=1)
    net.node("ArrayFeatureExtractor", ["classes", "argmax_output"], "found", domain="ai.onnx.ml")
    shape = net.constant("shape_tensor", np.array([-1], dtype=np.int64))
    net.node("Cast", [net.node("Reshape", ["found", shape])], "output_label", to=INT64)
    return net.model(
        [("X", FLOAT, [None, 16])], [("output_label", INT64, [None]), ("probabilities", FLOAT, [None, 3])], ml=1
    )


def pipeline() -> onnx.ModelProto:
    """Return a StandardScaler and trees as skl2onnx writes them, with labels of text."""
    net = Net()
    net.node("Scaler", ["float_input"], "variable", domain="ai.onnx.ml", offset=[0.5] * 16, scale=[2.0] * 16)
    trees(net, "variable", "label", "probabilities", ["sell", "hold", "buy"])
    return _classifier(net, [INPUT], "probabilities", ["sell", "hold", "buy"], mapped=True)


def hummingbird() -> onnx.ModelProto:
    """Return trees as hummingbird writes them, products of matrices, with a label of its own."""
    net = Net()
    picked = np.zeros((16, 3), np.float32)
    for column, (feature, _, _, _) in enumerate(STUMPS):
        picked[feature, column] = 1.0
    below = np.array([stump[2] for stump in STUMPS], np.float32)
    above = np.array([stump[3] for stump in STUMPS], np.float32)
    values = net.node("MatMul", ["input_0", net.constant("_operators.0.weight_1", picked)])
    limits = net.constant("_operators.0.bias_1", np.array([stump[1] for stump in STUMPS], np.float32))
    left = net.node("Cast", [net.node("LessOrEqual", [values, limits])], to=FLOAT)
    right = net.node("Sub", [net.constant("one", np.float32(1)), left])
    low = net.node("MatMul", [left, net.constant("_operators.0.weight_2", below)])
    high = net.node("MatMul", [right, net.constant("_operators.0.weight_3", above)])
    net.node("Div", [net.node("Add", [low, high]), net.constant("trees", np.float32(3))], "onnx::ArgMax_27")
    net.node("ArgMax", ["onnx::ArgMax_27"], "variable", axis=1, keepdims=0)
    return net.model(
        [("input_0", FLOAT, ["sym", 16])], [("variable", INT64, ["sym"]), ("onnx::ArgMax_27", FLOAT, ["sym", 3])]
    )


MEAN = stateless(lambda x: scores_of(x) / 3.0)
BOOSTED = stateless(lambda x: softmax_of(scores_of(x)))

# -------------------------------------------------------------------------------------------------- frames, raw bars


def framed(shape: Sequence[int | str | None], size: int, *, kind: int = FLOAT) -> onnx.ModelProto:
    """Return dense layers on an observation of several frames or bars, flattened, as Keras' Flatten does."""
    net = Net(kind)
    flat = net.node("Reshape", ["input_1", net.constant("flatten/Const:0", np.array([-1, size]))])
    scaled = net.node("Tanh", [flat])
    net.softmax(net.dense(scaled, 3, size), "dense_1")
    model = net.model([("input_1", kind, shape)], [("dense_1", kind, ["unk__9", 3])], opset=15, ir_version=8)
    model.producer_name = "tf2onnx"
    return model


SQUASHED = stateless(lambda x: softmax_of(logits_of(np.tanh(x.astype(np.float64)))))


def old_style() -> onnx.ModelProto:
    """Return a file of IR 3 and opset 9, in which constants are inputs too."""
    model = torch_net(ends="logits", opset=9, ir_version=3)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def with_episode_starts() -> onnx.ModelProto:
    """Return a policy that takes the beginnings of episodes too."""
    model = torch_net()
    model.graph.input.append(helper.make_tensor_value_info("episode_starts", FLOAT, ["batch"]))
    return model


def looped() -> onnx.ModelProto:
    """Return a recurrence as a Loop, as tf2onnx writes one that it does not know."""
    model = torch_net()
    body = onnx.parser.parse_graph("b (int64 i, bool c) => (bool d) { d = Identity (c) }")
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["v"], body=body))
    return model


def of_own_domain() -> onnx.ModelProto:
    """Return a graph with an operator of onnxruntime-extensions."""
    net = Net()
    net.node("Policy", ["x"], "y", domain="ai.onnx.contrib")
    model = net.model([("x", FLOAT, [None, 16])], [("y", FLOAT, [None, 3])])
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    return model


def sequence_out() -> onnx.ModelProto:
    """Return a graph that decides at each frame of the observation."""
    net = Net()
    net.softmax(net.dense("x", 3), "y")
    return net.model([("x", FLOAT, ["batch", 4, 16])], [("y", FLOAT, ["batch", 4, 3])])


def of_text() -> onnx.ModelProto:
    """Return a graph whose input is text."""
    net = Net()
    net.node("Cast", ["x"], "floats", to=FLOAT)
    net.softmax(net.dense("floats", 3), "y")
    return net.model([("x", STRING, [None, 16])], [("y", FLOAT, [None, 3])])


def of_integers() -> onnx.ModelProto:
    """Return a graph whose input is integers, as skl2onnx writes it for a frame of integers."""
    net = Net()
    net.node("Cast", ["x"], "floats", to=FLOAT)
    net.softmax(net.dense("floats", 3), "y")
    return net.model([("x", INT64, [None, 16])], [("y", FLOAT, [None, 3])])


def one_column(activation: str) -> onnx.ModelProto:
    """Return a graph with one number: the chance of one side, or a continuous action."""
    net = Net()
    net.node(activation, [net.dense("x", 1)], "y")
    return net.model([("x", FLOAT, [None, 16])], [("y", FLOAT, [None, 1])])


def m5_names() -> tuple[str, ...]:
    """Return the names of the features of m5-v1."""
    return M5_V1.names
