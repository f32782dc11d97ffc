"""Files of other makers: each kind is served as its reference in numpy decides, or refused with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import foreign_files as made
from tests.support.foreign_files import CATALOGUE, FIVE, HBS, M5, SHB, Refused, Served, linear, torch_net
from tests.support.foreign_graphs import DOUBLE, FLOAT, HALF, logits_of, scores_of, softmax_of

from tradingsignals_server.adapters.onnx import model_file
from tradingsignals_server.adapters.onnx.errors import ExportRefused, ModelRefused
from tradingsignals_server.adapters.onnx.metadata import OutputKind
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.onnx.trial import random_observations
from tradingsignals_server.commands.stamp import StampOptions, stamp
from tradingsignals_server.domain.recurrent_state import ResetRule

SESSION = {**M5, "reset": ResetRule.SESSION}
DQN = {**M5, "output": OutputKind.ACTION_VALUES}
CHOICE = {**M5, "output": OutputKind.ACTION}
BARS = {"features": "bars", "lookback": 30, "interval": "1h", "actions": HBS}
NORMALISED = "normalisation.json"

SERVED: dict[str, Served] = {
    "torch perceptron": Served(torch_net, made.probabilities()),
    "torch logits": Served(lambda: torch_net(ends="logits"), made.probabilities(), {**M5, "output": OutputKind.LOGITS}),
    "torch dynamo exporter, external data": Served(
        lambda: torch_net(("s77", 16), ("s77", 3), opset=18, ir_version=10),
        made.probabilities(),
        M5,
        HBS,
        made.external,
    ),
    "torch dynamo exporter, one file": Served(
        lambda: torch_net(("s77", 16), ("s77", 3), opset=20, ir_version=10), made.probabilities()
    ),
    "each weight in a file of its own": Served(torch_net, made.probabilities(), M5, HBS, made.in_shards),
    "torch with a batch of 1": Served(lambda: torch_net((1, 16), (1, 3)), made.probabilities()),
    "torch double": Served(lambda: torch_net(kind=DOUBLE), made.probabilities()),
    "torch half": Served(lambda: torch_net(kind=HALF), made.probabilities(), tolerance=1e-2),
    "torch without a batch": Served(lambda: torch_net((16,), (3,)), made.probabilities()),
    "axis of time": Served(lambda: torch_net(("batch", 1, 16), ("batch", 1, 3)), made.probabilities()),
    "time first": Served(lambda: torch_net((1, "batch", 16), (1, "batch", 3)), made.probabilities()),
    "time and batch open": Served(lambda: torch_net(("batch", "time", 16), ("batch", "time", 3)), made.probabilities()),
    "axis left open": Served(lambda: torch_net(("batch", "n"), ("batch", "k")), made.probabilities()),
    "opset 9, constants among the inputs": Served(
        made.old_style, made.probabilities(), {**M5, "output": OutputKind.LOGITS}
    ),
    "DQN": Served(lambda: torch_net(ends="logits"), made.greedy(), DQN),
    "DQN of two actions": Served(
        lambda: torch_net(out_shape=("batch", 2), ends="logits"),
        made.greedy(2),
        {**DQN, "actions": ("HOLD", "BUY")},
        ("HOLD", "BUY"),
    ),
    "Discrete(5)": Served(
        lambda: torch_net(out_shape=("batch", 5)), made.probabilities(5), {**M5, "actions": FIVE}, FIVE
    ),
    "Discrete(5), logits": Served(
        lambda: torch_net(out_shape=("batch", 5), ends="logits"),
        made.probabilities(5),
        {**M5, "actions": FIVE, "output": OutputKind.LOGITS},
        FIVE,
    ),
    "Discrete(2)": Served(
        lambda: torch_net(out_shape=("batch", 2)),
        made.probabilities(2),
        {**M5, "actions": ("SELL", "BUY")},
        ("SELL", "BUY"),
    ),
    "argmax": Served(lambda: torch_net(out_shape=("batch",), ends="argmax"), made.greedy(), CHOICE),
    "argmax, axis kept": Served(lambda: torch_net(out_shape=("batch", 1), ends="argmax, kept"), made.greedy(), CHOICE),
    "argmax without a batch": Served(lambda: torch_net((16,), (), ends="argmax"), made.greedy(), CHOICE),
    "argmax of five, int32": Served(made.argmax_of_five, made.greedy(5), {**CHOICE, "actions": FIVE}, FIVE),
    "actor and critic": Served(
        lambda: torch_net(extra=made.with_value), made.probabilities(), {**M5, "output_tensor": "output"}
    ),
    "Stable-Baselines3's own example": Served(
        made.policy_of_stable_baselines, made.greedy(), {**CHOICE, "output_tensor": "actions"}
    ),
    "LSTM, h0 and c0": Served(
        lambda: made.recurrent("LSTM", ["h0", "c0"], ["hn", "cn"]), made.steps_of("LSTM"), SESSION
    ),
    "LSTM of two layers, layers first": Served(
        lambda: made.recurrent("LSTM", ["h_0", "c_0"], ["h_n", "c_n"], layers=2), made.steps_of("LSTM", 2), SESSION
    ),
    "LSTM of two layers, batch first": Served(
        lambda: made.recurrent(
            "LSTM", ["hidden", "cell"], ["hidden_next", "cell_next"], layers=2, layout="batch first"
        ),
        made.steps_of("LSTM", 2),
        SESSION,
    ),
    "LSTMCell": Served(
        lambda: made.recurrent("LSTM", ["hx", "cx"], ["hy", "cy"], layout="cell"), made.steps_of("LSTM"), SESSION
    ),
    "LSTM, cell named before hidden": Served(
        lambda: made.recurrent("LSTM", ["hidden_in", "cell_in"], ["hidden_out", "cell_out"]),
        made.steps_of("LSTM"),
        {**M5, "reset": ResetRule.NEVER},
    ),
    "LSTM, logits": Served(
        lambda: made.recurrent("LSTM", ["h_in", "c_in"], ["h_out", "c_out"], ends="logits"),
        made.steps_of("LSTM"),
        {**SESSION, "output": OutputKind.LOGITS},
    ),
    "LSTM, time first": Served(
        lambda: made.recurrent("LSTM", ["h0", "c0"], ["hn", "cn"], observed=(1, "batch", 16)),
        made.steps_of("LSTM"),
        SESSION,
    ),
    "LSTM without a batch": Served(
        lambda: made.recurrent("LSTM", ["h0", "c0"], ["hn", "cn"], layers=2, layout="unbatched", observed=(1, 16)),
        made.steps_of("LSTM", 2),
        SESSION,
    ),
    "state in double": Served(lambda: made.elman(DOUBLE), made.step_of_elman, SESSION),
    "state in half": Served(lambda: made.elman(HALF), made.step_of_elman, SESSION, tolerance=1e-2),
    "GRU, h0": Served(lambda: made.recurrent("GRU", ["h0"], ["hn"]), made.steps_of("GRU"), SESSION),
    "GRU of two layers": Served(
        lambda: made.recurrent("GRU", ["hidden"], ["hidden_next"], layers=2), made.steps_of("GRU", 2), SESSION
    ),
    "GRU, batch first": Served(
        lambda: made.recurrent("GRU", ["state_in"], ["state_out"], layers=2, layout="batch first"),
        made.steps_of("GRU", 2),
        SESSION,
    ),
    "GRUCell": Served(
        lambda: made.recurrent("GRU", ["hx"], ["next_hx"], layout="cell"),
        made.steps_of("GRU"),
        {**SESSION, "state": "hx:next_hx"},
    ),
    "two states of unlike sizes, declared": Served(
        made.of_two_units, made.step_of_two_units, {**SESSION, "state": "a:a2,b:b2,g:g2"}
    ),
    "sklearn logistic regression": Served(lambda: linear((-1, 0, 1)), made.step_of_linear(), None, SHB),
    "sklearn logistic regression, ZipMap": Served(
        lambda: linear((-1, 0, 1), mapped=True), made.step_of_linear(), {"features": "m5-v1"}, SHB
    ),
    "sklearn, labels 0 1 2": Served(lambda: linear((0, 1, 2)), made.step_of_linear(), {**M5, "actions": SHB}, SHB),
    "sklearn, labels 0 1 2, ZipMap": Served(
        lambda: linear((0, 1, 2), mapped=True), made.step_of_linear(), {**M5, "actions": SHB}, SHB
    ),
    "sklearn, two labels by sign": Served(lambda: linear((-1, 1)), made.step_of_linear(2), None, ("SELL", "BUY")),
    "sklearn, labels 0 1": Served(
        lambda: linear((0, 1)), made.step_of_linear(2), {**M5, "actions": ("HOLD", "BUY")}, ("HOLD", "BUY")
    ),
    "sklearn, one input a column": Served(
        lambda: linear((-1, 0, 1), inputs=[(name, FLOAT, [None, 1]) for name in made.m5_names()]),
        made.step_of_linear(),
        {"features": "m5-v1"},
        SHB,
    ),
    "sklearn forest": Served(lambda: made.forest((-1, 0, 1)), made.MEAN, None, SHB),
    "sklearn perceptron": Served(made.perceptron, made.probabilities(), None, SHB),
    "sklearn pipeline, names as labels, ZipMap": Served(
        made.pipeline, made.stateless(lambda x: scores_of(2.0 * (x - 0.5)) / 3.0), {"features": "m5-v1"}, SHB
    ),
    "LightGBM, ZipMap": Served(
        lambda: made.forest((0, 1, 2), "SOFTMAX", mapped=True), made.BOOSTED, {**M5, "actions": SHB}, SHB
    ),
    "LightGBM": Served(lambda: made.forest((-1, 0, 1), "SOFTMAX"), made.BOOSTED, None, SHB),
    "XGBoost": Served(lambda: made.forest((0, 1, 2), "SOFTMAX"), made.BOOSTED, M5),
    "hummingbird": Served(made.hummingbird, made.MEAN, M5),
    "Keras": Served(
        lambda: torch_net((None, 16), ("unk__12", 3), names=("input_1", "dense_2"), opset=15), made.probabilities()
    ),
    "Keras, stacked frames": Served(
        lambda: made.framed(("unk__8", 4, 16), 64), made.SQUASHED, {**M5, "stack": 4, "reset": ResetRule.SESSION}
    ),
    "frame stack, flat": Served(
        lambda: made.framed((None, 64), 64), made.SQUASHED, {**M5, "stack": 4, "reset": ResetRule.NEVER}
    ),
    "raw bars": Served(lambda: made.framed(("unk__8", 30, 5), 150), made.SQUASHED, BARS),
    "raw bars, flat": Served(lambda: made.framed((None, 150), 150), made.SQUASHED, BARS),
    "raw bars, bars left open": Served(lambda: made.framed((None, None, 5), 150), made.SQUASHED, BARS),
    "features of the catalogue": Served(
        lambda: torch_net(("batch", 6), size=6),
        made.probabilities(),
        {"features": CATALOGUE, "actions": HBS, "interval": "15m", "lookback": 60},
    ),
    "scaled by the service": Served(torch_net, made.probabilities(), {**M5, "normalisation": NORMALISED}),
}

REFUSED: dict[str, Refused] = {
    "one sigmoid": Refused(
        lambda: made.one_column("Sigmoid"),
        "give the other's beside it, as 1 less it",
        {**M5, "actions": ("HOLD", "BUY")},
    ),
    "continuous action": Refused(lambda: made.one_column("Tanh"), "one number is the chance of one side only"),
    "integers in": Refused(made.of_integers, "float, double or float16 is needed", M5),
    "text in": Refused(made.of_text, "float, double or float16 is needed", M5),
    "beginnings of episodes": Refused(made.with_episode_starts, "export it with the observation as its only input", M5),
    "bars in the other order": Refused(
        lambda: made.framed((None, 5, 30), 150), "put a Transpose of its last two axes behind the input", BARS
    ),
    "batch of 8": Refused(lambda: torch_net((8, 16), (8, 3)), "leave its first axis open (torch: dynamic_axes)", M5),
    "operator of its own": Refused(made.of_own_domain, "export it again, with nothing but ONNX's own operators", M5),
    "weights outside of its folder": Refused(
        torch_net, "they are read only from the folder of the model", M5, made.outside
    ),
    "a decision for each frame": Refused(
        made.sequence_out, "shape (batch, 3) is needed", {**M5, "stack": 4, "reset": ResetRule.SESSION}
    ),
    "Loop": Refused(made.looped, "export it without the loop, unrolled", M5),
    "logits taken for probabilities": Refused(
        lambda: torch_net(ends="logits"), "say what it returns, tradingsignals.output=logits or action_values", M5
    ),
    "LSTM double": Refused(
        lambda: made.recurrent("LSTM", ["h0", "c0"], ["hn", "cn"], kind=DOUBLE),
        "export it in float32 (torch: model.float())",
        SESSION,
    ),
    "external data, not stamped": Refused(
        torch_net, "`tradingsignals stamp FILE --out NEW_FILE ...`", None, made.external
    ),
    "ZipMap, not stamped": Refused(lambda: linear((-1, 0, 1), mapped=True), "takes the tensor before the map"),
    "state, not stamped": Refused(lambda: made.recurrent("GRU", ["h0"], ["hn"]), "does not say when it is reset"),
    "features not said": Refused(lambda: torch_net(("batch", 6), size=6), "`tradingsignals stamp FILE --features"),
    "actions not said": Refused(torch_net, "does not say what --actions would", {"features": "m5-v1"}),
    "five columns not said": Refused(lambda: torch_net(out_shape=("batch", 5)), "name the 5 columns"),
}


def written(kind: Served | Refused, folder: Path) -> Path:
    """Write the file of a kind, with others if it has any, and return its path."""
    model = kind.make()
    if kind.files is not None:
        kind.files(folder, model)
    else:
        (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def stamped(path: Path, options: Mapping[str, Any] | None) -> Path:
    """Stamp a file if there are options, and return the file to be served."""
    if options is None:
        return path
    out = path.with_name("stamped.onnx")
    given = dict(options)
    if given.get("normalisation"):
        given["normalisation"] = path.with_name(NORMALISED)
        given["normalisation"].write_text(
            '{"mean": ' + str([0.5] * 16) + ', "scale": ' + str([2.0] * 16) + ', "clip": 2}'
        )
    stamp(path, out, StampOptions(**given))
    return out


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load files in this process only: test_confinement.py tests the other one."""
    monkeypatch.setattr(model_file, "require_bounded", lambda _: None)


