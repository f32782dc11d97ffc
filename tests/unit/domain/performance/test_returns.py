from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import FIRST_DAY, noisy_returns

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings, Resamples
from tradingsignals_server.domain.performance.figures import Figure
from tradingsignals_server.domain.performance.returns import RETURN_ESTIMATES, return_figures

NONE = Resamples.of(0, BootstrapSettings())
PERIODS = 252.0


def figures(returns: list[float] | None, days: tuple[date, ...] = ()) -> dict[str, Figure]:
    days = days or tuple(FIRST_DAY + timedelta(days=at) for at in range(len(returns or ())))
    return return_figures(None if returns is None else np.array(returns), days, PERIODS, NONE)


def value(found: dict[str, Figure], name: str) -> float:
    known = found[name].value
    assert known is not None
    return known


def test_hand_computed_ratios() -> None:
    # Equity 1, 1.1, 1.045, 1.045, 1.254: mean 0.0625, the peak is 1.1 in the second and third session.
    found = figures([0.1, -0.05, 0.0, 0.2])
    deviations = (0.0375, -0.1125, -0.0625, 0.1375)
    variance = sum(d**2 for d in deviations)
    assert value(found, "volatility_pct") == pytest.approx(100.0 * math.sqrt(variance / 3.0 * 252.0))
    assert value(found, "sharpe") == pytest.approx(0.0625 / math.sqrt(variance / 3.0) * math.sqrt(252.0))
    assert value(found, "sortino") == pytest.approx(0.0625 / math.sqrt(0.05**2 / 4.0) * math.sqrt(252.0))
    assert value(found, "omega") == pytest.approx(0.3 / 0.05)
    assert value(found, "max_session_drawdown_pct") == pytest.approx(5.0)
    assert value(found, "ulcer_index_pct") == pytest.approx(100.0 * math.sqrt(2.0 * 0.05**2 / 4.0))
    assert value(found, "skewness") == pytest.approx(sum(d**3 for d in deviations) / 4.0 / (variance / 4.0) ** 1.5)
    assert value(found, "kurtosis") == pytest.approx(sum(d**4 for d in deviations) / 4.0 / (variance / 4.0) ** 2)
    assert value(found, "total_return_pct") == pytest.approx(25.4)


def test_hand_computed_tail_and_growth() -> None:
    # 41 returns: the 5% quantile is the third worst.
    returns = [-0.04, -0.03, -0.02, *([0.005] * 38)]
    days = tuple(date(2024, 1, 1) + timedelta(days=at) for at in range(40))
    found = figures(returns, (*days, date(2024, 12, 31)))
    growth = 0.96 * 0.97 * 0.98 * 1.005**38
    assert value(found, "var_95_pct") == pytest.approx(2.0)
    assert value(found, "cvar_95_pct") == pytest.approx(3.0)
    assert value(found, "annual_return_pct") == pytest.approx(100.0 * (growth ** (252.0 / 41.0) - 1.0))
    # 2024 has 366 days.
    assert value(found, "cagr_pct") == pytest.approx(100.0 * (growth ** (365.25 / 366.0) - 1.0))
    assert value(found, "calmar") == pytest.approx((growth ** (252.0 / 41.0) - 1.0) / (1.0 - 0.96 * 0.97 * 0.98))


def test_equal_returns_have_neither_sharpe_ratio_nor_moments() -> None:
    for level in (0.0, 0.001, 0.1):
        found = figures([level] * 30)
        assert [found[name].value for name in ("sharpe", "volatility_pct", "skewness", "kurtosis")] == [None] * 4


def test_without_a_loss_what_divides_by_losses_is_undefined() -> None:
    found = figures([0.01, 0.02] * 15)
    assert [found[name].value for name in ("sortino", "omega", "calmar")] == [None] * 3
    assert value(found, "max_session_drawdown_pct") == 0.0


def test_a_flat_account_has_no_ratio_and_no_loss() -> None:
    found = figures([0.0] * 30)
    assert [found[name].value for name in ("sharpe", "sortino", "omega", "calmar")] == [None] * 4
    for name in ("total_return_pct", "annual_return_pct", "cagr_pct", "var_95_pct", "cvar_95_pct", "ulcer_index_pct"):
        assert str(found[name].value) == "0.0", name


def test_few_sessions_have_neither_tail_nor_annual_growth() -> None:
    names = ("var_95_pct", "cvar_95_pct", "annual_return_pct", "cagr_pct", "calmar")
    assert [figures(noisy_returns(19))[name].value for name in names] == [None] * 5
    assert None not in [figures(noisy_returns(20))[name].value for name in names]


def test_one_session_has_no_sharpe_ratio() -> None:
    assert figures([0.01])["sharpe"].value is None


@pytest.mark.parametrize("returns", [None, []])
def test_without_returns_nothing_is_defined(returns: list[float] | None) -> None:
    found = figures(returns)
    assert set(RETURN_ESTIMATES) < set(found)
    assert all(figure == Figure(None, 0) for figure in found.values())


@given(st.lists(st.integers(-200, 200).map(lambda n: n / 4096), min_size=20, max_size=80), st.sampled_from([0.5, 2.0]))
def test_scaled_returns_keep_the_ratios_that_do_not_compound(returns: list[float], factor: float) -> None:
    once, scaled = figures(returns), figures([factor * r for r in returns])
    for name in ("sharpe", "sortino", "omega", "skewness", "kurtosis"):
        known = once[name].value
        assert scaled[name].value == (None if known is None else pytest.approx(known, rel=1e-9, abs=1e-9)), name
    for name in ("volatility_pct", "var_95_pct", "cvar_95_pct"):
        known = once[name].value
        assert scaled[name].value == (None if known is None else pytest.approx(factor * known, abs=1e-9)), name


@given(st.lists(st.floats(-0.5, 0.5), min_size=20, max_size=60))
def test_the_worst_sessions_lose_at_least_the_value_at_risk(returns: list[float]) -> None:
    found = figures(returns)
    assert value(found, "cvar_95_pct") >= value(found, "var_95_pct") - 1e-9
    assert value(found, "max_session_drawdown_pct") >= value(found, "ulcer_index_pct") - 1e-9


def test_intervals_hold_the_estimate_and_repeat_by_seed() -> None:
    returns = np.array(noisy_returns(120))
    days = tuple(FIRST_DAY + timedelta(days=at) for at in range(120))
    first = return_figures(returns, days, PERIODS, Resamples.of(120, BootstrapSettings(200, 1)))
    again = return_figures(returns, days, PERIODS, Resamples.of(120, BootstrapSettings(200, 1)))
    other = return_figures(returns, days, PERIODS, Resamples.of(120, BootstrapSettings(200, 2)))
    assert first == again != other
    for name in ("sharpe", "sortino", "omega", "annual_return_pct", "var_95_pct", "volatility_pct"):
        known, interval = first[name].value, first[name].interval
        assert known is not None
        assert interval is not None
        assert interval.low < known < interval.high, name
