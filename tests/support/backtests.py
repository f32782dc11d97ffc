"""Backtests of generated bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.backtest.columns import BarColumns
from tradingsignals_server.application.backtest.engine import ProcessedBar
from tradingsignals_server.application.backtest.result import BacktestResult
from tradingsignals_server.application.backtest.run import BacktestPlan, BacktestRun
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings
from tradingsignals_server.domain.performance.summary import PerformanceSettings
from tradingsignals_server.domain.risk import RiskRules

NO_INTERVALS = PerformanceSettings(bootstrap=BootstrapSettings(resamples=0))
WILLING = RiskRules(confidence_threshold=0.4)
"""Rules under which the placeholder policy trades."""


def plan(**changes: Any) -> BacktestPlan:
    """Return the plan of a backtest of the placeholder policy, without intervals and comparisons."""
    usual = BacktestPlan(PlaceholderPolicy(), WILLING, calendar_for, compare=False, performance=NO_INTERVALS)
    return replace(usual, **changes)


async def result_of(bars: Sequence[Bar], **changes: Any) -> BacktestResult:
    """Return the result of the backtest of `plan` on bars."""
    columns = BarColumns.of([bars])
    return await BacktestRun(plan(**changes)).run(columns.chunks(), len(columns))


async def processed_by(bars: Sequence[Bar], **changes: Any) -> list[ProcessedBar]:
    """Return what became of each bar."""
    found: list[ProcessedBar] = []
    await BacktestRun(plan(**changes), found.append).run([bars], len(bars))
    return found
