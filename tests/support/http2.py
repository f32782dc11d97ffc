"""An HTTP/2 client that can violate the protocol: it sends given frames, and returns received ones."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from google.protobuf.message import Message
from hpack import Decoder, Encoder

from .deadlines import within
from .sockets import connected

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 2, 3, 5, 6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 8, 9, 11
EVENTS_PATH = "/tradingsignals.v1.EventService/StreamEvents"


class Frame(NamedTuple):
    """A received frame."""

    type: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of a RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.type == RST_STREAM else self.payload[4:8], "big")


def frame(type_: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Encode a frame."""
    return len(payload).to_bytes(3, "big") + bytes((type_, flags)) + stream.to_bytes(4, "big") + payload


def settings(values: Mapping[int, int] | None = None) -> bytes:
    """Encode a SETTINGS frame."""
    found = (values or {}).items()
    return frame(SETTINGS, 0, 0, b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in found))


def window_update(stream: int, more: int) -> bytes:
    """Encode a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


def framed(message: Message | bytes, flag: int = 0) -> bytes:
    """Return a message with the prefix of gRPC."""
    body = message if isinstance(message, bytes) else message.SerializeToString()
    return bytes((flag,)) + len(body).to_bytes(4, "big") + body


def headers(path: str | None = EVENTS_PATH, **more: str | None) -> list[tuple[str, str]]:
    """Return the headers of a call; `more` replaces or adds headers, None omits one. _ is replaced by -."""
    found: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    found.update({name.replace("_", "-"): value for name, value in more.items()})
    return [(name, value) for name, value in found.items() if value is not None]


def block(found: list[tuple[str, str]]) -> bytes:
    """Encode headers without using the dynamic table, so that header blocks may be sent in any order."""
    return Encoder().encode([(name, value, True) for name, value in found], huffman=False)


def request(stream: int, message: Message | bytes = b"", path: str = EVENTS_PATH) -> bytes:
    """Encode a complete call of a streaming method."""
    head = frame(HEADERS, END_HEADERS, stream, block(headers(path)))
    return head + frame(DATA, END_STREAM, stream, framed(message))


class Frames:
    """Parses received bytes."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._decoder = Decoder()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the complete frames."""
        self._received += data
        found = []
        while len(self._received) >= 9:
            end = 9 + int.from_bytes(self._received[:3], "big")
            if len(self._received) < end:
                break
            stream = int.from_bytes(self._received[5:9], "big")
            found.append(Frame(self._received[3], self._received[4], stream, bytes(self._received[9:end])))
            del self._received[:end]
        return found

    def headers(self, frame: Frame) -> dict[str, str]:
        """Decode a HEADERS frame."""
        decoded = self._decoder.decode(frame.payload, raw=True)
        return {name.decode(): value.decode() for name, value in decoded}


class Peer:
    """A connection to a server, after the preface and the SETTINGS of the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = Frames()
        self._waiting: list[Frame] = []

    def send(self, *what: bytes) -> None:
        """Write."""
        self.writer.write(b"".join(what))

    async def next(self, types: int | Set[int] | None = None, stream: int | None = None) -> Frame:
        """Return the next frame, or the next one of the types and the stream; other frames are kept."""
        wanted = {types} if isinstance(types, int) else types
        while True:
            for at, found in enumerate(self._waiting):
                if (wanted is None or found.type in wanted) and stream in {None, found.stream}:
                    return self._waiting.pop(at)
            data = await within(self.reader.read(1 << 16))
            assert data, f"the connection was closed before a frame of type {types} arrived"
            self._waiting += self._frames.feed(data)

    async def message(self, stream: int) -> bytes:
        """Return the next complete message of a stream."""
        body = b""
        while len(body) < 5 or len(body) < 5 + int.from_bytes(body[1:5], "big"):
            body += (await self.next(DATA, stream)).payload
        assert len(body) == 5 + int.from_bytes(body[1:5], "big")
        return body[5:]

    async def headers(self, stream: int) -> dict[str, str]:
        """Return the next headers of a stream."""
        return self.decoded(await self.next(HEADERS, stream))

    def decoded(self, frame: Frame) -> dict[str, str]:
        """Return the headers of a HEADERS frame; such frames must be decoded in their order."""
        return self._frames.headers(frame)

    async def closed(self) -> None:
        """Wait until the server has closed or reset the connection."""
        with suppress(ConnectionError):
            while await within(self.reader.read(1 << 16)):
                pass


@asynccontextmanager
async def http2_peer(
    port: int,
    values: Mapping[int, int] | None = None,
    receive_buffer: int | None = None,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
) -> AsyncIterator[Peer]:
    """Connect a client and send its preface; see `connected` for `tls` and `name`."""
    async with connected(port, receive_buffer=receive_buffer, tls=tls, name=name) as (reader, writer):
        peer = Peer(reader, writer)
        peer.send(PREFACE, settings(values))
        yield peer


class RecordingTransport(asyncio.Transport):
    """A transport that takes all bytes at once and records them."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore the limits."""

    def get_write_buffer_size(self) -> int:
        """Return 0: nothing is pending."""
        return 0

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Record bytes."""
        assert not self.is_closed
        self.written += data

    def write_eof(self) -> None:
        """Record the end."""
        self.is_closed = True

    def close(self) -> None:
        """Record the end."""
        self.is_closed = True

    def abort(self) -> None:
        """Record the end."""
        self.is_closed = True


def bodies(written: bytes) -> dict[int, bytes]:
    """Return the joined DATA of each stream; a full stop represents its trailers."""
    found: dict[int, bytes] = {}
    for each in Frames().feed(written):
        if each.type == DATA:
            found[each.stream] = found.get(each.stream, b"") + each.payload
        elif each.type == HEADERS and each.flags & END_STREAM:
            found[each.stream] = found.get(each.stream, b"") + b"."
    return found
