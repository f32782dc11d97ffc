"""Answers of streams: events, heartbeats, and an end that also a REST follower can read."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.support.builders import NOW

from tradingsignals.v1 import event_service_pb2, position_service_pb2, signal_pb2, signal_service_pb2
from tradingsignals_server.api.streams import event_stream, noun_stream
from tradingsignals_server.application.event_log.tail import Batch, Follower
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import SequencePruned, ServiceError, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import EventKind

SIGNAL = signal_pb2.Signal(symbol="USDCOP", sequence=4)
ENTRY = LogEntry(4, NOW, EventKind.SIGNAL, "USDCOP", None, None, SIGNAL.SerializeToString(), NOW)


class Handed(Follower):
    """A follower who is handed these batches, and then ends with this error."""

    def __init__(self, *found: Batch, error: ServiceError, cursor: int = 0) -> None:
        self.cursor = cursor
        self._found = list(found)
        self._error = error

    async def __anext__(self) -> Batch:
        if not self._found:
            raise self._error
        self.cursor = self._found[0].through_sequence
        return self._found.pop(0)


async def answers(stream: AsyncIterator[bytes], error: type[ServiceError]) -> list[bytes]:
    """All answers of a stream, which must end with this error."""
    found: list[bytes] = []
    while True:
        try:
            found.append(await anext(stream))
        except error:
            return found


async def test_signals_heartbeats_and_the_end() -> None:
    source = Handed(Batch([ENTRY], 5), Batch((), 6), error=StorageUnavailable())
    told = [
        signal_service_pb2.StreamSignalsResponse.FromString(answer)
        for answer in await answers(noun_stream(source), StorageUnavailable)
    ]
    assert [list(answer.signals) for answer in told] == [[SIGNAL], [], []]
    assert [answer.through_sequence for answer in told] == [5, 6, 6]
    assert [answer.HasField("error") for answer in told] == [False, False, True]
    assert (told[-1].error.reason, told[-1].error.retryable) == ("STORAGE_UNAVAILABLE", True)
    assert told[-1].error.message


async def test_the_end_of_a_position_stream_reads_the_same() -> None:
    (end,) = await answers(noun_stream(Handed(error=ShuttingDown(6))), ShuttingDown)
    told = position_service_pb2.StreamPositionsResponse.FromString(end)
    assert (told.error.reason, told.error.retryable) == ("SHUTTING_DOWN", True)


async def test_events_heartbeats_and_the_end() -> None:
    source = Handed(Batch([ENTRY], 5), Batch((), 6), error=SequencePruned(6, 9))
    told = [
        event_service_pb2.StreamEventsResponse.FromString(answer)
        for answer in await answers(event_stream(source), SequencePruned)
    ]
    assert [answer.through_sequence for answer in told] == [5, 6, 6]
    events = [event for answer in told for event in answer.events]
    assert [event.WhichOneof("payload") for event in events] == ["signal", "heartbeat", "error"]
    assert [event.sequence for event in events] == [4, 6, 6]
    assert all(event.HasField("event_time") for event in events)
    assert events[0].signal == SIGNAL
    assert (events[-1].error.reason, events[-1].error.retryable) == ("SEQUENCE_PRUNED", False)


async def test_an_end_before_the_first_batch_does_not_send_the_follower_back_to_the_start() -> None:
    """Whoever keeps through_sequence as its cursor would otherwise be told everything again."""
    (end,) = await answers(noun_stream(Handed(error=StorageUnavailable(), cursor=70)), StorageUnavailable)
    assert signal_service_pb2.StreamSignalsResponse.FromString(end).through_sequence == 70
    (end,) = await answers(event_stream(Handed(error=ShuttingDown(70), cursor=70)), ShuttingDown)
    told = event_service_pb2.StreamEventsResponse.FromString(end)
    assert (told.through_sequence, told.events[0].sequence) == (70, 70)
