from __future__ import annotations

import numpy as np
import pytest
from tests.support.resolved_trades import noisy_returns, session_equity

from tradingsignals_server.domain.performance.series import monthly_returns, rolling_sharpe


def test_monthly_returns_compound_their_sessions() -> None:
    # The first session is 2 June, so June has 29.
    months = monthly_returns(session_equity([*([0.01] * 29), 0.02, -0.05]))
    assert [(month.year, month.month, month.sessions) for month in months] == [(2025, 6, 29), (2025, 7, 2)]
    assert [month.return_pct for month in months] == pytest.approx(
        [100.0 * (1.01**29 - 1.0), 100.0 * (1.02 * 0.95 - 1.0)]
    )


def test_rolling_sharpe_is_that_of_each_window() -> None:
    returns = noisy_returns(12)
    found = rolling_sharpe(session_equity(returns), 10, 252.0)
    assert [point.day.day for point in found] == [11, 12, 13]
    for at, point in enumerate(found):
        window = np.array(returns[at : at + 10])
        assert point.value == pytest.approx(window.mean() / window.std(ddof=1) * 252.0**0.5)


def test_a_flat_window_has_no_sharpe_ratio() -> None:
    assert [point.value for point in rolling_sharpe(session_equity([0.0] * 4), 3, 252.0)] == [None, None]


def test_fewer_sessions_than_the_window_give_no_point() -> None:
    assert rolling_sharpe(session_equity([0.01, 0.02]), 3, 252.0) == ()


def test_a_window_of_one_session_is_refused() -> None:
    with pytest.raises(ValueError, match="2 sessions"):
        rolling_sharpe(session_equity([0.01]), 1, 252.0)


def test_an_equity_that_was_gone_has_no_series() -> None:
    gone = session_equity([-1.0, 0.1, 0.1])
    assert monthly_returns(gone) == ()
    assert rolling_sharpe(gone, 2, 252.0) == ()
