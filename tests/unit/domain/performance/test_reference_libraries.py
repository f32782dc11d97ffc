"""The figures agree with two libraries that are fed the same returns, or differ by a definition that is named here.

empyrical-reloaded is called. quantstats brings plotting and downloads, so its values for one series were recorded.
"""

from __future__ import annotations

import math
from datetime import timedelta
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import EQUITY, FIRST_DAY, equity_curve, noisy_returns, resolved_trade

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings, Resamples
from tradingsignals_server.domain.performance.returns import return_figures
from tradingsignals_server.domain.performance.selection import probabilistic_sharpe
from tradingsignals_server.domain.performance.summary import PerformanceSettings, performance_of

empyrical = pytest.importorskip("empyrical", reason="empyrical-reloaded is not installed: make setup")

PLAIN = PerformanceSettings(bootstrap=BootstrapSettings(resamples=0))

RECORDED = [round(value, 4) for value in noisy_returns(250)]
"""The series of which quantstats' values were recorded."""

QUANTSTATS = {  # quantstats 0.0.86 with pandas 3.1.1, defaults but for method="historical" of `cvar_historical`
    "sharpe": -0.834139648603551,
    "sortino": -1.1347960949209668,
    "omega": 0.8732054909357646,
    "calmar": -0.7604109997916532,
    "cagr": -0.12423137528941464,
    "comp": -0.12330887673864299,
    "volatility": 0.14622012058075523,
    "max_drawdown": -0.16337398502053901,
    "ulcer_index": 0.07498345005265147,
    "value_at_risk": -0.015634749723699513,
    "cvar": -0.019483651389245835,
    "cvar_historical": -0.019515384615384615,
    "probabilistic_ratio": 0.20403402501870666,
    "skew": 0.0530484908333676,
    "kurtosis": 0.48836252444977923,
    "profit_factor": 0.8732054909357645,
    "payoff_ratio": 0.8874039542030129,
    "win_rate": 0.4959677419354839,
}


def of_returns(returns: list[float]) -> dict[str, float]:
    """Return the figures of session returns that are defined."""
    days = tuple(FIRST_DAY + timedelta(days=at) for at in range(len(returns)))
    found = return_figures(np.array(returns), days, 252.0, Resamples.of(0, BootstrapSettings()))
    return {name: figure.value for name, figure in found.items() if figure.value is not None}


@given(st.lists(st.integers(-300, 300).map(lambda n: n / 8192), min_size=20, max_size=120))
def test_ratios_agree_with_empyrical(returns: list[float]) -> None:
    found, series = of_returns(returns), np.array(returns)
    if float(np.ptp(series)) > 0.0:
        assert found["sharpe"] == pytest.approx(empyrical.sharpe_ratio(series), rel=1e-9, abs=1e-9)
        assert found["volatility_pct"] == pytest.approx(100.0 * empyrical.annual_volatility(series))
    if min(returns) < 0.0:
        assert found["sortino"] == pytest.approx(empyrical.sortino_ratio(series), rel=1e-9, abs=1e-9)
        assert found["omega"] == pytest.approx(empyrical.omega_ratio(series), rel=1e-9, abs=1e-9)
        assert found["calmar"] == pytest.approx(empyrical.calmar_ratio(series), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(-0.3, 0.3), min_size=20, max_size=120))
