"""Records the examples of the OpenAPI document from a running service: each call of CALLS, and its response.

python -m protos.record_examples http://127.0.0.1:8003                 all of them
python -m protos.record_examples http://127.0.0.1:8003 ListSignals     one, beside those that were recorded before

The service must have closed a position of USDCOP; a simulated market does (`SIMULATE_SPEED=3000 make run`). The calls
change its state: they make signals, store a bar and close a position.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
from protos.openapi_parts import STREAM_TYPES

EXAMPLES = Path(__file__).with_name("examples.json")
_SHOWN = 2  # elements of a list, and messages of a stream
_QUOTE = {"symbol": "USDCOP", "close_price": 4050.5, "rsi": 35.5, "macd": -2.3, "macd_signal": -1.8}


def calls(rest: httpx.Client) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield the calls: name of the operation, method, path, and what is sent."""

    def get(path: str) -> Any:
        return rest.get(path).raise_for_status().json()

    signal = get("/api/signals/latest")["signal"]
    yield "GetServiceInfo", "GET", "/", {}
    yield "GetHealth", "GET", "/health", {}
    yield "GetLatestSignal", "GET", "/api/signals/latest", {"parameters": {"symbol": "USDCOP"}}
    yield "ListSignals", "GET", "/api/signals/history", {"parameters": {"limit": 2, "action": "BUY"}}
    yield "GetStatistics", "GET", "/api/signals/statistics", {}
    yield "ListOutcomes", "GET", "/api/signals/outcomes", {"parameters": {"limit": 2}}
    grouped = {"parameters": {"start_date": "2020-01-01", "by": ["ACTION"]}}
    yield "GetPerformance", "GET", "/api/signals/performance", grouped
    yield "GetAccount", "GET", "/api/account", {}
    yield "ListEquity", "GET", "/api/account/equity", {"parameters": {"resolution": "DAY", "limit": 2}}
    yield "HaltTrading", "POST", "/api/account/halt", {"body": {"reason": "central bank decides at 13:00", "by": "ana"}}
    yield "ResumeTrading", "POST", "/api/account/resume", {"body": {"reason": "decision is out", "by": "ana"}}
    named = {"parameters": {"signal_id": signal["signal_id"]}}
    yield "ExplainSignal", "GET", "/api/signals/{signal_id}/explanation", named
    yield "ReplaySignal", "POST", "/api/signals/{signal_id}/replay", {**named, "body": {}}
    yield "ListClosedPositions", "GET", "/api/signals/positions/closed", {"parameters": {"limit": 2}}
    yield "ListBars", "GET", "/api/market/bars", {"parameters": {"symbol": "USDCOP", "limit": 2}}
    listed = {"limit": 2, "closes": 3}
    yield "ListSymbols", "GET", "/api/market/symbols", {"parameters": listed}
    yield "GetModelInfo", "GET", "/api/signals/model/info", {}
    yield "ReloadModel", "POST", "/api/signals/model/reload", {"body": {}}
    yield "GenerateSignal", "POST", "/api/signals/generate", {"body": _QUOTE}
    stored = {"symbol": "USDCOP", "lookback_bars": 100}
    yield "GenerateSignalFromDb", "POST", "/api/signals/generate-from-db", {"parameters": stored, "body": stored}
    bar = {"time": "2020-01-02T13:00:00Z", "symbol": "EURUSD", "open": 1.172, "high": 1.1725, "low": 1.1718}
    yield "PublishBar", "POST", "/api/market/bars", {"body": bar | {"close": 1.1722, "volume": 0}}
    yield "GetCaller", "GET", "/api/access/caller", {}
    made = rest.post(
        "/api/access/keys", json=(key := {"name": "execution engine", "role": "TRADER"})
    ).raise_for_status()
    yield "CreateKey", "POST", "/api/access/keys", {"body": key}
    yield "ListKeys", "GET", "/api/access/keys", {}
    named = {"parameters": {"key_id": made.json()["key"]["key_id"]}, "body": {}}
    yield "RevokeKey", "POST", "/api/access/keys/{key_id}/revoke", named
    yield "ListAuditEntries", "GET", "/api/access/audit", {"parameters": {"limit": 2}}
    yield from _notifications(rest)
    while not (held := get("/api/signals/positions/active?symbol=USDCOP")["positions"]):
        time.sleep(0.1)  # until the market has opened one
    yield "ListActivePositions", "GET", "/api/signals/positions/active", {"parameters": {"symbol": "USDCOP"}}
    closed = {"parameters": {"position_id": held[0]["position_id"]}, "body": {"price": held[0]["entry_price"]}}
    yield "ClosePosition", "POST", "/api/signals/positions/{position_id}/close", closed


