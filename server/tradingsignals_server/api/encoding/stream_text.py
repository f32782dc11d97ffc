"""Responses of streams as text, for REST: made once for all callers, and passed on by the edge as they are.

A REST caller reads the response of the public method as JSON, framed as a server-sent event or as a line. Every
response is the serialised google.api.HttpBody of it. The JSON of an item is kept for a while, so that it is made once
for all filters and both framings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tradingsignals.v1 import event_pb2

from ...application.ports.event_log import LogEntry
from ...domain.errors import ServiceError
from ...domain.events import EventKind
from . import wire
from .json_text import json_text, timestamp
from .stream_messages import ResponseType, bare_response, lists_events

KEPT_ITEMS: Final = 2048
"""Items whose text is kept for others: some 4 MB with the messages that they were made from."""

Framing = Callable[[bytes, int], bytes]
"""Makes a response of its JSON and the sequence that it is complete through."""

# Field numbers of google.api.HttpBody; a test compares them with the descriptor.
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


def ndjson_line(text: bytes, _: int) -> bytes:
    """A line of NDJSON."""
    return _NDJSON_TYPE + wire.record(text + b"\n", _DATA_FIELD)


def json_body(text: bytes) -> bytes:
    """A response that is the only one of its call."""
    return _JSON_TYPE + wire.record(text, _DATA_FIELD)


@lru_cache(KEPT_ITEMS)
def item_text(kind: EventKind, payload: bytes) -> bytes:
    """The message of an entry as JSON."""
    return json_text(_MESSAGES[kind].FromString(payload)).encode()


class TextEncoding:
    """Implements application.event_log.group.Encoding: text in one of the framings.

    The edge sends the headers of a response with the first text, so a stream begins with a heartbeat: a caller knows
    at once that it follows, and from where.
    """

    effort = 16
    begins_with_heartbeat = True

    def __init__(self, response: ResponseType, framing: Framing) -> None:
        self._response = response
        self._framing = framing
        self._list_name = response().DESCRIPTOR.fields[0].name.encode()
        self._item = event_text if lists_events(response) else _entry_text

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        """See Encoding."""
        texts = b",".join(map(self._item, entries))
        text = b'{"%b":[%b],"through_sequence":"%d"}' % (self._list_name, texts, through_sequence)
        return self._framing(text, through_sequence)

    def heartbeat(self, through_sequence: int) -> bytes:
        """See Encoding."""
        return self._framed(bare_response(self._response, through_sequence), through_sequence)

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        """See Encoding."""
        return self._framed(bare_response(self._response, through_sequence, error), through_sequence)

    def _framed(self, response: Message, through_sequence: int) -> bytes:
        return self._framing(json_text(response).encode(), through_sequence)


def _entry_text(entry: LogEntry) -> bytes:
    return item_text(entry.kind, entry.payload)


def event_text(entry: LogEntry) -> bytes:
    """The tradingsignals.v1.Event of an entry as JSON."""
    item = item_text(entry.kind, entry.payload)
    return b'{"sequence":"%d","event_time":"%b","%b":%b}' % (entry.sequence, _time(entry), _LABELS[entry.kind], item)


def notification_body(entry: LogEntry) -> bytes:
    """The body of the message of an entry, as Standard Webhooks has it; `data` is its tradingsignals.v1.Event."""
    return b'{"type":"%b","timestamp":"%b","data":%b}' % (_LABELS[entry.kind], _time(entry), event_text(entry))


def _time(entry: LogEntry) -> bytes:
    return timestamp(int(entry.time.timestamp()), entry.time.microsecond * 1000).encode()
