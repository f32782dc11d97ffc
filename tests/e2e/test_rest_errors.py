"""Invalid REST requests get their status and a JSON error, and change nothing."""

from __future__ import annotations

import asyncio
import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.deadlines import within
from tests.support.service import RunningService
from tests.support.sockets import connected

from tradingsignals.v1 import error_reason_pb2

# Positions that do not exist. The ids are fixed, because those of tests must be the same in every process of a run.
NOWHERE = "5b0c2f5e-7f0f-4d3a-9a55-3f6f1c1d8e01"
ANOTHER = "c7f4d8a2-1e6b-4c90-8b1d-2a9e0f7b6c02"
UNKNOWN_PATHS = ["/nope", "/api", "/api/signals", "/api/signals/nope", "/docs/x", "/api/signals/latest/x", "/%61pi"]


def no_traceback(response: httpx.Response) -> dict[str, Any]:
    """Return the body of an error, after checking that it is a google.rpc.Status without internal details."""
    assert response.headers["content-type"] == "application/json", response.text
    body: dict[str, Any] = response.json()
    assert body.keys() == {"code", "message", "details"}
    assert body["message"]
    info = body["details"][0]
    assert info["domain"] == "tradingsignals"
    assert error_reason_pb2.ErrorReason.Value(info["reason"])
    assert info.get("metadata", {}).get("request_id") == response.headers.get("x-request-id")
    for inside in ("Traceback", "Error(", "asyncpg", "grpc", ".py", "upstream"):
        assert inside not in response.text
    return body


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_unknown_paths_are_not_found(rest: httpx.AsyncClient, method: str, path: str) -> None:
    response = await rest.request(method, f"{rest.base_url}".rstrip("/") + path)
    assert response.status_code == 404
    assert no_traceback(response)["code"] == 5


WRONG_METHODS = [
    *(("POST", path) for path in ("/", "/health", "/api/signals/latest", "/api/signals/history")),
    *(("POST", path) for path in ("/api/signals/statistics", "/api/signals/stream", "/api/events")),
    *(("POST", path) for path in ("/api/signals/positions/active", "/api/signals/model/info")),
    *(("GET", path) for path in ("/api/signals/generate", "/api/signals/generate-from-db")),
    ("GET", f"/api/signals/positions/{NOWHERE}/close"),
    *((method, "/api/market/bars") for method in ("PUT", "PATCH", "DELETE")),
    *((method, "/api/signals/latest") for method in ("PUT", "PATCH", "DELETE", "OPTIONS")),
]


OPENAPI = json.loads((Path(__file__).parents[2] / "envoy/openapi.json").read_text(encoding="utf-8"))
PERIODS = [
    (path, kind)
    for path, methods in OPENAPI["paths"].items()
    for kind in ("date", "time")
    if f"start_{kind}" in {each["name"] for each in methods.get("get", {}).get("parameters", ())}
]


@pytest.mark.parametrize("end", ["2025-06-30", "2025-06-29T23:59:59Z"], ids=["empty", "reversed"])
@pytest.mark.parametrize(("path", "kind"), [*PERIODS, ("/api/backtests", "date")])
async def test_period_that_ends_before_it_begins_is_refused(
    rest: httpx.AsyncClient, path: str, kind: str, end: str
) -> None:
    given = {f"start_{kind}": "2025-06-30", f"end_{kind}": end}
    sent = rest.post(path, json=given) if path == "/api/backtests" else rest.get(path, params=given)
    response = await within(sent)
    assert response.status_code == 400
    (violation,) = no_traceback(response)["details"][1]["field_violations"]
    assert (violation["field"], violation["description"]) == (f"end_{kind}", f"must be after start_{kind}")


def test_all_lists_with_a_period_are_tried() -> None:
    lists = {"/api/signals/history", "/api/signals/outcomes", "/api/signals/performance", "/api/account/equity"}
    assert lists | {"/api/market/bars", "/api/access/audit"} == {path for path, kind in PERIODS if kind == "date"}


@pytest.mark.parametrize(("method", "path"), WRONG_METHODS)
async def test_wrong_methods_are_refused(rest: httpx.AsyncClient, method: str, path: str) -> None:
    response = await rest.request(method, path)
    assert response.status_code == 405
    assert method not in response.headers["allow"].split(", ")
    no_traceback(response)


