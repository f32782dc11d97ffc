"""All statistics of trades and of the equity that they made."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import field
from datetime import UTC, datetime
from typing import Self

from ..values import dataclass
from .activity import activity_figures
from .bootstrap import BootstrapSettings, Resamples
from .breakdowns import Breakdown, Dimension, breakdowns_of
from .calibration import CalibrationBin, bin_sums, calibration_bins, calibration_figures
from .discrimination import auc_figures
from .drawdowns import Drawdown, drawdown_figures, drawdowns_of
from .equity import EquityCurve, SessionEquity
from .figures import Figure
from .results import result_figures, session_sums, streak_figures, trade_terms
from .returns import return_figures
from .selection import Trials, selection_figures
from .series import MonthlyReturn, RollingSharpe, monthly_returns, rolling_sharpe
from .trades import FloatArray, Trade, TradeColumns, in_order_of_exit

_NO_CURVE = EquityCurve(1.0, datetime.min.replace(tzinfo=UTC), (), (), (), ())


@dataclass(frozen=True, slots=True)
class PerformanceSettings:
    """What the statistics depend on besides trades and equity.

    periods_per_year: sessions of a year, by which ratios are annualised; 252 unless the calendar says otherwise.
    rolling_sessions: window of the rolling Sharpe ratio. trials: what was tried before, None if nothing was selected.
    dimensions: by what trades are grouped. most_groups: see breakdowns.breakdowns_of.
    """

    periods_per_year: float = 252.0
    rolling_sessions: int = 63
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    trials: Trials | None = None
    dimensions: tuple[Dimension, ...] = tuple(Dimension)
    most_groups: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.periods_per_year < math.inf or self.rolling_sessions < 2:
            raise ValueError("periods_per_year is above 0, and rolling_sessions is 2 or more")


@dataclass(frozen=True, slots=True)
class Performance:
    """The statistics of a period.

    figures: by name, all names of `definitions.DEFINITIONS` in their order.
    drawdowns: by bar, in the order of time. monthly_returns, rolling_sharpe: by session.
    """

    figures: dict[str, Figure]
    breakdowns: tuple[Breakdown, ...]
    calibration: tuple[CalibrationBin, ...]
    drawdowns: tuple[Drawdown, ...]
    monthly_returns: tuple[MonthlyReturn, ...]
    rolling_sharpe: tuple[RollingSharpe, ...]


def performance_of(
    trades: Iterable[Trade], curve: EquityCurve | None, settings: PerformanceSettings | None = None
) -> Performance:
    """Return all statistics.

    Args:
        trades: resolved trades, in any order; those still open do not count.
        curve: the equity by bar that these trades made; None for trades that no account made, such as those of a
            shadow: then the figures of equity are undefined.
        settings: the defaults if None.
    """
    settings = settings or PerformanceSettings()
    basis = _Basis.of(trades, curve, settings)
    return Performance(
        figures=_figures(basis, settings),
        breakdowns=breakdowns_of(
            basis.ordered, basis.columns, basis.weights, settings.dimensions, settings.most_groups
        ),
        calibration=calibration_bins(basis.bins, basis.weights),
        drawdowns=basis.drawdowns,
        monthly_returns=monthly_returns(basis.sessions),
        rolling_sharpe=rolling_sharpe(basis.sessions, settings.rolling_sessions, settings.periods_per_year),
    )


def figures_of(
    trades: Iterable[Trade], curve: EquityCurve | None, settings: PerformanceSettings | None = None
) -> dict[str, Figure]:
    """Return the figures alone, in half the time; the arguments are those of `performance_of`."""
    settings = settings or PerformanceSettings()
    return _figures(_Basis.of(trades, curve, settings), settings)


@dataclass(frozen=True, slots=True, eq=False)
class _Basis:
    """What the statistics are computed from.

    weights: how often each resample drew each session of the trades, shape (resamples, sessions).
    """

    curve: EquityCurve
    ordered: tuple[Trade, ...]
    columns: TradeColumns
    weights: FloatArray
    bins: FloatArray
    drawdowns: tuple[Drawdown, ...]
    sessions: SessionEquity

    @classmethod
    def of(cls, trades: Iterable[Trade], curve: EquityCurve | None, settings: PerformanceSettings) -> Self:
        curve = curve or _NO_CURVE
        ordered = in_order_of_exit(trades)
        columns = TradeColumns.of(ordered)
        weights = Resamples.of(len(columns.session_days), settings.bootstrap).weights()
        return cls(curve, ordered, columns, weights, bin_sums(columns), drawdowns_of(curve), curve.by_session())


def _figures(basis: _Basis, settings: PerformanceSettings) -> dict[str, Figure]:
    curve, columns, sessions = basis.curve, basis.columns, basis.sessions
    figures = _trade_figures(basis.ordered, columns, basis.weights)
    figures |= drawdown_figures(curve, basis.drawdowns)
    figures |= activity_figures(curve, columns, len(sessions.days), settings.periods_per_year)
    figures |= _equity_figures(sessions, settings)
    return figures | calibration_figures(basis.bins, basis.weights) | auc_figures(columns, basis.weights)


def _trade_figures(ordered: tuple[Trade, ...], columns: TradeColumns, weights: FloatArray) -> dict[str, Figure]:
    sums = session_sums(trade_terms(columns), columns.session, len(columns.session_days))
    return result_figures(sums, weights) | streak_figures(ordered)


def _equity_figures(sessions: SessionEquity, settings: PerformanceSettings) -> dict[str, Figure]:
    returns = sessions.returns()
    resamples = Resamples.of(len(sessions.days), settings.bootstrap)
    figures = return_figures(returns, sessions.days, settings.periods_per_year, resamples)
    annual = figures["sharpe"].value
    sharpe = None if annual is None else annual / math.sqrt(settings.periods_per_year)
    moments = figures["skewness"], figures["kurtosis"]
    return figures | selection_figures(returns, sharpe, moments, settings.trials)
