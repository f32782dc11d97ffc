"""The recurrent state: shape and dtype, read-only values, lossless encoding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tradingsignals_server.domain.recurrent_state import RecurrentState

values = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)) | st.just((2, 0, 0)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(values)
def test_bytes_round_trip_is_bit_identical(numbers: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]) -> None:
    state = RecurrentState(numbers)
    again = RecurrentState.from_bytes(state.to_bytes(), *numbers.shape[1:])
    assert again == state
    assert hash(again) == hash(state)
    assert again.values.tobytes() == numbers.tobytes()


def test_bytes_are_little_endian_and_hidden_first() -> None:
    state = RecurrentState(np.array([[[1.0]], [[-2.0]]], dtype=np.float32))
    assert state.to_bytes() == bytes.fromhex("0000803f000000c0")
    assert (state.hidden.tolist(), state.cell.tolist()) == ([[1.0]], [[-2.0]])


def test_states_are_equal_only_if_bit_identical() -> None:
    zero = RecurrentState.zeros(1, 2)
    assert zero == RecurrentState.zeros(1, 2)
    assert zero != RecurrentState(-zero.values)
    assert zero != RecurrentState.zeros(2, 1)
    assert zero != zero.values.tobytes()


def test_values_are_read_only() -> None:
    state = RecurrentState.zeros(1, 4)
    for view in (state.values, state.hidden, state.cell):
        with pytest.raises(ValueError, match="read-only"):
            view[:] = 1.0


@pytest.mark.parametrize("content", [b"", bytes(12), bytes(17), bytes(20)])
def test_from_bytes_refuses_another_length(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"reshape|size|not a recurrent state"):
        RecurrentState.from_bytes(content, 1, 2)


@pytest.mark.parametrize("wrong", [np.zeros((2, 1, 4)), np.zeros((0, 1, 4), np.float32), np.zeros((2, 4), np.float32)])
def test_construction_refuses_other_shapes_and_dtypes(wrong: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    with pytest.raises(ValueError, match="not a recurrent state"):
        RecurrentState(wrong)
