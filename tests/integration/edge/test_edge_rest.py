"""REST at the edge: errors are JSON, and valid requests reach the server unchanged."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import httpx
import pytest
from tests.support.deadlines import DEADLINE, within

from tradingsignals.v1 import signal_service_pb2, signal_service_pb2_grpc
from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import EDGE_ERRORS, Address, EdgeConfig

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub

LATEST = "/tradingsignals.v1.SignalService/GetLatestSignal"
CLOSE = "/api/signals/positions/p1/close"
LARGEST_BODY = 32 * 1024


def request_of(response: httpx.Response) -> Any:
    """Return the request that the server got, which its response contains."""
    assert response.status_code == 200, response.text
    return json.loads(response.json()["signal"]["reasoning"][0])


def assert_error(response: httpx.Response, status: int, code: int, message: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"code", "message", "details"}
    assert response.json()["code"] == code
    assert message in response.json()["message"]


REASONS = {reason for _, reason in EDGE_ERRORS.values()} | {"INVALID_FIELD"}


class Mistake(NamedTuple):
    """An invalid request, and the HTTP status, the gRPC code and a part of the message of its response."""

    method: str
    path: str
    body: bytes | None
    status: int
    code: int
    message: str


MISTAKES = {
    "unknown path": Mistake("GET", "/nothing/here", None, 404, 5, "/nothing/here"),
    "wrong method": Mistake("POST", "/api/signals/latest", b"{}", 405, 12, "GET, HEAD"),
    "wrong method of a stream": Mistake("DELETE", "/api/events", None, 405, 12, "GET, HEAD"),
    "JSON to a gRPC path": Mistake("POST", LATEST, b"{}", 404, 5, LATEST),
    "unknown parameter": Mistake("GET", "/api/signals/latest?nope=1", None, 400, 3, "nope"),
    "unknown parameter of a stream": Mistake("GET", "/api/events?nope=1", None, 400, 3, "nope"),
    "no number": Mistake("GET", "/api/signals/history?limit=many", None, 400, 3, "limit"),
    "out of range": Mistake("GET", "/api/signals/history?limit=1e99", None, 400, 3, "limit"),
    "twice": Mistake("GET", "/api/signals/history?limit=1&limit=2", None, 400, 3, "limit"),
    "without a value": Mistake("GET", "/api/signals/latest?symbol", None, 400, 3, "no value"),
    "without a value behind another": Mistake("GET", "/api/events?limit=1&symbols&x=1", None, 400, 3, "no value"),
    "twice as text": Mistake("GET", "/api/signals/latest?symbol=A&symbol=B", None, 400, 3, "symbol is in"),
    "escaped name": Mistake("GET", "/api/signals/latest?sym%62ol=A", None, 400, 3, "escape"),
    "no value of the enum": Mistake("GET", "/api/signals/history?action=FLY", None, 400, 3, "FLY"),
    "query is no UTF-8": Mistake("GET", "/api/signals/latest?symbol=%ff", None, 400, 3, "UTF-8"),
    "surrogate": Mistake("GET", "/api/signals/latest?symbol=%ed%a0%80", None, 400, 3, "UTF-8"),
    "no percent-encoding": Mistake("GET", "/api/signals/latest?symbol=%zz", None, 400, 3, "UTF-8"),
    "escaped slash": Mistake("POST", "/api/signals/positions/a%2Fb/close", None, 400, 3, "slash"),
    "zero byte": Mistake("GET", "/health%00", None, 400, 3, "zero"),
    "path and query": Mistake("POST", f"{CLOSE}?position_id=p2", None, 400, 3, "position_id"),
    "its other name": Mistake("POST", f"{CLOSE}?price=1&positionId=p2", None, 400, 3, "position_id"),
    "its name escaped": Mistake("POST", f"{CLOSE}/?position%5Fid=p2", None, 400, 3, "position_id"),
    "path and body": Mistake("POST", CLOSE, b'{"position_id":"p2"}', 400, 3, "position_id"),
    "malformed": Mistake("POST", "/api/signals/generate", b"{close", 400, 3, ""),
    "more than one": Mistake("POST", "/api/signals/generate", b"{} {}", 400, 3, ""),
    "no object": Mistake("POST", "/api/signals/generate", b"[1]", 400, 3, ""),
    "wrong type": Mistake("POST", "/api/signals/generate", b'{"rsi":"high"}', 400, 3, "rsi"),
    "no double": Mistake("POST", "/api/signals/generate", b'{"rsi":1e999}', 400, 3, ""),
    "body is no UTF-8": Mistake("POST", "/api/signals/generate", b'{"symbol":"\xff"}', 400, 3, "UTF-8"),
    "no time": Mistake("POST", "/api/market/bars", b'{"time":"today"}', 400, 3, "time"),
    "too large": Mistake("POST", "/api/signals/generate", b" " * (LARGEST_BODY + 1), 413, 8, ""),
    "not implemented": Mistake("GET", "/api/signals/model/info", None, 501, 12, ""),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
async def test_every_invalid_request_gets_a_json_error(rest: httpx.AsyncClient, mistake: Mistake) -> None:
    response = await rest.request(mistake.method, mistake.path, content=mistake.body)
    assert_error(response, mistake.status, mistake.code, mistake.message)
    if mistake.status != 501:  # of the stub itself
        info = response.json()["details"][0]
        assert (info["@type"], info["domain"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "tradingsignals")
        assert info["reason"] in REASONS
        assert info.get("metadata", {}).get("request_id") == response.headers.get("x-request-id")


async def test_body_in_chunks_above_the_limit_is_refused(rest: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    assert_error(await rest.post("/api/signals/generate", content=chunks()), 413, 8, "")


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n", 400, 3),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: a\x01b\r\n\r\n", 400, 3),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 41_000 + b"\r\n\r\n", 431, 8),
        (b"GET /health HTTP/1.0\r\n\r\n", 426, 12),
        (b"nonsense\r\n\r\n", 400, 3),
    ],
    ids=["no colon", "control character", "large headers", "HTTP/1.0", "no HTTP"],
)
async def test_malformed_http_gets_a_json_error(edge: Edge, request_text: bytes, status: int, code: int) -> None:
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(edge.host, edge.port)
        writer.write(request_text)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = await reader.readexactly(int(re.findall(r"content-length: (\d+)", head)[0]))
        writer.close()
    assert f"HTTP/1.1 {status} " in head
    assert "content-type: application/json" in head
    assert json.loads(body).keys() == {"code", "message", "details"}
    assert json.loads(body)["code"] == code
    assert json.loads(body)["details"][0]["reason"] in REASONS


async def test_call_beyond_the_timeout_is_ended(stub: Stub, tmp_path: Path) -> None:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port), rest_timeout_seconds=1)
    async with running_edge(config, tmp_path / "edge") as edge, httpx.AsyncClient(timeout=DEADLINE) as rest:
        await within(edge.sees_all_healthy())
        assert_error(await rest.get(f"{edge.url}/api/signals/latest?symbol=HANG"), 504, 4, "timeout")


async def test_errors_of_the_server_keep_their_details(rest: httpx.AsyncClient) -> None:
    response = await rest.get("/api/signals/latest", params={"symbol": "NONE"})
    assert_error(response, 404, 5, "no señal")
    (detail,) = response.json()["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (detail["reason"], detail["domain"]) == ("SIGNAL_NOT_FOUND", "tradingsignals")


@pytest.mark.parametrize("path", ["/health", "/api/signals/health"])
async def test_unhealthy_server_returns_its_details_with_503(stub: Stub, rest: httpx.AsyncClient, path: str) -> None:
    assert (await rest.get(path)).json()["status"] == "healthy"
    stub.healthy = False
    try:
        response = await rest.get(path)
    finally:
        stub.healthy = True
    assert_error(response, 503, 14, "unhealthy")
    assert response.json()["details"][0]["status"] == "unhealthy"


async def test_responses_have_a_request_id_and_no_grpc_headers(rest: httpx.AsyncClient) -> None:
    responses = [await rest.get("/health"), await rest.get("/nothing/here")]
    assert len({response.headers["x-request-id"] for response in responses}) == 2
    assert not [name for response in responses for name in response.headers if name.startswith(("grpc", "x-envoy"))]


MISSPELT = {
    "/api/signals/generate": (b'{"close_price":4250,"rsj":20}', "rsj"),
    "/api/signals/generate-from-db?symbol=EURUSD": (b'{"lookback_bar":60}', "lookback_bar"),
    "/api/market/bars": (b'{"symbol":"USDCOP","vol":1}', "bar.vol"),
    CLOSE: (b'{"price":1,"reason":"x"}', "reason"),
    "/api/signals/model/reload": (b'{"force":true}', "force"),
}


@pytest.mark.parametrize("path", MISSPELT)
async def test_error_names_an_unknown_field(rest: httpx.AsyncClient, path: str) -> None:
    body, name = MISSPELT[path]
    response = await rest.post(path, content=body)
    assert_error(response, 400, 3, f"{name}: is no field of the request")
    info, bad_request = response.json()["details"]
    assert info["reason"] == "INVALID_FIELD"
    assert [violation["field"] for violation in bad_request["field_violations"]] == [name]


async def test_chunked_body_needs_a_content_type(edge: Edge) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    async with httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest:
        assert_error(await rest.post("/api/signals/generate", content=chunks()), 400, 3, "application/json")


async def test_body_as_query_parameter_is_refused(rest: httpx.AsyncClient) -> None:
    for query in (
        "body.data=e30=",
        "a=1&body.content_type=application/json",
        "body=1",
        "body",
        "bod%79=1",
        "body.data",
    ):
        for path in ("generate", "generate-from-db", "positions/p/close", "model/reload"):
            for content in (b'{"rsi":20}', b""):
                response = await rest.post(f"/api/signals/{path}?{query}", content=content)
                assert response.status_code == 400, (path, query)


async def test_1000_signals_and_the_largest_body_pass(rest: httpx.AsyncClient) -> None:
    response = await rest.get("/api/signals/history", params={"limit": 1000})
    assert len(response.json()["signals"]) == 1000
    body = json.dumps({"symbol": "x" * 32_700}).encode()
    assert len(request_of(await rest.post("/api/signals/generate", content=body))["symbol"]) == 32_700


@pytest.mark.parametrize(
    ("query", "understood"),
    [
        ("action=buy&symbol=USD+COP", {"action": "BUY", "symbol": "USD COP"}),
        ("start_date=2025-06-30T13:00:00%2B00:00", {"start_date": "2025-06-30T13:00:00+00:00"}),
        ("symbol=caf%C3%A9%20%E2%82%AC%F0%9F%98%80", {"symbol": "café €😀"}),
    ],
)
async def test_queries_are_parsed(rest: httpx.AsyncClient, query: str, understood: dict[str, str]) -> None:
    response = await rest.get(f"/api/signals/history?{query}")
    assert json.loads(response.json()["signals"][0]["reasoning"][0]) == understood


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
    assert request_of(await rest.post(f"/api/signals/generate-from-db{query}", content=body)) == understood


async def test_paths_are_normalised(edge: Edge, rest: httpx.AsyncClient) -> None:
    for path in ("//health", "/api/../health", "/api/%2e%2e/health", "/health/"):
        request = httpx.Request("GET", httpx.URL(edge.url).copy_with(raw_path=path.encode()))
        assert (await rest.send(request)).json()["status"] == "healthy", path


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("path", ["/health", "/api/signals/history", "/docs", "/openapi.json", "/nope"])
async def test_head_is_get_without_the_body(edge: Edge, path: str, http2: bool) -> None:
    url = f"{edge.url}{path}"
    prior = ("--http2-prior-knowledge",) if http2 else ()
    async with asyncio.timeout(DEADLINE):
        head, get = [
            await (
                await asyncio.create_subprocess_exec("curl", "-sS", "-i", *prior, *options, url, stdout=-1)
            ).communicate()
            for options in (("--head",), ())
        ]

    def stable(received: bytes) -> list[str]:
        lines = received.decode().partition("\r\n\r\n")[0].split("\r\n")
        return [line for line in lines if not line.startswith(("date", "x-request-id"))]

    assert stable(head[0]) == stable(get[0])
    assert head[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_head_of_a_stream_returns_at_once(rest: httpx.AsyncClient, accept: str) -> None:
    for path in ("/api/signals/stream", "/api/events/"):
        response = await rest.head(path, headers={"accept": accept})
        assert (response.status_code, response.headers["content-type"]) == (200, accept)


async def test_wrong_method_lists_the_allowed_ones(rest: httpx.AsyncClient) -> None:
    for method, path, allow in (
        ("PUT", "/health/", "GET, HEAD"),
        ("PATCH", "/api/market/bars", "GET, HEAD, POST"),
        ("GET", CLOSE, "POST"),
        ("DELETE", "/docs", "GET, HEAD"),
        ("OPTIONS", "/", "GET, HEAD"),
    ):
        response = await rest.request(method, path)
        assert_error(response, 405, 12, f"the path takes {allow}")
        assert response.headers["allow"] == allow


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("method", ["QUERY", "PROPFIND", "TRACE", "FOO", "A-B"])
async def test_unknown_method_is_an_error_with_a_message(edge: Edge, method: str, http2: bool) -> None:
    prior = ("--http2-prior-knowledge",) if http2 else ("--http1.1",)
    is_known = http2 or method not in {"FOO", "A-B"}  # Envoy parses no others in HTTP/1.1
    for path, status in (("/health", 405), ("/nope", 404), ("/docs", 405)):
        with_type = ((), ("-H", "content-type: application/json"))
        for options in with_type:
            arguments = ("-sS", *prior, "-X", method, *options, "-w", "\n%{http_code}", f"{edge.url}{path}")
            process = await asyncio.create_subprocess_exec("curl", *arguments, stdout=-1)
            async with asyncio.timeout(DEADLINE):
                body, _, code = (await process.communicate())[0].decode().rpartition("\n")
            expected = 405 if method == "QUERY" and not options else status if is_known else 400
            assert int(code) == expected, (path, options)
            error = json.loads(body)
            assert (error["code"], error["details"][0]["reason"]) == {
                400: (3, "MALFORMED_REQUEST"),
                404: (5, "UNKNOWN_PATH"),
                405: (12, "WRONG_METHOD"),
            }[expected]
            assert len(error["message"]) > 10


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
async def test_refused_stream_is_an_error(rest: httpx.AsyncClient, accept: str) -> None:
    for value, message in (("2", "must be in 0..1"), ("high", "high")):
        query = {"min_confidence": value}
        response = await rest.get("/api/signals/stream", params=query, headers={"accept": accept})
        assert_error(response, 400, 3, message)


async def test_without_a_server_each_protocol_gets_its_error(tmp_path: Path) -> None:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", 1))  # port 1 has no listener
    json_body = {"content-type": "application/json"}
    async with (
        running_edge(config, tmp_path / "edge") as edge,
        httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE, headers=json_body) as rest,
    ):
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
