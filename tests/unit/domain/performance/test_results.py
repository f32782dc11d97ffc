from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import resolved_trade, some_trades, trades_of

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings
from tradingsignals_server.domain.performance.figures import Figure
from tradingsignals_server.domain.performance.summary import PerformanceSettings, performance_of
from tradingsignals_server.domain.performance.trades import Trade

PLAIN = PerformanceSettings(bootstrap=BootstrapSettings(resamples=0))
COUNTS = ("trades", "wins", "losses", "breakeven", "longest_win_streak", "longest_loss_streak")
IN_ACCOUNT_CURRENCY = ("pnl", "expectancy", "average_win", "average_loss")
WITHOUT_SIZE = (
    "win_rate_pct",
    "profit_factor",
    "payoff",
    "expectancy_r",
    "expectancy_pct",
    "average_win_r",
    "average_loss_r",
    "average_cost_pct",
)


def figures(trades: list[Trade] | tuple[Trade, ...]) -> dict[str, Figure]:
    return performance_of(trades, None, PLAIN).figures


def value(found: dict[str, Figure], name: str) -> float:
    known = found[name].value
    assert known is not None
    return known


def test_hand_computed_results() -> None:
    # A net result of 0.1% of a size of 0.02 of 10,000 is 0.2; one R is 0.1%.
    found = figures(trades_of([0.3, -0.1, 0.0, 0.1, 0.2, -0.2, -0.2, -0.1]))
    expected = {
        "trades": 8,
        "wins": 3,
        "losses": 4,
        "breakeven": 1,
        "pnl": 0.0,
        "win_rate_pct": 37.5,
        "profit_factor": 1.0,
        "expectancy": 0.0,
        "expectancy_r": 0.0,
        "expectancy_pct": 0.0,
        "average_win": 0.4,
        "average_loss": -0.3,
        "average_win_r": 2.0,
        "average_loss_r": -1.5,
        "payoff": 4.0 / 3.0,
        "average_cost_pct": 0.02,
        "average_mfe_r": 0.75,
        "average_mae_r": 0.75,
        "longest_win_streak": 2,
        "longest_loss_streak": 3,
    }
    for name, known in expected.items():
        assert value(found, name) == pytest.approx(known, abs=1e-12), name


def test_each_mean_has_the_number_of_its_own_cases() -> None:
    found = figures(trades_of([0.3, -0.1, 0.1]))
    counted = {name: found[name].n for name in ("win_rate_pct", "average_win", "average_loss_r", "profit_factor")}
    assert counted == {"win_rate_pct": 3, "average_win": 2, "average_loss_r": 1, "profit_factor": 3}


def test_without_losses_what_divides_by_them_is_undefined() -> None:
    found = figures(trades_of([0.3, 0.1]))
    assert [found[name].value for name in ("profit_factor", "average_loss", "average_loss_r", "payoff")] == [None] * 4
    assert value(found, "win_rate_pct") == 100.0


def test_without_wins_the_profit_factor_is_0_and_the_payoff_undefined() -> None:
    found = figures(trades_of([-0.3, -0.1]))
    assert value(found, "profit_factor") == 0.0
    assert found["average_win"].value is None
    assert found["payoff"].value is None


def test_without_trades_counts_are_0_and_all_else_is_undefined() -> None:
    known = {name: figure.value for name, figure in figures([]).items() if figure.value is not None}
    assert known == {"trades": 0.0, "wins": 0.0, "losses": 0.0, "breakeven": 0.0, "pnl": 0.0}


def test_a_trade_that_broke_even_ends_a_streak() -> None:
    found = figures(trades_of([0.1, 0.0, 0.1, -0.1, 0.0, -0.1]))
    assert (value(found, "longest_win_streak"), value(found, "longest_loss_streak")) == (1.0, 1.0)


@given(some_trades)
def test_counts_and_profit_are_the_sums_of_their_parts(trades: list[Trade]) -> None:
    found = figures(trades)
    assert value(found, "trades") == sum(value(found, name) for name in ("wins", "losses", "breakeven")) == len(trades)
    assert value(found, "pnl") == pytest.approx(sum(trade.pnl for trade in trades), abs=1e-9)


@given(some_trades, st.randoms(use_true_random=False))
def test_the_order_of_trades_does_not_matter(trades: list[Trade], random: object) -> None:
    shuffled = sorted(trades, key=lambda _: random.random())  # type: ignore[attr-defined]  # hypothesis' Random
    assert performance_of(shuffled, None, PLAIN) == performance_of(trades, None, PLAIN)


@given(some_trades)
def test_doubled_sizes_double_the_profit_and_keep_the_ratios(trades: list[Trade]) -> None:
    once = figures(trades)
    twice = figures([replace(trade, size=2.0 * trade.size, pnl=2.0 * trade.pnl) for trade in trades])
    assert [once[name] for name in COUNTS] == [twice[name] for name in COUNTS]
    for name in (*IN_ACCOUNT_CURRENCY, *WITHOUT_SIZE):
        factor, before, after = 2.0 if name in IN_ACCOUNT_CURRENCY else 1.0, once[name].value, twice[name].value
        assert after == (None if before is None else pytest.approx(factor * before)), name


def test_a_size_of_0_counts_as_a_win_without_a_profit() -> None:
    found = figures([resolved_trade(0.1, size=0.0), resolved_trade(-0.1, size=0.0, session=1)])
    assert (value(found, "wins"), value(found, "losses"), value(found, "pnl")) == (1.0, 1.0, 0.0)
    assert found["profit_factor"].value is None
