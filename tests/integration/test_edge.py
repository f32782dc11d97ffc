"""The edge as callers meet it: a real Envoy before a small real gRPC server, by REST, gRPC-Web and gRPC."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from tradingsignals.v1 import (
    bar_pb2,
    event_pb2,
    event_service_pb2,
    market_data_service_pb2,
    market_data_service_pb2_grpc,
    position_pb2,
    position_service_pb2,
    signal_pb2,
    signal_service_pb2,
    signal_service_pb2_grpc,
    system_service_pb2,
)
from tradingsignals_server.adapters.edge.process import Edge, running_edge
from tradingsignals_server.adapters.edge.render import Address, EdgeConfig

DEADLINE = 20.0  # seconds, for anything that is waited for
STREAMS = ("/api/signals/stream", "/api/signals/positions/stream", "/api/events")
LATEST = "/tradingsignals.v1.SignalService/GetLatestSignal"
MEBIBYTE = 1 << 20


def echo(request: Message) -> signal_pb2.Signal:
    """A signal that says what was asked."""
    asked = MessageToDict(request, preserving_proto_field_name=True)
    return signal_pb2.Signal(action=signal_pb2.Signal.BUY, reasoning=[json.dumps(asked)])


def asked(answer: httpx.Response) -> Any:
    """What the server was asked, by the signal that it answered."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.json()["signal"]["reasoning"][0])


async def fail(context: Any, code: int, message: str, *details: Message) -> None:
    packed = [any_pb2.Any() for _ in details]
    for box, detail in zip(packed, details, strict=True):
        box.Pack(detail)
    status = status_pb2.Status(code=code, message=message, details=packed)
    await context.abort_with_status(rpc_status.to_status(status))


