"""Ownership of symbols: which server processes which.

Of all servers on one database, one processes a symbol at a time: it keeps the symbol's state in memory. A server claims
symbols under a lease, which lasts as long as its database session. Every commit names the lease, so a server that has
lost it without knowing cannot commit any more.

Symbols are claimed, held and released by buckets, so that 100,000 symbols take no more locks than there are buckets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


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