BAD_QUERIES = {
    "/api/signals/history": [
        *(
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=ten",
            "limit=1.5",
            "limit=",
            "limit=99999999999",
            "limit=1&limit=2",
        ),
        *("action=LONG", "action=ACTION_UNSPECIFIED", "action=7", "action=-1"),
        *("start_date=yesterday", "start_date=2024-02-30", "start_date=2024-03-04T25:00", "end_date=1709557200"),
        *("end_date=99999-01-01", "start_date=2024-03-04T13:00:00+99:00", "end_date=0000-01-01"),
        *("symbol=USDCOP%21", "symbol=USD%2F", "symbol=-X", "symbol=USDCOP%27--", "symbol=%F0%9F%92%A9%F0%9F%92%A9"),
        *("symbol=AAAAAAAAAAAAAAAAAAAAA", "page_token=1", "page_token=AAAA", "page_token=%F0%9F%92%A9"),
        *("page_token=AAAAAAAAAAAAAAAAAAAAAA", "page_token=_____________________w"),
        *("colour=red", "Limit=1", "signals=1", "limit[]=1"),
    ],
    "/api/signals/latest": ["symbol=usd!", "symbol=*", "limit=1", "symbol=USDCOP&symbol=EURUSD", "symbo%6c=USDCOP"],
    "/api/signals/outcomes": ["limit=0", "limit=1001", "page_token=zz", "action=HOLD", "resolution=WON", "fill=OPEN"],
    "/api/signals/positions/active": ["symbol=usd!", "limit=1"],
    "/api/signals/positions/closed": ["limit=0", "limit=501", "page_token=zz", "symbol=usd!", "status=OPEN"],
    "/api/market/bars": [
        *("limit=0", "limit=1001", "symbol=usd!", "start_date=x", "end_date=x", "page_token=x", "time=2024-03-04"),
    ],
    "/api/signals/stream": [
        *("resume_after=-1", "resume_after=x", "resume_after=9223372036854775808", "heartbeat_seconds=0"),
        *("heartbeat_seconds=61", "min_confidence=1.1", "min_confidence=-0.1", "min_confidence=NaN", "symbols=usd!"),
        *("actions=LONG", "actions=ACTION_UNSPECIFIED", "kinds=SIGNAL", "limit=1"),
    ],
    "/api/signals/positions/stream": ["resume_after=-1", "heartbeat_seconds=x", "min_confidence=0.5"],
    "/api/events": [
        *(
            "kinds=KIND_UNSPECIFIED",
            "kinds=HEARTBEAT",
            "min_confidence=2",
            "symbols=USDCOP&symbols=",
            "resume_after=1.5",
        ),
    ],
    "/health": ["verbose=1"],
    "/": ["x=1"],
}


@pytest.mark.parametrize(
    ("path", "query"), [(path, query) for path, queries in BAD_QUERIES.items() for query in queries]
)
async def test_invalid_queries_are_refused(rest: httpx.AsyncClient, path: str, query: str) -> None:
    response = await within(rest.get(f"{path}?{query}"))
    assert response.status_code == 400, response.text
    assert no_traceback(response)["code"] == 3


async def test_all_violations_are_listed_together(rest: httpx.AsyncClient) -> None:
    response = await rest.get("/api/signals/history?limit=0&symbol=!&start_date=y&end_date=z")
    info, bad = no_traceback(response)["details"]
    assert (info["reason"], info["domain"]) == ("INVALID_FIELD", "tradingsignals")
    assert info.get("metadata", {}).get("request_id") == response.headers.get("x-request-id")
    assert [violation["field"] for violation in bad["field_violations"]] == [
        *("limit", "start_date", "end_date", "symbol"),
    ]


