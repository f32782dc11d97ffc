from __future__ import annotations

import inspect
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from tradingsignals import (
    AsyncClient,
    Bar,
    BarReceipt,
    Client,
    Explanation,
    Model,
    Position,
    Replay,
    Shadow,
    Signal,
    Statistics,
)
from tradingsignals.v1 import access_service_pb2 as access
from tradingsignals.v1 import account_service_pb2 as accounts
from tradingsignals.v1 import backtest_service_pb2 as backtests
from tradingsignals.v1 import event_service_pb2 as events
from tradingsignals.v1 import market_data_service_pb2 as market_data
from tradingsignals.v1 import model_service_pb2 as models
from tradingsignals.v1 import notification_service_pb2 as notifications
from tradingsignals.v1 import outcome_service_pb2 as outcomes
from tradingsignals.v1 import position_service_pb2 as positions
from tradingsignals.v1 import signal_service_pb2 as signals
from tradingsignals.v1 import system_service_pb2 as system

SIGNAL = Signal(signal_id="a", symbol="USDCOP", action=Signal.BUY, confidence=0.8, sequence=5)
POSITION = Position(position_id="p", symbol="USDCOP", status=Position.OPEN, sequence=6)
BAR = Bar(
    time=datetime(2024, 1, 2, 13, 0, tzinfo=UTC), symbol="USDCOP", open=4000.0, high=4001.0, low=3999.0, close=4000.5
)

EXPLANATION = Explanation(signal=SIGNAL, missing=["Inputs"])


def numbered(count: int) -> list[Bar]:
    first = datetime(2024, 1, 2, tzinfo=UTC)
    return [
        Bar(time=first + timedelta(minutes=5 * number), symbol="USDCOP", open=1, high=1, low=1, close=1)
        for number in range(count)
    ]


METHODS = {
    "SystemService.GetServiceInfo": "service_info",
    "SystemService.GetHealth": "health",
    "SignalService.GetLatestSignal": "latest_signal",
    "SignalService.ListSignals": "signals",
    "SignalService.GenerateSignal": "generate_signal",
    "SignalService.GenerateSignalFromDb": "generate_signal_from_db",
    "SignalService.GetStatistics": "statistics",
    "SignalService.GetPerformance": "get_performance",
    "SignalService.ExplainSignal": "explain_signal",
    "SignalService.ReplaySignal": "replay_signal",
    "SignalService.StreamSignals": "stream_signals",
    "OutcomeService.ListOutcomes": "list_outcomes",
    "AccessService.GetCaller": "get_caller",
    "AccessService.CreateKey": "create_key",
    "AccessService.ListKeys": "list_keys",
    "AccessService.RevokeKey": "revoke_key",
    "AccessService.ListAuditEntries": "list_audit_entries",
    "AccountService.GetAccount": "get_account",
    "AccountService.ListEquity": "list_equity",
    "AccountService.HaltTrading": "halt_trading",
    "AccountService.ResumeTrading": "resume_trading",
    "PositionService.ListActivePositions": "active_positions",
    "PositionService.ListClosedPositions": "closed_positions",
    "PositionService.ClosePosition": "close_position",
    "PositionService.StreamPositions": "stream_positions",
    "MarketDataService.PublishBar": "publish_bar",
    "MarketDataService.PublishBars": "publish_bars",
    "MarketDataService.ListBars": "bars",
    "MarketDataService.ListSymbols": "symbols",
    "ModelService.GetModelInfo": "model_info",
    "ModelService.ReloadModel": "reload_model",
    "EventService.StreamEvents": "stream_events",
    "BacktestService.RunBacktest": "run_backtest",
    "NotificationService.CreateEndpoint": "create_endpoint",
    "NotificationService.ListEndpoints": "list_endpoints",
    "NotificationService.UpdateEndpoint": "update_endpoint",
    "NotificationService.DeleteEndpoint": "delete_endpoint",
    "NotificationService.TestEndpoint": "test_endpoint",
    "NotificationService.ListDeliveries": "list_deliveries",
}
"""The client's method for each RPC of the contract."""

OF_PAGES = {"limit": "page_size", "page_token": None}
"""Fields of a request for a page, and the parameter for each: the client walks through the pages itself."""


