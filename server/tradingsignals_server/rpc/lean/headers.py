"""Headers of gRPC over HTTP/2: those of a request checked, those of an answer written.

What we write is made of literals that nobody need remember (RFC 7541, 6.2.2), so it is the same bytes on every
connection and is made once. What we read is decoded by `hpack`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc

from ..bounds import binary_header, percent_encoded

Header = tuple[bytes, bytes]

_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_REQUIRED = frozenset({b":method", b":scheme", b":path"})
_OF_A_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Malformed(Exception):
    """The headers are not those of a request (RFC 9113, 8.3)."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the headers of a request say, as far as we ask."""

    method: bytes
    path: str
    content_type: bytes
    request_id: bytes | None
    last_event_id: bytes | None
    timeout_seconds: float | None
    encoding: bytes


def parse_request(headers: Iterable[Header]) -> Request:
    """Check the headers of a request and take from them what we need.

    Raises:
        Malformed: they are no request's.
    """
    found: dict[bytes, bytes] = {}
    regular_seen = False
    for name, value in headers:
        if name.startswith(b":"):
            if regular_seen or name in found or name not in _PSEUDO:
                raise Malformed(f"{name!r} has no place there")
        else:
            regular_seen = True
            if not name or name != name.lower() or name in _OF_A_CONNECTION:
                raise Malformed(f"{name!r} is no header of HTTP/2")
            if name == b"te" and value != b"trailers":
                raise Malformed("te may only be trailers")
        found.setdefault(name, value)
    if not found.keys() >= _REQUIRED or not found[b":path"]:
        raise Malformed("a request has a method, a scheme and a path")
    return Request(
        method=found[b":method"],
        path=found[b":path"].decode("latin-1"),
        content_type=found.get(b"content-type", b""),
        request_id=found.get(b"x-request-id"),
        last_event_id=found.get(b"last-event-id"),
        timeout_seconds=_timeout(found.get(b"grpc-timeout")),
        encoding=found.get(b"grpc-encoding", b"identity"),
    )


def _timeout(value: bytes | None) -> float | None:
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    return None if match is None else int(match[1]) * _UNIT_SECONDS[match[2]]


def block(headers: Iterable[Header]) -> bytes:
    """Headers as literals that are not remembered."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(value: bytes) -> bytes:
    """Length and bytes of a string; the length is a number with a prefix of seven bits (RFC 7541, 5.1)."""
    length = len(value)
    if length < 0x7F:
        return bytes((length,)) + value
    out, length = bytearray((0x7F,)), length - 0x7F
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out) + value


def _answer_headers(status: bytes) -> list[Header]:
    # We never compress: an answer goes to many, and what is in it is small.
    return [(b":status", status), (b"content-type", b"application/grpc"), (b"grpc-accept-encoding", b"identity")]


def answer(metadata: Iterable[tuple[str, str]]) -> bytes:
    """What begins an answer."""
    more = [(name.encode(), value.encode()) for name, value in metadata]
    return block([*_answer_headers(b"200"), *more])


def trailers(code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, bytes | str]] = ()) -> bytes:
    """What ends an answer."""
    return block(_status_headers(code, message, metadata))


def trailers_only(
    code: grpc.StatusCode,
    message: str,
    metadata: Sequence[tuple[str, bytes | str]] = (),
    http_status: int = 200,
) -> bytes:
    """An answer that is nothing but its end."""
    return block([*_answer_headers(str(http_status).encode()), *_status_headers(code, message, metadata)])


def _status_headers(code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, bytes | str]]) -> list[Header]:
    found: list[Header] = [(b"grpc-status", str(code.value[0]).encode())]
    if message:
        found.append((b"grpc-message", percent_encoded(message)))
    for name, value in metadata:
        text = value.encode() if isinstance(value, str) else binary_header(value)
        found.append((name.encode(), text))
    return found