class Stub(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in its types only
    """Answers the calls that have a method here."""

    def __init__(self) -> None:
        self.port = 0
        self.go_on = asyncio.Event()  # streams have something to tell
        self.flooded = asyncio.Event()  # set at each answer of the flood
        self.healthy = True

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        service, _, name = details.method.removeprefix("/").partition("/")
        answer = getattr(self, name, None)
        if answer is None or not service.startswith("tradingsignals."):
            return None
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        coding = {
            "request_deserializer": message_factory.GetMessageClass(method.input_type).FromString,
            "response_serializer": lambda message: message.SerializeToString(),
        }
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(answer, **coding)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(answer, **coding)
        return grpc.unary_unary_rpc_method_handler(answer, **coding)

    async def GetHealth(self, request: Any, context: Any) -> Message:
        if not self.healthy:
            await fail(context, 14, "unhealthy", system_service_pb2.GetHealthResponse(status="unhealthy"))
        return system_service_pb2.GetHealthResponse(status="healthy")

    async def GetLatestSignal(self, request: Any, context: Any) -> Message:
        if request.symbol == "NONE":
            reason = error_details_pb2.ErrorInfo(reason="SIGNAL_NOT_FOUND", domain="tradingsignals")
            await fail(context, 5, "no señal", reason)
        if request.symbol == "HANG":
            await asyncio.Event().wait()
        return signal_service_pb2.GetLatestSignalResponse(signal=echo(request))

    async def ListSignals(self, request: Any, context: Any) -> Message:
        if request.limit:
            signal = signal_pb2.Signal(reasoning=["x" * 2_000])
            return signal_service_pb2.ListSignalsResponse(signals=[signal] * request.limit, count=request.limit)
        return signal_service_pb2.ListSignalsResponse(signals=[echo(request)])

    async def GenerateSignal(self, request: Any, context: Any) -> Message:
        return signal_service_pb2.GenerateSignalResponse(signal=echo(request))

    async def GenerateSignalFromDb(self, request: Any, context: Any) -> Message:
        return signal_service_pb2.GenerateSignalFromDbResponse(signal=echo(request))

    async def ClosePosition(self, request: Any, context: Any) -> Message:
        position = position_pb2.Position(position_id=request.position_id, exit_price=request.price)
        return position_service_pb2.ClosePositionResponse(position=position)

    async def PublishBar(self, request: Any, context: Any) -> Message:
        return market_data_service_pb2.PublishBarResponse(receipt=bar_pb2.BarReceipt(symbol=request.bar.symbol))

    async def PublishBars(self, requests: Any, context: Any) -> Message:
        received = [len(request.bars) async for request in requests]
        return market_data_service_pb2.PublishBarsResponse(received=sum(received))

    async def StreamSignals(self, request: Any, context: Any) -> AsyncIterator[Message]:
        if request.min_confidence > 1:
            await fail(context, 3, "min_confidence: must be in 0..1")
        await context.send_initial_metadata(())
        await self.go_on.wait()
        yield signal_service_pb2.StreamSignalsResponse(signals=[echo(request)], through_sequence=1)
        yield signal_service_pb2.StreamSignalsResponse(through_sequence=2)

    async def StreamPositions(self, request: Any, context: Any) -> AsyncIterator[Message]:
        await context.send_initial_metadata(())
        await self.go_on.wait()
        yield position_service_pb2.StreamPositionsResponse(through_sequence=1)
        yield position_service_pb2.StreamPositionsResponse(through_sequence=2)

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[Message]:
        await context.send_initial_metadata(())
        if "FLOOD" in request.symbols:
            event = event_pb2.Event(signal=signal_pb2.Signal(reasoning=["x" * 10_000]))
            while True:
                self.flooded.set()
                yield event_service_pb2.StreamEventsResponse(events=[event])
        await self.go_on.wait()
        yield event_service_pb2.StreamEventsResponse(through_sequence=1)
        yield event_service_pb2.StreamEventsResponse(through_sequence=2)


@pytest.fixture(scope="module")
async def stub() -> AsyncIterator[Stub]:
    stub = Stub()
    server = grpc.aio.server(handlers=[stub], options=[("grpc.so_reuseport", 0)])
    checks = health.aio.HealthServicer()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection(["tradingsignals.v1.SignalService"], server)
    stub.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield stub
    await server.stop(None)


@pytest.fixture(scope="module")
async def edge(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port), rest_timeout_seconds=1)
    async with running_edge(config, tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture(scope="module")
async def rest(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as client:
        yield client


@pytest.fixture
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"{edge.host}:{edge.port}") as channel:
        yield channel


@pytest.fixture
def told(stub: Stub) -> asyncio.Event:
    """Set, it lets the streams go on."""
    stub.go_on.clear()
    return stub.go_on


def assert_error(answer: httpx.Response, status: int, code: int, message: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"code", "message", "details"}
    assert answer.json()["code"] == code
    assert message in answer.json()["message"]


CLOSE = "/api/signals/positions/p1/close"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    [
        pytest.param("GET", "/nothing/here", None, 404, 5, "/nothing/here", id="unknown path"),
        pytest.param("POST", "/api/signals/latest", b"{}", 404, 5, "/api/signals/latest", id="wrong method"),
        pytest.param("DELETE", "/api/events", None, 404, 5, "/api/events", id="wrong method of a stream"),
        pytest.param("POST", LATEST, b"{}", 404, 5, LATEST, id="JSON to a gRPC path"),
        pytest.param("GET", "/api/signals/latest?nope=1", None, 400, 3, "nope", id="unknown parameter"),
        pytest.param("GET", "/api/events?nope=1", None, 400, 3, "nope", id="unknown parameter of a stream"),
        pytest.param("GET", "/api/signals/history?limit=many", None, 400, 3, "limit", id="no number"),
        pytest.param("GET", "/api/signals/history?limit=1e99", None, 400, 3, "limit", id="out of range"),
        pytest.param("GET", "/api/signals/history?limit=1&limit=2", None, 400, 3, "limit", id="twice"),
        pytest.param("GET", "/api/signals/history?action=FLY", None, 400, 3, "FLY", id="no value of the enum"),
        pytest.param("GET", "/api/signals/latest?symbol=%ff", None, 400, 3, "UTF-8", id="query is no UTF-8"),
        pytest.param("GET", "/api/signals/latest?symbol=%ed%a0%80", None, 400, 3, "UTF-8", id="surrogate"),
        pytest.param("GET", "/api/signals/latest?symbol=%zz", None, 400, 3, "UTF-8", id="no percent-encoding"),
        pytest.param("POST", "/api/signals/positions/a%2Fb/close", None, 400, 3, "slash", id="escaped slash"),
        pytest.param("GET", "/health%00", None, 400, 3, "zero", id="zero byte"),
        pytest.param("POST", f"{CLOSE}?position_id=p2", None, 400, 3, "position_id", id="path and query"),
        pytest.param("POST", f"{CLOSE}?price=1&positionId=p2", None, 400, 3, "position_id", id="its other name"),
        pytest.param("POST", f"{CLOSE}/?position%5Fid=p2", None, 400, 3, "position_id", id="its name escaped"),
        pytest.param("POST", CLOSE, b'{"position_id":"p2"}', 400, 3, "position_id", id="path and body"),
        pytest.param("POST", "/api/signals/generate", b"{close", 400, 3, "", id="malformed"),
        pytest.param("POST", "/api/signals/generate", b"{} {}", 400, 3, "", id="more than one"),
        pytest.param("POST", "/api/signals/generate", b"[1]", 400, 3, "", id="no object"),
        pytest.param("POST", "/api/signals/generate", b'{"rsi":"high"}', 400, 3, "rsi", id="wrong type"),
        pytest.param("POST", "/api/signals/generate", b'{"rsi":1e999}', 400, 3, "", id="no double"),
        pytest.param("POST", "/api/signals/generate", b'{"symbol":"\xff"}', 400, 3, "UTF-8", id="body is no UTF-8"),
        pytest.param("POST", "/api/market/bars", b'{"time":"today"}', 400, 3, "time", id="no time"),
        pytest.param("POST", "/api/signals/generate", b" " * (MEBIBYTE + 1), 413, 8, "", id="too large"),
        pytest.param("GET", "/api/signals/latest?symbol=HANG", None, 504, 4, "timeout", id="too slow"),
        pytest.param("GET", "/api/signals/model/info", None, 501, 12, "", id="not implemented"),
    ],
)
async def test_every_mistake_of_a_rest_caller_is_answered_as_json(
    rest: httpx.AsyncClient, method: str, path: str, body: bytes | None, status: int, code: int, message: str
) -> None:
    assert_error(await rest.request(method, path, content=body), status, code, message)


