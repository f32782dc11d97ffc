"""Answers of the streams as text, for REST: written once for all who follow, and passed on by the edge as they are.

What REST reads is the answer of the public method as JSON, framed as a server-sent event or as a line. Every answer is
the serialised google.api.HttpBody of it. The JSON of an entry is kept for a while, so that it is written once for all
filters and both framings.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tradingsignals.v1 import event_pb2, position_service_pb2, signal_service_pb2

from ...application.ports.event_log import LogEntry
from ...domain.errors import ServiceError
from ...domain.events import EventKind
from . import wire
from .json_text import json_text, timestamp
from .responses import AnswerForm, heartbeat_event, last_event, told

NOUNS_KEPT: Final = 2048
"""Nouns whose text is kept for others: some 4 MB with the messages that they were written from."""

Framing = Callable[[bytes, int], bytes]
"""Makes an answer of its JSON and the sequence that it is complete up to."""

# Field numbers of google.api.HttpBody; a test holds them against the descriptor.
_CONTENT_TYPE_FIELD = 1
_DATA_FIELD = 2

_SSE_TYPE = wire.record(b"text/event-stream", _CONTENT_TYPE_FIELD)
_NDJSON_TYPE = wire.record(b"application/x-ndjson", _CONTENT_TYPE_FIELD)
_JSON_TYPE = wire.record(b"application/json", _CONTENT_TYPE_FIELD)

_PAYLOADS: Mapping[EventKind, Any] = {
    kind: event_pb2.Event.DESCRIPTOR.fields_by_number[number] for kind, number in wire.EVENT_FIELDS.items()
}
_MESSAGES = {kind: GetMessageClass(field.message_type) for kind, field in _PAYLOADS.items()}
_LABELS = {kind: field.name.encode() for kind, field in _PAYLOADS.items()}


def server_sent_event(text: bytes, through_sequence: int) -> bytes:
    """An event whose id is where to resume."""
    return _SSE_TYPE + wire.record(b"id: %d\ndata: %b\n\n" % (through_sequence, text), _DATA_FIELD)


def line(text: bytes, _: int) -> bytes:
    """A line of NDJSON."""
    return _NDJSON_TYPE + wire.record(text + b"\n", _DATA_FIELD)


def json_body(text: bytes) -> bytes:
    """An answer that is the only one."""
    return _JSON_TYPE + wire.record(text, _DATA_FIELD)


@lru_cache(NOUNS_KEPT)
def noun_text(kind: EventKind, payload: bytes) -> bytes:
    """The noun of an entry as JSON."""
    return json_text(_MESSAGES[kind].FromString(payload)).encode()


def event_text(entry: LogEntry) -> bytes:
    """The tradingsignals.v1.Event of an entry as JSON."""
    time = timestamp(int(entry.time.timestamp()), entry.time.microsecond * 1000).encode()
    noun = noun_text(entry.kind, entry.payload)
    return b'{"sequence":"%d","event_time":"%b","%b":%b}' % (entry.sequence, time, _LABELS[entry.kind], noun)


class _Text(AnswerForm):
    """Text in one of the framings.

    The edge sends the headers of an answer with the first text, so a stream begins with a heartbeat: a follower knows
    at once that it follows, and from where.
    """

    effort = 16
    begins_with_heartbeat = True

    def __init__(self, framing: Framing, list_name: bytes) -> None:
        self._framing = framing
        self._list_name = list_name

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        texts = b",".join([self._entry(entry) for entry in entries])
        text = b'{"%b":[%b],"through_sequence":"%d"}' % (self._list_name, texts, through_sequence)
        return self._framing(text, through_sequence)

    def _framed(self, answer: Message, through_sequence: int) -> bytes:
        return self._framing(json_text(answer).encode(), through_sequence)

    @abstractmethod
    def _entry(self, entry: LogEntry) -> bytes:
        """An entry as its answer lists it."""


class _TextOfNouns(_Text):
    """StreamSignalsResponse or StreamPositionsResponse."""

    def __init__(self, framing: Framing, list_name: bytes, response: type[Message]) -> None:
        super().__init__(framing, list_name)
        self._response: Callable[..., Message] = response

    def _entry(self, entry: LogEntry) -> bytes:
        return noun_text(entry.kind, entry.payload)

    def heartbeat(self, through_sequence: int) -> bytes:
        return self._framed(self._response(through_sequence=through_sequence), through_sequence)

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        last = self._response(through_sequence=through_sequence, error=told(error))
        return self._framed(last, through_sequence)


class _TextOfEvents(_Text):
    """StreamEventsResponse."""

    def _entry(self, entry: LogEntry) -> bytes:
        return event_text(entry)

    def heartbeat(self, through_sequence: int) -> bytes:
        return self._framed(heartbeat_event(through_sequence), through_sequence)

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        return self._framed(last_event(through_sequence, error), through_sequence)


class TextForms:
    """The forms of the three streams in one framing."""

    def __init__(self, framing: Framing) -> None:
        signals: Any = signal_service_pb2.StreamSignalsResponse
        positions: Any = position_service_pb2.StreamPositionsResponse
        self.signals: AnswerForm = _TextOfNouns(framing, b"signals", signals)
        self.positions: AnswerForm = _TextOfNouns(framing, b"positions", positions)
        self.events: AnswerForm = _TextOfEvents(framing, b"events")


SERVER_SENT_EVENTS = TextForms(server_sent_event)
LINES = TextForms(line)
