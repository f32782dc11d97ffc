"""Charts of trades: distribution of R, MAE against MFE, exit reasons, hours and weekdays, calibration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ...application.report import ReportData
from ...domain.performance.breakdowns import Breakdown, Dimension
from ...domain.performance.figures import Figure
from ...domain.performance.texts import number
from ...domain.wording import counted
from .drawing import (
    BOTTOM,
    SMALL,
    TOP,
    AxisTick,
    ChartDrawing,
    ChartSize,
    DrawnPath,
    DrawnText,
    dots,
    padded,
    rectangle,
    value_ticks,
    x_scale,
    y_scale,
)

MAX_R_BINS = 41
"""Bins of the distribution of R, the outermost two open to one side."""
_ENDS = 12.0


def r_chart(data: ReportData) -> ChartDrawing | None:
    """Return the distribution of net R; None without trades."""
    found = [one.trade.r_multiple for one in data.trades]
    if not found:
        return None
    low, high = max(min(found), -_ENDS), min(max(found), _ENDS)
    width = next(width for width in (0.1, 0.25, 0.5, 1.0) if (high - low) / width < MAX_R_BINS - 2)
    first, last = math.floor(low / width), math.floor(high / width)
    bins = Counter(min(max(math.floor(r / width), first), last) for r in found)
    across = x_scale(SMALL, (first * width, (last + 1) * width))
    up = y_scale(SMALL, (0.0, max(bins.values()) * 1.08))
    step = across(width) - across(0.0)
    paths = []
    for at in sorted(bins):
        top = up(bins[at])
        title = f"{number(at * width)} to {number((at + 1) * width)} R: {counted(bins[at], 'trade')}"
        kind = "bar-gain" if at >= 0 else "bar-loss"
        shape = rectangle(across(at * width) + 0.5, top, max(step - 1.0, 0.5), up(0.0) - top)
        paths.append(DrawnPath(shape, kind, title))
    return ChartDrawing(
        SMALL,
        f"Distribution of the net R multiple of {counted(len(found), 'trade')}",
        value_ticks(across, 6),
        value_ticks(up, 4),
        tuple(paths),
        x_name="R, net",
        y_name="trades",
    )


def excursion_chart(data: ReportData) -> ChartDrawing | None:
    """Return the largest excursion against each trade against the largest in favor; None without trades."""
    if not data.trades:
        return None
    trades = [one.trade for one in data.trades]
    across = x_scale(SMALL, (0.0, max(1.0, *(trade.mae_r for trade in trades)) * 1.05))
    up = y_scale(SMALL, (0.0, max(1.0, *(trade.mfe_r for trade in trades)) * 1.05))
    paths = []
    for kind, won in (("dot-loss", False), ("dot-gain", True)):
        points = dots((across(trade.mae_r), up(trade.mfe_r)) for trade in trades if trade.won is won)
        paths.append(DrawnPath(points, kind))
    return ChartDrawing(
        SMALL,
        f"Largest excursion against (MAE) and in favor (MFE) of {counted(len(trades), 'trade')}, in R",
        value_ticks(across, 6),
        value_ticks(up, 5),
        tuple(paths),
        x_name="MAE in R",
        y_name="MFE in R",
    )


def reason_chart(data: ReportData) -> ChartDrawing | None:
    """Return the number of exits by reason; None without trades."""
    groups = _groups(data, Dimension.RESOLUTION)
    if not groups:
        return None
    groups.sort(key=lambda group: -group.figures["trades"].n)
    left, row = 104.0, max(26.0, min(42.0, (SMALL.height - TOP - BOTTOM) / len(groups)))
    size = ChartSize(SMALL.width, max(SMALL.height, TOP + BOTTOM + row * len(groups)))
    across = x_scale(size, (0.0, groups[0].figures["trades"].n * 1.0), left)
    paths, texts = [], []
    for at, group in enumerate(groups):
        n, mean = group.figures["trades"].n, group.figures["expectancy_r"].value
        y, kind = TOP + row * at, "bar-gain" if (mean or 0.0) >= 0.0 else "bar-loss"
        share = 0.62 * (across(n) - left)
        text = f"{n} · {number(mean, sign=True)} R"
        paths.append(DrawnPath(rectangle(left, y + 4, max(share, 1.0), row - 8), kind, f"{group.key}: {text}"))
        texts.append(DrawnText(left - 6, y + row / 2 + 4, group.key.replace("_", " ").capitalize(), "end"))
        texts.append(DrawnText(left + share + 6, y + row / 2 + 4, text, "start"))
    return ChartDrawing(size, "Exits by reason, with the mean net R", paths=tuple(paths), texts=tuple(texts), left=left)


def hour_chart(data: ReportData) -> ChartDrawing | None:
    """Return the mean net R by the hour of the entry; None without trades."""
    return _expectancies(data, Dimension.HOUR, "hour of the entry (UTC)", lambda key: key)


def weekday_chart(data: ReportData) -> ChartDrawing | None:
    """Return the mean net R by weekday; None without trades."""
    return _expectancies(data, Dimension.WEEKDAY, "weekday", lambda key: key[:3])


def calibration_chart(data: ReportData) -> ChartDrawing | None:
    """Return the share of wins by win_probability; None if no trade has one."""
    bins = data.performance.calibration
    if not bins:
        return None
    across, up = x_scale(SMALL, (0.0, 1.0)), y_scale(SMALL, (0.0, 1.0))
    paths = [DrawnPath(f"M{across(0):.1f},{up(0):.1f}L{across(1):.1f},{up(1):.1f}", "diagonal")]
    for one in bins:
        trades = counted(one.n, "trade")
        title = f"{number(one.low, 1)} to {number(one.high, 1)}: {trades}, {number(one.win_rate.value, 3)} won"
        paths += _whisker(across(one.mean_probability), one.win_rate, up)
        paths.append(DrawnPath(dots([(across(one.mean_probability), up(one.win_rate.value or 0.0))]), "dot-big", title))
    return ChartDrawing(
        SMALL,
        f"Share of wins by win_probability, {counted(sum(one.n for one in bins), 'trade')}",
        value_ticks(across, 5),
        value_ticks(up, 5),
        tuple(paths),
        x_name="win_probability",
        y_name="share of wins",
    )


def _groups(data: ReportData, dimension: Dimension) -> list[Breakdown]:
    return [group for group in data.performance.breakdowns if group.dimension is dimension]


def _whisker(x: float, figure: Figure, up: Callable[[float], float]) -> Sequence[DrawnPath]:
    if figure.interval is None:
        return ()
    return (DrawnPath(f"M{x:.1f},{up(figure.interval.low):.1f}V{up(figure.interval.high):.1f}", "whisker"),)


def _expectancies(
    data: ReportData, dimension: Dimension, name: str, short: Callable[[str], str]
) -> ChartDrawing | None:
    """Return bars of the mean net R of each group, with its interval and its number of trades."""
    groups = _groups(data, dimension)
    if not groups:
        return None
    figures = [group.figures["expectancy_r"] for group in groups]
    bounds = [figure.value or 0.0 for figure in figures]
    bounds += [bound for one in figures if one.interval for bound in (one.interval.low, one.interval.high)]
    up = y_scale(SMALL, padded([*bounds, 0.0]))
    across = x_scale(SMALL, (0.0, float(len(groups))))
    step = across(1.0) - across(0.0)
    paths = [DrawnPath(f"M{across.start:.1f},{up(0.0):.1f}H{across.stop:.1f}", "zero")]
    ticks = []
    for at, (group, figure) in enumerate(zip(groups, figures, strict=True)):
        value, centre = figure.value or 0.0, across(at + 0.5)
        top, kind = min(up(value), up(0.0)), "bar-gain" if value >= 0.0 else "bar-loss"
        shape = rectangle(centre - 0.36 * step, top, 0.72 * step, abs(up(value) - up(0.0)))
        paths.append(DrawnPath(shape, kind, f"{group.key}: {number(value, 3)} R, n {figure.n}"))
        paths += _whisker(centre, figure, up)
        if step >= 16 or at % 2 == 0:
            ticks.append(AxisTick(round(centre, 1), short(group.key)))
    return ChartDrawing(
        SMALL,
        f"Mean net R by {name}",
        tuple(ticks),
        value_ticks(up, 5),
        tuple(paths),
        x_name=name,
        y_name="mean R, net",
    )
