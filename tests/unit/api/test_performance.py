"""GetPerformance: the request as a query, and the statistics as a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from docs.generate import FIGURES
from tests.support.resolved_trades import equity_curve, resolved_trade

from tradingsignals.v1 import performance_pb2
from tradingsignals.v1.signal_service_pb2 import GetPerformanceRequest
from tradingsignals_server.api.mapping.performance import MOST_DRAWDOWNS, performance_query, performance_response
from tradingsignals_server.application.performance import LivePerformance
from tradingsignals_server.application.ports.performance import Basis, PerformanceQuery
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.domain.outcomes import Fill
from tradingsignals_server.domain.performance.breakdowns import Dimension
from tradingsignals_server.domain.performance.latencies import latency_figures
from tradingsignals_server.domain.performance.summary import performance_of
from tradingsignals_server.domain.signals import Action, Origin

START, END = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)
LATENCIES = latency_figures({"inference_ms": np.array([1.0, 2.0]), "close_to_commit_ms": np.array([])})


def live(sessions: int = 30) -> LivePerformance:
    """Return the performance of a trade a session."""
    rng = np.random.default_rng(4)
    results = rng.normal(0.0, 0.1, sessions)
    trades = [resolved_trade(float(net), session=at, win_probability=0.5) for at, net in enumerate(results)]
    performance = performance_of(trades, equity_curve((10_000.0 + np.cumsum(100.0 * results)).tolist()))
    return LivePerformance(performance, LATENCIES, True, START, END, True, True, "USD", 9)


def test_absent_fields_mean_what_the_account_did() -> None:
    assert performance_query(GetPerformanceRequest()) == PerformanceQuery(Basis.POSITIONS, Fill.CLOSE, shadow=False)
    assert performance_query(GetPerformanceRequest()).of_account
    assert performance_query(GetPerformanceRequest(shadow=True)).basis is Basis.SIGNALS


def test_every_field_of_a_request_is_a_condition() -> None:
    request = GetPerformanceRequest(
        basis="SIGNALS",
        fill="NEXT_OPEN",
        shadow=True,
        symbol="usd/cop",
        action="SELL",
        origin="REQUEST",
        model_version="v1",
        model_key="v1@a",
        start_date="2025-06-01",
        end_date="2025-07-01",
        by=["HOUR", "SYMBOL", "HOUR"],
    )
    assert len(request.ListFields()) == len(request.DESCRIPTOR.fields)
    assert performance_query(request) == PerformanceQuery(
        *(Basis.SIGNALS, Fill.NEXT_OPEN, True, "USDCOP", Action.SELL, Origin.REQUEST, "v1", "v1@a", START, END),
        by=(Dimension.HOUR, Dimension.SYMBOL),
    )


@pytest.mark.parametrize(
    ("fields_", "field"),
    [
        ({"basis": 0}, "basis"),
        ({"basis": 9}, "basis"),
        ({"shadow": True, "basis": "POSITIONS"}, "basis"),
        ({"fill": 9}, "fill"),
        ({"symbol": "usd!"}, "symbol"),
        ({"action": "HOLD"}, "action"),
        ({"origin": 9}, "origin"),
        ({"start_date": "x"}, "start_date"),
        ({"start_date": "2025-06-01", "end_date": "2025-06-01"}, "end_date"),
        ({"by": [1, 99]}, "by[1]"),
        ({"by": [1] * 10}, "by"),
    ],
)
def test_value_outside_its_bounds_is_refused(fields_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        performance_query(GetPerformanceRequest(**fields_))
    assert caught.value.violations[0].field == field


def test_every_dimension_of_the_domain_has_one_of_the_contract() -> None:
    names = set(performance_pb2.PerformanceGroup.Dimension.keys()) - {"DIMENSION_UNSPECIFIED"}
    assert names == {dimension.value for dimension in Dimension}


def test_figures_are_those_of_the_definitions_in_their_order_with_n_and_interval() -> None:
    found = live()
    message = performance_response(found).performance
    assert [figure.name for figure in message.figures] == list(FIGURES)
    for sent in message.figures:
        figure = (found.performance.figures | found.latencies)[sent.name]
        assert (sent.value if sent.HasField("value") else None, sent.n) == (figure.value, figure.n)
        interval = (sent.low, sent.high) if sent.HasField("low") else None
        assert interval == (None if figure.interval is None else (figure.interval.low, figure.interval.high))
        assert sent.unit == FIGURES[sent.name].unit
    undefined = {figure.name for figure in message.figures if not figure.HasField("value")}
    assert undefined >= {"deflated_sharpe", "trials", "close_to_commit_ms_p99"}


def test_every_field_of_the_statistics_is_sent() -> None:
    response = performance_response(live())
    message = response.performance
    names = {field.name for field, _ in message.ListFields()}
    assert names == set(performance_pb2.Performance.DESCRIPTOR.fields_by_name)
    assert (message.start_time.ToDatetime(UTC), message.end_time.ToDatetime(UTC)) == (START, END)
    assert (response.through_sequence, message.currency) == (9, "USD")
    (calibrated,) = message.calibration
    assert (calibrated.n, calibrated.mean_win_probability, calibrated.HasField("win_rate_low")) == (30, 0.5, True)
    assert [(month.year, month.month, month.sessions) for month in message.monthly_returns] == [
        (2025, 6, 29),
        (2025, 7, 1),
    ]
    assert {group.dimension for group in message.groups} == set(performance_pb2.PerformanceGroup.Dimension.values()) - {
        0
    }


def test_the_deepest_drawdowns_are_sent_in_the_order_of_time() -> None:
    found = live(400)
    assert len(found.performance.drawdowns) > MOST_DRAWDOWNS
    sent = performance_response(found).performance.drawdowns
    deepest = sorted((one.depth_pct for one in found.performance.drawdowns), reverse=True)[:MOST_DRAWDOWNS]
    assert sorted((one.depth_pct for one in sent), reverse=True) == deepest
    times = [one.peak_time.ToDatetime(UTC) for one in sent]
    assert times == sorted(times)
    assert [one.HasField("recovery_time") for one in sent[:-1]] == [True] * (MOST_DRAWDOWNS - 1)
