"""Replay of stored history over the stream RPCs, on every protocol."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import httpx
import pytest
from tests.support.deadlines import within
from tests.support.followers import STREAMS
from tests.support.scenarios import THROUGH_THE_EDGE
from tests.support.service import RunningService

from tradingsignals import AsyncClient, Event
from tradingsignals_server.domain.bars import Bar

EVENTS = STREAMS["events"]


def bar_time(event: Event) -> Any:
    """Return the market time of an event; for a position it is that of the neighboring events."""
    if event.HasField("market_update"):
        return event.market_update.bar.time.ToDatetime(UTC)
    return event.signal.bar_time.ToDatetime(UTC) if event.HasField("signal") else None


async def replayed(service: RunningService, way: str, query: dict[str, Any]) -> list[Any]:
    """Return all responses of a stream that ends by itself."""
    async with THROUGH_THE_EDGE[way](service, EVENTS, query) as responses:
        return [response async for response in responses]


def entries_of(responses: list[Any]) -> list[Event]:
    """Return the entries of responses without heartbeats, and without outcomes, which follow by themselves."""
    events = [event for response in responses for event in response.events]
    return [event for event in events if not (event.HasField("heartbeat") or event.HasField("outcome"))]


@pytest.mark.parametrize("way", THROUGH_THE_EDGE)
async def test_replay_of_a_range_is_complete_and_ends(service: RunningService, known_bars: list[Bar], way: str) -> None:
    start, end = known_bars[100].time, known_bars[300].time
    query = {"symbols": ["USDCOP"], "start_time": start.isoformat(), "end_time": end.isoformat()}
    responses = await within(replayed(service, way, query))
    events = entries_of(responses)
    bars = [event.market_update.bar.time.ToDatetime(UTC) for event in events if event.HasField("market_update")]
    assert bars == [bar.time for bar in known_bars[100:300]]
    assert [bar_time(event) for event in events if event.HasField("signal")] == bars
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))

    broken_off = sequences[len(sequences) // 2]
    rest = await within(replayed(service, way, {**query, "resume_after": broken_off}))
    again = entries_of(rest)
    assert again == [event for event in events if event.sequence > broken_off]


@pytest.mark.parametrize("way", THROUGH_THE_EDGE)
async def test_replay_up_to_the_earliest_time_is_empty(
    service: RunningService, known_bars: list[Bar], way: str
) -> None:
    """The earliest datetime is infinite in PostgreSQL."""
    responses = await within(replayed(service, way, {"end_time": "0001-01-01"}))
    assert [event for response in responses for event in response.events if not event.HasField("heartbeat")] == []


async def test_replay_at_a_speed_is_in_the_order_of_time(service: RunningService, known_bars: list[Bar]) -> None:
    """With a bar each half millisecond, this checks that a paced replay is complete and ends, not its speed."""
    query = {
        "symbols": ["USDCOP"],
        "kinds": ["MARKET_UPDATE"],
        "start_time": known_bars[0].time.isoformat(),
        "end_time": known_bars[120].time.isoformat(),
        "speed": 600_000,
    }
    responses = await within(replayed(service, "grpc", query))
    bars = [e.market_update.bar.time for a in responses for e in a.events if e.HasField("market_update")]
    assert [time.ToDatetime(UTC) for time in bars] == [bar.time for bar in known_bars[:120]]
    assert len(responses) > 1


async def test_live_events_follow_a_replay_without_an_end(
    service: RunningService, client: AsyncClient, known_bars: list[Bar]
) -> None:
    before = (await client.service_info()).through_sequence
    query = {"start_time": (known_bars[-1].time - timedelta(hours=1)).isoformat(), "heartbeat_seconds": 1}
    async with THROUGH_THE_EDGE["sse"](service, EVENTS, query) as responses:
        found = [await within(anext(responses))]
        while found[-1].through_sequence < before:
            found.append(await within(anext(responses)))
        made = await client.generate_signal(symbol="USDCOP", close_price=4000.0)
        while found[-1].through_sequence < made.sequence:
            found.append(await within(anext(responses)))
    assert made in [event.signal for response in found for event in response.events]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_time=yesterday", "start_time"),
        ("end_time=2025-13-01", "end_time"),
        ("start_time=2025-06-30&end_time=2025-06-30", "end_time"),
        ("start_time=2025-06-30&end_time=2025-06-29T23:00:00Z", "end_time"),
        ("start_time=2025-06-30&speed=-1", "speed"),
        ("start_time=2025-06-30&speed=NaN", "speed"),
        ("start_time=2025-06-30&speed=2000000", "speed"),
        ("speed=60", "speed"),
        ("speed=60&resume_after=0", "speed"),
    ],
)
async def test_invalid_replay_is_refused_with_its_field(rest: httpx.AsyncClient, query: str, field: str) -> None:
    response = await rest.get(f"/api/events?{query}")
    assert response.status_code == 400
    violations = [v["field"] for d in response.json()["details"] for v in d.get("field_violations", ())]
    assert violations == [field]


async def test_oldest_sequence_is_reported(rest: httpx.AsyncClient) -> None:
    assert (await rest.get("/")).json()["oldest_sequence"] == "1"