def _notifications(rest: httpx.Client) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    path = "/api/notifications/endpoints"
    signals = {"kinds": ["SIGNAL"], "symbols": ["USDCOP"], "min_confidence": 0.7}
    new = {"name": "desk", "url": "https://desk.example/signals", "filter": signals}
    yield "CreateEndpoint", "POST", path, {"body": new}
    yield "ListEndpoints", "GET", path, {}
    (made,) = [one for one in rest.get(path).json()["endpoints"] if one["name"] == new["name"]]
    named = {"endpoint_id": made["endpoint_id"]}
    one = f"{path}/{{endpoint_id}}"
    yield "UpdateEndpoint", "POST", one, {"parameters": named, "body": {"paused": True}}
    yield "TestEndpoint", "POST", f"{one}/test", {"parameters": named, "body": {}}
    yield "ListDeliveries", "GET", f"{one}/deliveries", {"parameters": {**named, "limit": 2}}
    yield "DeleteEndpoint", "POST", f"{one}/delete", {"parameters": named, "body": {}}


def streams() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield the streams in the same way. Each begins with what is stored, so that it has something to send."""
    stored = {"resume_after": "0", "heartbeat_seconds": 5}
    yield "StreamSignals", "GET", "/api/signals/stream", {"parameters": stored | {"symbols": ["USDCOP"]}}
    yield "StreamPositions", "GET", "/api/signals/positions/stream", {"parameters": stored}
    yield "StreamEvents", "GET", "/api/events", {"parameters": stored | {"kinds": ["SIGNAL", "POSITION_UPDATE"]}}
    yield "RunBacktest", "POST", "/api/backtests", {"body": {"symbols": ["USDCOP"], "end_date": "2030-01-01"}}


def record(url: str, names: Collection[str] = ()) -> dict[str, Any]:
    """Return the examples by the name of their operation: all, or those of some names."""
    found: dict[str, Any] = {}
    wanted = set(names)
    with httpx.Client(base_url=url, timeout=60) as rest:
        for name, method, path, sent in calls(rest):
            if wanted and name not in wanted:
                continue
            response = _send(rest, method, path, sent)
            found[name] = sent | {"response": {"application/json": _short(response.raise_for_status().json())}}
            if wanted and wanted <= found.keys():
                return found
        for name, method, path, sent in streams():
            if wanted and name not in wanted:
                continue
            texts = {kind: "".join(_stream(rest, method, path, sent, kind)) for kind in STREAM_TYPES}
            found[name] = sent | {"response": texts}
    return found


def _send(rest: httpx.Client, method: str, path: str, sent: dict[str, Any]) -> httpx.Response:
    parameters = dict(sent.get("parameters", {}))
    for name in [name for name in parameters if f"{{{name}}}" in path]:
        path = path.replace(f"{{{name}}}", parameters.pop(name))
    # A call that takes its fields either way gets them in the query only.
    body = {} if parameters and "body" in sent else sent.get("body")
    return rest.request(method, path, params=parameters, json=body)


def _stream(rest: httpx.Client, method: str, path: str, sent: dict[str, Any], kind: str) -> Iterator[str]:
    body, parameters = sent.get("body"), sent.get("parameters", {})
    with rest.stream(method, path, params=parameters, json=body, headers={"accept": kind}) as response:
        response.raise_for_status()
        for line in _first(response.iter_lines(), kind):
            head, data = ("data: ", line.partition("data:")[2]) if line.startswith("data:") else ("", line)
            is_message = data.strip().startswith("{")
            yield (head + json.dumps(_short(json.loads(data))) if is_message else line) + "\n"


def _first(lines: Iterable[str], kind: str) -> Iterator[str]:
    """Yield the lines of the first messages with content; a server-sent event ends with an empty line."""
    event: list[str] = []
    shown = 0
    for line in lines:
        event.append(line)
        if kind == "text/event-stream" and line:
            continue
        if any('":[]' not in each and "{" in each for each in event):
            yield from event
            shown += 1
        event.clear()
        if shown == _SHOWN:
            return


def _short(value: Any) -> Any:
    """Return a response with the first elements of its lists of objects."""
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in (value[:_SHOWN] if value and isinstance(value[0], dict) else value)]
    return value


def main() -> None:
    """Write the examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the service")
    parser.add_argument("names", nargs="*", help="operations; none: all")
    options = parser.parse_args()
    kept = json.loads(EXAMPLES.read_text(encoding="utf-8")) if options.names else {}
    text = json.dumps(kept | record(options.url, options.names), indent=2, ensure_ascii=False)
    EXAMPLES.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