BAD_QUOTES: dict[str, bytes] = {
    "nothing": b"",
    "an empty object": b"{}",
    "half an object": b'{"close_price": 4000',
    "a list": b'[{"close_price": 4000}]',
    "a number": b"4000",
    "null": b"null",
    "a form": b"close_price=4000",
    "no UTF-8": b'{"symbol": "\xff\xfe", "close_price": 4000}',
    "no price": b'{"symbol": "USDCOP"}',
    "a price that is no number": b'{"close_price": "much"}',
    "a price that is a list": b'{"close_price": [4000]}',
    "NaN": b'{"close_price": "NaN"}',
    "a bare NaN": b'{"close_price": NaN}',
    "infinity": b'{"close_price": "Infinity"}',
    "beyond a double": b'{"close_price": 1e999}',
    "zero": b'{"close_price": 0}',
    "a negative price": b'{"close_price": -4000}',
    "the price twice": b'{"close_price": 4000, "close_price": -1}',
    "high below close": b'{"close_price": 4000, "high_price": 3999}',
    "low above close": b'{"close_price": 4000, "low_price": 4001}',
    "high below low": b'{"close_price": 4000, "high_price": 3990, "low_price": 4010}',
    "a negative volume": b'{"close_price": 4000, "volume": -1}',
    "an RSI above 100": b'{"close_price": 4000, "rsi": 100.1}',
    "an RSI below 0": b'{"close_price": 4000, "rsi": -0.1}',
    "an infinite MACD": b'{"close_price": 4000, "macd": "-Infinity"}',
    "crossed bands": b'{"close_price": 4000, "bb_upper": 3900, "bb_lower": 4100}',
    "an ATR of 0": b'{"close_price": 4000, "atr": 0}',
    "a symbol with a space": b'{"symbol": "usd cop", "close_price": 4000}',
    "a symbol that is a number": b'{"symbol": 7, "close_price": 4000}',
    "a symbol with a quote": b'{"symbol": "USD\'COP", "close_price": 4000}',
}


@pytest.mark.parametrize("body", BAD_QUOTES.values(), ids=BAD_QUOTES)
async def test_invalid_quotes_are_refused(rest: httpx.AsyncClient, body: bytes) -> None:
    before = (await rest.get("/api/signals/statistics")).json()["statistics"]["signals"]["signals_generated"]
    response = await rest.post("/api/signals/generate", content=body)
    assert response.status_code == 400, response.text
    assert no_traceback(response)["code"] == 3
    after = (await rest.get("/api/signals/statistics")).json()["statistics"]["signals"]["signals_generated"]
    assert before == after


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("?lookback_bars=49", b"", 3),
        ("?lookback_bars=501", b"", 3),
        ("?lookback_bars=-1", b"", 3),
        ("?lookback_bars=many", b"", 3),
        ("", b'{"lookback_bars": 0}', 3),
        ("", b'{"lookback_bars": 1e3}', 3),
        ("", b'{"lookback_bars": null, "symbol": "!"}', 3),
        ("", b"{", 3),
        ("?lookback_bars=60", b'{"lookback_bars": 70}', 3),
        ("?bars=60", b"", 3),
        ("?symbol=!", b"", 3),
        ("?symbol=NOBARS", b"", 9),
    ],
)
async def test_invalid_calls_of_generate_from_db_are_refused(
    rest: httpx.AsyncClient, query: str, body: bytes, code: int
) -> None:
    response = await rest.post(f"/api/signals/generate-from-db{query}", content=body)
    assert response.status_code == 400, response.text
    assert no_traceback(response)["code"] == code


@pytest.mark.parametrize(
    ("position_id", "body"),
    [
        ("not-a-uuid", b""),
        ("1", b"{}"),
        (f"{NOWHERE}x", b""),
        (NOWHERE, b'{"price": 0}'),
        (NOWHERE, b'{"price": -1}'),
        (NOWHERE, b'{"price": "NaN"}'),
        (NOWHERE, b'{"price": "x"}'),
        (NOWHERE, b"{"),
        (f"{NOWHERE}?position_id={ANOTHER}", b""),
        (f"{NOWHERE}%2F..", b""),
    ],
)
async def test_invalid_calls_of_close_position_are_refused(
    rest: httpx.AsyncClient, position_id: str, body: bytes
) -> None:
    position_id, _, query = position_id.partition("?")
    response = await rest.post(
        f"/api/signals/positions/{position_id}/close" + (f"?{query}" if query else ""), content=body
    )
    assert response.status_code == 400, response.text
    no_traceback(response)


async def test_symbol_without_a_signal_is_not_found(rest: httpx.AsyncClient, symbol: str) -> None:
    response = await rest.get("/api/signals/latest", params={"symbol": symbol})
    assert response.status_code == 404
    info = no_traceback(response)["details"][0]
    assert (info["reason"], info["metadata"]["symbol"]) == ("SIGNAL_NOT_FOUND", symbol)


