from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import EQUITY, equity_curve

CURVE = equity_curve([10_100.0, 10_050.0, 10_200.0, 10_250.0], bars_per_session=2)


def test_equity_by_session_is_that_of_its_last_bar() -> None:
    sessions = CURVE.by_session()
    assert sessions.equity == (10_050.0, 10_250.0)
    assert [day.day for day in sessions.days] == [2, 3]


def test_returns_are_of_the_equity_before_the_session() -> None:
    returns = CURVE.by_session().returns()
    assert returns is not None
    assert returns.tolist() == pytest.approx([50.0 / 10_000.0, 200.0 / 10_050.0])


@given(st.lists(st.floats(100.0, 1e6), min_size=1, max_size=40))
def test_the_growth_of_the_account_is_the_product_of_its_returns(equity: list[float]) -> None:
    returns = equity_curve(equity).by_session().returns()
    assert returns is not None
    assert EQUITY * (1.0 + returns).prod() == pytest.approx(equity[-1])


def test_returns_are_undefined_once_the_equity_was_gone() -> None:
    assert equity_curve([5_000.0, 0.0, 6_000.0]).by_session().returns() is None


def test_rounding_of_an_unchanged_equity_is_no_return() -> None:
    returns = equity_curve([EQUITY, EQUITY * (1 + 1e-15), EQUITY]).by_session().returns()
    assert returns is not None
    assert returns.tolist() == [0.0, 0.0, 0.0]


def test_an_impossible_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        replace(CURVE, equity=(1.0,))
    with pytest.raises(ValueError, match="above 0"):
        replace(CURVE, initial_equity=0.0)
    with pytest.raises(ValueError, match="finite"):
        replace(CURVE, equity=(1.0, float("nan"), 1.0, 1.0))
    with pytest.raises(ValueError, match="not negative"):
        replace(CURVE, exposure=(0.0, -0.1, 0.0, 0.0))
    with pytest.raises(ValueError, match="ascend"):
        replace(CURVE, times=CURVE.times[::-1])
    with pytest.raises(ValueError, match="ascend"):
        replace(CURVE, started=CURVE.times[1])
    with pytest.raises(ValueError, match="never descend"):
        replace(CURVE, session_days=CURVE.session_days[::-1])
