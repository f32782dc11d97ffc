"""The contract over gRPC and gRPC-Web through the edge, with a client that has no schema file."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.bars import as_json
from tests.support.browser import PAGES
from tests.support.builders import bar
from tests.support.curl import PROTOCOLS, CurlFailed, curl
from tests.support.deadlines import DEADLINE
from tests.support.quotes import sure_buy
from tests.support.service import RunningService
from tests.support.settled import settled

from tradingsignals import AsyncClient
from tradingsignals_server.api.contract import SERVICES

# Each unary method, its request, and the equivalent REST call.
READS: dict[str, tuple[dict[str, Any], str]] = {
    "SystemService/GetServiceInfo": ({}, "/"),
    "SignalService/GetLatestSignal": ({"symbol": "USDCOP"}, "/api/signals/latest?symbol=USDCOP"),
    "SignalService/ListSignals": (
        {"limit": 3, "action": "BUY", "symbol": "USDCOP", "end_date": "2025-01-01"},
        "/api/signals/history?limit=3&action=BUY&symbol=USDCOP&end_date=2025-01-01",
    ),
    "SignalService/GetStatistics": ({}, "/api/signals/statistics"),
    "OutcomeService/ListOutcomes": (
        {"fill": "CLOSE", "limit": 2, "shadow": False},
        "/api/signals/outcomes?fill=CLOSE&limit=2&shadow=false",
    ),
    "AccessService/GetCaller": ({}, "/api/access/caller"),
    "AccessService/ListKeys": ({}, "/api/access/keys"),
    "AccountService/GetAccount": ({}, "/api/account"),
    "AccountService/ListEquity": ({"resolution": "DAY", "limit": 2}, "/api/account/equity?resolution=DAY&limit=2"),
    "PositionService/ListActivePositions": ({"symbol": "USDCOP"}, "/api/signals/positions/active?symbol=USDCOP"),
    "PositionService/ListClosedPositions": (
        {"symbol": "USDCOP", "limit": 5},
        "/api/signals/positions/closed?symbol=USDCOP&limit=5",
    ),
    "MarketDataService/ListBars": ({"limit": 4}, "/api/market/bars?limit=4"),
    "MarketDataService/ListSymbols": ({"limit": 4, "closes": 3}, "/api/market/symbols?limit=4&closes=3"),
    "ModelService/GetModelInfo": ({}, "/api/signals/model/info"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("method", READS)
async def test_reads_over_grpc_equal_those_over_rest(
    service: RunningService, client: AsyncClient, rest: httpx.AsyncClient, method: str, protocol: str
) -> None:
    body, path = READS[method]
    await settled(client)
    by_grpc = await curl(service.address, method, body, protocol=protocol)
    by_rest = (await rest.get(path)).json()
    assert _response(method, by_grpc) == _response(method, by_rest)


def _response(method: str, found: Any) -> Message:
    """Parse a message from JSON with field names in camel case, as buf curl writes them, or in snake case."""
    service, _, name = method.partition("/")
    return ParseDict(found, GetMessageClass(SERVICES[service].methods_by_name[name].output_type)())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_health_is_reported_over_each_protocol(service: RunningService, protocol: str) -> None:
    response = await curl(service.address, "SystemService/GetHealth", {}, protocol=protocol)
    assert (response["status"], response["databaseConnected"]) == ("degraded", True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_signals_positions_and_bars_are_created(service: RunningService, symbol: str, protocol: str) -> None:
    async def call(method: str, body: object) -> Any:
        return await curl(service.address, method, body, protocol=protocol)

    signal = (await call("SignalService/GenerateSignal", sure_buy(symbol)))["signal"]
    assert signal["action"] == "BUY"
    (held,) = (await call("PositionService/ListActivePositions", {"symbol": symbol}))["positions"]
    closed = await call("PositionService/ClosePosition", {"position_id": held["positionId"], "price": 4010})
    assert closed["position"]["currentPnl"] == 10
    stored = await call("SignalService/GenerateSignalFromDb", {"lookback_bars": 60})
    assert stored["signal"]["origin"] == "DATABASE"
    receipt = await call("MarketDataService/PublishBar", {"bar": as_json(bar(0, 4000.0, symbol=symbol))})
    assert receipt["receipt"]["disposition"] == "WARMING_UP"


async def test_stream_of_bars_is_accepted(service: RunningService, symbol: str) -> None:
    response = await curl(
        service.address,
        "MarketDataService/PublishBars",
        {"bars": [as_json(bar(n, 4000.0 + n, symbol=symbol)) for n in range(5)]},
    )
    assert (response["received"], response["warmingUp"], response["rejected"]) == (5, 5, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("SignalService/GetLatestSignal", {"symbol": "NOSUCH"}, ("not_found", "SIGNAL_NOT_FOUND")),
        ("SignalService/ListSignals", {"limit": 0}, ("invalid_argument", "INVALID_FIELD")),
        ("SignalService/GenerateSignal", {"close_price": -1}, ("invalid_argument", "INVALID_FIELD")),
        ("SignalService/GenerateSignalFromDb", {"symbol": "NOSUCH"}, ("failed_precondition", "NOT_ENOUGH_BARS")),
        ("PositionService/ClosePosition", {"position_id": str(uuid4())}, ("not_found", "POSITION_NOT_FOUND")),
        ("SignalService/StreamSignals", {"resume_after": 10**12}, ("out_of_range", "SEQUENCE_UNKNOWN")),
    ],
)
async def test_errors_have_code_and_reason(
    service: RunningService, protocol: str, method: str, body: object, expected: tuple[str, str]
) -> None:
    with pytest.raises(CurlFailed) as caught:
        await curl(service.address, method, body, protocol=protocol)
    found = caught.value.body
    (packed,) = [detail["value"] for detail in found["details"] if detail["type"] == "google.rpc.ErrorInfo"]
    info = ErrorInfo.FromString(b64decode(packed + "=" * (-len(packed) % 4)))
    assert (found["code"], info.reason) == expected
    assert info.domain == "tradingsignals"


@pytest.mark.parametrize("where", ["address", "grpc_address"])
async def test_grpc_health_checks_report_serving(service: RunningService, where: str) -> None:
    async with grpc.aio.insecure_channel(getattr(service, where)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", *(service.full_name for service in SERVICES.values())):
            response = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE)
            assert response.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=DEADLINE)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_every_service_and_its_types(service: RunningService) -> None:
    async with grpc.aio.insecure_channel(service.address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests: Sequence[reflection_pb2.ServerReflectionRequest] = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="tradingsignals.v1.Signal"),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="tradingsignals.peer.v1.PeerService"),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="tradingsignals.edge.v1.JsonService"),
        ]
        names, file, *internal = [
            response async for response in stub.ServerReflectionInfo(iter(requests), timeout=DEADLINE)
        ]
    served = {found.name for found in names.list_services_response.service}
    assert {found.full_name for found in SERVICES.values()} <= served
    described = FileDescriptorProto.FromString(file.file_descriptor_response.file_descriptor_proto[0])
    assert described.package == "tradingsignals.v1"
    assert [response.error_response.error_code for response in internal] == [grpc.StatusCode.NOT_FOUND.value[0]] * 2


async def test_page_of_a_listed_origin_may_call(service: RunningService, rest: httpx.AsyncClient) -> None:
    headers = {
        "origin": PAGES,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-grpc-web",
    }
    response = await rest.options("/tradingsignals.v1.SignalService/GetLatestSignal", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGES


async def test_grpc_web_text_is_served(rest: httpx.AsyncClient) -> None:
    """The base64 encoding is the fallback of browsers for streams."""
    response = await rest.post(
        "/tradingsignals.v1.SystemService/GetServiceInfo",
        content=b"AAAAAAA=",
        headers={"content-type": "application/grpc-web-text", "accept": "application/grpc-web-text"},
    )
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/grpc-web-text")
    assert response.text.startswith("AAAA")
