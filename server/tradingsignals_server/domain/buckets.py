"""Buckets of symbols: what one server owns as a whole."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2s

BUCKETS = 256
"""Number of buckets of symbols: far more than servers, so that shares are even, and far fewer than the 6,400 locks that
PostgreSQL can hold by default. Buckets are stored, so a change needs a migration."""


@lru_cache(maxsize=16_384)
def bucket_of(symbol: str) -> int:
    """Return the bucket of `symbol`, 0..BUCKETS - 1, the same on every server."""
    return int.from_bytes(blake2s(symbol.encode(), digest_size=4).digest(), "big") % BUCKETS
