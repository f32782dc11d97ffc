"""Responses of streams as protobuf, joined from messages that were serialised when they were committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from google.protobuf.message import Message

from tradingsignals.v1 import event_pb2

from ...application.ports.event_log import LogEntry
from ...domain.errors import ServiceError, ShuttingDown
from ..mapping.errors import is_retryable, public_message
from . import wire

ResponseType = Callable[..., Message]
"""The class of a response message: its first field lists items, `through_sequence` is what it is complete through."""


class MessageEncoding:
    """Implements application.event_log.group.Encoding: the response message, serialised."""

    effort = 1
    begins_with_heartbeat = False

    def __init__(self, response: ResponseType) -> None:
        self._response = response
        self._item = wire.event if lists_events(response) else _payload

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        """See Encoding."""
        return wire.records(map(self._item, entries)) + wire.number(through_sequence, wire.THROUGH_FIELD)

    def heartbeat(self, through_sequence: int) -> bytes:
        """See Encoding."""
        return bare_response(self._response, through_sequence).SerializeToString()

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        """See Encoding."""
        return bare_response(self._response, through_sequence, error).SerializeToString()


def lists_events(response: ResponseType) -> bool:
    """Return True if a response lists events, False if it lists messages of one kind."""
    item = response().DESCRIPTOR.fields[0].message_type
    return item is event_pb2.Event.DESCRIPTOR


def bare_response(response: ResponseType, through_sequence: int, error: ServiceError | None = None) -> Message:
    """Make a response without entries: a heartbeat, or with an error the last one.

    In a list of events either is an event of its own.
    """
    ending = None if error is None else stream_error(error)
    if not lists_events(response):
        return response(through_sequence=through_sequence, error=ending)
    event = event_pb2.Event(sequence=through_sequence, error=ending)
    if ending is None:
        event.heartbeat.SetInParent()
    event.event_time.GetCurrentTime()
    return response(events=[event], through_sequence=through_sequence)


def _payload(entry: LogEntry) -> bytes:
    return entry.payload


def stream_error(error: ServiceError) -> event_pb2.StreamError:
    """The end of a stream, for callers that cannot see the status."""
    return event_pb2.StreamError(
        reason=error.reason,
        message=public_message(error),
        retryable=is_retryable(error) or isinstance(error, ShuttingDown),
    )
