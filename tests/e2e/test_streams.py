"""Streams on the four protocols: equal on each, complete after any sequence, and live."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import httpx
import pytest
from tests.support.bars import messages
from tests.support.browser import PAGES
from tests.support.builders import walk
from tests.support.deadlines import within
from tests.support.followers import STREAMS, WAYS, by_grpc, by_sse, through
from tests.support.payloads import events_of
from tests.support.quotes import sure_buy, sure_sell
from tests.support.service import RunningService

import tradingsignals
from tradingsignals import AsyncClient, Event, Signal

EACH_WAY = pytest.mark.parametrize("way", WAYS)
EACH_STREAM = pytest.mark.parametrize("name", STREAMS)


async def logged(service: RunningService) -> list[Event]:
    """The log from the database."""
    async with service.database() as database:
        rows = await database.fetch("SELECT sequence, time, kind, payload FROM events ORDER BY sequence")
    return events_of(rows)


def after_the_first(responses: list[Any], way: str, point: int) -> list[Any]:
    """Return the responses of an event stream without the heartbeat with which it begins over REST."""
    if way not in {"sse", "ndjson"}:
        return responses
    first, *rest = responses
    assert ([event.WhichOneof("payload") for event in first.events], first.through_sequence) == (["heartbeat"], point)
    return rest


@EACH_WAY
async def test_whole_log_arrives_in_order_and_once(service: RunningService, way: str) -> None:
    expected = await logged(service)
    async with WAYS[way](service, STREAMS["events"], {"resume_after": 0}) as responses:
        found = await through(responses, expected[-1].sequence)
    events = [event for response in after_the_first(found, way, 0) for event in response.events]
    assert events[: len(expected)] == expected


@EACH_WAY
async def test_signals_and_positions_equal_those_of_the_log(service: RunningService, way: str) -> None:
    log = await logged(service)
    for name, field in (("signals", "signal"), ("positions", "position_update")):
        async with WAYS[way](service, STREAMS[name], {"resume_after": 0}) as responses:
            found = await through(responses, log[-1].sequence)
        expected = [getattr(event, field) for event in log if event.WhichOneof("payload") == field]
        assert [item for response in found for item in getattr(response, name)][: len(expected)] == expected


@EACH_WAY
async def test_stream_resumes_after_any_sequence(service: RunningService, way: str) -> None:
    log = await logged(service)
    for point in (1, 7, len(log) // 2, len(log) - 1):
        async with WAYS[way](service, STREAMS["events"], {"resume_after": point}) as responses:
            found = await through(responses, len(log))
        sequences = [event.sequence for response in after_the_first(found, way, point) for event in response.events]
        assert sequences[: len(log) - point] == list(range(point + 1, len(log) + 1))


@pytest.mark.parametrize("way", ["sse", "ndjson", "grpc"])
@EACH_STREAM
async def test_live_events_arrive_when_they_are_committed(
    service: RunningService, client: AsyncClient, symbol: str, way: str, name: str
) -> None:
    query = {"symbols": [symbol]}
    async with WAYS[way](service, STREAMS[name], query) as responses:
        for number in range(3):
            made = await client.generate_signal(**(sure_buy if number % 2 else sure_sell)(symbol))  # type: ignore[arg-type]
            found = await through(responses, made.sequence)
            if name == "signals":
                assert [signal for response in found for signal in response.signals] == [made]
            elif name == "events":
                assert [e.signal for a in found for e in a.events if e.HasField("signal")] == [made]


@EACH_WAY
async def test_idle_stream_has_heartbeats_with_the_current_sequence(
    service: RunningService, symbol: str, way: str
) -> None:
    """A heartbeat has the current sequence, so that a filtered stream advances too."""
    newest = len(await logged(service))

    async def first(name: str) -> Any:
        query = {"symbols": [symbol], "heartbeat_seconds": 1}
        async with WAYS[way](service, STREAMS[name], query) as responses:
            return await within(anext(responses))

    signals, positions, events = await asyncio.gather(*(first(name) for name in STREAMS))
    assert min(response.through_sequence for response in (signals, positions, events)) >= newest
    assert not signals.signals
    assert not positions.positions
    (heartbeat,) = events.events
    assert heartbeat.HasField("heartbeat")
    assert heartbeat.sequence == events.through_sequence


@pytest.mark.parametrize(
    ("name", "query", "passes"),
    [
        ("signals", {"actions": ["BUY", "SELL"]}, lambda s: s.action != Signal.HOLD),
        ("signals", {"min_confidence": 0.8}, lambda s: s.confidence >= 0.8),
        (
            "signals",
            {"symbols": ["USDCOP"], "actions": "HOLD"},
            lambda s: s.symbol == "USDCOP" and s.action == Signal.HOLD,
        ),
        ("positions", {"symbols": ["USD/COP"]}, lambda p: p.symbol == "USDCOP"),
        (
            "events",
            {"kinds": ["SIGNAL", "POSITION_UPDATE"]},
            lambda e: e.WhichOneof("payload") in {"signal", "position_update"},
        ),
        ("events", {"kinds": "MARKET_UPDATE", "symbols": "USDCOP"}, lambda e: e.market_update.bar.symbol == "USDCOP"),
        ("events", {"kinds": "OUTCOME", "symbols": "USDCOP"}, lambda e: e.outcome.symbol == "USDCOP"),
        ("events", {"min_confidence": 0.8}, lambda e: not e.HasField("signal") or e.signal.confidence >= 0.8),
    ],
)
async def test_filters_select_events(service: RunningService, name: str, query: dict[str, Any], passes: Any) -> None:
    log = await logged(service)
    by_name: dict[str, list[Any]] = {
        "events": log,
        "signals": [event.signal for event in log if event.HasField("signal")],
        "positions": [event.position_update for event in log if event.HasField("position_update")],
    }
    items = by_name[name]
    async with by_sse(service, STREAMS[name], {**query, "resume_after": 0, "heartbeat_seconds": 1}) as responses:
        found = await through(responses, len(log))
    expected = [item for item in items if passes(item)]
    assert 0 < len(expected) < len(items)
    got = [item for response in found for item in getattr(response, name)]
    assert [item for item in got if name != "events" or not item.HasField("heartbeat")][: len(expected)] == expected


async def test_list_then_follow_has_no_gap(
    service: RunningService, client: AsyncClient, rest: httpx.AsyncClient, symbol: str
) -> None:
    bars = messages(walk(150, seed=3, symbol=symbol))
    await client.publish_bars(bars[:100])
    listed = (await rest.get("/api/signals/history", params={"symbol": symbol, "limit": 1000})).json()
    await client.publish_bars(bars[100:])
    through_now = (await client.service_info()).through_sequence
    query = {"symbols": [symbol], "resume_after": listed["through_sequence"], "heartbeat_seconds": 1}
    async with by_sse(service, STREAMS["signals"], query) as responses:
        followed = [signal for response in await through(responses, through_now) for signal in response.signals]
    names = [signal["signal_id"] for signal in reversed(listed["signals"])] + [s.signal_id for s in followed]
    expected = [signal.signal_id async for signal in client.signals(symbol=symbol)]
    assert names == expected[::-1]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
async def test_stream_begins_with_its_epoch(
    service: RunningService, client: AsyncClient, rest: httpx.AsyncClient, stream: Any
) -> None:
    """A follower that resumes must detect another epoch before the first entry arrives."""
    epoch = (await client.service_info()).epoch
    headers = {"origin": PAGES}
    async with rest.stream("GET", stream.path, headers=headers) as response:
        assert response.headers["x-epoch"] == epoch
        assert "x-epoch" in response.headers["access-control-expose-headers"]
    async with grpc.aio.insecure_channel(service.address) as channel:
        call = getattr(stream.stub(channel), stream.method.rpartition("/")[2])(stream.request())
        assert ("x-epoch", epoch) in [tuple(pair) for pair in await within(call.initial_metadata())]
        call.cancel()


@pytest.mark.parametrize("way", ["sse", "ndjson"])
@EACH_STREAM
async def test_idle_rest_stream_sends_its_sequence_at_once(
    service: RunningService, client: AsyncClient, symbol: str, way: str, name: str
) -> None:
    """This is long before the first heartbeat is due."""
    newest = (await client.service_info()).through_sequence
    async with WAYS[way](service, STREAMS[name], {"symbols": [symbol], "heartbeat_seconds": 60}) as responses:
        first = await within(anext(responses))
        assert first.through_sequence >= newest
        made = await client.generate_signal(**sure_buy(symbol))  # type: ignore[arg-type]
        after = (await through(responses, made.sequence))[-1]
    assert after.through_sequence >= made.sequence


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
async def test_stream_text_equals_transcoded_text(rest: httpx.AsyncClient, accept: str) -> None:
    """The edge transcodes lists; a signal has the same text in both, including the order of its fields."""
    listed = (await rest.get("/api/signals/history?symbol=USDCOP&limit=1000")).json()
    query = "symbols=USDCOP&resume_after=0&heartbeat_seconds=1"
    streamed: list[Any] = []
    async with rest.stream("GET", f"/api/signals/stream?{query}", headers={"accept": accept}) as response:
        async for line in response.aiter_lines():
            if line.startswith(("data: ", "{")):
                message = json.loads(line.removeprefix("data: "))
                streamed.extend(message["signals"])
                if int(message["through_sequence"]) >= int(listed["through_sequence"]):
                    break
    expected = listed["signals"][::-1]
    assert len(expected) > 300
    assert streamed[: len(expected)] == expected
    assert [list(signal) for signal in streamed[: len(expected)]] == [list(signal) for signal in expected]


async def test_reconnecting_browser_resumes_by_last_event_id(service: RunningService, rest: httpx.AsyncClient) -> None:
    """It repeats its original URL, and sends the id of the last event as Last-Event-ID."""
    newest = len(await logged(service))
    headers = {"accept": "text/event-stream", "last-event-id": str(newest - 10)}
    frames: list[str] = []
    async with rest.stream("GET", "/api/events?resume_after=3", headers=headers) as response:
        async for line in response.aiter_lines():
            frames.append(line)
            if not line and int(frames[-3].removeprefix("id: ")) >= newest:
                break
    ids = [int(line.removeprefix("id: ")) for line in frames if line.startswith("id: ")]
    responses = [json.loads(line.removeprefix("data: ")) for line in frames if line.startswith("data: ")]
    assert [int(response["through_sequence"]) for response in responses] == ids
    assert ids[0] == newest - 10
    events = [
        int(event["sequence"]) for response in responses for event in response["events"] if "heartbeat" not in event
    ]
    assert events[:10] == list(range(newest - 9, newest + 1))


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        *(("three", 3, "INVALID_FIELD"), ("-3", 3, "INVALID_FIELD"), ("9" * 2000, 3, "INVALID_FIELD")),
        ("999999999", 11, "SEQUENCE_UNKNOWN"),
    ],
)
async def test_impossible_last_event_id_is_refused(rest: httpx.AsyncClient, sent: str, code: int, reason: str) -> None:
    headers = {"accept": "text/event-stream", "last-event-id": sent, "origin": PAGES}
    response = await rest.get("/api/events", headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (400, "application/json")
    body = response.json()
    assert (body["code"], body["details"][0]["reason"]) == (code, reason)
    if code == 3:
        assert [violation["field"] for violation in body["details"][1]["field_violations"]] == ["last-event-id"]


@pytest.mark.parametrize(("name", "path"), [("last-event-id", "/api/events"), ("grpc-timeout", "/api/signals/latest")])
@pytest.mark.parametrize("values", [("1" * 2000,), ("1", "2")], ids=["long", "repeated"])
async def test_header_that_cannot_be_passed_on_is_refused(
    rest: httpx.AsyncClient, name: str, path: str, values: tuple[str, ...]
) -> None:
    headers = [("accept", "text/event-stream"), *((name, value) for value in values)]
    response = await rest.get(path, headers=headers)
    assert response.status_code == 400
    assert response.json()["code"] == 3


async def test_page_may_send_last_event_id(rest: httpx.AsyncClient) -> None:
    headers = {
        "origin": PAGES,
        "access-control-request-method": "GET",
        "access-control-request-headers": "last-event-id",
    }
    response = await rest.options("/api/events", headers=headers)
    assert response.status_code == 200
    assert "last-event-id" in response.headers["access-control-allow-headers"]


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
@pytest.mark.parametrize("query", ["nope=1", "heartbeat_seconds=soon", "heartbeat_seconds=99"])
async def test_refused_stream_is_a_json_error(rest: httpx.AsyncClient, accept: str, query: str) -> None:
    response = await rest.get(f"/api/events?{query}", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (400, "application/json")
    assert response.json()["code"] == 3


async def test_sequence_outside_the_log_is_refused(service: RunningService, rest: httpx.AsyncClient) -> None:
    response = await rest.get("/api/events?resume_after=999999999")
    assert response.status_code == 400
    body = response.json()
    assert (body["code"], body["details"][0]["reason"]) == (11, "SEQUENCE_UNKNOWN")
    info = (await rest.get("/")).json()
    assert body["details"][0]["metadata"]["epoch"] == info["epoch"]
    async with service.client() as client:
        with pytest.raises(tradingsignals.OutOfRange):
            await within(anext(client.stream_signals(resume_after=999_999_999)))


async def test_many_followers_get_the_same_events(service: RunningService, client: AsyncClient, symbol: str) -> None:
    query = {"symbols": [symbol]}
    async with grpc.aio.insecure_channel(service.address) as channel:
        stub = STREAMS["signals"].stub(channel)
        request = STREAMS["signals"].request(symbols=[symbol])
        calls = [stub.StreamSignals(request) for _ in range(100)]
        for call in calls:
            await within(call.initial_metadata())
        async with by_grpc(service, STREAMS["signals"], query) as responses:
            await client.publish_bars(messages(walk(200, seed=6, symbol=symbol)))
            newest = (await client.latest_signal(symbol)).sequence
            expected = [signal for response in await through(responses, newest) for signal in response.signals]
        assert len(expected) == 151
        for call in calls:
            assert [s for response in await through(aiter(call), newest) for s in response.signals] == expected
            call.cancel()
