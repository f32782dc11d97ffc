"""Responses of streams as messages: entries, heartbeats, and an end that also a REST caller can read."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import NOW

from tradingsignals.v1.event_service_pb2 import StreamEventsResponse
from tradingsignals.v1.position_service_pb2 import StreamPositionsResponse
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse
from tradingsignals_server.api.encoding.stream_messages import MessageEncoding
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import SequencePruned, ServiceError, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import EventKind

SIGNAL = Signal(symbol="USDCOP", sequence=4)
ENTRY = LogEntry(4, NOW, EventKind.SIGNAL, "USDCOP", None, None, SIGNAL.SerializeToString(), NOW)
ERRORS: list[tuple[ServiceError, bool]] = [
    (ShuttingDown(70), True),
    (StorageUnavailable(), True),
    (SequencePruned(6, 9), False),
]


def test_signals_are_listed_as_they_were_committed() -> None:
    response = StreamSignalsResponse.FromString(MessageEncoding(StreamSignalsResponse).entries([ENTRY], 5))
    assert response == StreamSignalsResponse(signals=[SIGNAL], through_sequence=5)


def test_events_are_listed_with_their_sequence_and_time() -> None:
    response = StreamEventsResponse.FromString(MessageEncoding(StreamEventsResponse).entries([ENTRY], 5))
    (event,) = response.events
    assert (event.sequence, event.signal, event.event_time.ToDatetime(NOW.tzinfo)) == (4, SIGNAL, NOW)
    assert response.through_sequence == 5


@pytest.mark.parametrize("response_type", [StreamSignalsResponse, StreamPositionsResponse])
def test_heartbeat_is_an_empty_list(response_type: Any) -> None:
    heartbeat = response_type.FromString(MessageEncoding(response_type).heartbeat(6))
    assert heartbeat == response_type(through_sequence=6)


def test_heartbeat_of_an_event_stream_is_an_event() -> None:
    heartbeat = StreamEventsResponse.FromString(MessageEncoding(StreamEventsResponse).heartbeat(6))
    (event,) = heartbeat.events
    assert (event.WhichOneof("payload"), event.sequence, heartbeat.through_sequence) == ("heartbeat", 6, 6)
    assert event.HasField("event_time")


@pytest.mark.parametrize("response_type", [StreamSignalsResponse, StreamPositionsResponse, StreamEventsResponse])
@pytest.mark.parametrize(("error", "retryable"), ERRORS)
def test_end_has_its_reason_and_the_last_sequence(response_type: Any, error: ServiceError, retryable: bool) -> None:
    """A caller that keeps through_sequence as its cursor would otherwise be sent everything again."""
    end = response_type.FromString(MessageEncoding(response_type).end(70, error))
    sent = end.events[0].error if response_type is StreamEventsResponse else end.error
    assert (sent.reason, sent.message, sent.retryable) == (error.reason, error.message, retryable)
    assert end.through_sequence == 70
    if response_type is StreamEventsResponse:
        assert (end.events[0].sequence, end.events[0].HasField("event_time")) == (70, True)
