"""Every method of the contract over REST through the edge: paths, parameters, field names and effects."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.support.bars import as_json
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, poll
from tests.support.quotes import sure_buy, sure_hold, sure_sell
from tests.support.rest_json import rest_time
from tests.support.service import RunningService
from tests.support.shapes import shape

from tradingsignals_server import __version__
from tradingsignals_server.domain.bars import Bar

GOLDEN = Path(__file__).with_name("golden")
FACTORS = {
    *("rsi", "macd", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower", "ema_20", "ema_50"),
    *("atr", "volatility"),
}


async def get(rest: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    response = await rest.get(path, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def post(rest: httpx.AsyncClient, path: str, body: object = None, **parameters: Any) -> Any:
    response = await rest.post(path, json=body, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def generate(rest: httpx.AsyncClient, body: dict[str, object]) -> Any:
    return (await post(rest, "/api/signals/generate", body))["signal"]


# ------------------------------------------------------------------------------------------------ the service itself


async def test_service_info_is_returned(rest: httpx.AsyncClient) -> None:
    response = await get(rest, "/")
    assert response["service"] == "trading-signals-service"
    assert response["version"] == __version__
    assert response["feed"] == "push"
    assert (response["docs"], response["openapi"]) == ("/docs", "/openapi.json")


@pytest.mark.parametrize("path", ["/health", "/api/signals/health"])
async def test_health_is_returned(rest: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while (response := await get(rest, path))["total_signals_generated"] < 311:  # counted by a probe once a second
            await poll()
    names = {
        *("status", "timestamp", "service", "version", "model_loaded", "database_connected", "uptime_seconds"),
        *("total_signals_generated", "last_signal_timestamp", "last_commit_time", "warnings"),
        *("trading_halted", "trading_halt_reason"),
        *("symbols", "symbol_count", "stale_symbols"),
    }
    assert response.keys() == names
    assert response["status"] == "degraded", "no model is loaded"
    assert "placeholder" in response["warnings"][0]
    assert (response["model_loaded"], response["database_connected"]) == (False, True)


async def test_model_info_is_returned(rest: httpx.AsyncClient) -> None:
    model = (await get(rest, "/api/signals/model/info"))["model"]
    expected = {"loaded", "version", "mode", "providers", "inputs", "outputs", "inference_count", "avg_latency_ms"}
    assert expected <= model.keys()
    assert (model["loaded"], model["version"], model["mode"]) == (False, "placeholder", "placeholder")
    assert model["inference_count"] >= 311


async def test_openapi_and_docs_are_returned(rest: httpx.AsyncClient) -> None:
    document = await get(rest, "/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert "/api/signals/generate" in document["paths"]
    page = await rest.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Trading Signals Service" in page.text


async def test_statistics_are_returned(rest: httpx.AsyncClient) -> None:
    found = (await get(rest, "/api/signals/statistics"))["statistics"]
    assert {"total_inferences", "avg_latency_ms", "model_loaded"} <= found["inference"].keys()
    assert {"signals_generated", "confidence_threshold", "min_risk_reward", "position_size_pct"} <= found[
        "signals"
    ].keys()
    assert {
        *("total_signals", "total_positions_opened", "total_positions_closed", "active_positions", "total_pnl"),
        *("avg_pnl", "winning_positions", "losing_positions", "win_rate"),
    } <= found["positions"].keys()
    assert found["signals"]["confidence_threshold"] == 0.65
    assert found["signals"]["min_risk_reward"] == 1.5
    assert found["signals"]["position_size_pct"] == 0.02


# ------------------------------------------------------------------------------------------------------------- signals


async def test_example_of_the_older_service_works(rest: httpx.AsyncClient) -> None:
    signal = await generate(
        rest, {"symbol": "USDCOP", "close_price": 4250.50, "rsi": 35.5, "macd": -2.3, "macd_signal": -1.8}
    )
    names = {
        *("signal_id", "timestamp", "symbol", "action", "confidence", "entry_price", "position_size", "model_version"),
        *("reasoning", "latency_ms", "model_type", "technical_factors", "bar_time", "sequence", "simulated"),
        *("market_regime", "trend_direction"),
    }
    assert names <= signal.keys()
    assert (signal["symbol"], signal["entry_price"], signal["origin"]) == ("USDCOP", 4250.5, "REQUEST")
    assert signal["technical_factors"].keys() == FACTORS, "what was not given comes from the stored bars"
    assert [signal["technical_factors"][name] for name in ("rsi", "macd", "macd_signal")] == [35.5, -2.3, -1.8]
    assert signal["reasoning"][0].startswith("Model confidence: ")
    assert "RSI neutral (35.5)" in signal["reasoning"]
    assert (await get(rest, "/api/signals/latest", symbol="USDCOP"))["signal"] == signal


async def test_generated_signal_opens_a_position(rest: httpx.AsyncClient, symbol: str) -> None:
    signal = await generate(rest, sure_buy(symbol, price=4000.0, atr=10.0))
    assert signal["action"] == "BUY"
    assert (signal["stop_loss"], signal["take_profit"]) == (3980.0, 4030.0)
    assert signal["risk_reward_ratio"] == 1.5
    assert 0.65 <= signal["confidence"] <= 1
    assert signal["position_size"] == 0.02
    assert signal["simulated"] is True
    (held,) = (await get(rest, "/api/signals/positions/active", symbol=symbol))["positions"]
    assert held["signal_id"] == signal["signal_id"]


async def test_default_symbol_is_usdcop(rest: httpx.AsyncClient) -> None:
    given: list[dict[str, object]] = [{}, {"symbol": ""}, {"symbol": "USD/COP"}]
    for symbol in given:
        assert (await generate(rest, {"close_price": 4000.0, **symbol}))["symbol"] == "USDCOP"


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ({"lookback_bars": 150}, None),
        ({}, {"lookback_bars": 150}),
        ({"symbol": "USD/COP", "lookback_bars": 150}, {}),
        ({"lookback_bars": 150}, {"symbol": "USDCOP"}),
    ],
)
async def test_signal_is_generated_from_stored_bars(
    rest: httpx.AsyncClient, known_bars: Sequence[Bar], parameters: dict[str, Any], body: object
) -> None:
    signal = (await post(rest, "/api/signals/generate-from-db", body, **parameters))["signal"]
    assert (signal["symbol"], signal["origin"]) == ("USDCOP", "DATABASE")
    assert signal["entry_price"] == known_bars[-1].close
    assert signal["bar_time"] == rest_time(known_bars[-1].time)
    assert signal["technical_factors"].keys() == FACTORS


async def test_empty_body_uses_the_defaults(rest: httpx.AsyncClient, known_bars: Sequence[Bar]) -> None:
    """The defaults are 100 bars of USDCOP, from which the signal of the newest bar was made."""
    response = await rest.post("/api/signals/generate-from-db")
    assert response.status_code == 200
    signal = response.json()["signal"]
    listed = await get(rest, "/api/signals/history", symbol="USDCOP", end_date="2025-01-01", limit=1)
    (of_the_bar,) = listed["signals"]
    assert of_the_bar["bar_time"] == rest_time(known_bars[-1].time)
    for name in ("technical_factors", "probabilities", "action", "confidence", "entry_price"):
        assert signal[name] == of_the_bar[name]


async def test_history_is_filtered_and_paged(rest: httpx.AsyncClient) -> None:
    day = {"symbol": "USDCOP", "start_date": "2024-03-06", "end_date": "2024-03-07"}
    everything = await get(rest, "/api/signals/history", limit=1000, **day)
    assert everything.keys() == {"signals", "count", "next_page_token", "through_sequence"}
    assert (everything["count"], everything["next_page_token"]) == (60, "")
    times = [signal["timestamp"] for signal in everything["signals"]]
    assert times == sorted(times, reverse=True)
    assert (times[-1], times[0]) == ("2024-03-06T13:05:00.000000Z", "2024-03-06T18:00:00.000000Z")

    pages, token = [], ""
    while True:
        page = await get(rest, "/api/signals/history", limit=7, page_token=token, **day)
        pages += page["signals"]
        if not (token := page["next_page_token"]):
            break
    assert pages == everything["signals"]

    by_action = [
        await get(rest, "/api/signals/history", limit=1000, action=action, **day) for action in ("BUY", "sell", "Hold")
    ]
    assert {s["action"] for s in by_action[1]["signals"]} == {"SELL"}
    assert sum(response["count"] for response in by_action) == 60


async def test_start_is_inclusive_and_end_exclusive(rest: httpx.AsyncClient) -> None:
    found = await get(
        rest,
        "/api/signals/history",
        symbol="USDCOP",
        start_date="2024-03-06T08:05:00-05:00",
        end_date="2024-03-06T13:15:00Z",
    )
    assert [s["timestamp"] for s in found["signals"]] == ["2024-03-06T13:10:00.000000Z", "2024-03-06T13:05:00.000000Z"]


async def test_default_page_has_100_signals(rest: httpx.AsyncClient) -> None:
    assert (await get(rest, "/api/signals/history"))["count"] == 100


async def test_hold_has_no_levels(rest: httpx.AsyncClient, symbol: str) -> None:
    signal = await generate(rest, sure_hold(symbol))
    assert signal["action"] == "HOLD"
    assert not {"stop_loss", "take_profit", "risk_reward_ratio"} & signal.keys()
    assert signal["position_size"] == 0


async def test_unknown_values_are_absent_and_never_0(rest: httpx.AsyncClient, symbol: str) -> None:
    signal = await generate(rest, {"symbol": symbol, "close_price": 4000.0})
    assert signal["technical_factors"] == {}
    assert not {"bar_time", "market_regime", "trend_direction"} & signal.keys()


# ----------------------------------------------------------------------------------------------------------- positions


async def test_position_is_opened_listed_and_closed(rest: httpx.AsyncClient, symbol: str) -> None:
    bought = await generate(rest, sure_buy(symbol, price=4000.0))
    kept = await generate(rest, sure_buy(symbol, price=4001.0))
    assert kept["reasoning"][-1] == "Already long: the position is kept"
    active = await get(rest, "/api/signals/positions/active", symbol=symbol)
    assert active.keys() == {"positions", "count", "through_sequence"}
    (long,) = active["positions"]
    assert active["count"] == 1
    assert (long["action"], long["status"], long["entry_price"]) == ("BUY", "OPEN", 4000.0)
    assert (long["stop_loss"], long["take_profit"]) == (bought["stop_loss"], bought["take_profit"])

    sold = await generate(rest, sure_sell(symbol, price=4010.0))
    (reversed_,) = (await get(rest, "/api/signals/positions/closed", symbol=symbol))["positions"]
    assert reversed_["position_id"] == long["position_id"]
    assert (reversed_["exit_reason"], reversed_["exit_price"]) == ("REVERSED", 4010.0)
    assert reversed_["exit_signal_id"] == sold["signal_id"]
    assert reversed_["current_pnl"] == 10.0
    assert reversed_["current_pnl_pct"] == pytest.approx(0.25)

    (short,) = (await get(rest, "/api/signals/positions/active", symbol=symbol))["positions"]
    path = f"/api/signals/positions/{short['position_id']}/close"
    closed = (await post(rest, path, {"price": 4004.0}))["position"]
    assert (closed["status"], closed["exit_reason"], closed["current_pnl"]) == ("CLOSED", "MANUAL", 6.0)
    assert (await get(rest, "/api/signals/positions/active", symbol=symbol))["positions"] == []

    again = await rest.post(path)
    assert again.status_code == 400
    assert again.json()["details"][0]["reason"] == "POSITION_CLOSED"
    listed = await get(rest, "/api/signals/positions/closed", symbol=symbol, limit=1)
    assert listed.keys() == {"positions", "count", "next_page_token", "through_sequence"}
    assert listed["positions"] == [closed]
    rest_of_it = await get(
        rest, "/api/signals/positions/closed", symbol=symbol, limit=1, page_token=listed["next_page_token"]
    )
    assert rest_of_it["positions"] == [reversed_]
    assert rest_of_it["next_page_token"] == ""


async def test_position_closes_at_its_last_price_by_default(rest: httpx.AsyncClient, symbol: str) -> None:
    await generate(rest, sure_sell(symbol, price=3999.5))
    (held,) = (await get(rest, "/api/signals/positions/active", symbol=symbol))["positions"]
    response = await rest.post(f"/api/signals/positions/{held['position_id']}/close")
    assert response.status_code == 200
    assert response.json()["position"]["exit_price"] == 3999.5


async def test_unknown_position_is_not_found(rest: httpx.AsyncClient) -> None:
    response = await rest.post(f"/api/signals/positions/{uuid4()}/close", json={})
    assert response.status_code == 404
    assert response.json()["details"][0]["reason"] == "POSITION_NOT_FOUND"


# ---------------------------------------------------------------------------------------------------------------- bars


def as_listed(bar: Bar) -> dict[str, object]:
    return {**as_json(bar), "time": rest_time(bar.time)}


async def test_published_bar_is_listed(rest: httpx.AsyncClient, peso_pair: str) -> None:
    bars = walk(60, seed=2, symbol=peso_pair)
    receipts = [(await post(rest, "/api/market/bars", as_json(bar)))["receipt"] for bar in bars]
    assert [r["disposition"] for r in receipts] == ["WARMING_UP"] * 49 + ["ACCEPTED"] * 11
    assert receipts[-1].keys() == {"symbol", "time", "disposition", "signal_id", "through_sequence"}
    assert "signal_id" not in receipts[0]
    latest = (await get(rest, "/api/signals/latest", symbol=peso_pair))["signal"]
    assert (latest["signal_id"], latest["origin"]) == (receipts[-1]["signal_id"], "BAR")
    assert latest["timestamp"] == rest_time(bars[-1].close_time)

    page = await get(rest, "/api/market/bars", symbol=peso_pair, limit=25)
    assert page.keys() == {"bars", "count", "next_page_token"}
    listed = page["bars"]
    while page["next_page_token"]:
        page = await get(rest, "/api/market/bars", symbol=peso_pair, limit=25, page_token=page["next_page_token"])
        listed += page["bars"]
    assert listed == [as_listed(bar) for bar in reversed(bars)]
    hour = await get(
        rest, "/api/market/bars", symbol=peso_pair, start_date="2024-03-04T14:00:00Z", end_date="2024-03-04T15:00:00Z"
    )
    assert hour["bars"] == [as_listed(bar) for bar in reversed(bars[12:24])]

    again = (await post(rest, "/api/market/bars", as_json(bars[3])))["receipt"]
    assert again["disposition"] == "DUPLICATE"
    conflict = await rest.post("/api/market/bars", json={**as_json(bars[3]), "volume": 1})
    assert conflict.status_code == 409
    assert conflict.json()["details"][0]["reason"] == "BAR_CONFLICT"
    outside = {**as_json(bars[-1]), "time": "2024-03-05T03:00:00Z"}
    assert (await post(rest, "/api/market/bars", outside))["receipt"]["disposition"] == "OUTSIDE_SESSION"
    late = {**as_json(bars[-1]), "time": "2024-03-05T02:55:00Z"}
    assert (await post(rest, "/api/market/bars", late))["receipt"]["disposition"] == "LATE"


async def test_symbol_with_a_slash_is_normalised(rest: httpx.AsyncClient, known_bars: Sequence[Bar]) -> None:
    body = {**as_json(known_bars[-1]), "symbol": "USD/COP"}
    receipt = (await post(rest, "/api/market/bars", body))["receipt"]
    assert (receipt["symbol"], receipt["disposition"]) == ("USDCOP", "DUPLICATE")


# -------------------------------------------------------------------------------------------------------------- shapes


async def test_signal_has_the_documented_shape(rest: httpx.AsyncClient) -> None:
    """REST callers depend on this shape; a change breaks them."""
    found = {}
    for action in ("BUY", "SELL", "HOLD"):
        listed = await get(rest, "/api/signals/history", symbol="USDCOP", action=action, end_date="2025-01-01", limit=1)
        found[action] = shape(listed["signals"][0])
    assert found == golden("signal")


async def test_position_has_the_documented_shape(rest: httpx.AsyncClient, symbol: str) -> None:
    await generate(rest, sure_buy(symbol))
    (held,) = (await get(rest, "/api/signals/positions/active", symbol=symbol))["positions"]
    await generate(rest, sure_sell(symbol))
    (ended,) = (await get(rest, "/api/signals/positions/closed", symbol=symbol))["positions"]
    assert {"OPEN": shape(held), "CLOSED": shape(ended)} == golden("position")


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


async def test_times_are_current_and_in_utc(rest: httpx.AsyncClient, symbol: str, service: RunningService) -> None:
    before = datetime.now(UTC)
    signal = await generate(rest, sure_hold(symbol))
    assert signal["timestamp"].endswith("Z")
    assert before <= datetime.fromisoformat(signal["timestamp"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/health",
            "/api/signals/latest",
            "/api/signals/history",
            "/api/signals/statistics",
            "/api/signals/model/info",
        ),
        *("/api/signals/positions/active", "/api/signals/positions/closed", "/api/market/bars"),
        "/api/market/symbols",
    ],
)
async def test_every_time_has_microseconds(rest: httpx.AsyncClient, path: str) -> None:
    found = times_in(await get(rest, path))
    assert found or "statistics" in path or "model" in path or "positions" in path
    assert [time for time in found if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)] == []


def times_in(response: Any) -> list[str]:
    """Yield every time in a response."""
    if isinstance(response, dict | list):
        return [
            time for one in (response.values() if isinstance(response, dict) else response) for time in times_in(one)
        ]
    return [response] if isinstance(response, str) and re.match(r"\d{4}-\d\d-\d\dT", response) else []