async def test_page_token_of_another_query_is_refused(rest: httpx.AsyncClient) -> None:
    token = (await rest.get("/api/signals/history?limit=1")).json()["next_page_token"]
    for query in ("limit=1&action=BUY", "limit=1&symbol=USDCOP", "limit=1&start_date=2024-01-01"):
        response = await rest.get(f"/api/signals/history?{query}&page_token={token}")
        assert response.status_code == 400
        assert no_traceback(response)["details"][0]["reason"] == "INVALID_PAGE_TOKEN"
    assert (await rest.get(f"/api/signals/history?limit=9&page_token={token}")).status_code == 200


@pytest.mark.parametrize("path", ["/api/signals/history", "/api/signals/positions/closed", "/api/market/bars"])
async def test_forged_page_token_is_refused(rest: httpx.AsyncClient, path: str) -> None:
    """This holds for any position that the token claims."""
    token = (await rest.get(f"{path}?limit=1")).json()["next_page_token"]
    place, seal = token[:10], token[10:]  # the first eight bytes, nearly
    for forged in ("_" * 10, "f" + "_" * 9, "gAAAAAAAAA", "A" * 10, place[::-1]):
        response = await rest.get(f"{path}?limit=1&page_token={forged}{seal}")
        if forged != place:
            assert response.status_code == 400, response.text
            assert no_traceback(response)["details"][0]["reason"] == "INVALID_PAGE_TOKEN"


async def received(reader: asyncio.StreamReader) -> bytes:
    """Return a response. The connection may be reset behind it, because its request was not read to the end."""
    found, length = b"", math.inf
    with suppress(ConnectionError):
        while len(found) < length and (data := await reader.read(1 << 16)):
            found += data
            if size := re.search(rb"content-length: (\d+)\r\n(?:.*\r\n)*?\r\n", found):
                length = size.end() + int(size[1])
    return found


@pytest.mark.parametrize("path", ["/api/signals/generate", "/api/market/bars", "/api/signals/generate-from-db"])
@pytest.mark.parametrize("size", [40_000, 10_000_000])
@pytest.mark.parametrize("length", ["content-length: {}", "transfer-encoding: chunked"])
async def test_too_large_body_is_refused(service: RunningService, path: str, length: str, size: int) -> None:
    """The request uses a raw socket, because the response arrives before the body is sent, which httpx ignores."""
    async with connected(service.port) as (reader, writer):
        receiving = asyncio.create_task(received(reader))
        chunk = b"%x\r\n" % size if "chunked" in length else b""
        body = b'{"symbol": "'.ljust(size, b"x")
        start = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(f"{start}{length.format(size)}\r\n\r\n".encode() + chunk + body)
        head, _, text = (await within(receiving)).partition(b"\r\n\r\n")
        status, *headers = head.decode().split("\r\n")
        assert status.startswith("HTTP/1.1 413 ")
        assert "content-type: application/json" in headers
        (size_of_body,) = (
            int(line.removeprefix("content-length: ")) for line in headers if line.startswith("content-length")
        )
        assert len(text) == size_of_body
        assert json.loads(text)["code"] == 8


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/api/signals/generate", {"close_price": 4250, "rsj": 20}, "rsj"),
        ("/api/signals/generate-from-db", {"lookback": 60}, "lookback"),
        ("/api/market/bars", {"symbol": "USDCOP", "vol": 1}, "bar.vol"),
        (f"/api/signals/positions/{NOWHERE}/close", {"prise": 1}, "prise"),
        ("/api/signals/model/reload", {"now": True}, "now"),
    ],
)
async def test_unknown_field_is_refused_with_its_name(
    rest: httpx.AsyncClient, path: str, body: dict[str, Any], name: str
) -> None:
    response = await rest.post(path, json=body)
    assert response.status_code == 400
    assert [each["field"] for each in no_traceback(response)["details"][1]["field_violations"]] == [name]


async def test_deeply_nested_body_is_refused(rest: httpx.AsyncClient) -> None:
    response = await rest.post("/api/signals/generate", content=b'{"a":' * 5_000 + b"1" + b"}" * 5_000)
    assert response.status_code == 400
    no_traceback(response)


async def test_malformed_http_is_refused(service: RunningService, rest: httpx.AsyncClient) -> None:
    for sent in (b"\x00" * 100, b"GET\r\n\r\n", b"HELP me HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        async with connected(service.port) as (reader, writer):
            writer.write(sent)
            writer.write_eof()
            response = await within(reader.read())
            assert response == b"" or response.startswith(b"HTTP/1.1 4")
    assert (await rest.get("/health")).status_code == 200