def contract() -> dict[str, Any]:
    """Every RPC of the contract, by the name of its service and its own."""
    return {
        f"{service.name}.{method.name}": method
        for module in (
            *(access, system, signals, outcomes, accounts, positions, market_data, models, events, backtests),
            notifications,
        )
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


@pytest.mark.parametrize("kind", [AsyncClient, Client])
def test_every_rpc_has_a_method_with_a_parameter_for_each_field(kind: type[Any]) -> None:
    assert contract().keys() == METHODS.keys()
    for name, rpc in contract().items():
        parameters = inspect.signature(getattr(kind, METHODS[name])).parameters
        changes = rpc.input_type.fields_by_name.get("changes")
        sent = [*rpc.input_type.fields, *([] if changes is None else changes.message_type.fields)]
        names = {field.name for field in sent} - {"changes"}
        fields = {OF_PAGES.get(name, name) for name in names} - {None} if "page_token" in names else names
        assert fields <= parameters.keys(), name


async def test_calls_with_one_response_return_its_resource(client: Any, script: Any) -> None:
    info = system.GetServiceInfoResponse(service="trading-signals-service", feed="push", through_sequence=9)
    receipt = BarReceipt(symbol="USDCOP", disposition=BarReceipt.ACCEPTED)
    closed = Position(position_id="p", status=Position.CLOSED)
    policies = models.GetModelInfoResponse(model=Model(version="1"), shadow=Shadow(decisions=3))
    statistics = Statistics()
    statistics.positions.win_rate = 50.0
    script.responses = {
        "GetServiceInfo": lambda _: info,
        "GetHealth": lambda _: system.GetHealthResponse(status="healthy"),
        "GetModelInfo": lambda _: policies,
        "ReloadModel": lambda _: models.ReloadModelResponse(model=Model(version="2"), changed=True),
        "GetStatistics": lambda _: signals.GetStatisticsResponse(statistics=statistics),
        "GetLatestSignal": lambda _: signals.GetLatestSignalResponse(signal=SIGNAL),
        "GenerateSignal": lambda _: signals.GenerateSignalResponse(signal=SIGNAL),
        "ExplainSignal": lambda _: signals.ExplainSignalResponse(explanation=EXPLANATION),
        "ReplaySignal": lambda _: signals.ReplaySignalResponse(replay=Replay(equal=True)),
        "GenerateSignalFromDb": lambda _: signals.GenerateSignalFromDbResponse(signal=SIGNAL),
        "ClosePosition": lambda _: positions.ClosePositionResponse(position=closed),
        "PublishBar": lambda _: market_data.PublishBarResponse(receipt=receipt),
    }
    assert await client.call("service_info") == info
    assert (await client.call("health")).status == "healthy"
    assert await client.call("model_info") == policies
    assert await client.call("reload_model") == models.ReloadModelResponse(model=Model(version="2"), changed=True)
    assert await client.call("statistics") == statistics
    script.requests.clear()
    assert await client.call("latest_signal", "USDCOP") == SIGNAL
    assert await client.call("latest_signal") == SIGNAL
    assert await client.call("generate_signal", 4250.5, symbol="USDCOP", rsi=35.5, macd=-2.3) == SIGNAL
    assert await client.call("generate_signal_from_db", "USDCOP", lookback_bars=200) == SIGNAL
    assert await client.call("explain_signal", "s") == EXPLANATION
    assert await client.call("replay_signal", "s") == Replay(equal=True)
    assert await client.call("close_position", "p", price=4100.0) == closed
    assert await client.call("publish_bar", BAR) == receipt
    assert script.requests == [
        signals.GetLatestSignalRequest(symbol="USDCOP"),
        signals.GetLatestSignalRequest(),
        signals.GenerateSignalRequest(symbol="USDCOP", close_price=4250.5, rsi=35.5, macd=-2.3),
        signals.GenerateSignalFromDbRequest(symbol="USDCOP", lookback_bars=200),
        signals.ExplainSignalRequest(signal_id="s"),
        signals.ReplaySignalRequest(signal_id="s"),
        positions.ClosePositionRequest(position_id="p", price=4100.0),
        market_data.PublishBarRequest(bar=BAR),
    ]


async def test_arguments_that_are_left_out_are_not_sent(client: Any, script: Any) -> None:
    script.responses["GenerateSignal"] = lambda _: signals.GenerateSignalResponse(signal=SIGNAL)
    await client.call("generate_signal", 4250.5)
    (request,) = script.requests
    assert [field.name for field, _ in request.ListFields()] == ["close_price"]


async def test_active_positions_have_the_sequence_to_follow_from(client: Any, script: Any) -> None:
    response = positions.ListActivePositionsResponse(positions=[POSITION], count=1, through_sequence=17)
    script.responses["ListActivePositions"] = lambda _: response
    found = await client.call("active_positions", "USDCOP")
    assert (found, found.through_sequence) == ([POSITION], 17)
    assert script.requests == [positions.ListActivePositionsRequest(symbol="USDCOP")]


async def test_all_pages_are_fetched_with_the_same_filter(client: Any, script: Any) -> None:
    pages = {"": ("1", "2", "second"), "second": ("3", "4", "third"), "third": ("5", "6", "")}

    def page(request: Any) -> signals.ListSignalsResponse:
        first, last, token = pages[request.page_token]
        listed = [Signal(signal_id=first), Signal(signal_id=last)]
        through = 100 + len(script.requests)
        return signals.ListSignalsResponse(signals=listed, count=2, next_page_token=token, through_sequence=through)

    script.responses["ListSignals"] = page
    found, through = await client.listed(
        "signals", symbol="USDCOP", action="SELL", start_date="2024-01-02", page_size=2
    )
    assert [signal.signal_id for signal in found] == ["1", "2", "3", "4", "5", "6"]
    assert through == 101
    filters: dict[str, Any] = {"limit": 2, "symbol": "USDCOP", "action": Signal.SELL, "start_date": "2024-01-02"}
    assert script.requests == [signals.ListSignalsRequest(**filters, page_token=token) for token in pages]


async def test_closed_positions_and_bars_come_in_pages_too(client: Any, script: Any) -> None:
    script.responses = {
        "ListClosedPositions": lambda _: positions.ListClosedPositionsResponse(
            positions=[POSITION], through_sequence=3
        ),
        "ListBars": lambda _: market_data.ListBarsResponse(bars=[BAR]),
    }
    assert await client.listed("closed_positions", symbol="USDCOP") == ([POSITION], 3)
    assert await client.listed("bars", symbol="USDCOP") == ([BAR], None)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, ""),
        ("2024-01-02", "2024-01-02"),
        (date(2024, 1, 2), "2024-01-02"),
        (datetime(2024, 1, 2, 13, 0, tzinfo=UTC), "2024-01-02T13:00:00+00:00"),
        (datetime(2024, 1, 2, 8, 0, tzinfo=timezone(timedelta(hours=-5))), "2024-01-02T13:00:00+00:00"),
        (datetime(2024, 1, 2, 13, 0), "2024-01-02T13:00:00+00:00"),  # noqa: DTZ001 (a naive one is the point)
    ],
)
async def test_times_of_any_type_are_sent_as_rfc_3339(client: Any, script: Any, given: Any, sent: str) -> None:
    script.responses["ListBars"] = lambda _: market_data.ListBarsResponse()
    await client.listed("bars", start_date=given)
    assert [request.start_date for request in script.requests] == [sent]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (500, [500]), (1201, [500, 500, 201])])
