"""The performance of a service: the statistics of what it has stored, by the code that computes those of a backtest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ..domain.calendar import SessionCalendar
from ..domain.performance.equity import EquityCurve
from ..domain.performance.figures import Figure
from ..domain.performance.latencies import latency_figures
from ..domain.performance.summary import Performance, PerformanceSettings, performance_of
from ..domain.values import dataclass
from .backtest.record import EquityRecord, trade_of
from .ports.performance import PerformanceQuery, PerformanceRows

MOST_GROUPS = 100
"""Groups of one dimension."""


@dataclass(frozen=True, slots=True)
class LivePerformance:
    """What is returned to a caller. See tradingsignals.v1.Performance.

    latencies: by name, all of definitions.LATENCIES. start, end: first entry and last exit of the trades that count.
    truncated: older trades than these were left out.
    """

    performance: Performance
    latencies: dict[str, Figure]
    of_account: bool
    start: datetime | None
    end: datetime | None
    truncated: bool
    simulated: bool
    currency: str
    through_sequence: int


def live_performance(
    query: PerformanceQuery, rows: PerformanceRows, calendar_of: Callable[[str], SessionCalendar]
) -> LivePerformance:
    """Compute the statistics of what is stored.

    If older outcomes or points of the equity were left out, both begin with the later of the two, so that they are of
    one period.
    """
    starts = []
    if rows.more_outcomes:
        starts.append(rows.outcomes[0].exit_time)
    if rows.more_points:
        starts.append(rows.points[0].time)
    start = max(starts, default=None)
    outcomes = [one for one in rows.outcomes if start is None or one.exit_time >= start]
    trades = [trade_of(one, calendar_of(one.symbol)) for one in outcomes]
    settings = PerformanceSettings(dimensions=query.by, most_groups=MOST_GROUPS)
    return LivePerformance(
        performance=performance_of(trades, _curve(rows, start) if query.of_account else None, settings),
        latencies=latency_figures(rows.latencies),
        of_account=query.of_account,
        start=min((one.entry_time for one in outcomes), default=None),
        end=outcomes[-1].exit_time if outcomes else None,
        truncated=bool(starts),
        simulated=any(one.simulated for one in outcomes),
        currency=rows.currency,
        through_sequence=rows.through_sequence,
    )


def _curve(rows: PerformanceRows, start: datetime | None) -> EquityCurve | None:
    """Return the equity from the first point in a session on; None without one.

    It begins with the equity before that point.
    """
    before, record = rows.before, None
    for point in rows.points:
        if record is None and (point.session_day is None or (start is not None and point.time < start)):
            before = point
            continue
        if record is None:
            record = EquityRecord(rows.initial_equity if before is None else before.equity)
        opened = point.time if before is None else before.time
        record.add(opened, point.time, point.session_day, point.equity, point.exposure)
    return None if record is None else record.curve()
