"""Shapley values: their axioms, and games that are solved by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.domain.attribution import Floats, coalitions, shapley_values


@st.composite
def games(draw: st.DrawFn) -> Floats:
    """Return the worths of all coalitions of up to six players."""
    players = draw(st.integers(1, 6))
    worth = st.floats(-30.0, 30.0)
    return np.array(draw(st.lists(worth, min_size=2**players, max_size=2**players)))


def players_of(worths: Floats) -> int:
    return len(worths).bit_length() - 1


@given(games())
def test_contributions_sum_to_the_difference_of_worths(worths: Floats) -> None:
    assert shapley_values(worths).sum() == pytest.approx(worths[-1] - worths[0], abs=1e-6)


@given(games(), st.data())
def test_player_that_changes_nothing_contributes_nothing(worths: Floats, data: st.DataObject) -> None:
    dummy = data.draw(st.integers(0, players_of(worths) - 1))
    members = coalitions(players_of(worths))
    without = np.flatnonzero(~members[:, dummy])
    worths[without + 2**dummy] = worths[without]
    assert shapley_values(worths)[dummy] == pytest.approx(0.0, abs=1e-12)


@given(games(), st.data())
def test_players_that_change_the_same_contribute_the_same(worths: Floats, data: st.DataObject) -> None:
    players = players_of(worths)
    one, other = data.draw(st.tuples(*[st.integers(0, players - 1)] * 2))
    swapped = [
        sum(1 << {one: other, other: one}.get(place, place) for place in range(players) if row >> place & 1)
        for row in range(2**players)
    ]
    symmetric = (worths + worths[swapped]) / 2.0
    found = shapley_values(symmetric)
    assert found[one] == pytest.approx(found[other], abs=1e-9)


@given(games(), st.data())
def test_contributions_to_a_sum_are_the_sums_of_contributions(worths: Floats, data: st.DataObject) -> None:
    others = np.array(data.draw(st.lists(st.floats(-30.0, 30.0), min_size=len(worths), max_size=len(worths))))
    expected = shapley_values(worths) + shapley_values(others)
    assert shapley_values(worths + others) == pytest.approx(expected, abs=1e-9)


def test_glove_game() -> None:
    # Two left gloves (players 0 and 1), one right (2); a pair is worth 1. Shapley: 1/6, 1/6, 4/6.
    worths = np.array([float(bool(row & 3) and bool(row & 4)) for row in range(8)])
    assert shapley_values(worths) == pytest.approx([1 / 6, 1 / 6, 4 / 6])


def test_number_of_worths_must_be_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="3 worths"):
        shapley_values(np.zeros(3))