async def test_bars_are_sent_in_messages_of_500(client: Any, script: Any, count: int, sizes: list[int]) -> None:
    script.responses["PublishBars"] = lambda requests: market_data.PublishBarsResponse(
        received=sum(len(request.bars) for request in requests)
    )
    bars = numbered(count)
    response = await client.call("publish_bars", (bar for bar in bars))
    assert response.received == count
    assert [len(request.bars) for request in script.requests] == sizes
    assert [bar for request in script.requests for bar in request.bars] == bars


@pytest.mark.parametrize("size", [0, -1])
async def test_messages_without_room_for_a_bar_are_refused(client: Any, size: int) -> None:
    """With 0 the call succeeded, and none of the bars was sent."""
    with pytest.raises(ValueError, match="batch_size"):
        await client.call("publish_bars", numbered(5), batch_size=size)


async def test_bars_are_sent_in_messages_of_batch_size(client: Any, script: Any) -> None:
    script.responses["PublishBars"] = lambda _: market_data.PublishBarsResponse()
    await client.call("publish_bars", numbered(5), batch_size=2)
    assert [len(request.bars) for request in script.requests] == [2, 2, 1]


async def test_exception_of_the_bars_themselves_is_raised(client: Any, script: Any) -> None:
    script.responses["PublishBars"] = lambda _: market_data.PublishBarsResponse()

    def broken() -> Any:
        yield from numbered(3)
        raise LookupError("the fourth bar is lost")

    with pytest.raises(LookupError, match="the fourth bar is lost"):
        await client.call("publish_bars", broken(), batch_size=2)
