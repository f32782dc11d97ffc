"""OnnxPolicy: recurrent state, batches that are bit-identical to single inferences, invalid outputs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.support.onnx_models import (
    NEXT_STATES,
    NOT_RECURRENT,
    SOFTMAX,
    THREE,
    NumpyPolicy,
    graph,
    observations,
    policy_file,
    random_weights,
    recurrent_graph,
    write,
)

from tradingsignals_server.adapters.onnx.metadata import OutputKind
from tradingsignals_server.adapters.onnx.policy import BATCH_SIZES, OnnxPolicy
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.signals import Probabilities

Decision = tuple[Probabilities | None, RecurrentState]

# Both are fine at everything the trial shows, and go wrong where the first feature is above 10.5.
NAN_ABOVE = """
    sizes = Constant <value_ints = [3, 13]> ()
    limit = Constant <value_float = 10.5> ()
    three, rest = Split <axis = 1> (observation, sizes)
    below = Sub (limit, three)
    root = Sqrt (below)
    probabilities = Softmax <axis = -1> (root)
"""
INFINITE_ABOVE = (
    SOFTMAX
    + """
    limit = Constant <value_float = 10.5> ()
    begin = Constant <value_ints = [0]> ()
    end = Constant <value_ints = [1]> ()
    axes = Constant <value_ints = [1]> ()
    first = Slice (observation, begin, end, axes)
    below = Sub (limit, first)
    room = Relu (below)
    share = Div (limit, room)
    wide = Unsqueeze (share, axes)
    hidden_next = Tanh (hidden)
    added = Mul (cell, wide)
    summed = Add (added, wide)
    cell_next = Identity (summed)