async def test_a_body_that_grows_too_large_is_refused(rest: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    assert_error(await rest.post("/api/signals/generate", content=chunks()), 413, 8, "")


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        (b"GET /health HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", 400, 3),
        (b"GET /health HTTP/1.1\r\nhost: x\r\nx: a\x01b\r\n\r\n", 400, 3),
        (b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 61_500 + b"\r\n\r\n", 431, 8),
        (b"GET /health HTTP/1.0\r\n\r\n", 426, 12),
        (b"nonsense\r\n\r\n", 400, 3),
    ],
    ids=["no colon", "control character", "large headers", "HTTP/1.0", "no HTTP"],
)
async def test_what_is_no_proper_http_is_answered_as_json(
    edge: Edge, request_text: bytes, status: int, code: int
) -> None:
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(edge.host, edge.port)
        writer.write(request_text)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert f"HTTP/1.1 {status} ".encode() in head
    assert b"content-type: application/json" in head
    assert json.loads(body)["code"] == code


async def test_errors_of_the_server_keep_their_details(rest: httpx.AsyncClient) -> None:
    answer = await rest.get("/api/signals/latest", params={"symbol": "NONE"})
    assert_error(answer, 404, 5, "no señal")
    (detail,) = answer.json()["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (detail["reason"], detail["domain"]) == ("SIGNAL_NOT_FOUND", "tradingsignals")


@pytest.mark.parametrize("path", ["/health", "/api/signals/health"])
async def test_an_unhealthy_server_still_says_what_it_has(stub: Stub, rest: httpx.AsyncClient, path: str) -> None:
    assert (await rest.get(path)).json()["status"] == "healthy"
    stub.healthy = False
    try:
        answer = await rest.get(path)
    finally:
        stub.healthy = True
    assert_error(answer, 503, 14, "unhealthy")
    assert answer.json()["details"][0]["status"] == "unhealthy"


async def test_answers_carry_a_request_id_and_nothing_of_grpc(rest: httpx.AsyncClient) -> None:
    answers = [await rest.get("/health"), await rest.get("/nothing/here")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert not [name for answer in answers for name in answer.headers if name.startswith(("grpc", "x-envoy"))]


async def test_a_thousand_signals_and_a_mebibyte_pass_whole(rest: httpx.AsyncClient) -> None:
    answer = await rest.get("/api/signals/history", params={"limit": 1000})
    assert len(answer.json()["signals"]) == 1000
    body = json.dumps({"symbol": "x" * (MEBIBYTE - 100)}).encode()
    assert len(asked(await rest.post("/api/signals/generate", content=body))["symbol"]) == MEBIBYTE - 100


@pytest.mark.parametrize(
    ("query", "understood"),
    [
        ("action=buy&symbol=USD+COP", {"action": "BUY", "symbol": "USD COP"}),
        ("start_date=2025-06-30T13:00:00%2B00:00", {"start_date": "2025-06-30T13:00:00+00:00"}),
        ("symbol=caf%C3%A9%20%E2%82%AC%F0%9F%98%80", {"symbol": "café €😀"}),
    ],
)
async def test_queries_are_understood(rest: httpx.AsyncClient, query: str, understood: dict[str, str]) -> None:
    answer = await rest.get(f"/api/signals/history?{query}")
    assert json.loads(answer.json()["signals"][0]["reasoning"][0]) == understood


@pytest.mark.parametrize(
    ("query", "body", "understood"),
    [
        ("", b"", {}),
        ("", b"{}", {}),
        ("?symbol=EURUSD&lookback_bars=60", b"", {"symbol": "EURUSD", "lookback_bars": 60}),
        ("", b'{"symbol":"EURUSD","lookback_bars":60}', {"symbol": "EURUSD", "lookback_bars": 60}),
        ("?lookback_bars=60", b'{"symbol":"EURUSD"}', {"symbol": "EURUSD", "lookback_bars": 60}),
    ],
)
async def test_generate_from_db_takes_query_or_body_or_nothing(
    rest: httpx.AsyncClient, query: str, body: bytes, understood: dict[str, Any]
) -> None:
    assert asked(await rest.post(f"/api/signals/generate-from-db{query}", content=body)) == understood


async def test_paths_are_made_plain(edge: Edge, rest: httpx.AsyncClient) -> None:
    for path in ("//health", "/api/../health", "/api/%2e%2e/health", "/health/"):
        request = httpx.Request("GET", httpx.URL(edge.url).copy_with(raw_path=path.encode()))
        assert (await rest.send(request)).json()["status"] == "healthy", path
    # There is no HEAD in the contract; it is answered like any other unknown method.
    assert (await rest.head("/health")).status_code == 404


async def test_the_document_and_the_page_are_served_whole(rest: httpx.AsyncClient) -> None:
    tree = Path(__file__).parents[2] / "envoy"
    document = await rest.get("/openapi.json")
    assert document.headers["content-type"] == "application/json"
    assert document.content == (tree / "openapi.json").read_bytes()
    page = await rest.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert page.content == (tree / "docs.html").read_bytes()


@pytest.mark.parametrize("path", [*STREAMS, "/api/signals/stream/"])
@pytest.mark.parametrize(
    ("accept", "content_type", "prefix"),
    [("text/event-stream", "text/event-stream", "data: "), ("*/*", "application/x-ndjson", "")],
    ids=["SSE", "NDJSON"],
)
async def test_streams_answer_at_once_and_each_event_by_itself(
    rest: httpx.AsyncClient, told: asyncio.Event, path: str, accept: str, content_type: str, prefix: str
) -> None:
    async with asyncio.timeout(DEADLINE), rest.stream("GET", path, headers={"accept": accept}) as answer:
        # The headers are here, and the server has not said anything yet.
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
        told.set()
        lines = [line async for line in answer.aiter_lines() if line]
    assert all(line.startswith(prefix) for line in lines)
    events = [json.loads(line.removeprefix(prefix)) for line in lines]
    assert [event["through_sequence"] for event in events] == ["1", "2"]


async def test_parameters_of_streams_are_understood(rest: httpx.AsyncClient, told: asyncio.Event) -> None:
    told.set()
    query = "symbols=A&symbols=B,C&actions=buy&resume_after=9007199254740993"
    answer = await rest.get(f"/api/signals/stream?{query}")
    signal = json.loads(answer.text.splitlines()[0])["signals"][0]
    assert json.loads(signal["reasoning"][0]) == {
        "symbols": ["A", "B,C"],
        "actions": ["BUY"],
        "resume_after": "9007199254740993",
    }


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
async def test_a_stream_that_cannot_begin_is_an_error(rest: httpx.AsyncClient, accept: str) -> None:
    for value, message in (("2", "must be in 0..1"), ("high", "high")):
        query = {"min_confidence": value}
        answer = await rest.get("/api/signals/stream", params=query, headers={"accept": accept})
        assert_error(answer, 400, 3, message)


def web_frames(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """The messages and the trailers of a gRPC-Web answer."""
    messages, trailers = [], {}
    while body:
        flags, length = body[0], int.from_bytes(body[1:5])
        frame, body = body[5 : 5 + length], body[5 + length :]
        if flags & 0x80:
            trailers = dict(line.split(":", 1) for line in frame.decode().split("\r\n") if line)
        else:
            messages.append(frame)
    return messages, trailers


@pytest.mark.parametrize("text", [False, True], ids=["binary", "base64"])
async def test_grpc_web(rest: httpx.AsyncClient, text: bool) -> None:
    async def call(symbol: str) -> tuple[list[bytes], dict[str, str]]:
        request = signal_service_pb2.GetLatestSignalRequest(symbol=symbol).SerializeToString()
        framed = b"\0" + len(request).to_bytes(4) + request
        content_type = "application/grpc-web-text" if text else "application/grpc-web+proto"
        headers = {"content-type": content_type, "accept": content_type}
        answer = await rest.post(LATEST, content=base64.b64encode(framed) if text else framed, headers=headers)
        assert answer.status_code == 200
        body = answer.content
        if text:  # a sequence of encodings, each with its own padding
            body = b"".join(base64.b64decode(part) for part in re.findall(b"[^=]+=*", body))
        messages, trailers = web_frames(body)
        return messages, trailers | dict(answer.headers)

    (message,), trailers = await call("USDCOP")
    assert json.loads(signal_service_pb2.GetLatestSignalResponse.FromString(message).signal.reasoning[0])
    assert trailers["grpc-status"] == "0"
    none, trailers = await call("NONE")
    assert (none, trailers["grpc-status"]) == ([], "5")
    assert "grpc-status-details-bin" in trailers


async def test_grpc_web_streams_answer_at_once(rest: httpx.AsyncClient, told: asyncio.Event) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        rest.stream(
            "POST",
            "/tradingsignals.v1.PositionService/StreamPositions",
            content=b"\0\0\0\0\0",
            headers={"content-type": "application/grpc-web+proto"},
        ) as answer,
    ):
        assert answer.status_code == 200
        told.set()
        messages, trailers = web_frames(await answer.aread())
    assert len(messages) == 2
    assert trailers["grpc-status"] == "0"


async def test_pages_of_other_origins_are_asked_for_leave(rest: httpx.AsyncClient) -> None:
    async def preflight(origin: str) -> httpx.Response:
        headers = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-grpc-web,x-user-agent,grpc-timeout",
        }
        return await rest.options(LATEST, headers=headers)

    allowed = await preflight("http://localhost:5173")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "x-grpc-web" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in (await preflight("https://localhost.example")).headers
    answer = await rest.get("/health", headers={"origin": "http://localhost:5173"})
    assert "grpc-status-details-bin" in answer.headers["access-control-expose-headers"]


async def test_grpc_calls_streams_and_errors(channel: grpc.aio.Channel, told: asyncio.Event) -> None:
    signals = signal_service_pb2_grpc.SignalServiceStub(channel)
    assert (await signals.GetLatestSignal(signal_service_pb2.GetLatestSignalRequest(), timeout=DEADLINE)).signal
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await signals.GetLatestSignal(signal_service_pb2.GetLatestSignalRequest(symbol="NONE"), timeout=DEADLINE)
    assert (missing.value.code(), missing.value.details()) == (grpc.StatusCode.NOT_FOUND, "no señal")
    status = rpc_status.from_call(missing.value)
    assert status is not None
    assert len(status.details) == 1

    stream = signals.StreamSignals(signal_service_pb2.StreamSignalsRequest(), timeout=DEADLINE)
    await stream.initial_metadata()  # at once
    told.set()
    assert [answer.through_sequence async for answer in stream] == [1, 2]


async def test_uploads_are_not_limited_like_bodies(channel: grpc.aio.Channel) -> None:
    bars = [bar_pb2.Bar(symbol="USDCOP", open=1, high=1, low=1, close=1)] * 1000
    request = market_data_service_pb2.PublishBarsRequest(bars=bars)
    assert request.ByteSize() * 50 > MEBIBYTE
    market = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
    answer = await market.PublishBars((request for _ in range(50)), timeout=DEADLINE)
    assert answer.received == 50_000


async def test_grpc_health_and_reflection_pass(channel: grpc.aio.Channel) -> None:
    checked = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
    assert checked.status == health_pb2.HealthCheckResponse.SERVING
    asking = [reflection_pb2.ServerReflectionRequest(list_services="")]
    reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter(asking), timeout=DEADLINE)
    (answer,) = [answer async for answer in reflected]
    assert answer.list_services_response.service[0].name == "tradingsignals.v1.SignalService"


