from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from tests.support.deadlines import DEADLINE

import tradingsignals
from tradingsignals import Event, Position, Signal, Unavailable
from tradingsignals.v1 import event_service_pb2 as events
from tradingsignals.v1 import market_data_service_pb2 as market_data
from tradingsignals.v1 import position_service_pb2 as positions
from tradingsignals.v1 import signal_service_pb2 as signals
from tradingsignals.v1.event_pb2 import Heartbeat, StreamError


def stopping() -> Status:
    status = Status(code=14, message="the server is stopping")
    status.details.add().Pack(ErrorInfo(reason="SHUTTING_DOWN", domain="tradingsignals", metadata={"sequence": "12"}))
    return status


async def test_signals_are_returned_one_by_one_with_their_sequence(client: Any, script: Any) -> None:
    script.responses["StreamSignals"] = [
        signals.StreamSignalsResponse(signals=[Signal(sequence=3), Signal(sequence=5)], through_sequence=7),
        signals.StreamSignalsResponse(through_sequence=9),
        signals.StreamSignalsResponse(signals=[Signal(sequence=11)], through_sequence=11),
    ]
    found = await client.followed(
        "stream_signals", 3, symbols=["USDCOP"], actions=["BUY", Signal.SELL], min_confidence=0.7, resume_after=2
    )
    assert [(signal.sequence, through) for signal, through in found] == [(3, 3), (5, 7), (11, 11)]
    assert script.requests == [
        signals.StreamSignalsRequest(
            symbols=["USDCOP"], actions=[Signal.BUY, Signal.SELL], min_confidence=0.7, resume_after=2
        )
    ]


async def test_positions_are_returned_one_by_one(client: Any, script: Any) -> None:
    script.responses["StreamPositions"] = [
        positions.StreamPositionsResponse(through_sequence=1),
        positions.StreamPositionsResponse(positions=[Position(position_id="p", sequence=4)], through_sequence=4),
    ]
    found = await client.followed("stream_positions", 1, symbols=["USDCOP"], resume_after=0, heartbeat_seconds=5)
    assert [(position.position_id, through) for position, through in found] == [("p", 4)]
    assert script.requests == [
        positions.StreamPositionsRequest(symbols=["USDCOP"], resume_after=0, heartbeat_seconds=5)
    ]


async def test_replay_accepts_times_of_any_type(client: Any, script: Any) -> None:
    made = Event(sequence=9, signal=Signal(sequence=9))
    script.responses["StreamEvents"] = [events.StreamEventsResponse(events=[made], through_sequence=9)]
    start, end = date(2025, 6, 30), datetime(2025, 7, 1, 13, tzinfo=UTC)
    found = await client.followed("stream_events", 1, kinds=["SIGNAL"], start_time=start, end_time=end, speed=60)
    assert found == [(made, 9)]
    assert script.requests == [
        events.StreamEventsRequest(
            kinds=[Event.SIGNAL], start_time="2025-06-30", end_time="2025-07-01T13:00:00+00:00", speed=60
        )
    ]


async def test_heartbeats_are_not_returned(client: Any, script: Any) -> None:
    beat = Event(sequence=8, heartbeat=Heartbeat())
    made = Event(sequence=9, signal=Signal(sequence=9))
    script.responses["StreamEvents"] = [
        events.StreamEventsResponse(events=[beat], through_sequence=8),
        events.StreamEventsResponse(events=[made], through_sequence=9),
    ]
    assert await client.followed("stream_events", 1, kinds=["SIGNAL"]) == [(made, 9)]
    assert script.requests == [events.StreamEventsRequest(kinds=[Event.SIGNAL])]


async def test_stream_that_ends_raises_after_its_last_item(client: Any, script: Any) -> None:
    last = Event(
        sequence=12, error=StreamError(reason="SHUTTING_DOWN", message="the server is stopping", retryable=True)
    )
    script.responses["StreamEvents"] = [
        events.StreamEventsResponse(events=[Event(sequence=12, signal=Signal(sequence=12))], through_sequence=12),
        events.StreamEventsResponse(events=[last], through_sequence=12),
    ]
    script.failure = stopping()
    assert len(await client.followed("stream_events", 1)) == 1
    with pytest.raises(Unavailable) as ended:
        await client.followed("stream_events", 2)
    assert (ended.value.reason, ended.value.metadata["sequence"]) == ("SHUTTING_DOWN", "12")


async def test_heartbeat_moves_the_sequence_to_resume_after(script: Any) -> None:
    script.responses["StreamSignals"] = [
        signals.StreamSignalsResponse(signals=[Signal(sequence=3)], through_sequence=3),
        signals.StreamSignalsResponse(through_sequence=40),
    ]
    script.failure = stopping()
    async with tradingsignals.connect(f"127.0.0.1:{script.port}") as client:
        stream = client.stream_signals()
        places = [stream.through_sequence]
        await anext(stream)
        places.append(stream.through_sequence)
        with pytest.raises(Unavailable):
            await anext(stream)
        assert [*places, stream.through_sequence] == [None, 3, 40]


async def test_entering_a_stream_waits_for_the_subscription(script: Any) -> None:
    script.responses["StreamSignals"] = []
    async with (
        asyncio.timeout(DEADLINE),
        tradingsignals.connect(f"127.0.0.1:{script.port}") as client,
        client.stream_signals(),
    ):
        assert len(script.requests) == 1


async def test_entering_a_stream_raises_if_there_is_no_service(script: Any, client: Any) -> None:
    port = script.port
    async with tradingsignals.connect("127.0.0.1:1") as nowhere:
        with pytest.raises(Unavailable):
            async with nowhere.stream_signals():
                raise AssertionError(f"there is a service besides the one on {port}")

    def follow() -> None:
        with tradingsignals.connect_sync("127.0.0.1:1") as nowhere, nowhere.stream_signals():
            raise AssertionError(f"there is a service besides the one on {port}")

    with pytest.raises(Unavailable):
        await asyncio.to_thread(follow)


async def test_sync_stream_can_be_cancelled_from_another_thread(script: Any) -> None:
    script.responses["StreamSignals"] = [
        signals.StreamSignalsResponse(signals=[Signal(sequence=1)], through_sequence=1)
    ]
    with tradingsignals.connect_sync(f"127.0.0.1:{script.port}") as client:
        stream = client.stream_signals()
        assert (await asyncio.to_thread(next, stream)).sequence == 1
        rest = asyncio.create_task(asyncio.to_thread(list, stream))
        stream.cancel()
        async with asyncio.timeout(DEADLINE):
            assert await rest == []


async def test_publish_bars_takes_an_async_iterable(script: Any) -> None:
    script.responses["PublishBars"] = lambda _: market_data.PublishBarsResponse(received=3)

    async def bars() -> Any:
        for close in (1.0, 2.0, 3.0):
            yield tradingsignals.Bar(close=close)

    async with tradingsignals.connect(f"127.0.0.1:{script.port}") as client:
        assert (await client.publish_bars(bars(), batch_size=2)).received == 3
    assert [[bar.close for bar in request.bars] for request in script.requests] == [[1.0, 2.0], [3.0]]