"""
)
TOO_HIGH = np.full(16, 11.0, dtype=np.float32)


def run(policy: OnnxPolicy, count: int, seed: int = 7, state: RecurrentState | None = None) -> list[Decision]:
    """Return the policy outputs for `count` random observations, carrying the state."""
    decisions: list[Decision] = []
    state = state or policy.initial_state()
    for observation in observations(count, seed):
        probabilities, state = policy.decide(observation, state)
        decisions.append((probabilities, state))
    return decisions


def numbers(probabilities: Probabilities | None) -> list[float]:
    assert probabilities is not None
    return [probabilities.hold, probabilities.buy, probabilities.sell]


# -------------------------------------------------------------------------------------------------- recurrent state


@pytest.mark.parametrize(("layers", "size", "normalised"), [(1, 8, False), (1, 64, True), (2, 16, True), (3, 5, False)])
def test_policy_matches_the_recurrence_in_numpy(layers: int, size: int, normalised: bool, tmp_path: Path) -> None:
    weights = random_weights(layers, size, normalised=normalised)
    reference = NumpyPolicy.of(weights)
    for decision, observation in zip(
        run(OnnxPolicy(policy_file(tmp_path, weights)), 500), observations(500), strict=True
    ):
        expected = reference.decide(observation)
        assert np.abs(numbers(decision[0]) - expected).max() < 1e-5
        assert np.abs(decision[1].hidden - np.stack(reference.hidden)).max() < 1e-5
        assert np.abs(decision[1].cell - np.stack(reference.cell)).max() < 1e-5


def test_output_depends_on_the_state(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights()))
    forgetful = [policy.decide(observation, policy.initial_state())[0] for observation in observations(100)]
    apart = [
        np.abs(np.subtract(numbers(kept), numbers(lost))).max()
        for (kept, _), lost in zip(run(policy, 100), forgetful, strict=True)
    ]
    assert apart[0] == 0.0
    assert np.mean(apart[1:]) > 0.01


def test_stored_state_continues_bit_identically_in_another_instance(tmp_path: Path) -> None:
    path = policy_file(tmp_path, random_weights(layers=2, normalised=True))
    through = run(OnnxPolicy(path), 60)
    stored = through[29][1].to_bytes()
    policy = OnnxPolicy(path)
    state = RecurrentState.from_bytes(stored, policy.specification.layers, policy.specification.hidden_size)
    for observation, expected in zip(observations(60)[30:], through[30:], strict=True):
        decision = policy.decide(observation, state)
        assert decision == expected
        state = decision[1]


def test_interleaved_symbols_give_the_results_of_each_alone(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights()))
    alone = {symbol: run(policy, 40, seed=symbol) for symbol in (1, 2)}
    turns = np.random.default_rng(3).permutation([1] * 40 + [2] * 40)
    rows = {symbol: iter(observations(40, symbol)) for symbol in alone}
    states = dict.fromkeys(alone, policy.initial_state())
    mixed: dict[int, list[Decision]] = {1: [], 2: []}
    for symbol in turns.tolist():
        decision = policy.decide(next(rows[symbol]), states[symbol])
        states[symbol] = decision[1]
        mixed[symbol].append(decision)
    assert mixed == alone


def test_state_is_not_changed_by_later_inferences(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights()))
    _, first = run(policy, 1)[0]
    before = first.to_bytes()
    run(policy, 5, state=first)
    policy.decide_batch(observations(3), [first] * 3)
    assert first.to_bytes() == before
    assert all(one != other for (_, one), (_, other) in pairwise(run(policy, 5)))


def test_policy_that_is_not_recurrent_has_an_empty_state(tmp_path: Path) -> None:
    policy = OnnxPolicy(write(tmp_path, graph(metadata=NOT_RECURRENT)))
    state = policy.initial_state()
    assert state.values.shape == (2, 0, 0)
    assert state.to_bytes() == b""
    observation = observations(1)[0]
    probabilities, following = policy.decide(observation, state)
    assert following == state
    weights = np.exp(observation[:3].astype(np.float64))
    assert numbers(probabilities) == pytest.approx((weights / weights.sum()).tolist(), abs=1e-6)
    assert policy.decide_batch(observations(3), [state] * 3) == [policy.decide(o, state) for o in observations(3)]


def test_softmax_is_applied_to_logits(tmp_path: Path) -> None:
    softmaxed = OnnxPolicy(write(tmp_path, graph(metadata=NOT_RECURRENT), "softmaxed.onnx"))
    metadata = replace(NOT_RECURRENT, output=OutputKind.LOGITS)
    body = THREE + "logits = Identity (three)"
    logits = OnnxPolicy(write(tmp_path, graph(outputs="float[batch,3] logits", body=body, metadata=metadata)))
    state = logits.initial_state()
    for observation in observations(50):
        found, expected = logits.decide(observation, state)[0], softmaxed.decide(observation, state)[0]
        assert numbers(found) == pytest.approx(numbers(expected), abs=1e-6)
    assert logits.decide(np.full(16, np.nan, np.float32), state) == (None, state)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1.0000001, 0.0, 0.0", Probabilities(1.0, 0.0, 0.0)),
        ("-0.0000001, 1.0000002, -0.0000001", Probabilities(0.0, 1.0, 0.0)),
    ],
)
def test_rounding_beyond_0_and_1_is_clipped(row: str, expected: Probabilities, tmp_path: Path) -> None:
    """The sum over the trees of a random forest has such rounding."""
    body = (
        THREE
        + f"""
        zeros = Sub (three, three)
        row = Constant <value = float[1,3] {{{row}}}> ()
        probabilities = Add (zeros, row)
    """
    )
    policy = OnnxPolicy(write(tmp_path, graph(body=body)))
    assert policy.decide(observations(1)[0], policy.initial_state())[0] == expected
    assert {made for made, _ in policy.decide_batch(observations(8), [policy.initial_state()] * 8)} == {expected}


def test_description_contains_the_properties_of_the_file(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights()))
    assert (policy.description.version, policy.description.type, policy.description.mode) == ("1", "PPO-LSTM", "onnx")
    assert policy.description.providers == ("CPUExecutionProvider",)
    assert [tensor.name for tensor in policy.description.inputs] == ["observation", "hidden", "cell"]
    assert policy.description.file_sha256 == policy.specification.file_sha256


def test_state_of_another_shape_is_an_error(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights(size=8)))
    for other in (RecurrentState.zeros(1, 1), RecurrentState.zeros(2, 8), RecurrentState.zeros(0, 0)):
        with pytest.raises(ValueError, match="for a policy of 1 layers of 8"):
            policy.decide(observations(1)[0], other)
        with pytest.raises(ValueError, match="for a policy of 1 layers of 8"):
            policy.decide_batch(observations(2), [policy.initial_state(), other])
    with pytest.raises(ValueError, match="3 observations and 2 states"):
        policy.decide_batch(observations(3), [policy.initial_state()] * 2)


# ----------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize(("layers", "size"), [(1, 16), (1, 64), (2, 24)])
def test_batch_is_bit_identical_to_single_inferences(layers: int, size: int, tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights(layers, size, (16,), normalised=True)))
    for count in (0, 1, 2, 3, 5, 8, 9, 63, 64, 65, 256, 300):
        together = [policy.initial_state()] * count
        alone = list(together)
        for step in range(3):
            rows = observations(count, seed=step)
            decisions = policy.decide_batch(rows, together)
            one_by_one = [policy.decide(row, state) for row, state in zip(rows, alone, strict=True)]
            assert decisions == one_by_one
            together, alone = [state for _, state in decisions], [state for _, state in one_by_one]


def test_result_does_not_depend_on_the_row_in_a_batch(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights(size=32)))
    rows = observations(50)
    states = [state for _, state in run(policy, 50, seed=1)]
    expected = policy.decide_batch(rows, states)
    order = np.random.default_rng(5).permutation(50)
    shuffled = policy.decide_batch(rows[order], [states[place] for place in order])
    assert shuffled == [expected[place] for place in order]


def test_all_batch_sizes_are_used_if_bit_identical(tmp_path: Path) -> None:
    assert OnnxPolicy(write(tmp_path, graph())).batch_sizes == BATCH_SIZES


MIXED = SOFTMAX.replace("(observation, ", "(centred, ").replace(
    "sizes =", "mean = ReduceMean <axes = [0], keepdims = 1> (observation) centred = Sub (observation, mean) sizes ="
)
FIXED_INSIDE = SOFTMAX.replace("(observation, ", "(one, ").replace(
    "sizes =", "shape = Constant <value_ints = [1, 16]> () one = Reshape (observation, shape) sizes ="
)


@pytest.mark.parametrize(
    "content",
    [
        graph(body=MIXED),
        graph(body=FIXED_INSIDE, outputs="float[b,3] probabilities"),
        graph("float[1,16] observation", "float[1,3] probabilities"),
    ],
    ids=["rows that affect each other", "fixed batch inside", "batch of 1"],
)
def test_file_whose_batches_differ_runs_single_inferences(content: bytes, tmp_path: Path) -> None:
    policy = OnnxPolicy(write(tmp_path, content))
    assert policy.batch_sizes == ()
    rows, state = observations(5), policy.initial_state()
    assert policy.decide_batch(rows, [state] * 5) == [policy.decide(row, state) for row in rows]


# --------------------------------------------------------------------------------------------------- invalid values


def test_invalid_output_resets_its_own_state_only(tmp_path: Path) -> None:
    policy = OnnxPolicy(write(tmp_path, recurrent_graph(body=NAN_ABOVE + NEXT_STATES)))
    held = RecurrentState(np.full((2, 1, 4), 0.5, dtype=np.float32))
    good = observations(1)[0]
    expected = policy.decide(good, held)
    assert expected[0] is not None
    assert policy.decide(TOO_HIGH, held) == (None, policy.initial_state())
    assert policy.decide(good, held) == expected
    decisions = policy.decide_batch(np.stack([good, TOO_HIGH, good]), [held] * 3)
    assert decisions == [expected, (None, policy.initial_state()), expected]
    # Values left in the buffers of the larger batch have no effect.
    assert policy.decide_batch(np.stack([good, good, good]), [held] * 3) == [expected] * 3


def test_state_that_is_not_finite_is_reset_alone(tmp_path: Path) -> None:
    policy = OnnxPolicy(write(tmp_path, recurrent_graph(body=INFINITE_ABOVE)))
    held = RecurrentState(np.full((2, 1, 4), 0.5, dtype=np.float32))
    good = observations(1)[0]
    expected = policy.decide(good, held)
    assert expected[0] is not None
    assert np.isfinite(expected[1].values).all()
    assert policy.decide(TOO_HIGH, held) == (None, policy.initial_state())
    decisions = policy.decide_batch(np.stack([TOO_HIGH, good, TOO_HIGH, good, good]), [held] * 5)
    assert [probabilities is None for probabilities, _ in decisions] == [True, False, True, False, False]
    assert decisions[1] == decisions[3] == decisions[4] == expected
    assert decisions[0][1] == policy.initial_state()


def test_next_state_is_finite_for_any_observation(tmp_path: Path) -> None:
    policy = OnnxPolicy(policy_file(tmp_path, random_weights()))
    held = run(policy, 5)[-1][1]
    for bad in (np.nan, np.inf):
        observation = observations(1)[0]
        observation[3] = bad
        probabilities, state = policy.decide(observation, held)
        if probabilities is None:
            assert state == policy.initial_state()
        assert np.isfinite(state.values).all()
