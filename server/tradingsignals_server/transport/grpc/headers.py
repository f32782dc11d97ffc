"""The headers of gRPC over HTTP/2: those of a request read, those of a response encoded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

import grpc

from ..http2.header_blocks import encode_headers
from ..http2.header_decoder import Header
from .bounds import binary_header, percent_encoded

ACCEPTED_ENCODINGS: Final = b"identity, deflate, gzip"
"""The encodings of a message that are accepted."""

_CONTENT_TYPE: Final = re.compile(rb"application/grpc(?:[+;].*)?", re.DOTALL)
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

TrailingMetadata = Sequence[tuple[str, bytes | str]]
"""Values of `-bin` keys are bytes."""


def is_grpc(content_type: bytes) -> bool:
    """Return whether a content type is one of gRPC."""
    return _CONTENT_TYPE.fullmatch(content_type) is not None


def timeout_seconds(value: bytes | None) -> float | None:
    """Parse `grpc-timeout`: None without one, NaN if it cannot be parsed."""
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    return math.nan if match is None else int(match[1]) * _UNIT_SECONDS[match[2]]


def response_headers(metadata: Iterable[tuple[str, str]] = ()) -> bytes:
    """Encode the headers that start a response."""
    return encode_headers([*_initial(b"200"), *((name.encode(), value.encode()) for name, value in metadata)])


def trailers(code: grpc.StatusCode, message: str, metadata: TrailingMetadata = ()) -> bytes:
    """Encode the trailers that end a response."""
    return encode_headers(_status(code, message, metadata))


def trailers_only(
    code: grpc.StatusCode, message: str, metadata: TrailingMetadata = (), http_status: int = 200
) -> bytes:
    """Encode a response of a status alone, without messages."""
    return encode_headers([*_initial(str(http_status).encode()), *_status(code, message, metadata)])


def _initial(status: bytes) -> list[Header]:
    # Responses are not compressed: they are small, and one is sent to many followers.
    return [
        (b":status", status),
        (b"content-type", b"application/grpc"),
        (b"grpc-accept-encoding", ACCEPTED_ENCODINGS),
    ]


def _status(code: grpc.StatusCode, message: str, metadata: TrailingMetadata) -> list[Header]:
    found: list[Header] = [(b"grpc-status", str(code.value[0]).encode())]
    if message:
        found.append((b"grpc-message", percent_encoded(message)))
    for name, value in metadata:
        found.append((name.encode(), value.encode() if isinstance(value, str) else binary_header(value)))
    return found
