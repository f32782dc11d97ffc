"""Invalid model files: each kind is refused with one line that names the problem and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from tests.support.onnx_models import (
    GOOD,
    NEXT_STATE,
    NEXT_STATES,
    NOT_RECURRENT,
    OBSERVATION,
    PROBABILITIES,
    RECURRENT,
    SOFTMAX,
    STATE,
    THREE,
    graph,
    recurrent_graph,
    refusal,
    write,
)

from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.model_file import load_model
from tradingsignals_server.domain.features import M5_V1

PICKED = """
    ones = Constant <value_ints = [1, 1, 1, 1, {3}]> ()
    mask = Cast <to = 9> (ones)
    {2} = Compress <axis = {1}> ({0}, mask)
"""
"""Selects columns of {0} along axis {1} as {2}, whose width is known only at run time."""


def properties_with(**changed: str | None) -> dict[str, str]:
    """Return the metadata of a recurrent policy with entries changed, or removed if None."""
    properties = RECURRENT.to_properties()
    for key, text in changed.items():
        if text is None:
            del properties[f"tradingsignals.{key}"]
        else:
            properties[f"tradingsignals.{key}"] = text
    return properties


def changed_metadata(**changed: str | None) -> bytes:
    return recurrent_graph(metadata=properties_with(**changed))


def swapped(names: tuple[str, ...], one: int, other: int) -> str:
    order = list(names)
    order[one], order[other] = order[other], order[one]
    return json.dumps(order)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    # Not a whole ONNX file.
    "empty": (lambda: b"", "is empty; copy or export it again"),
    "text": (lambda: b"hello, world\n" * 99, "is not an ONNX file; name one that `tradingsignals export` made"),
    "zeros": (lambda: bytes(4096), "is not an ONNX file; name one that"),
    "zip": (lambda: b"PK\x03\x04" + bytes(99), "is a zip file; `tradingsignals export` makes a model"),
    "cut short": (lambda: GOOD[: len(GOOD) // 2], f"is cut short at {len(GOOD) // 2} bytes; copy or export it again"),
    "cut by a byte": (lambda: GOOD[:-1], "is cut short at"),
    # Not for this runtime.
    "opset too new": (lambda: graph(opset=999), "needs opset 999, which onnxruntime"),
    "opset too new, what to do": (lambda: graph(opset=999), "; export it with opset 21 or lower"),
    "file format too new": (lambda: graph(ir_version=99), "Unsupported model IR version: 99"),
    "unknown operator": (lambda: graph(body=THREE + "probabilities = Guess (three)"), "No Op registered for Guess"),
    "custom domain": (lambda: graph(body=THREE + "probabilities = my.own.Op (three)"), "does not load in onnxruntime"),
    # Metadata.
    "format newer": (
        lambda: changed_metadata(format="3"),
        "is of format 3 and this service reads up to 2; update the service, or export the model again with its own",
    ),
    "format unreadable": (
        lambda: changed_metadata(format="one"),
        "has tradingsignals.format='one', which is not a format",
    ),
    "format missing": (lambda: changed_metadata(format=None), "lacks the metadata tradingsignals.format; set it to"),
    "metadata missing": (
        lambda: changed_metadata(version=None, recurrent_reset=None),
        "lacks the metadata tradingsignals.version, tradingsignals.recurrent_reset; set it",
    ),
    "metadata unparseable": (
        lambda: changed_metadata(feature_names="return_1,return_3"),
        "has tradingsignals.feature_names='return_1,return_3', which is not JSON; export the model again",
    ),
    "metadata of another kind": (lambda: changed_metadata(actions='{"HOLD": 0}'), "which is not a list of strings"),
    "metadata too deep": (lambda: changed_metadata(normalisation="[" * 99_999), "which is not JSON"),
    "name of two lines": (
        lambda: changed_metadata(name="two\nlines"),
        "has tradingsignals.name='two\\nlines'; up to 64",
    ),
    "normalisation of another width": (
        lambda: changed_metadata(normalisation='{"kind": "in_graph", "mean": [0, 1]}'),
        "does not have 16 numbers as mean in tradingsignals.normalisation; export the model again",
    ),
    "normalisation unknown": (
        lambda: changed_metadata(normalisation='{"kind": "magic"}'),
        "kind is none, in_graph or standard is",
    ),
    "temperature of 0": (
        lambda: changed_metadata(calibration='{"kind": "temperature", "temperature": 0}'),
        "has '0' as temperature in tradingsignals.calibration; a number above 0 is needed",
    ),
    "win probability without bins": (
        lambda: changed_metadata(
            calibration='{"kind": "win_probability", "range": ["2021-01-04T00:00:00Z", "2022-01-04T00:00:00Z"]}'
        ),
        "has a tradingsignals.calibration that cannot be used: bins with confidence, probability and cases, and the "
        "highest confidence, are needed; export the model again",
    ),
    "calibration unknown": (
        lambda: changed_metadata(calibration='{"kind": "magic"}'),
        "an object whose kind is none, temperature or win_probability is needed",
    ),
    "distributions of another number of features": (
        lambda: changed_metadata(distributions='[{"edges": [0], "shares": [0.5, 0.5]}]'),
        "does not have 16 distributions in tradingsignals.distributions, one for each feature",
    ),
    "distribution without edges": (
        lambda: changed_metadata(distributions=json.dumps([{"shares": [0.5, 0.5]}] * 16)),
        "has no edges and shares of up to 10 numbers for feature 1 in tradingsignals.distributions",
    ),
    "distribution whose shares are not its bins'": (
        lambda: changed_metadata(distributions=json.dumps([{"edges": [0], "shares": [0.5, 0.4]}] * 16)),
        "has shares that are not those of the bins between its edges for feature 1 in tradingsignals.distributions",
    ),
    "training range unreadable": (
        lambda: changed_metadata(training_range='["2021-01-04T00:00:00Z", "later"]'),
        "has no range of two times in tradingsignals.training_range, such as",
    ),
    "training range backwards": (
        lambda: changed_metadata(training_range='["2022-01-04T00:00:00Z", "2021-01-04T00:00:00Z"]'),
        "has no range of two times in tradingsignals.training_range, such as",
    ),
    # Features.
    "feature specification unknown": (
        lambda: changed_metadata(feature_specification="m5-v9"),
        "was made for the features 'm5-v9', which this service does not know; list them in tradingsignals.features",
    ),
    "feature order": (
        lambda: changed_metadata(feature_names=swapped(M5_V1.names, 4, 5)),
        "has 'macd' as feature 4 where m5-v1 has rsi; train it on the features in the order of m5-v1",
    ),
    "feature count": (
        lambda: changed_metadata(feature_names=json.dumps(M5_V1.names[:15])),
        "names 15 features and m5-v1 has 16; train it on those",
    ),
    "lookback": (lambda: changed_metadata(lookback_bars="200"), "needs features of the last 200 bars and m5-v1 is"),
    # Actions and outputs.
    "action count": (
        lambda: changed_metadata(actions='["SELL", "BUY"]'),
        "shape (batch, 2) is needed, one number for each of SELL, BUY: name the 3 columns: `tradingsignals stamp",
    ),
    "action names": (
        lambda: changed_metadata(actions='["HOLD", "LONG", "SHORT"]'),
        "has an action 'LONG'; the actions",
    ),
    "one action": (lambda: changed_metadata(actions='["BUY"]'), "chooses among 1 actions; 2 to 64 are needed"),
    "no trade": (
        lambda: changed_metadata(actions='["HOLD", "HOLD", "HOLD"]'),
        "never buys or sells by tradingsignals.actions; at least one of BUY and SELL is needed",
    ),
    "actions of a plain file": (
        lambda: graph(metadata={"tradingsignals.actions": '["LONG", "HOLD", "SHORT"]'}),
        "has an action 'LONG'; the actions are HOLD, BUY, SELL: use these names in tradingsignals.actions, in",
    ),
    "output kind": (
        lambda: changed_metadata(output="scores"),
        "has tradingsignals.output='scores'; it must be one of probabilities, logits",
    ),
    "output of another name": (
        lambda: changed_metadata(output="logits"),
        "has no output logits, which tradingsignals.output=logits requires; its outputs are probabilities (",
    ),
    # Recurrent state.
    "reset rule unknown": (lambda: changed_metadata(recurrent_reset="daily"), "must be one of session, never, none"),
    "state without a reset rule": (
        lambda: recurrent_graph(metadata=NOT_RECURRENT),
        "carries a recurrent state (hidden to hidden_next, cell to cell_next) and has "
        "tradingsignals.recurrent_reset=none; set session or never",
    ),
    "reset rule without a state": (
        lambda: graph(metadata=RECURRENT),
        "has tradingsignals.recurrent_reset=session and no state that its names identify; name each tensor's input",
    ),
    "next state missing": (
        lambda: graph(f"{OBSERVATION}, {STATE}", PROBABILITIES, SOFTMAX, RECURRENT),
        "has unknown inputs (hidden, cell) besides its observation and its state; if they are a state, name",
    ),
    "next hidden of another size": (
        lambda: recurrent_graph(
            next_state=NEXT_STATE.replace("4] hidden_next", "8] hidden_next"),
            body=SOFTMAX + "hidden_next = Concat <axis = 2> (hidden, hidden) cell_next = Identity (cell)",
        ),
        "output hidden_next is tensor(float) of shape (any, 1, 8) and its input hidden is tensor(float) of shape",
    ),
    "next cell of another size, undeclared": (
        lambda: recurrent_graph(
            next_state="float[batch,1,4] hidden_next, float[batch,layers,n] cell_next",
            body=SOFTMAX
            + "hidden_next = Tanh (hidden) wide = Concat <axis = 2> (cell, cell)"
            + PICKED.format("wide", 2, "cell_next", "1, 0, 0, 0"),
        ),
        "output cell_next has shape (1, 1, 5) for one observation; (1, 1, 4) is needed, the shape of its input",
    ),
    "layers left open": (
        lambda: recurrent_graph(
            "float[batch,l,4] hidden, float[batch,l,4] cell", "float[batch,l,4] hidden_next, float[batch,l,4] cell_next"
        ),
        "input hidden is tensor(float) of shape (any, any, 4); a state of shape (batch, layers, size) or",
    ),
    "state not finite": (
        lambda: recurrent_graph(body=SOFTMAX + "hidden_next = Tanh (hidden) one = Exp (cell) cell_next = Exp (one)"),
        "output cell_next is not finite after an observation of",
    ),
    # Shapes, names and types.
    "input too many": (
        lambda: graph(f"{OBSERVATION}, float[batch,1] time", metadata=NOT_RECURRENT),
        "has unknown inputs (time) besides its observation and its state; if they are a state, name",
    ),
    "input width": (
        lambda: graph("float[batch,12] observation", body=SOFTMAX.replace("13", "9"), metadata=NOT_RECURRENT),
        "input observation is tensor(float) of shape (any, 12); shape (batch, 16) is needed, the 16 features of m5-v1",
    ),
    "batch fixed at 8": (
        lambda: graph("float[8,16] observation", "float[8,3] probabilities"),
        "input observation is tensor(float) of shape (8, 16); shape (batch, 16) is needed, the 16 "
        "features of m5-v1: leave its first axis open (torch: dynamic_axes), or export it with a batch of 1",
    ),
    "output width": (
        lambda: graph(outputs="float[batch,4] probabilities", body=SOFTMAX.replace("3, 13", "4, 12")),
        "output probabilities is tensor(float) of shape (any, 4); shape (batch, 3) is needed, one number for each of "
        "HOLD, BUY, SELL: name the 4 columns: `tradingsignals stamp FILE --actions ... --out NEW_FILE`",
    ),
    "output width, undeclared": (
        lambda: graph(
            outputs="float[batch,n] probabilities",
            body=PICKED.format("observation", 1, "probabilities", "0, " * 11 + "0"),
        ),
        "returns shape (1, 4) for one observation; (1, 3) is needed, HOLD, BUY, SELL",
    ),
    "plain file with a state": (
        lambda: graph(f"{OBSERVATION}, {STATE}", f"{PROBABILITIES}, {NEXT_STATE}", SOFTMAX + NEXT_STATES),
        "carries a recurrent state (hidden to hidden_next, cell to cell_next) and does not say when it is reset; set",
    ),
    # The trial.
    "no softmax": (
        lambda: graph(body=THREE + "probabilities = Sigmoid (three)"),
        "returns [0.5, 0.5, 0.5] for an observation of zeros; probabilities with a sum of 1 are needed: "
        "end the graph with a softmax, or say what it returns, tradingsignals.output=logits or action_values",
    ),
    "NaN": (
        lambda: graph(
            body=SOFTMAX.replace("probabilities =", "p =") + "zero = Sub (p, p) probabilities = Div (zero, zero)"
        ),
        "returns [nan, nan, nan] for an observation of zeros; check for NaN or infinite weights",
    ),
    "NaN at a limit": (
        lambda: graph(body=THREE + "root = Sqrt (three) probabilities = Softmax <axis = -1> (root)"),
        "returns [nan, nan, nan] for an observation of lowest values; check for NaN",
    ),
    "fails when run": (
        lambda: graph(
            body=THREE
            + """
                place = Cast <to = 7> (three)
                found = GatherElements <axis = 1> (three, place)
                probabilities = Softmax <axis = -1> (found)
            """
        ),
        "fails on an observation of highest values (",
    ),
    "metadata not UTF-8": (
        lambda: GOOD.replace(b"tradingsignals.type", b"tradingsignals.t\xffpe"),
        "has names or metadata that are not UTF-8 text; copy or export it again",
    ),
    "names not UTF-8": (
        lambda: GOOD.replace(b"batch", b"b\xfftch"),
        "that are not UTF-8 text; copy or export it again",
    ),
}


@pytest.mark.parametrize(("make", "expected"), BAD.values(), ids=BAD.keys())
def test_refuses_with_a_message_that_names_the_problem(
    make: Callable[[], bytes], expected: str, tmp_path: Path
) -> None:
    assert expected in refusal(tmp_path, make())


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"model\.onnx: cannot be read \(No such file or directory\)"):
        load_model(tmp_path / "model.onnx")


def test_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"cannot be read \(Is a directory\)"):
        load_model(tmp_path)


def test_refuses_weights_in_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(
        onnx.load_from_string(GOOD), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelRefused, match=r"keeps weights in other files \(external data\); .*external_data=False\)"):
        load_model(path)


def test_refuses_weights_of_a_constant_in_other_files(tmp_path: Path) -> None:
    model = onnx.load_from_string(graph())
    tensor = model.graph.node[0].attribute[0]
    tensor.ClearField("ints")
    tensor.name, tensor.type = "value", onnx.AttributeProto.TENSOR
    tensor.t.data_type, tensor.t.data_location = onnx.TensorProto.INT64, onnx.TensorProto.EXTERNAL
    assert "keeps weights in other files" in refusal(tmp_path, model.SerializeToString())


@pytest.mark.parametrize("content", [GOOD, graph()], ids=["with metadata", "plain"])
def test_truncated_file_is_refused_at_any_length(content: bytes, tmp_path: Path) -> None:
    for length in range(0, len(content), max(1, len(content) // 97)):
        assert "again" in refusal(tmp_path, content[:length]) or length < 20


def test_damaged_file_is_refused_or_loads(tmp_path: Path) -> None:
    for place in range(0, len(GOOD), 41):
        damaged = bytearray(GOOD)
        damaged[place] ^= 0xFF
        path = write(tmp_path, bytes(damaged))
        try:
            load_model(path)
        except ModelRefused as refused:
            assert "\n" not in str(refused)  # noqa: PT017 - a change of weights cannot be detected, so it need not be refused
