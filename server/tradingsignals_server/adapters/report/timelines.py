"""Charts over time: equity, drawdown, rolling Sharpe ratio. Each is drawn for a wide page and for a phone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from ...application.report import ReportData
from ...domain.performance.equity import EquityCurve
from ...domain.performance.texts import number
from .drawing import (
    NARROW,
    WIDE,
    AxisScale,
    AxisTick,
    ChartDrawing,
    ChartSize,
    DrawnPath,
    padded,
    polyline,
    value_ticks,
    x_scale,
    y_scale,
)
from .thinning import kept_points

SIZES = (WIDE, NARROW)
COMPARISON_KINDS = ("line-b", "line-c", "line-d", "line-e")

Series = tuple[Sequence[float], Sequence[float]]
"""Times in seconds since 1970, and values."""


def equity_series(curve: EquityCurve) -> Series:
    """Return the equity by bar, the initial equity first."""
    times = (curve.started, *curve.times)
    return [time.timestamp() for time in times], (curve.initial_equity, *curve.equity)


def equity_charts(data: ReportData) -> tuple[ChartDrawing, ...]:
    """Return the equity by bar of the policy and of what it is compared with; none without a bar."""
    if data.equity is None or not data.equity.times:
        return ()
    curves = [("line-a", data.equity)]
    curves = [*zip(COMPARISON_KINDS, (one.equity for one in data.comparisons), strict=False), *curves]
    lines = [(kind, equity_series(curve)) for kind, curve in curves]
    return tuple(_lines(size, lines, "Equity by bar", data.currency) for size in SIZES)


def drawdown_charts(data: ReportData) -> tuple[ChartDrawing, ...]:
    """Return the equity below its peak in percent, by bar; none without a bar."""
    if data.equity is None or not data.equity.times:
        return ()
    times, equity = equity_series(data.equity)
    levels = np.asarray(equity)
    peaks = np.maximum.accumulate(levels)
    below = (100.0 * (levels / peaks - 1.0)).tolist()
    found = []
    for size in (ChartSize(WIDE.width, 200), ChartSize(NARROW.width, 180)):
        across, up = _scales(size, [(times, below)], zero=True)
        points = _points(times, below, across, up, size)
        base = up(0.0)
        area = f"{polyline(points)}L{points[-1][0]:.1f},{base:.1f}L{points[0][0]:.1f},{base:.1f}z"
        found.append(
            ChartDrawing(
                size,
                f"Drawdown from the equity peak by bar, in percent; lowest {number(min(below))}%",
                _time_ticks(across, size),
                value_ticks(up, 4, "%"),
                (DrawnPath(area, "area-loss"), DrawnPath(polyline(points), "line-loss")),
            )
        )
    return tuple(found)


def sharpe_charts(data: ReportData) -> tuple[ChartDrawing, ...]:
    """Return the rolling Sharpe ratio; none with fewer sessions than its window."""
    known = [(one.day, one.value) for one in data.performance.rolling_sharpe if one.value is not None]
    if not known:
        return ()
    series = [_noon(day) for day, _ in known], [value for _, value in known]
    name = f"Annualised Sharpe ratio of the last {data.rolling_sessions} sessions"
    sizes = (ChartSize(WIDE.width, 200), ChartSize(NARROW.width, 180))
    return tuple(_lines(size, [("line-a", series)], name, "", zero=True) for size in sizes)


def _lines(
    size: ChartSize, lines: Sequence[tuple[str, Series]], name: str, unit: str, *, zero: bool = False
) -> ChartDrawing:
    across, up = _scales(size, [series for _, series in lines], zero=zero)
    paths = [DrawnPath(polyline(_points(*series, across, up, size)), kind) for kind, series in lines]
    if zero:
        paths.insert(0, DrawnPath(f"M{across.start:.1f},{up(0.0):.1f}H{across.stop:.1f}", "zero"))
    last = lines[-1][1][1][-1]
    description = f"{name}{f' in {unit}' if unit else ''}; last {number(last)}"
    return ChartDrawing(size, description, _time_ticks(across, size), value_ticks(up, 5), tuple(paths), y_name=unit)


def _scales(size: ChartSize, lines: Sequence[Series], *, zero: bool) -> tuple[AxisScale, AxisScale]:
    first = min(times[0] for times, _ in lines)
    last = max(times[-1] for times, _ in lines)
    bounds = padded((bound for _, values in lines for bound in (min(values), max(values))), zero=zero)
    return x_scale(size, (first, max(last, first + 1.0))), y_scale(size, bounds)


def _points(
    times: Sequence[float], values: Sequence[float], across: AxisScale, up: AxisScale, size: ChartSize
) -> list[tuple[float, float]]:
    limit = int(size.width)
    return [(across(times[at]), up(values[at])) for at in kept_points(values, limit)]


def _noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()


def _time_ticks(across: AxisScale, size: ChartSize) -> tuple[AxisTick, ...]:
    """Return ticks at the begins of years, months or days, as many as there is space for."""
    first, last = (datetime.fromtimestamp(value, UTC) for value in (across.low, across.high))
    space = max(2, int((size.width - 60) / 75))
    days = (last - first) / timedelta(days=1)
    starts: list[datetime]
    if days > 62:
        step = next((months for months in (1, 2, 3, 6, 12, 24, 60, 120) if days / 30.4 / months <= space), 240)
        months = range(first.year * 12 + first.month, last.year * 12 + last.month)
        starts = [datetime(at // 12, at % 12 + 1, 1, tzinfo=UTC) for at in months if at % step == 0]
        form = "%Y" if step >= 12 else "%b %Y"
    elif days > 2:
        step = next(width for width in (1, 2, 5, 10, 20, 40) if days / width <= space)
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        starts = [midnight + timedelta(days=at) for at in range(1, int(days) + 2) if at % step == 0]
        form = "%d %b"
    else:
        step = next(hours for hours in (1, 2, 3, 6, 12, 24, 48) if days * 24 / hours <= space)
        hour = first.replace(minute=0, second=0, microsecond=0)
        starts = [hour + timedelta(hours=at) for at in range(1, int(days * 24) + 2) if at % step == 0]
        form = "%d %b %H:%M" if days > 1 else "%H:%M"
    kept = [start for start in starts if first <= start <= last]
    return tuple(AxisTick(round(across(start.timestamp()), 1), start.strftime(form)) for start in kept)
