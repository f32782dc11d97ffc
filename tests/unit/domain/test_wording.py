"""Counts and percentages in texts that users read."""

from __future__ import annotations

import pytest

from tradingsignals_server.domain.wording import counted, percent


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 positions are"), (1, "1 position is"), (2, "2 positions are"), (1200, "1,200 positions are")],
)
def test_unit_of_a_count_is_singular_for_one(count: int, text: str) -> None:
    assert counted(count, "position is", "positions are") == text
    assert counted(count, "bar") == text.split(maxsplit=1)[0] + (" bar" if count == 1 else " bars")


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        (0.02, 0.0, "2.00%"),
        (0.0, 0.02, "0.00%"),
        (0.000001, 0.0, "0.0001%"),
        (-0.000001, 0.0, "-0.0001%"),
        (0.10001, 0.1, "10.001%"),
        (0.1, 0.10001, "10.000%"),
        (0.1, 0.1, "10.00%"),
        (1e-20, 0.0, "0.00%"),
    ],
)
def test_percentage_is_neither_like_0_nor_like_what_it_is_compared_with(value: float, beside: float, text: str) -> None:
    assert percent(value, 2, beside) == text
