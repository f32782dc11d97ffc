"""The ownership of a server that has the database to itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ports.ownership import Claim


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
