"""Answers of the server-streaming methods, each in the form of its response message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tradingsignals.v1 import event_pb2, event_service_pb2, signal_service_pb2

from ..application.ports import LogEntry
from ..application.streams.broadcast import Batch
from ..domain.errors import ServiceError, ShuttingDown
from . import wire
from .errors import is_retryable


class AnswerForm(ABC):
    """What a method answers with. Every answer is the serialised response message."""

    @abstractmethod
    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        """An answer with entries, complete through a sequence."""

    @abstractmethod
    def heartbeat(self, through_sequence: int) -> bytes:
        """An answer that says that nothing has happened."""

    @abstractmethod
    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        """The last answer, for those who cannot see the status that comes after it."""


class _Nouns(AnswerForm):
    """StreamSignalsResponse and StreamPositionsResponse, whose fields have the same numbers."""

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        return wire.noun_answer(Batch(entries, through_sequence))

    def heartbeat(self, through_sequence: int) -> bytes:
        return wire.noun_answer(Batch((), through_sequence))

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        last = signal_service_pb2.StreamSignalsResponse(through_sequence=through_sequence, error=_told(error))
        return last.SerializeToString()


class _Events(AnswerForm):
    """StreamEventsResponse; a heartbeat and an end are events of their own."""

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        return wire.event_answer(entries, through_sequence)

    def heartbeat(self, through_sequence: int) -> bytes:
        return _single(event_pb2.Event(sequence=through_sequence, heartbeat=event_pb2.Heartbeat()))

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        return _single(event_pb2.Event(sequence=through_sequence, error=_told(error)))


NOUNS: AnswerForm = _Nouns()
EVENTS: AnswerForm = _Events()


def _single(event: event_pb2.Event) -> bytes:
    event.event_time.GetCurrentTime()
    answer = event_service_pb2.StreamEventsResponse(events=[event], through_sequence=event.sequence)
    return answer.SerializeToString()


def _told(error: ServiceError) -> event_pb2.StreamError:
    """The end of a stream as the follower reads it."""
    return event_pb2.StreamError(
        reason=error.reason,
        message=error.message,
        retryable=is_retryable(error) or isinstance(error, ShuttingDown),
    )
