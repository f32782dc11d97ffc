"""What a connection reports to the server above: each event is about one stream, or about the whole connection."""

from __future__ import annotations

from dataclasses import dataclass

from .request_headers import Request
from .stream import Stream


@dataclass(slots=True)
class RequestReceived:
    """A stream was opened by the headers of a request."""

    stream: Stream
    request: Request
    end_stream: bool
    """True if the request has ended: it has no body."""


@dataclass(slots=True)
class DataReceived:
    """A part of the body of a request; it is empty where trailers end the request."""

    stream: Stream
    data: bytes
    end_stream: bool
    """True if the request has ended."""


@dataclass(slots=True)
class RequestOverdue:
    """A request has not ended in time, or too many bytes are held for it: end the stream."""

    stream: Stream


@dataclass(slots=True)
class StreamClosed:
    """The stream ended without the server above: by the peer, by a stream error, or with the connection."""

    stream: Stream


@dataclass(slots=True)
class StreamFlushed:
    """A message that was pending on the stream has been sent; the next one may be."""

    stream: Stream


@dataclass(slots=True)
class ConnectionWritable:
    """DATA may be written to the connection again."""


Event = RequestReceived | DataReceived | RequestOverdue | StreamClosed | StreamFlushed | ConnectionWritable
