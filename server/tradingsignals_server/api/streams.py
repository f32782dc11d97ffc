"""The streams of the contract, each declared once: what both servers serve to callers and to the edge follows from it.

The REST path of a stream is in the contract. The internal services of the edge have the method with that path too
(protos/edge.py): a transcoder finds a stream's text by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from ..application.event_log.follower import Follower, Followers, StreamName
from ..application.event_log.group import Encoding
from ..domain.events import EventKind
from ..transport.grpc.metadata import last_event_id
from ..transport.methods import ServerStreaming
from .contract import NEWLINE_DELIMITED_SERVICE, SERVER_SENT_EVENTS_SERVICE, SERVICES, path_of
from .encoding.stream_messages import MessageEncoding
from .encoding.stream_text import TextEncoding, ndjson_line, server_sent_event
from .mapping.validation import message_of, stream_request

EPOCH_KEY: Final = "x-epoch"
"""Initial metadata of a stream: the id of the log that it is of, so that a caller that resumes detects another one."""


@dataclass(frozen=True, slots=True)
class EventStream:
    """A server-streaming method whose responses are entries of the event log.

    The first field of its response lists the entries: messages of one kind, as they were committed, or Event.
    """

    method: MethodDescriptor
    kinds: frozenset[EventKind] = frozenset()
    """The kinds of entry that it sends. Empty: those that the request names in its field `kinds`, or all."""


def _stream(service: str, method: str, *kinds: EventKind) -> EventStream:
    return EventStream(SERVICES[service].methods_by_name[method], frozenset(kinds))


STREAMS: Final = (
    _stream("SignalService", "StreamSignals", EventKind.SIGNAL),
    _stream("PositionService", "StreamPositions", EventKind.POSITION_UPDATE),
    _stream("EventService", "StreamEvents"),
)


def stream_methods(followers: Followers) -> dict[str, ServerStreaming]:
    """Return the methods of all streams by their path: those of the public services, and those of the edge, as text."""
    found: dict[str, ServerStreaming] = {}
    for stream in STREAMS:
        response: Any = GetMessageClass(stream.method.output_type)
        sse = SERVER_SENT_EVENTS_SERVICE.methods_by_name[stream.method.name]
        ndjson = NEWLINE_DELIMITED_SERVICE.methods_by_name[stream.method.name]
        for method, transport, encoding, resumes in (
            (stream.method, "grpc", MessageEncoding(response), _never),
            (sse, "sse", TextEncoding(response, server_sent_event), last_event_id.get),
            (ndjson, "ndjson", TextEncoding(response, ndjson_line), _never),
        ):
            name = StreamName(stream.method.name, transport)
            open_ = partial(_open, followers, stream, name, encoding, resumes)
            found[path_of(method)] = ServerStreaming(open_)
    return found


async def _open(
    followers: Followers,
    stream: EventStream,
    name: StreamName,
    encoding: Encoding,
    resumes: Callable[[], str | None],
    sent: bytes,
) -> Follower:
    """Open a follower of a stream; `resumes` returns the last event id that the caller has sent beside its request."""
    request: Any = message_of(GetMessageClass(stream.method.input_type).FromString, sent)
    return await followers.open(stream_request(request, stream.kinds, resumes()), encoding, name)


def _never() -> None:
    """A browser sends a last event id with server-sent events only."""
