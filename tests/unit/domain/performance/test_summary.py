from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from tests.support.resolved_trades import EQUITY, equity_curve, noisy_returns, resolved_trade, some_trades, trades_of

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings
from tradingsignals_server.domain.performance.definitions import DEFINITIONS
from tradingsignals_server.domain.performance.selection import Trials
from tradingsignals_server.domain.performance.summary import PerformanceSettings, performance_of
from tradingsignals_server.domain.performance.trades import Trade

PLAIN = PerformanceSettings(bootstrap=BootstrapSettings(resamples=0))


def an_account(sessions: int) -> tuple[list[Trade], list[float]]:
    """Return one trade a session, and the equity that they make."""
    rng = np.random.default_rng(4)
    trades = [
        resolved_trade(float(net), session=at, win_probability=float(p))
        for at, (net, p) in enumerate(zip(rng.normal(0.01, 0.3, sessions), rng.uniform(0, 1, sessions), strict=True))
    ]
    return trades, (EQUITY + np.cumsum([trade.pnl for trade in trades])).tolist()


def test_every_figure_of_the_table_is_made_and_no_other() -> None:
    trades, equity = an_account(40)
    assert set(performance_of(trades, equity_curve(equity)).figures) == set(DEFINITIONS)
    assert set(performance_of([], None).figures) == set(DEFINITIONS)


def test_what_the_table_calls_an_estimate_has_an_interval_and_nothing_else_has() -> None:
    trades, equity = an_account(120)
    found = performance_of(trades, equity_curve(equity), PerformanceSettings(trials=Trials(10, 0.001))).figures
    assert all(figure.value is not None for name, figure in found.items() if name != "max_drawdown_recovery_days")
    intervals = {name for name, figure in found.items() if figure.interval is not None}
    assert intervals == {name for name, definition in DEFINITIONS.items() if definition.estimate}


@given(some_trades)
def test_equity_is_the_initial_equity_and_the_profit_of_its_trades(trades: list[Trade]) -> None:
    ordered = sorted(trades, key=lambda trade: trade.exit_time)
    equity = (EQUITY + np.cumsum([trade.pnl for trade in ordered])).tolist()
    found = performance_of(trades, equity_curve(equity), PLAIN).figures
    total, pnl = found["total_return_pct"].value, found["pnl"].value
    assert pnl is not None
    assert total == (pytest.approx(100.0 * pnl / EQUITY, abs=1e-9) if trades else None)


def test_the_same_input_gives_the_same_figures_and_another_seed_other_intervals() -> None:
    trades, equity = an_account(40)
    curve = equity_curve(equity)
    first = performance_of(trades, curve, PerformanceSettings(bootstrap=BootstrapSettings(100, 1)))
    assert performance_of(trades, curve, PerformanceSettings(bootstrap=BootstrapSettings(100, 1))) == first
    other = performance_of(trades, curve, PerformanceSettings(bootstrap=BootstrapSettings(100, 2)))
    assert {name: figure.value for name, figure in other.figures.items()} == {
        name: figure.value for name, figure in first.figures.items()
    }
    assert other != first


def test_a_policy_that_never_trades_gains_nothing() -> None:
    found = performance_of([], equity_curve([EQUITY] * 40), PLAIN).figures
    assert [found[name].value for name in ("win_rate_pct", "profit_factor", "sharpe", "sortino", "brier")] == [None] * 5
    assert (found["total_return_pct"].value, found["turnover"].value, found["max_drawdown_pct"].value) == (
        0.0,
        0.0,
        0.0,
    )


def test_a_flat_predictor_tells_winners_from_losers_no_better_than_chance() -> None:
    trades = [
        resolved_trade(0.1 if at % 2 else -0.1, session=at, win_probability=0.5, confidence=0.9) for at in range(40)
    ]
    found = performance_of(trades, None, PLAIN).figures
    assert (found["auc_confidence"].value, found["auc_win_probability"].value) == (0.5, 0.5)
    assert (found["brier_resolution"].value, found["brier_skill"].value) == (0.0, 0.0)


def test_ratios_scale_with_the_sessions_of_a_year() -> None:
    equity = (EQUITY * np.cumprod(1.0 + np.array(noisy_returns(40)))).tolist()
    by_252 = performance_of([], equity_curve(equity), PLAIN)
    by_365 = performance_of([], equity_curve(equity), PerformanceSettings(365.0, bootstrap=BootstrapSettings(0)))
    before, after = by_252.figures["sharpe"].value, by_365.figures["sharpe"].value
    assert before is not None
    assert after == pytest.approx(before * math.sqrt(365.0 / 252.0))
    assert by_365.figures["probabilistic_sharpe"].value == pytest.approx(
        by_252.figures["probabilistic_sharpe"].value, abs=1e-12
    )


def test_a_lost_account_has_no_returns_but_a_drawdown() -> None:
    found = performance_of(trades_of([-0.1]), equity_curve([0.0, 100.0]), PLAIN).figures
    assert [found[name].value for name in ("total_return_pct", "sharpe", "ulcer_index_pct")] == [None] * 3
    assert found["max_drawdown_pct"].value == 100.0


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="periods_per_year"):
        PerformanceSettings(periods_per_year=0.0)
    with pytest.raises(ValueError, match="rolling_sessions"):
        PerformanceSettings(rolling_sessions=1)
