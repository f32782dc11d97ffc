"""The headers and trailers of a request: what HTTP/2 allows (RFC 9113, 8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .header_decoder import OVERHEAD_BYTES, Header

_PSEUDO_HEADERS: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_REQUIRED: Final = frozenset({b":method", b":scheme", b":path"})
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_NAME_CHARACTERS: Final = bytes(character for character in range(0x21, 0x7F) if not 0x41 <= character <= 0x5A)
_PATH: Final = re.compile(rb"[\x21-\x7e]+")
_CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


class MalformedHeaders(Exception):
    """The headers or trailers are not those of a request (RFC 9113, 8.1.1)."""


class Request(NamedTuple):
    """The headers of a request."""

    method: bytes
    path: str
    headers: dict[bytes, bytes]
    """All headers, pseudo-headers among them; the first value of each name."""
    content_length: int | None
    size: int
    """Size in bytes, each header with the 32 of RFC 9113, 6.5.2."""


def parse_request(headers: Sequence[Header], *, end_stream: bool = False) -> Request:
    """Check the headers of a request; `end_stream` is true if it has no body.

    Raises:
        MalformedHeaders: they are not those of a request.
    """
    size = _require_legal_characters(headers)
    names = [name for name, _ in headers]
    pseudo_headers = _PSEUDO_HEADERS.intersection(names)
    if pseudo_headers != set(names[: len(pseudo_headers)]):
        raise MalformedHeaders("a pseudo-header is repeated, or stands behind other headers")
    _require_regular(names[len(pseudo_headers) :])
    found = dict(reversed(headers))
    if found.get(b"te", b"trailers") != b"trailers":
        raise MalformedHeaders("te may only be trailers")
    if not found.keys() >= _REQUIRED or not _PATH.fullmatch(found[b":path"]):
        raise MalformedHeaders("a request has a method, a scheme and a path of printable characters")
    if b"host" in found and found[b"host"] != found.get(b":authority", found[b"host"]):
        raise MalformedHeaders("host is not :authority")
    content_length = _content_length(found.get(b"content-length"), end_stream=end_stream)
    return Request(found[b":method"], found[b":path"].decode("ascii"), found, content_length, size)


def check_trailers(headers: Sequence[Header], max_bytes: int) -> None:
    """Check the trailers of a request.

    Raises:
        MalformedHeaders: a name or a value is illegal, a pseudo-header is among them, or they are too large.
    """
    if _require_legal_characters(headers) > max_bytes:
        raise MalformedHeaders(f"trailers have more than {max_bytes} bytes")
    _require_regular([name for name, _ in headers])


def _require_regular(names: Sequence[bytes]) -> None:
    if b"" in names or b":" in b"".join(names) or not _CONNECTION_SPECIFIC.isdisjoint(names):
        raise MalformedHeaders("a header is not one of HTTP/2")


def _require_legal_characters(headers: Sequence[Header]) -> int:
    """Check the characters of all names and values at once (RFC 9113, 8.2.1); return the size of the headers."""
    names = b"".join([name for name, _ in headers])
    if names.translate(None, _NAME_CHARACTERS):
        raise MalformedHeaders("a name has an illegal character")
    values = b"\n%b\n" % b"\n".join([value for _, value in headers])
    is_illegal = values.count(b"\n") != max(len(headers), 1) + 1 or b"\0" in values or b"\r" in values
    if is_illegal or b"\n " in values or b" \n" in values or b"\n\t" in values or b"\t\n" in values:
        raise MalformedHeaders("a value has an illegal character")
    return len(names) + len(values) - (len(headers) + 1) + OVERHEAD_BYTES * len(headers)


def _content_length(value: bytes | None, *, end_stream: bool) -> int | None:
    if value is None:
        return None
    if not _CONTENT_LENGTH.fullmatch(value) or (end_stream and int(value)):
        raise MalformedHeaders("content-length is not the length of the request")
    return int(value)
