"""Settings of channels, and fields of requests from the arguments of the client's methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from typing import TypeAlias

from tradingsignals.v1.access_pb2 import ApiKey
from tradingsignals.v1.account_service_pb2 import ListEquityRequest
from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.event_service_pb2 import StreamEventsResponse
from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest
from tradingsignals.v1.outcome_pb2 import Outcome
from tradingsignals.v1.performance_pb2 import PerformanceGroup
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2 import GetPerformanceRequest

DEFAULT_TIMEOUT_SECONDS = 10.0
"""Deadline of a call with one response. Streams have none."""

PERFORMANCE_TIMEOUT_SECONDS = 15.0
"""Deadline of the call for statistics, if that of other calls is shorter: they are computed for it."""

TEST_TIMEOUT_SECONDS = 15.0
"""Deadline of the call that sends a test message, if that of other calls is shorter: the receiver has ten seconds."""

BARS_A_MESSAGE = 500
"""Bars in one message of a publish stream: a message for each bar would cost the service several times as much."""

ChannelOptions: TypeAlias = Sequence[tuple[str, int]]

CHANNEL_OPTIONS: ChannelOptions = (
    # A service that is gone without an error is noticed within 40 seconds, and soon found again when it is back.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A follower that catches up gets many events in one message.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)

OWN_CONNECTION: ChannelOptions = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
"""The same for a channel that shares no connection with others to the same address."""

When = datetime | date | str | None
"""A time: a datetime (without a time zone: UTC), a date (its midnight in UTC), or either as RFC 3339 text."""

Action = Signal.Action | str
"""Signal.BUY or "BUY", and so on."""

Kind = Event.Kind | str
"""Event.SIGNAL or "SIGNAL", and so on."""


Resolution = Outcome.Resolution | str
"""Outcome.STOP or "STOP", and so on."""

Fill = Outcome.Fill | str
"""Outcome.CLOSE or "CLOSE", or the next open."""

Origin = Signal.Origin | str
"""Signal.BAR or "BAR", and so on."""

Basis = GetPerformanceRequest.Basis | str
"""GetPerformanceRequest.SIGNALS or "SIGNALS", or those that opened a position."""

Dimension = PerformanceGroup.Dimension | str
"""PerformanceGroup.HOUR or "HOUR", and so on."""
Role = ApiKey.Role | str
"""ApiKey.VIEWER or "VIEWER", and so on."""

EquityResolution = ListEquityRequest.Resolution | str
"""ListEquityRequest.DAY or "DAY", or by bar."""


def when(time: When) -> str:
    """Return the time as the service reads it."""
    if time is None or isinstance(time, str):
        return time or ""
    if isinstance(time, datetime):
        return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).isoformat()
    return time.isoformat()


def batches(bars: Iterable[Bar], size: int) -> Iterator[PublishBarsRequest]:
    """Yield messages of up to `size` bars."""
    remaining = iter(bars)
    while batch := list(islice(remaining, size)):
        yield PublishBarsRequest(bars=batch)


def entries_of(response: StreamEventsResponse) -> list[Event]:
    """Return the entries of the log in a response: neither heartbeats nor the error with which the call ends too."""
    return [event for event in response.events if event.WhichOneof("payload") not in ("heartbeat", "error")]