def test_table_has_at_least_49_kinds_of_which_40_are_served() -> None:
    assert len(SERVED) + len(REFUSED) >= 49
    assert len(SERVED) >= 40


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("kind", SERVED.values(), ids=SERVED.keys())
def test_foreign_file_decides_as_its_reference(kind: Served, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    policy = OnnxPolicy(stamped(written(kind, folder), kind.options))
    rows = random_observations(policy.specification.features, None, 12, 3)
    state, reference = policy.initial_state(), None
    for row in rows:
        found, state = policy.decide(row, state)
        columns, reference = kind.step(row, reference)
        assert found is not None
        expected = dict.fromkeys(HBS, 0.0)
        for action, probability in zip(kind.actions, columns, strict=True):
            expected[action] += float(probability)
        assert [found.hold, found.buy, found.sell] == pytest.approx(list(expected.values()), abs=kind.tolerance)
    assert policy.specification.actions == tuple(kind.actions)


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("kind", SERVED.values(), ids=SERVED.keys())
def test_batch_of_a_foreign_file_is_bit_identical(kind: Served, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    policy = OnnxPolicy(stamped(written(kind, folder), kind.options))
    states = [policy.initial_state()] * 7
    for step in range(3):
        rows = random_observations(policy.specification.features, None, 7, step)
        expected = [policy.decide(row, state) for row, state in zip(rows, states, strict=True)]
        assert policy.decide_batch(rows, states) == expected
        states = [state for _, state in expected]


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("kind", REFUSED.values(), ids=REFUSED.keys())
def test_foreign_file_is_refused_with_what_to_do(kind: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = written(kind, folder)
    with pytest.raises((ModelRefused, ExportRefused)) as refused:
        OnnxPolicy(stamped(path, kind.options))
    assert kind.reason in str(refused.value)
    assert not (folder / "stamped.onnx").exists()


def test_references_differ_between_observations() -> None:
    """A table whose references are all alike would prove nothing."""
    rows = np.random.default_rng(0).normal(scale=2.0, size=(12, 16))
    assert len({round(float(softmax_of(logits_of(row))[0]), 3) for row in rows}) > 6
