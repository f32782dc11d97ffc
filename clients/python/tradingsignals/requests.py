"""What the async and the sync client have in common: how the channel is set up, and how arguments become fields."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice

from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.event_service_pb2 import StreamEventsResponse
from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest
from tradingsignals.v1.signal_pb2 import Signal

DEFAULT_TIMEOUT_SECONDS = 10.0
"""Deadline of a call with one answer. Streams have none."""

BARS_A_MESSAGE = 500
"""Bars that travel in one message: a message for each bar would cost the service several times as much."""

CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    # A service that has gone away without a word is noticed within 40 seconds, and soon found again when it is back.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A follower that catches up gets many events in one message.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)

OWN_CONNECTION: Sequence[tuple[str, int]] = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
"""The same for a channel that shares no connection with others to the same address."""

When = datetime | date | str | None
"""A time: a datetime (without a time zone: UTC), a date (its midnight in UTC), or either as RFC 3339 text."""

Action = Signal.Action | str
"""Signal.BUY or "BUY", and so on."""

Kind = Event.Kind | str
"""Event.SIGNAL or "SIGNAL", and so on."""


def when(time: When) -> str:
    """The time as the service reads it."""
    if time is None or isinstance(time, str):
        return time or ""
    if isinstance(time, datetime):
        return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).isoformat()
    return time.isoformat()


def batches(bars: Iterable[Bar], size: int) -> Iterator[PublishBarsRequest]:
    """Messages of up to `size` bars."""
    remaining = iter(bars)
    while batch := list(islice(remaining, size)):
        yield PublishBarsRequest(bars=batch)


async def async_batches(bars: Iterable[Bar] | AsyncIterable[Bar], size: int) -> AsyncIterator[PublishBarsRequest]:
    """Messages of up to `size` bars."""
    if isinstance(bars, Iterable):
        for request in batches(bars, size):
            yield request
        return
    batch: list[Bar] = []
    async for bar in bars:
        batch.append(bar)
        if len(batch) == size:
            yield PublishBarsRequest(bars=batch)
            batch = []
    if batch:
        yield PublishBarsRequest(bars=batch)


def entries_of(answer: StreamEventsResponse) -> list[Event]:
    """The entries of the log in an answer: neither heartbeats nor the error that the call itself ends with."""
    return [event for event in answer.events if event.WhichOneof("payload") not in ("heartbeat", "error")]