def test_growth_and_losses_agree_with_empyrical(returns: list[float]) -> None:
    # Ours are percentages, and a loss is above 0.
    found, series = of_returns(returns), np.array(returns)
    expected = {
        "total_return_pct": empyrical.cum_returns_final(series),
        "annual_return_pct": empyrical.annual_return(series),
        "max_session_drawdown_pct": -empyrical.max_drawdown(series),
        "var_95_pct": -empyrical.value_at_risk(series),
        "cvar_95_pct": -empyrical.conditional_value_at_risk(series),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(100.0 * value, rel=1e-9, abs=1e-9), name


def test_profit_of_an_account_agrees_with_empyrical() -> None:
    trades = [resolved_trade(net, session=at) for at, net in enumerate(np.random.default_rng(3).normal(0, 0.3, 60))]
    equity = (EQUITY + np.cumsum([trade.pnl for trade in trades])).tolist()
    returns = np.diff([EQUITY, *equity]) / np.array([EQUITY, *equity[:-1]])
    found = performance_of(trades, equity_curve(equity), PLAIN).figures
    pnl, worst = found["pnl"].value, found["max_drawdown_pct"].value
    assert pnl == pytest.approx(EQUITY * empyrical.cum_returns_final(returns))
    assert worst == pytest.approx(-100.0 * empyrical.max_drawdown(returns))


def test_figures_of_one_definition_agree_with_quantstats() -> None:
    found = of_returns(RECORDED)
    assert found["sharpe"] == pytest.approx(QUANTSTATS["sharpe"])
    assert found["sortino"] == pytest.approx(QUANTSTATS["sortino"])
    assert found["omega"] == pytest.approx(QUANTSTATS["omega"])
    assert found["calmar"] == pytest.approx(QUANTSTATS["calmar"])
    assert found["total_return_pct"] == pytest.approx(100.0 * QUANTSTATS["comp"])
    assert found["volatility_pct"] == pytest.approx(100.0 * QUANTSTATS["volatility"])
    assert found["max_session_drawdown_pct"] == pytest.approx(-100.0 * QUANTSTATS["max_drawdown"])
    assert found["cvar_95_pct"] == pytest.approx(-100.0 * QUANTSTATS["cvar_historical"])


def test_cagr_of_quantstats_is_the_annual_return_by_sessions() -> None:
    found = of_returns(RECORDED)
    assert found["annual_return_pct"] == pytest.approx(100.0 * QUANTSTATS["cagr"])
    # Ours is by calendar days; the days of this series are consecutive, so 250 sessions are 250 days.
    growth = 1.0 + QUANTSTATS["comp"]
    assert found["cagr_pct"] == pytest.approx(100.0 * (growth ** (365.25 / 250.0) - 1.0))


def test_ulcer_index_of_quantstats_divides_by_n_less_1() -> None:
    ours = of_returns(RECORDED)["ulcer_index_pct"]
    assert ours * math.sqrt(250.0 / 249.0) == pytest.approx(100.0 * QUANTSTATS["ulcer_index"])


def test_value_at_risk_of_quantstats_is_that_of_a_normal_distribution() -> None:
    found, series = of_returns(RECORDED), np.array(RECORDED)
    normal = NormalDist(float(series.mean()), float(series.std(ddof=1)))
    assert normal.inv_cdf(0.05) == pytest.approx(QUANTSTATS["value_at_risk"])
    standard = NormalDist()
    shortfall = normal.mean - normal.stdev * standard.pdf(standard.inv_cdf(0.05)) / 0.05
    assert shortfall == pytest.approx(QUANTSTATS["cvar"])
    assert found["var_95_pct"] == pytest.approx(-100.0 * float(np.quantile(series, 0.05)))


def test_moments_of_quantstats_are_corrected_for_bias() -> None:
    n, found = 250.0, of_returns(RECORDED)
    skewness = found["skewness"] * math.sqrt(n * (n - 1.0)) / (n - 2.0)
    excess = ((n + 1.0) * (found["kurtosis"] - 3.0) + 6.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
    assert skewness == pytest.approx(QUANTSTATS["skew"])
    assert excess == pytest.approx(QUANTSTATS["kurtosis"])
    # Its probabilistic Sharpe ratio is the same formula with those moments.
    sharpe = found["sharpe"] / math.sqrt(252.0)
    assert probabilistic_sharpe(sharpe, 0.0, 250, skewness, excess + 3.0) == pytest.approx(
        QUANTSTATS["probabilistic_ratio"]
    )


def test_profit_factor_and_payoff_agree_with_quantstats_fed_the_results_of_trades() -> None:
    trades = [resolved_trade(100.0 * result, session=at) for at, result in enumerate(RECORDED)]
    found = performance_of(trades, None, PLAIN).figures
    assert found["profit_factor"].value == pytest.approx(QUANTSTATS["profit_factor"])
    assert found["payoff"].value == pytest.approx(QUANTSTATS["payoff_ratio"])


def test_win_rate_of_quantstats_leaves_out_what_broke_even() -> None:
    trades = [resolved_trade(100.0 * result, session=at) for at, result in enumerate(RECORDED)]
    found = performance_of(trades, None, PLAIN).figures
    wins, breakeven = found["wins"].value, found["breakeven"].value
    assert wins is not None
    assert breakeven == 2.0
    assert wins / (250.0 - breakeven) == pytest.approx(QUANTSTATS["win_rate"])
    assert found["win_rate_pct"].value == pytest.approx(100.0 * wins / 250.0)
