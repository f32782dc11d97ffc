"""Figures of session returns: growth, ratios of return to risk, tails, moments.

Every formula takes returns of shape (..., sessions) and works on the last axis, so that it gives the figure of the
returns and of many resamples of them. The definitions are those of `definitions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from .bootstrap import Resamples, percentile_interval
from .figures import Figure, defined
from .trades import FloatArray

TAIL = 0.05
"""Share of the sessions that VaR and CVaR are of."""

MIN_SESSIONS_OF_TAIL = 20
"""With fewer sessions the worst 5% are less than one: VaR and CVaR are undefined, as are annual growth rates."""

DAYS_PER_YEAR = 365.25

_FLAT = 1e-10


def return_ratios(returns: FloatArray, periods_per_year: float) -> dict[str, FloatArray]:
    """Return the estimates of returns of shape (..., sessions), each of shape (...); NaN where one is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = _risk_ratios(returns, periods_per_year) | _moments(returns)
        if returns.shape[-1] >= MIN_SESSIONS_OF_TAIL:
            figures |= _tails(returns) | _growth(returns, periods_per_year)
        drawdowns = drawdown_of_returns(returns)
        figures["max_session_drawdown_pct"] = 0.0 - 100.0 * drawdowns.min(axis=-1)
        figures["ulcer_index_pct"] = 100.0 * np.sqrt(np.mean(drawdowns**2, axis=-1))
    return figures


def volatility(returns: FloatArray) -> FloatArray:
    """Return the standard deviation with n - 1, shape (...): NaN for one session, and where all returns are equal."""
    if returns.shape[-1] < 2:
        return np.full(returns.shape[:-1], np.nan)
    deviation = returns.std(axis=-1, ddof=1)
    return np.where(deviation > _FLAT * np.abs(returns).max(axis=-1), deviation, np.nan)


def sharpe_of(returns: FloatArray) -> FloatArray:
    """Return the Sharpe ratio for one session, not annualised, shape (...)."""
    return np.asarray(returns.mean(axis=-1) / volatility(returns))


def drawdown_of_returns(returns: FloatArray) -> FloatArray:
    """Return equity relative to its peak, less 1, after each session, <= 0; the initial equity counts as a peak."""
    equity = np.cumprod(1.0 + returns, axis=-1)
    return equity / np.maximum(np.maximum.accumulate(equity, axis=-1), 1.0) - 1.0


def _risk_ratios(returns: FloatArray, periods_per_year: float) -> dict[str, FloatArray]:
    mean, annual = returns.mean(axis=-1), np.sqrt(periods_per_year)
    below = np.minimum(returns, 0.0)
    downside = np.sqrt(np.mean(below**2, axis=-1))
    lost = -below.sum(axis=-1)
    return {
        "volatility_pct": 100.0 * volatility(returns) * annual,
        "sharpe": sharpe_of(returns) * annual,
        "sortino": np.where(downside > 0.0, mean / downside, np.nan) * annual,
        "omega": np.where(lost > 0.0, np.maximum(returns, 0.0).sum(axis=-1) / lost, np.nan),
    }


def _moments(returns: FloatArray) -> dict[str, FloatArray]:
    if returns.shape[-1] < 4:
        return {}
    centred = returns - returns.mean(axis=-1, keepdims=True)
    squares = centred**2
    variance = np.where(np.isnan(volatility(returns)), np.nan, squares.mean(axis=-1))
    return {
        "skewness": (squares * centred).mean(axis=-1) / variance**1.5,
        "kurtosis": (squares**2).mean(axis=-1) / variance**2,
    }


def _tails(returns: FloatArray) -> dict[str, FloatArray]:
    rank = TAIL * (returns.shape[-1] - 1)
    at = int(rank)
    ordered = np.partition(returns, (at, at + 1), axis=-1)
    worst = ordered[..., at] + (rank - at) * (ordered[..., at + 1] - ordered[..., at])
    return {"var_95_pct": 0.0 - 100.0 * worst, "cvar_95_pct": 0.0 - 100.0 * ordered[..., : at + 1].mean(axis=-1)}


def _growth(returns: FloatArray, periods_per_year: float) -> dict[str, FloatArray]:
    growth = np.prod(1.0 + returns, axis=-1)
    annual = growth ** (periods_per_year / returns.shape[-1]) - 1.0
    depth = -drawdown_of_returns(returns).min(axis=-1)
    return {"annual_return_pct": 100.0 * annual, "calmar": np.where(depth > 0.0, annual / depth, np.nan)}


def return_figures(
    returns: FloatArray | None, days: tuple[date, ...], periods_per_year: float, resamples: Resamples
) -> dict[str, Figure]:
    """Return all figures of session returns.

    Args:
        returns: as fractions, shape (sessions,); None if the equity was ever 0 or below, and no figure is defined.
        days: the days of the sessions.
        periods_per_year: sessions that a year has.
        resamples: draws of as many sessions.
    """
    if returns is None or len(returns) == 0:
        return {name: Figure(None, 0) for name in (*RETURN_ESTIMATES, "total_return_pct", "cagr_pct")}
    values = return_ratios(returns, periods_per_year)
    samples = _resampled(returns, resamples, lambda rows: return_ratios(rows, periods_per_year))
    figures = {}
    for name in RETURN_ESTIMATES:
        known = defined(float(values[name])) if name in values else None
        interval = percentile_interval(samples[name]) if known is not None and name in samples else None
        figures[name] = Figure(known, len(returns), interval)
    growth = float(np.prod(1.0 + returns))
    years = ((days[-1] - days[0]).days + 1) / DAYS_PER_YEAR
    long_enough = len(returns) >= MIN_SESSIONS_OF_TAIL
    figures["total_return_pct"] = Figure(100.0 * (growth - 1.0), len(returns))
    figures["cagr_pct"] = Figure(100.0 * (growth ** (1.0 / years) - 1.0) if long_enough else None, len(returns))
    return figures


def _resampled(
    returns: FloatArray, resamples: Resamples, figures_of: Callable[[FloatArray], dict[str, FloatArray]]
) -> dict[str, FloatArray]:
    parts = [figures_of(rows) for rows in resamples.chunks(returns)]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


RETURN_ESTIMATES = (
    "volatility_pct",
    "sharpe",
    "sortino",
    "calmar",
    "omega",
    "ulcer_index_pct",
    "max_session_drawdown_pct",
    "annual_return_pct",
    "var_95_pct",
    "cvar_95_pct",
    "skewness",
    "kurtosis",
)
"""Figures that `return_ratios` gives where there are sessions enough."""
