"""Answers of the server-streaming methods, made of messages that are serialised already."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tradingsignals.v1 import event_pb2, event_service_pb2, signal_service_pb2

from ..application.broadcast import Batch
from ..domain.errors import ServiceError, ShuttingDown
from . import wire
from .errors import is_retryable


async def noun_stream(batches: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    """Answers of StreamSignals or StreamPositions; an empty one is the heartbeat."""
    through = 0
    try:
        async for batch in batches:
            through = batch.through_sequence
            yield wire.noun_answer(batch)
    except ServiceError as error:
        last = signal_service_pb2.StreamSignalsResponse(through_sequence=_seen(through, error), error=_told(error))
        yield last.SerializeToString()
        raise


async def event_stream(batches: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    """Answers of StreamEvents; a heartbeat is an event of its own."""
    through = 0
    try:
        async for batch in batches:
            through = batch.through_sequence
            if batch.entries:
                yield wire.event_answer(batch.entries, through)
            else:
                yield _single(event_pb2.Event(sequence=through, heartbeat=event_pb2.Heartbeat()))
    except ServiceError as error:
        yield _single(event_pb2.Event(sequence=_seen(through, error), error=_told(error)))
        raise


def _single(event: event_pb2.Event) -> bytes:
    event.event_time.GetCurrentTime()
    answer = event_service_pb2.StreamEventsResponse(events=[event], through_sequence=event.sequence)
    return answer.SerializeToString()


def _seen(through: int, error: ServiceError) -> int:
    """How far the follower has everything; before its first batch only the server knows."""
    return error.sequence if isinstance(error, ShuttingDown) else through


def _told(error: ServiceError) -> event_pb2.StreamError:
    """The end of a stream as the follower reads it."""
    return event_pb2.StreamError(
        reason=error.reason,
        message=error.message,
        retryable=is_retryable(error) or isinstance(error, ShuttingDown),
    )
