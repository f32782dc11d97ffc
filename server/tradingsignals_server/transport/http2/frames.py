"""Frames of HTTP/2 (RFC 9113, 4 and 6): read from a stream of bytes, and written as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple

from .errors import ErrorCode, Http2ConnectionError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_HEADER_TABLE_BYTES: Final = 4_096
"""Size of the dynamic table of HPACK before SETTINGS."""
DEFAULT_WINDOW: Final = 65_535
"""Flow-control window of a stream, and of a connection, before SETTINGS and WINDOW_UPDATE."""
MAX_WINDOW: Final = 2**31 - 1
MAX_FRAME_BYTES: Final = 16_384
"""The largest payload that every peer must accept, and the largest that this server accepts."""

# Frame types.
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
PRIORITY_FLAG: Final = 0x20

# Settings.
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

_FRAME_HEADER: Final = Struct(">HBBBL")
"""Length (in two parts), type, flags, stream identifier."""
_SETTING: Final = Struct(">HL")
_PRIORITY_BYTES: Final = 5


class Frame(NamedTuple):
    """One received frame."""

    frame_type: int
    flags: int
    stream_id: int
    payload: bytes


class FrameReader:
    """Buffers received bytes and returns the frames in them, after the connection preface."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._expected_preface = PREFACE

    def feed(self, data: bytes) -> None:
        """Add received bytes.

        Raises:
            Http2ConnectionError: they are not the connection preface.
        """
        if self._expected_preface:
            data = self._strip_preface(data)
        del self._buffer[: self._offset]
        self._offset = 0
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next frame; None until all of it has been received.

        Raises:
            Http2ConnectionError: the frame is larger than MAX_FRAME_BYTES.
        """
        buffer, offset = self._buffer, self._offset
        start = offset + _FRAME_HEADER.size
        if len(buffer) < start:
            return None
        high, low, frame_type, flags, stream_id = _FRAME_HEADER.unpack_from(buffer, offset)
        length = high << 8 | low
        if length > MAX_FRAME_BYTES:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
        end = start + length
        if len(buffer) < end:
            return None
        self._offset = end
        return Frame(frame_type, flags, stream_id & MAX_WINDOW, bytes(buffer[start:end]))

    def _strip_preface(self, data: bytes) -> bytes:
        expected, length = self._expected_preface, min(len(data), len(self._expected_preface))
        if data[:length] != expected[:length]:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the connection preface is not that of HTTP/2")
        self._expected_preface = expected[length:]
        return data[length:]


def strip_padding(frame: Frame) -> bytes:
    """Return the payload of a DATA or HEADERS frame without padding and priority.

    Raises:
        Http2ConnectionError: they do not fit into the frame.
    """
    payload, padding = frame.payload, 0
    if frame.flags & PADDED:
        if not payload:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "the padding length is missing")
        padding, payload = payload[0], payload[1:]
    if frame.frame_type == HEADERS and frame.flags & PRIORITY_FLAG:
        if len(payload) < _PRIORITY_BYTES:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "the priority is missing")
        payload = payload[_PRIORITY_BYTES:]
    if padding > len(payload):
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[: len(payload) - padding]


def parse_settings(payload: bytes) -> dict[int, int]:
    """Parse a SETTINGS frame: the last value of each setting, and the smallest of header table sizes.

    Raises:
        Http2ConnectionError: the payload is not a whole number of settings, or a value is out of its bounds.
    """
    if len(payload) % _SETTING.size:
        raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a setting is cut off")
    settings: dict[int, int] = {}
    for name, value in _SETTING.iter_unpack(payload):
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is out of its bounds")
        if name == ENABLE_PUSH and value > 1:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if name == MAX_FRAME_SIZE and not MAX_FRAME_BYTES <= value < 1 << 24:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its bounds")
        # The encoder must signal the smallest size that was set (RFC 7541, 4.2).
        settings[name] = min(value, settings.get(name, value)) if name == HEADER_TABLE_SIZE else value
    return settings


def frame_prefix(frame_type: int, flags: int, length: int) -> bytes:
    """Return the first five bytes of a frame; the stream identifier and the payload follow."""
    return length.to_bytes(3, "big") + bytes((frame_type, flags))


def frame(frame_type: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    length = len(payload)
    return _FRAME_HEADER.pack(length >> 8, length & 0xFF, frame_type, flags, stream_id) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def window_update(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway(last_stream_id: int, code: ErrorCode, reason: str = "") -> bytes:
    """Return a GOAWAY frame: no stream after `last_stream_id` was or will be processed."""
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode())


def header_frames(stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
    """Return a header block as HEADERS, and CONTINUATION where one frame is too small for it."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= MAX_FRAME_BYTES:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    out = [frame(HEADERS, flags, stream_id, block[:MAX_FRAME_BYTES])]
    for start in range(MAX_FRAME_BYTES, len(block), MAX_FRAME_BYTES):
        is_last = start + MAX_FRAME_BYTES >= len(block)
        part = block[start : start + MAX_FRAME_BYTES]
        out.append(frame(CONTINUATION, END_HEADERS if is_last else 0, stream_id, part))
    return b"".join(out)
