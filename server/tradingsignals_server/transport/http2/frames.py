"""Frames of HTTP/2 (RFC 9113): taken apart as they come in, and put together to go out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INITIAL_TABLE: Final = 4_096
"""Size of the dynamic table of HPACK on either side, before anything else was said."""
INITIAL_WINDOW: Final = 65_535
"""Bytes that either side may send over a stream, and over a connection, before it has heard anything else."""
LARGEST_WINDOW: Final = 2**31 - 1
FRAME_BYTES: Final = 16_384
"""The largest payload that every peer takes, and the largest that we take."""

# Kinds of frame.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

# Flags.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

# Settings.
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

_HEAD_BYTES = 9
_SETTING_BYTES = 6
_PRIORITY_BYTES = 5


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class ConnectionFailed(Exception):
    """The peer has broken the protocol so that nothing more can be made of the connection."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class StreamFailed(Exception):
    """The peer has broken the protocol on one stream; the others are not touched by it."""

    def __init__(self, stream: int, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.stream = stream
        self.code = code


class Frame(NamedTuple):
    """One frame as it came in."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Splitter:
    """Takes bytes as they come and gives frames as they are whole."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._at = 0
        self._missing_preface = PREFACE

    def feed(self, chunk: bytes) -> None:
        """Take what has come.

        Raises:
            ConnectionFailed: this is not HTTP/2.
        """
        if self._missing_preface:
            chunk = self._without_preface(chunk)
        del self._received[: self._at]
        self._at = 0
        self._received += chunk

    def next(self) -> Frame | None:
        """The next frame; None if none is whole.

        Raises:
            ConnectionFailed: a frame is larger than is taken.
        """
        received, at = self._received, self._at
        begin = at + _HEAD_BYTES
        if len(received) < begin:
            return None
        length = int.from_bytes(received[at : at + 3], "big")
        if length > FRAME_BYTES:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
        end = begin + length
        if len(received) < end:
            return None
        self._at = end
        stream = int.from_bytes(received[at + 5 : begin], "big") & LARGEST_WINDOW
        return Frame(received[at + 3], received[at + 4], stream, bytes(received[begin:end]))

    def _without_preface(self, chunk: bytes) -> bytes:
        expected, length = self._missing_preface, min(len(chunk), len(self._missing_preface))
        if chunk[:length] != expected[:length]:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "no preface of HTTP/2")
        self._missing_preface = expected[length:]
        return chunk[length:]


def without_padding(frame: Frame) -> bytes:
    """The payload of a DATA or HEADERS frame without padding and priority.

    Raises:
        ConnectionFailed: they do not fit into the frame.
    """
    payload, padding = frame.payload, 0
    if frame.flags & PADDED:
        if not payload:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "no room for the length of the padding")
        padding, payload = payload[0], payload[1:]
    if frame.kind == HEADERS and frame.flags & PRIORITISED:
        if len(payload) < _PRIORITY_BYTES:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "no room for the priority")
        payload = payload[_PRIORITY_BYTES:]
    if padding > len(payload):
        raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[: len(payload) - padding]


def settings_in(payload: bytes) -> dict[int, int]:
    """The settings of a SETTINGS frame: of several values the last, of header table sizes the smallest.

    Raises:
        ConnectionFailed: it is not made of whole settings, or one is out of its bounds.
    """
    if len(payload) % _SETTING_BYTES:
        raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a setting is cut off")
    found: dict[int, int] = {}
    for at in range(0, len(payload), _SETTING_BYTES):
        name = int.from_bytes(payload[at : at + 2], "big")
        value = int.from_bytes(payload[at + 2 : at + _SETTING_BYTES], "big")
        if name == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "an initial window that is too large")
        if name == ENABLE_PUSH and value > 1:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if name == MAX_FRAME_SIZE and not FRAME_BYTES <= value < 1 << 24:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its bounds")
        # The encoder has to signal the smallest size that it was given (RFC 7541, 4.2).
        found[name] = min(value, found.get(name, value)) if name == HEADER_TABLE_SIZE else value
    return found


def frame_head(kind: int, flags: int, length: int) -> bytes:
    """The first five bytes of a frame; the stream and the payload follow."""
    return length.to_bytes(3, "big") + bytes((kind, flags))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return frame_head(kind, flags, len(payload)) + stream.to_bytes(4, "big") + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values.items())
    return frame(SETTINGS, 0, 0, payload)


def window_update(stream: int, more: int) -> bytes:
    """Lets the peer send `more` bytes; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    """Ends one stream at once."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last_stream: int, code: ErrorCode, why: str = "") -> bytes:
    """Says that no stream after `last_stream` is or will be served."""
    return frame(GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + code.to_bytes(4, "big") + why.encode())


def header_frames(stream: int, block: bytes, *, ends: bool) -> bytes:
    """A block of headers: HEADERS, and CONTINUATION if one frame does not hold it."""
    flags = END_STREAM if ends else 0
    if len(block) <= FRAME_BYTES:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    out = [frame(HEADERS, flags, stream, block[:FRAME_BYTES])]
    for at in range(FRAME_BYTES, len(block), FRAME_BYTES):
        last = at + FRAME_BYTES >= len(block)
        out.append(frame(CONTINUATION, END_HEADERS if last else 0, stream, block[at : at + FRAME_BYTES]))
    return b"".join(out)
