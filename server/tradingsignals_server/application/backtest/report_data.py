"""The result of a backtest as the data of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np

from ...domain.calendar import SessionCalendar
from ...domain.outcomes import Fill
from ...domain.positions import Position
from ...domain.wording import counted
from ..report import (
    OpenTrade,
    PriceBars,
    RejectedSignals,
    ReportComparison,
    ReportData,
    ReportFact,
    ReportTrade,
)
from .columns import BarColumns
from .record import trade_of
from .result import BacktestResult, ModelFacts, Rejection, RunFacts
from .run import BacktestPlan

_SYMBOL, _TIME, _OPEN, _HIGH, _LOW, _CLOSE, _SIMULATED = 0, 1, 2, 3, 4, 5, 7


def backtest_report(result: BacktestResult, plan: BacktestPlan, columns: BarColumns) -> ReportData:
    """Return the data of a report on `result`, which `plan` made of the bars in `columns`."""
    facts = result.facts
    shown = columns.between(facts.first_bar, None)
    description = plan.policy.description
    return ReportData(
        title="Backtest",
        symbols=facts.symbols,
        period=(facts.first_bar, facts.last_bar),
        simulated=is_simulated(shown),
        placeholder=description.simulated,
        currency=plan.rules.account_currency,
        facts=(*_run_facts(result), *model_facts(facts.model), *setting_facts(facts.settings.items())),
        performance=result.performance,
        equity=result.equity,
        prices=price_bars(shown),
        trades=tuple(report_trades(result, plan.calendar_of)),
        open_trades=open_trades(result.open_positions),
        signals=dict(result.actions),
        rejections=rejected_signals(result.rejections),
        comparisons=tuple(
            ReportComparison(one.name, one.definition, one.figures, one.equity) for one in result.comparisons
        ),
        rolling_sessions=plan.performance.rolling_sessions,
        notes=_notes(result),
    )


def report_trades(result: BacktestResult, calendar_of: Callable[[str], SessionCalendar]) -> list[ReportTrade]:
    """Return the trades that the statistics are of: outcomes of positions, as they were filled."""
    return [
        ReportTrade(
            trade_of(outcome, calendar_of(outcome.symbol)),
            outcome.entry_price,
            outcome.exit_price,
            outcome.stop_loss,
            outcome.take_profit,
            outcome.bars_held,
        )
        for outcome in result.outcomes
        if outcome.acted and outcome.fill is Fill.CLOSE
    ]


def price_bars(columns: BarColumns) -> tuple[PriceBars, ...]:
    """Return the bars of each symbol and interval; of bars of one time the first, which is what an engine takes."""
    found = []
    for index, (symbol, interval) in sorted(enumerate(columns.symbols), key=lambda item: item[1]):
        rows = columns.rows[columns.rows[:, _SYMBOL] == index]
        rows = rows[np.append(True, np.diff(rows[:, _TIME]) > 0.0)] if len(rows) else rows
        if len(rows):
            times = tuple(int(time) for time in rows[:, _TIME].tolist())
            prices = (tuple(rows[:, column].tolist()) for column in (_OPEN, _HIGH, _LOW, _CLOSE))
            found.append(PriceBars(symbol, interval, times, *prices))
    return tuple(found)


def is_simulated(columns: BarColumns) -> bool:
    """Return whether any bar does not come from a market."""
    return bool(columns.rows[:, _SIMULATED].any())


def open_trades(positions: Iterable[Position]) -> tuple[OpenTrade, ...]:
    """Return positions that were left open."""
    return tuple(
        OpenTrade(
            position.symbol,
            position.action,
            position.entry_time,
            position.entry_price,
            position.stop_loss,
            position.take_profit,
            position.position_size,
            position.current_price,
            position.pnl_account,
            position.r_multiple,
        )
        for position in positions
    )


def rejected_signals(rejections: Iterable[Rejection]) -> tuple[RejectedSignals, ...]:
    """Return why signals were not traded."""
    return tuple(RejectedSignals(one.rule, one.count, one.newest, one.example) for one in rejections)


def model_facts(model: ModelFacts) -> tuple[ReportFact, ...]:
    """Return what is known of a model."""
    trained = model.training_range
    rows = (
        ("Name", model.name),
        ("Version", model.version),
        ("Type", model.type),
        ("SHA-256 of the file", model.sha256 or ""),
        ("Trained on", "" if trained is None else f"{_day(trained[0])} to {_day(trained[1])}"),
    )
    return tuple(ReportFact("Model", name, value) for name, value in rows if value)


def setting_facts(settings: Iterable[tuple[str, str]]) -> tuple[ReportFact, ...]:
    """Return the settings in force."""
    return tuple(ReportFact("Settings", name, value) for name, value in settings)


def _run_facts(result: BacktestResult) -> tuple[ReportFact, ...]:
    facts, bars = result.facts, result.bars
    counts = (
        ("Accepted", bars.accepted),
        ("Warming up", bars.warming_up),
        ("Outside a session", bars.outside_session),
        ("Of another interval", bars.other_interval),
        ("Duplicates", bars.duplicate),
        ("Refused", bars.refused),
    )
    rows = (
        ("Source", facts.source),
        ("Bars", f"{facts.bars:,}"),
        *((name, f"{count:,}") for name, count in counts if count),
        ("Bars before, to warm up", f"{facts.warm_up_bars:,}"),
        ("SHA-256 of the bars", facts.bars_sha256),
        ("SHA-256 of the settings", facts.settings_sha256),
        ("Seed of the coin", str(facts.seed)),
        ("Service", facts.version),
    )
    return tuple(ReportFact("Run", name, value) for name, value in rows)


def _notes(result: BacktestResult) -> tuple[str, ...]:
    """Return what a reader must know: of training data in the period, and of what is not in the report."""
    found = []
    if (overlap := _training_overlap(result.facts)) is not None:
        found.append(
            f"The model was trained on {_day(overlap[0])} to {_day(overlap[1])}, which is part of this period: "
            "figures of that time are flattered."
        )
    if result.left_out:
        beyond = "beyond the first ones"
        left = counted(result.left_out, f"position or outcome {beyond} is", f"positions and outcomes {beyond} are")
        found.append(f"{left} not in this report.")
    if result.refused_bars:
        first = result.refused_bars[0]
        refused = counted(result.bars.refused, "bar was refused", "bars were refused")
        found.append(f"{refused}, the first of {first.symbol} at {first.time:%Y-%m-%d %H:%M}: {first.problem}")
    return tuple(found)


def _training_overlap(facts: RunFacts) -> tuple[datetime, datetime] | None:
    if facts.model.training_range is None:
        return None
    start, end = facts.model.training_range
    first, last = max(start, facts.first_bar), min(end, facts.last_bar)
    return (first, last) if first <= last else None


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"
