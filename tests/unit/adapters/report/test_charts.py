from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.report_data import bar_times, equity_of, report_data

from tradingsignals_server.adapters.report import distributions, timelines
from tradingsignals_server.adapters.report.drawing import (
    SMALL,
    ChartDrawing,
    DrawnPath,
    nice_values,
    padded,
    value_ticks,
    x_scale,
    y_scale,
)
from tradingsignals_server.application.report import ReportData
from tradingsignals_server.domain.performance.breakdowns import Dimension


@pytest.fixture(scope="module")
def data() -> ReportData:
    return report_data(bars=2_500, trades=100)


def drawings(data: ReportData) -> Iterator[ChartDrawing]:
    yield from (*timelines.equity_charts(data), *timelines.drawdown_charts(data), *timelines.sharpe_charts(data))
    singles = (
        *(distributions.r_chart, distributions.excursion_chart, distributions.reason_chart),
        *(distributions.hour_chart, distributions.weekday_chart, distributions.calibration_chart),
    )
    yield from (chart for make in singles if (chart := make(data)) is not None)


def of_kind(chart: ChartDrawing | None, *kinds: str) -> list[DrawnPath]:
    assert chart is not None
    return [path for path in chart.paths if path.kind in kinds]


def moves(path: DrawnPath) -> list[tuple[float, float]]:
    """Return the points that a path of absolute lines goes through."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", path.d)]


def test_every_chart_stays_within_its_view_box(data: ReportData) -> None:
    charts = list(drawings(data))
    assert len(charts) == 12
    for chart in charts:
        for x, y in (point for path in chart.paths for point in moves(path)):
            assert -0.1 <= x <= chart.size.width + 0.1
            assert -0.1 <= y <= chart.size.height + 0.1
        for tick in (*chart.x_ticks, *chart.y_ticks):
            assert math.isfinite(tick.at)
            assert tick.label


def test_the_line_of_the_equity_goes_through_its_values(data: ReportData) -> None:
    chart = timelines.equity_charts(data)[0]
    (line,) = of_kind(chart, "line-a")
    assert data.equity is not None
    ticks = [(float(tick.label.replace(",", "")), tick.at) for tick in chart.y_ticks]
    (low, at_low), (high, at_high) = ticks[0], ticks[-1]

    def height(value: float) -> float:
        return at_low + (value - low) / (high - low) * (at_high - at_low)

    points = moves(line)
    assert points[0][1] == pytest.approx(height(data.equity.initial_equity), abs=0.3)
    assert points[-1][1] == pytest.approx(height(data.equity.equity[-1]), abs=0.3)
    assert min(y for _, y in points) == pytest.approx(height(max(data.equity.equity)), abs=0.3)


def test_the_distribution_counts_every_trade(data: ReportData) -> None:
    bars = of_kind(distributions.r_chart(data), "bar-gain", "bar-loss")
    assert sum(int(bar.title.split(": ")[1].split()[0]) for bar in bars) == len(data.trades)


def test_an_outlier_is_counted_in_the_outermost_bar(data: ReportData) -> None:
    far = replace(data.trades[0], trade=replace(data.trades[0].trade, r_multiple=900.0))
    bars = of_kind(distributions.r_chart(replace(data, trades=(far, *data.trades[1:]))), "bar-gain", "bar-loss")
    assert sum(int(bar.title.split(": ")[1].split()[0]) for bar in bars) == len(data.trades)
    assert len(bars) <= distributions.MAX_R_BINS


def test_each_trade_has_one_dot(data: ReportData) -> None:
    chart = distributions.excursion_chart(data)
    won = sum(one.trade.won for one in data.trades)
    assert [path.d.count("h0") for path in of_kind(chart, "dot-gain")] == [won]
    assert [path.d.count("h0") for path in of_kind(chart, "dot-loss")] == [len(data.trades) - won]


def test_reasons_hours_and_weekdays_have_a_bar_for_each_group(data: ReportData) -> None:
    for make, dimension in (
        (distributions.reason_chart, Dimension.RESOLUTION),
        (distributions.hour_chart, Dimension.HOUR),
        (distributions.weekday_chart, Dimension.WEEKDAY),
    ):
        keys = {group.key for group in data.performance.breakdowns if group.dimension is dimension}
        assert {bar.title.split(": ")[0] for bar in of_kind(make(data), "bar-gain", "bar-loss")} == keys


def test_there_is_no_chart_without_trades_bars_or_sessions() -> None:
    nothing = replace(report_data(bars=20, trades=0), equity=None)
    assert list(drawings(nothing)) == []


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_within_their_bounds_and_ascend(low: float, span: float) -> None:
    values = nice_values(low, low + span, 5)
    assert values == sorted(values)
    assert len(values) <= 12
    assert all(low - 1e-6 * span - 1e-6 <= value <= low + span * (1 + 1e-6) + 1e-6 for value in values)


@given(st.lists(st.floats(-1e9, 1e9), max_size=5), st.booleans())
def test_bounds_hold_the_values_and_are_never_equal(values: list[float], zero: bool) -> None:
    low, high = padded(values, zero=zero)
    assert low < high
    assert all(low <= value <= high for value in values)
    assert not zero or low <= 0.0 <= high


def test_scales_map_bounds_to_the_edges_of_the_plot() -> None:
    across, up = x_scale(SMALL, (1.0, 2.0)), y_scale(SMALL, (0.0, 10.0))
    assert across(1.0) < across(2.0)
    assert up(0.0) > up(10.0)
    assert [tick.label for tick in value_ticks(up, 5)] == ["0", "2", "4", "6", "8", "10"]


def test_labels_of_ticks_differ_however_small_the_values_are() -> None:
    labels = [tick.label for tick in value_ticks(y_scale(SMALL, (0.0, 0.0021)), 4, "%")]
    assert labels == ["0.000%", "0.001%", "0.002%"]


@pytest.mark.parametrize("bars", [1, 30, 60, 600, 3_000, 20_000])
def test_every_length_of_time_has_ticks_that_do_not_crowd(bars: int) -> None:
    times = bar_times(bars)
    data = replace(report_data(bars=60, trades=0), equity=equity_of(times, []), comparisons=())
    for chart in timelines.equity_charts(data):
        assert all(
            after.at - before.at > 50.0 for before, after in zip(chart.x_ticks, chart.x_ticks[1:], strict=False)
        ), [tick.label for tick in chart.x_ticks]
        assert chart.x_ticks or times[-1] - times[0] < timedelta(hours=2)
