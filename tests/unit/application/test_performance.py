"""The performance of a service, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from tests.support.ledgers import folded, trade
from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.backtest.record import trade_of
from tradingsignals_server.application.performance import LivePerformance, live_performance
from tradingsignals_server.application.ports.performance import CurvePoint, PerformanceQuery, PerformanceRows
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.outcomes import Fill, Outcome
from tradingsignals_server.domain.performance.breakdowns import Dimension
from tradingsignals_server.domain.performance.summary import figures_of

MONDAY = date(2024, 3, 4)
NO_ROWS = PerformanceRows([], False, [], False, None, {}, 1000.0, "USD", 7)


@pytest.fixture(scope="module")
async def outcomes() -> Sequence[Outcome]:
    """Outcomes of a live policy, in the order of their exits."""
    store = MemoryStore()
    await trade(store)
    return sorted(folded(store).live, key=lambda one: one.exit_time)


def point(day: int, hour: int, equity: float, session: date | None) -> CurvePoint:
    """Return the equity at an hour of a day in March 2024, with an exposure of 2%."""
    return CurvePoint(datetime(2024, 3, day, hour, tzinfo=UTC), session, equity, 0.02)


def performance(rows: PerformanceRows, query: PerformanceQuery = PerformanceQuery()) -> LivePerformance:  # noqa: B008
    return live_performance(query, rows, calendar_for)


def value(found: LivePerformance, name: str) -> float | None:
    return found.performance.figures[name].value


def test_figures_are_those_of_the_same_trades_anywhere(outcomes: Sequence[Outcome]) -> None:
    query = PerformanceQuery(by=(Dimension.SYMBOL,))
    found = performance(replace(NO_ROWS, outcomes=outcomes), query)
    assert found.performance.figures == figures_of([trade_of(one, calendar_for(one.symbol)) for one in outcomes], None)
    assert {group.key for group in found.performance.breakdowns} == {"USDCOP", "EURCOP"}
    assert (found.start, found.end) == (min(one.entry_time for one in outcomes), outcomes[-1].exit_time)
    assert (found.truncated, found.currency, found.through_sequence) == (False, "USD", 7)


def test_nothing_stored_has_every_figure_and_none_is_defined() -> None:
    found = performance(NO_ROWS)
    assert all(figure.value in {None, 0.0} for figure in found.performance.figures.values())
    assert (found.start, found.end, found.simulated) == (None, None, False)


def test_equity_begins_with_what_it_was_before_the_first_session() -> None:
    points = [point(4, 3, 1010.0, None), point(4, 14, 1020.0, MONDAY), point(4, 20, 1030.2, None)]
    found = performance(replace(NO_ROWS, points=points, before=point(1, 20, 990.0, None)))
    assert value(found, "total_return_pct") == pytest.approx(2.0)
    assert (found.performance.figures["total_return_pct"].n, value(found, "max_exposure_pct")) == (1, 2.0)
    assert value(performance(replace(NO_ROWS, points=points[1:])), "total_return_pct") == pytest.approx(3.02)


@pytest.mark.parametrize("filters", [{"symbol": "USDCOP"}, {"fill": Fill.NEXT_OPEN}, {"shadow": True}])
def test_equity_does_not_belong_to_a_part_of_the_trades(filters: dict[str, object]) -> None:
    query = replace(PerformanceQuery(), **filters)  # type: ignore[arg-type]  # of parameters
    found = performance(replace(NO_ROWS, points=[point(4, 14, 1020.0, MONDAY)]), query)
    assert (found.of_account, value(found, "total_return_pct")) == (False, None)


def test_trades_and_equity_are_of_one_period_if_older_ones_were_left_out(outcomes: Sequence[Outcome]) -> None:
    middle = outcomes[len(outcomes) // 2]
    days = [point(4 + n, 14, 1000.0 + n, MONDAY + timedelta(days=n)) for n in range(5)]
    days[0] = days[0]._replace(time=middle.exit_time)
    rows = replace(NO_ROWS, outcomes=outcomes, points=sorted(days, key=lambda one: one.time))
    cut = performance(replace(rows, more_points=True))
    assert cut.truncated
    assert value(cut, "trades") == sum(one.exit_time >= rows.points[0].time for one in outcomes) < len(outcomes)
    late = replace(rows, outcomes=outcomes[-1:], more_outcomes=True)
    assert performance(late).performance.figures["total_return_pct"].n == sum(
        one.time >= outcomes[-1].exit_time for one in rows.points
    )


def test_latencies_are_listed_and_simulated_outcomes_are_told_from_others(outcomes: Sequence[Outcome]) -> None:
    some = [replace(outcomes[0], simulated=True), *outcomes[1:]]
    found = performance(replace(NO_ROWS, outcomes=some, latencies={"inference_ms": np.array([2.0])}))
    assert (found.latencies["inference_ms_p50"].value, found.simulated) == (2.0, True)
