"""Tokens of pages: where a page begins in a list, valid for the same query only."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import blake2s

from ..domain.errors import InvalidPageToken

_SEAL_BYTES = 8


def page_token(before: int | None, scope: str) -> str:
    """Return the token of the page that begins before a number; "" for None, which is after the last page.

    `scope` names the query: all that selects the items of the list.
    """
    if before is None:
        return ""
    place = before.to_bytes(8, "big")
    return urlsafe_b64encode(place + _seal(place, scope)).decode().rstrip("=")


def page_start(token: str, scope: str) -> int | None:
    """Return the number before which a page begins; None for the first page, whose token is "".

    Raises:
        InvalidPageToken: the token is not one of this query.
    """
    if not token:
        return None
    raw = _decoded(token)
    place, seal = raw[:8], raw[8:]
    before = int.from_bytes(place, "big")
    if seal != _seal(place, scope) or before >= 2**63:
        raise InvalidPageToken
    return before


def page_start_time(token: str, scope: str) -> datetime | None:
    """Return the time before which a page begins, for a list by whole seconds; see `page_start`."""
    before = page_start(token, scope)
    if before is None:
        return None
    try:
        return datetime.fromtimestamp(before, tz=UTC)
    except (OverflowError, ValueError, OSError):
        raise InvalidPageToken from None


def name_token(after: str | None, scope: str) -> str:
    """Return the token of the page that begins after a name; "" for None, which is after the last page."""
    if after is None:
        return ""
    place = after.encode()
    return urlsafe_b64encode(place + _seal(place, scope)).decode().rstrip("=")


def page_start_name(token: str, scope: str) -> str:
    """Return the name after which a page begins; "" for the first page, whose token is "".

    Raises:
        InvalidPageToken: the token is not one of this query.
    """
    if not token:
        return ""
    raw = _decoded(token)
    place, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
    name = place.decode(errors="replace")
    if seal != _seal(place, scope) or not name.isprintable():
        raise InvalidPageToken
    return name


def _decoded(token: str) -> bytes:
    try:
        return urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise InvalidPageToken from None


def _seal(place: bytes, scope: str) -> bytes:
    """Return a checksum that detects a modified token, or one of another query; it is not a secret."""
    return blake2s(place + scope.encode(), digest_size=_SEAL_BYTES).digest()
