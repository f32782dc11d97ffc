"""Signals: validity of probabilities, the choice of the policy, reproducible ids."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import OPENING

from tradingsignals_server.domain.signals import Action, Probabilities, bar_signal_id

shares = st.tuples(*[st.floats(0.0, 1.0)] * 3).filter(lambda three: sum(three) > 0.01)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.001, 1.001])
def test_invalid_probability_is_refused(place: int, value: float) -> None:
    values = [0.5, 0.5, 0.5]
    values[place] = value
    values[place - 1] = 1.0 - 0.5 - value if math.isfinite(value) else 0.5
    with pytest.raises(ValueError, match="not probabilities"):
        Probabilities(*values)


@pytest.mark.parametrize(
    ("hold", "valid"), [(0.4, True), (0.4009, True), (0.3991, True), (0.402, False), (0.398, False)]
)
def test_probabilities_must_sum_to_1(hold: float, valid: bool) -> None:
    if valid:
        assert Probabilities(hold, 0.3, 0.3).hold == hold
    else:
        with pytest.raises(ValueError, match="not probabilities"):
            Probabilities(hold, 0.3, 0.3)


@given(shares)
def test_choice_is_the_most_probable_action(three: tuple[float, float, float]) -> None:
    hold, buy, sell = (share / sum(three) for share in three)
    action, probability = Probabilities(hold, buy, sell).choice()
    assert probability == max(hold, buy, sell)
    assert {Action.HOLD: hold, Action.BUY: buy, Action.SELL: sell}[action] == probability


@pytest.mark.parametrize(
    ("probabilities", "action"),
    [
        (Probabilities(1 / 3, 1 / 3, 1 / 3), Action.HOLD),
        (Probabilities(0.4, 0.4, 0.2), Action.HOLD),
        (Probabilities(0.4, 0.2, 0.4), Action.HOLD),
        (Probabilities(0.2, 0.4, 0.4), Action.BUY),
    ],
)
def test_choice_in_a_tie_is_hold_then_buy(probabilities: Probabilities, action: Action) -> None:
    assert probabilities.choice()[0] is action


def test_direction_is_the_sign_of_the_profit_when_the_price_rises() -> None:
    assert {action: action.direction for action in Action} == {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}
    assert {action: action.opposite for action in Action} == {
        Action.BUY: Action.SELL,
        Action.SELL: Action.BUY,
        Action.HOLD: Action.HOLD,
    }


def test_signal_id_of_a_bar_is_fixed() -> None:
    """The id is a literal, because a new id for the same bar would duplicate every stored signal."""
    assert str(bar_signal_id("USDCOP", OPENING, "v1")) == "727f12c1-55d1-5f89-b46d-93963caefbbc"


def test_another_symbol_bar_or_model_gives_another_signal_id() -> None:
    names = {
        bar_signal_id(symbol, time, version)
        for symbol in ("USDCOP", "EURCOP")
        for time in (OPENING, OPENING + timedelta(minutes=5))
        for version in ("v1", "v2")
    }
    assert len(names) == 8
