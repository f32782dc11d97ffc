"""Headers of gRPC over HTTP/2: those of a request checked, those of an answer written.

What we write is made of literals that nobody need remember (RFC 7541, 6.2.2), so it is the same bytes on every
connection and is made once. What we read is decoded by `hpack`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc

from ..grpc.bounds import binary_header, percent_encoded

Header = tuple[bytes, bytes]

ACCEPTED = b"identity, deflate, gzip"
"""The encodings of a message that are taken."""

_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_REQUIRED = frozenset({b":method", b":scheme", b":path"})
_OF_A_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_NAME_CHARACTERS = bytes(character for character in range(0x21, 0x7F) if not 0x41 <= character <= 0x5A)
_PATH = re.compile(rb"[\x21-\x7e]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_FIELD_BYTES = 32
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
    """How long the caller waits; NaN if what it says cannot be read."""
    encoding: bytes
    content_length: int | None
    size: int
    """Bytes of the headers, each with the 32 of RFC 9113, 6.5.2."""


def parse_request(headers: Sequence[Header], *, ends: bool = False) -> Request:
    """Check the headers of a request and take from them what we need; `ends` is true if it has no body.

    Raises:
        Malformed: they are no request's.
    """
    size = _require_legal(headers)
    found: dict[bytes, bytes] = {}
    regular_seen = False
    for name, value in headers:
        if name.startswith(b":"):
            if regular_seen or name in found or name not in _PSEUDO:
                raise Malformed(f"{name!r} has no place there")
        else:
            regular_seen = True
            if not name or b":" in name or name in _OF_A_CONNECTION:
                raise Malformed(f"{name!r} is no header of HTTP/2")
        found.setdefault(name, value)
    if found.get(b"te", b"trailers") != b"trailers":
        raise Malformed("te may only be trailers")
    if not found.keys() >= _REQUIRED or not _PATH.fullmatch(found[b":path"]):
        raise Malformed("a request has a method, a scheme and a path of printable characters")
    if b"host" in found and found[b"host"] != found.get(b":authority", found[b"host"]):
        raise Malformed("host is not :authority")
    return Request(
        method=found[b":method"],
        path=found[b":path"].decode("latin-1"),
        content_type=found.get(b"content-type", b""),
        request_id=found.get(b"x-request-id"),
        last_event_id=found.get(b"last-event-id"),
        timeout_seconds=_timeout(found.get(b"grpc-timeout")),
        encoding=found.get(b"grpc-encoding", b"identity"),
        content_length=_content_length(found.get(b"content-length"), ends=ends),
        size=size,
    )


def require_trailers(headers: Sequence[Header], most: int) -> None:
    """Check the trailers of a request, of at most `most` bytes.

    Raises:
        Malformed: a name or a value is illegal, a pseudo-header is among them, or they are too large.
    """
    if _require_legal(headers) > most:
        raise Malformed(f"trailers have more than {most} bytes")
    for name, _ in headers:
        if not name or b":" in name or name in _OF_A_CONNECTION:
            raise Malformed(f"{name!r} is no trailer")


def _require_legal(headers: Sequence[Header]) -> int:
    """Check the characters of all names and values at once (RFC 9113, 8.2.1); returns the size of the headers."""
    names = b"".join([name for name, _ in headers])
    if names.translate(None, _NAME_CHARACTERS):
        raise Malformed("a header's name has characters that it may not have")
    values = b"\n%b\n" % b"\n".join([value for _, value in headers])
    is_bad = values.count(b"\n") != max(len(headers), 1) + 1 or b"\0" in values or b"\r" in values
    if is_bad or b"\n " in values or b" \n" in values or b"\n\t" in values or b"\t\n" in values:
        raise Malformed("a header's value has characters that it may not have")
    return len(names) + len(values) - (len(headers) + 1) + _FIELD_BYTES * len(headers)


def _content_length(value: bytes | None, *, ends: bool) -> int | None:
    if value is None:
        return None
    if not _LENGTH.fullmatch(value) or (ends and int(value)):
        raise Malformed("content-length is not the length of the request")
    return int(value)


def _timeout(value: bytes | None) -> float | None:
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    return math.nan if match is None else int(match[1]) * _UNIT_SECONDS[match[2]]


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
    return [(b":status", status), (b"content-type", b"application/grpc"), (b"grpc-accept-encoding", ACCEPTED)]


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