async def test_followers_that_stop_reading_do_not_hold_up_the_others(
    stub: Stub, edge: Edge, rest: httpx.AsyncClient
) -> None:
    url = f"{edge.url}/api/events?symbols=FLOOD"
    async with asyncio.timeout(6 * DEADLINE), httpx.AsyncClient(timeout=DEADLINE) as stalled:
        answers = [await stalled.send(stalled.build_request("GET", url), stream=True) for _ in range(30)]
        try:
            # Until the server has not got rid of one answer for half a second: all buffers on the way are full.
            while True:
                stub.flooded.clear()
                try:
                    await asyncio.wait_for(stub.flooded.wait(), 0.5)
                except TimeoutError:
                    break
            for _ in range(5):
                assert (await rest.get("/health")).json()["status"] == "healthy"
            assert asked(await rest.post("/api/signals/generate", content=b'{"rsi":30}')) == {"rsi": 30.0}
        finally:
            for answer in answers:
                await answer.aclose()


async def test_without_a_server_everyone_is_told_in_their_own_way(tmp_path: Path) -> None:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", 1))  # nobody listens on port 1
    async with running_edge(config, tmp_path / "edge") as edge, httpx.AsyncClient(base_url=edge.url) as rest:
        for method, path in (("GET", "/health"), ("POST", "/api/signals/generate-from-db"), ("GET", "/api/events")):
            assert_error(await rest.request(method, path), 503, 14, "upstream")
        web = {"content-type": "application/grpc-web+proto"}
        assert (await rest.post(LATEST, content=b"\0\0\0\0\0", headers=web)).headers["grpc-status"] == "14"
        async with grpc.aio.insecure_channel(f"{edge.host}:{edge.port}") as channel:
            signals = signal_service_pb2_grpc.SignalServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as gone:
                await signals.GetLatestSignal(signal_service_pb2.GetLatestSignalRequest(), timeout=DEADLINE)
            assert gone.value.code() == grpc.StatusCode.UNAVAILABLE
        assert (await rest.get("/openapi.json")).status_code == 200


async def test_streams_may_end_by_themselves_when_the_edge_stops(
    stub: Stub, told: asyncio.Event, tmp_path: Path
) -> None:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port))
    async with asyncio.timeout(DEADLINE), httpx.AsyncClient() as client:
        async with running_edge(config, tmp_path / "edge", drain_seconds=DEADLINE) as edge:
            request = client.build_request("GET", f"{edge.url}/api/signals/stream")
            answer = await client.send(request, stream=True)

            async def tell_when_draining() -> None:
                while (await client.get(f"{edge.url}/openapi.json")).headers.get("connection") != "close":
                    pass
                told.set()

            teller = asyncio.create_task(tell_when_draining())
        await teller
        lines = [line async for line in answer.aiter_lines()]
    assert [json.loads(line)["through_sequence"] for line in lines] == ["1", "2"]
