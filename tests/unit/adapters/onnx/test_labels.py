"""The actions of the columns of a model's output, from metadata, class labels or the seed contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper, load_from_string, numpy_helper
from tests.support.onnx_models import NOT_RECURRENT, THREE, classifier, graph, observations, write

from tradingsignals_server.adapters.onnx.labels import ActionSource
from tradingsignals_server.adapters.onnx.metadata import OutputKind
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.signals import Action

HOLD, BUY, SELL = Action.HOLD, Action.BUY, Action.SELL


def columns(content: bytes, output: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the output of ONNX Runtime for ten observations: shape (10, 3), in the order of the file."""
    session = onnxruntime.InferenceSession(content)
    (found,) = session.run([output], {"float_input": observations(10)})
    return np.asarray(found)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((-1, 0, 1), (SELL, HOLD, BUY)),
        ((1, -1, 0), (BUY, SELL, HOLD)),
        (("BUY", "HOLD", "SELL"), (BUY, HOLD, SELL)),
        (("Sell", "buy", "Hold"), (SELL, BUY, HOLD)),
        (("-1", "0", "1"), (SELL, HOLD, BUY)),
    ],
)
def test_class_labels_define_the_order_of_the_actions(
    labels: Sequence[int] | Sequence[str], expected: tuple[Action, ...], tmp_path: Path
) -> None:
    content = classifier(labels)
    policy = OnnxPolicy(write(tmp_path, content))
    assert (policy.specification.actions, policy.specification.actions_source) == (expected, ActionSource.LABELS)
    for observation, row in zip(observations(10), columns(content, "p"), strict=True):
        decided, _ = policy.decide(observation, policy.initial_state())
        assert decided is not None
        by_action = dict(zip(expected, row.tolist(), strict=True))
        assert [decided.hold, decided.buy, decided.sell] == pytest.approx([by_action[a] for a in (HOLD, BUY, SELL)])
    states = [policy.initial_state()] * 10
    assert policy.decide_batch(observations(10), states) == [
        policy.decide(row, state) for row, state in zip(observations(10), states, strict=True)
    ]


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("packed", [True, False])
def test_labels_are_read_from_the_constant_that_one_is_looked_up_in(kind: type, packed: bool, tmp_path: Path) -> None:
    """Converters write such a constant for a classifier without an operator of its own, such as a perceptron."""
    model = load_from_string(graph())
    constant = numpy_helper.from_array(np.array([-1, 0, 1], dtype=kind), "classes")
    if not packed:
        constant = helper.make_tensor("classes", constant.data_type, [3], [-1, 0, 1])
    model.graph.initializer.append(constant)
    model.graph.node.append(helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1))
    model.graph.node.append(helper.make_node("ArrayFeatureExtractor", ["classes", "best"], ["l"], domain="ai.onnx.ml"))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    policy = OnnxPolicy(write(tmp_path, model.SerializeToString()))
    assert policy.specification.actions == (SELL, HOLD, BUY)


@pytest.mark.parametrize(
    ("labels", "metadata", "expected"),
    [
        ((-1, 0, 1), None, (SELL, HOLD, BUY)),
        ((0, 1, 2), {"tradingsignals.actions": '["BUY", "HOLD", "SELL"]'}, (BUY, HOLD, SELL)),
    ],
)
def test_labels_of_a_part_of_the_model_are_ignored(
    labels: Sequence[int], metadata: dict[str, str] | None, expected: tuple[Action, ...], tmp_path: Path
) -> None:
    """Converters write such labels for one class against the rest, or for the training set of nearest neighbors."""
    model = load_from_string(classifier(labels, metadata))
    part = load_from_string(classifier((0, 1))).graph.node[0]
    part.output[:] = ["part_label", "part"]
    model.graph.node.append(part)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 1, 1, 0, 2, 2]), "neighbours"))
    picked = helper.make_node("ArrayFeatureExtractor", ["neighbours", "part_label"], ["n"], domain="ai.onnx.ml")
    model.graph.node.append(picked)
    assert OnnxPolicy(write(tmp_path, model.SerializeToString())).specification.actions == expected


def test_metadata_defines_the_order_for_unknown_labels(tmp_path: Path) -> None:
    content = classifier((0, 1, 2), metadata={"tradingsignals.actions": '["SELL", "HOLD", "BUY"]'})
    specification = OnnxPolicy(write(tmp_path, content)).specification
    assert (specification.actions, specification.actions_source) == ((SELL, HOLD, BUY), ActionSource.METADATA)


def test_plain_file_without_labels_has_the_order_of_the_seed_contract(tmp_path: Path) -> None:
    specification = OnnxPolicy(write(tmp_path, graph())).specification
    assert (specification.actions, specification.actions_source) == ((HOLD, BUY, SELL), ActionSource.SEED_CONTRACT)


def test_output_is_reordered_by_the_metadata(tmp_path: Path) -> None:
    metadata = {**NOT_RECURRENT.to_properties(), "tradingsignals.actions": '["SELL", "HOLD", "BUY"]'}
    ours = OnnxPolicy(write(tmp_path, graph(metadata=NOT_RECURRENT), "ours.onnx"))
    theirs = OnnxPolicy(write(tmp_path, graph(metadata=metadata), "theirs.onnx"))
    logits = OnnxPolicy(
        write(
            tmp_path,
            graph(
                outputs="float[batch,3] logits",
                body=THREE + "logits = Identity (three)",
                metadata={**metadata, "tradingsignals.output": OutputKind.LOGITS.value},
            ),
            "logits.onnx",
        )
    )
    for observation in observations(10):
        first, _ = ours.decide(observation, ours.initial_state())
        assert first is not None
        for policy in (theirs, logits):
            found, _ = policy.decide(observation, policy.initial_state())
            assert found is not None
            expected = [first.buy, first.sell, first.hold]
            assert [found.hold, found.buy, found.sell] == pytest.approx(expected, abs=1e-6)
