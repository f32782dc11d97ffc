"""Ownership of symbols: which server processes which.

Of all servers on one database, one processes a symbol at a time: it keeps the symbol's state in memory. A server claims
symbols under a lease, which lasts as long as its database session. Every commit names the lease, so a server that has
lost it without knowing cannot commit any more.

Symbols are claimed, held and released by buckets, so that 100,000 symbols take no more than BUCKETS locks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2s
from typing import Protocol
from uuid import UUID

BUCKETS = 256
"""Number of buckets of symbols: far more than servers, so that shares are even, and far fewer than the 6,400 locks that
PostgreSQL can hold by default. Buckets are stored, so a change needs a migration."""


@lru_cache(maxsize=16_384)
def bucket_of(symbol: str) -> int:
    """Return the bucket of `symbol`, 0..BUCKETS - 1, the same on every server."""
    return int.from_bytes(blake2s(symbol.encode(), digest_size=4).digest(), "big") % BUCKETS


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim.

    ours: symbols that this server holds. elsewhere: bucket to address (host:port) of the server that holds it. A symbol
    in neither is between two owners.
    """

    ours: frozenset[str]
    elsewhere: Mapping[int, str] = field(default_factory=dict)


class Ownership(Protocol):
    """The symbols that this server holds."""

    @property
    def lease_id(self) -> UUID | None:
        """Id of the current lease, None without one. It changes whenever all symbols were lost."""
        ...

    @property
    def taken_through(self) -> int:
        """Newest sequence of the log at the last claim: all commits of previous owners are at or below it."""
        ...

    def holds(self, symbol: str) -> bool:
        """Return True if this server holds `symbol`, as far as it knows."""
        ...

    async def claim(self, symbols: Collection[str]) -> Claim:
        """Claim the buckets of those of `symbols` that no server holds.

        Raises:
            StorageUnavailable: there is no lease, so nothing can be claimed.
        """
        ...

    def release(self, buckets: Collection[int]) -> None:
        """Stop holding `buckets`. Other servers can claim them once `unlock_released` has returned."""
        ...

    async def unlock_released(self) -> None:
        """Free the locks of released buckets."""
        ...

    async def surplus(self) -> Sequence[int]:
        """Return the buckets above this server's fair share, if other servers hold less than theirs."""
        ...


class SoleOwnership:
    """Implements Ownership for a single server on its database: it holds every symbol."""

    lease_id = None
    taken_through = 0

    def holds(self, symbol: str) -> bool:
        """See Ownership."""
        return bool(symbol)

    async def claim(self, symbols: Collection[str]) -> Claim:
        """See Ownership."""
        return Claim(frozenset(symbols))

    def release(self, buckets: Collection[int]) -> None:
        """See Ownership."""

    async def unlock_released(self) -> None:
        """See Ownership."""

    async def surplus(self) -> Sequence[int]:
        """See Ownership."""
        return ()
