from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import EQUITY, equity_curve

from tradingsignals_server.domain.performance.drawdowns import deepest, drawdown_figures, drawdowns_of

FIVE_MINUTES = timedelta(minutes=5)


def test_hand_computed_drawdowns() -> None:
    # Bars 1 to 9; the second drawdown does not recover.
    curve = equity_curve(
        [10_100.0, 9_900.0, 9_595.0, 10_100.0, 10_300.0, 10_200.0, 10_300.0, 10_250.0, 10_270.0], bars_per_session=9
    )
    first, second, third = drawdowns_of(curve)
    assert (first.peak_time, first.trough_time, first.recovery_time) == (curve.times[0], curve.times[2], curve.times[3])
    assert first.depth == 505.0
    assert first.depth_pct == pytest.approx(5.0)
    assert (first.duration, first.recovery) == (3 * FIVE_MINUTES, FIVE_MINUTES)
    assert second.depth == 100.0
    assert (third.recovery_time, third.recovery, third.last_time) == (None, None, curve.times[8])
    assert third.duration == 2 * FIVE_MINUTES
    assert deepest((first, second, third)) == first
    values = {name: figure.value for name, figure in drawdown_figures(curve, (first, second, third)).items()}
    assert values == {
        "max_drawdown_pct": pytest.approx(5.0),
        "max_drawdown": 505.0,
        "longest_drawdown_days": pytest.approx(15.0 / 1440.0),
        "max_drawdown_recovery_days": pytest.approx(5.0 / 1440.0),
        "time_under_water_pct": pytest.approx(500.0 / 9.0),
    }


def test_the_initial_equity_is_the_first_peak() -> None:
    curve = equity_curve([9_000.0])
    (only,) = drawdowns_of(curve)
    assert (only.peak_time, only.peak) == (curve.started, EQUITY)
    assert only.depth_pct == pytest.approx(10.0)


def test_a_rising_equity_has_drawdowns_of_0() -> None:
    curve = equity_curve([10_000.0, 10_100.0])
    assert drawdowns_of(curve) == ()
    assert {figure.value for figure in drawdown_figures(curve, ()).values()} == {0.0}


def test_a_drawdown_that_has_not_recovered_has_no_recovery() -> None:
    curve = equity_curve([9_000.0, 9_500.0])
    assert drawdown_figures(curve, drawdowns_of(curve))["max_drawdown_recovery_days"].value is None


def test_without_a_bar_nothing_is_defined() -> None:
    assert {figure.value for figure in drawdown_figures(equity_curve([]), ()).values()} == {None}


@given(st.lists(st.integers(50, 150).map(lambda n: 100.0 * n), min_size=1, max_size=60))
def test_drawdowns_cover_all_bars_below_the_peak_and_follow_each_other(equity: list[float]) -> None:
    curve = equity_curve(equity)
    found = drawdowns_of(curve)
    levels = np.array([EQUITY, *equity])
    share = 1.0 - levels / np.maximum.accumulate(levels)
    worst = deepest(found)
    assert (worst.depth_pct if worst else 0.0) == pytest.approx(100.0 * share.max())
    for before, after in pairwise(found):
        assert before.recovery_time is not None
        assert before.recovery_time <= after.peak_time
    assert all(one.peak_time < one.trough_time <= one.last_time and one.depth > 0.0 for one in found)
