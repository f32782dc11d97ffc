from __future__ import annotations

import pytest
from tests.support.resolved_trades import equity_curve, trades_of

from tradingsignals_server.domain.performance.activity import activity_figures
from tradingsignals_server.domain.performance.trades import TradeColumns


def test_hand_computed_exposure_and_turnover() -> None:
    curve = equity_curve([10_000.0] * 4, bars_per_session=2, exposure=(0.0, 0.02, 0.04, 0.0))
    found = activity_figures(curve, TradeColumns.of(trades_of([0.1, -0.1, 0.2])), 2, 252.0)
    assert {name: figure.value for name, figure in found.items()} == {
        "average_exposure_pct": pytest.approx(1.5),
        "max_exposure_pct": pytest.approx(4.0),
        "time_in_market_pct": pytest.approx(50.0),
        # Three trades of 0.02, each in and out, in two of 252 sessions.
        "turnover": pytest.approx(3 * 2 * 0.02 * 252 / 2),
    }
    assert [figure.n for figure in found.values()] == [4, 4, 4, 2]


def test_without_a_bar_nothing_is_defined() -> None:
    found = activity_figures(equity_curve([]), TradeColumns.of(()), 0, 252.0)
    assert {figure.value for figure in found.values()} == {None}
