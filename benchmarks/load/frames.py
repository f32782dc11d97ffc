"""The parts of HTTP/2 (RFC 9113) and HPACK (RFC 7541) that a load of unary calls needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INITIAL_WINDOW = 65_535

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
"""Frame types."""

END_STREAM, ACK, END_HEADERS = 1, 1, 4
"""Flags."""

INITIAL_WINDOW_SIZE = 4
"""The setting SETTINGS_INITIAL_WINDOW_SIZE."""

_HEAD_BYTES = 9


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in values.items()))


def window_update(more: int) -> bytes:
    """A WINDOW_UPDATE frame of the connection."""
    return frame(WINDOW_UPDATE, 0, 0, more.to_bytes(4, "big"))


def header_block(headers: Mapping[str, str]) -> bytes:
    """A header block of literals without indexing. Names and values must be shorter than 127 bytes."""
    return b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in headers.items()
    )


def taken_from(received: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, stream id and payload of each complete frame in `received`, which keeps the rest."""
    at = 0
    while len(received) >= at + _HEAD_BYTES:
        end = at + _HEAD_BYTES + int.from_bytes(received[at : at + 3], "big")
        if len(received) < end:
            break
        stream = int.from_bytes(received[at + 5 : at + _HEAD_BYTES], "big")
        yield received[at + 3], received[at + 4], stream, bytes(received[at + _HEAD_BYTES : end])
        at = end
    del received[:at]
