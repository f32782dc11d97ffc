"""Answers of the server-streaming methods, each in the form of its response message; as text in `text_answers`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tradingsignals.v1 import event_pb2, event_service_pb2, signal_service_pb2

from ...application.event_log.tail import Batch
from ...application.ports.event_log import LogEntry
from ...domain.errors import ServiceError, ShuttingDown
from ..mapping.errors import is_retryable, public_message
from . import wire


class AnswerForm(ABC):
    """What a method answers with. Every answer is the serialised response message."""

    effort: int = 1
    """How long an entry takes to write, beside one whose bytes are only joined to others."""

    begins_with_heartbeat: bool = False
    """True if a stream says where it stands before anything has happened: its headers alone would not arrive."""

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
        last = signal_service_pb2.StreamSignalsResponse(through_sequence=through_sequence, error=told(error))
        return last.SerializeToString()


class _Events(AnswerForm):
    """StreamEventsResponse; a heartbeat and an end are events of their own."""

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        return wire.event_answer(entries, through_sequence)

    def heartbeat(self, through_sequence: int) -> bytes:
        return heartbeat_event(through_sequence).SerializeToString()

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        return last_event(through_sequence, error).SerializeToString()


NOUNS: AnswerForm = _Nouns()
EVENTS: AnswerForm = _Events()


def heartbeat_event(through_sequence: int) -> event_service_pb2.StreamEventsResponse:
    """The answer of StreamEvents that says that nothing has happened."""
    return _single(event_pb2.Event(sequence=through_sequence, heartbeat=event_pb2.Heartbeat()))


def last_event(through_sequence: int, error: ServiceError) -> event_service_pb2.StreamEventsResponse:
    """The last answer of StreamEvents."""
    return _single(event_pb2.Event(sequence=through_sequence, error=told(error)))


def _single(event: event_pb2.Event) -> event_service_pb2.StreamEventsResponse:
    event.event_time.GetCurrentTime()
    return event_service_pb2.StreamEventsResponse(events=[event], through_sequence=event.sequence)


def told(error: ServiceError) -> event_pb2.StreamError:
    """The end of a stream as the follower reads it."""
    return event_pb2.StreamError(
        reason=error.reason,
        message=public_message(error),
        retryable=is_retryable(error) or isinstance(error, ShuttingDown),
    )
