"""Which server works on which symbols.

Of all servers on one database one works on a symbol at a time: it carries the symbol's state in memory. A server that
wants to work on one claims it. The claim holds as long as the server's session with the database; what the session is
called stands on every commit made under it, so that a server which has lost it without knowing can commit no more.

What is claimed, held and given up is a bucket of symbols, so that 100,000 symbols cost no more than BUCKETS locks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2s
from typing import Protocol
from uuid import UUID

BUCKETS = 256
"""Buckets that symbols fall into: far more than servers, so that shares are even, and far fewer than the 6,400 locks
that PostgreSQL has room for by default. Stored, so it never changes without a migration."""


@lru_cache(maxsize=16_384)
def bucket_of(symbol: str) -> int:
    """The bucket of `symbol`, 0..BUCKETS - 1: the same on every server."""
    return int.from_bytes(blake2s(symbol.encode(), digest_size=4).digest(), "big") % BUCKETS


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim led to.

    ours: symbols this server works on. elsewhere: of buckets of the others, the addresses (host:port) of the servers
    that work on them. A symbol in neither is just changing hands.
    """

    ours: frozenset[str]
    elsewhere: Mapping[int, str] = field(default_factory=dict)


class Ownership(Protocol):
    """This server's share of the symbols."""

    @property
    def session(self) -> UUID | None:
        """Name of the session under which symbols are held now. It changes whenever all of them were lost."""
        ...

    @property
    def taken_through(self) -> int:
        """The newest sequence of the log when a symbol was last taken: all that others did to it lies up to there."""
        ...

    def holds(self, symbol: str) -> bool:
        """True if this server works on `symbol`, as far as it knows."""
        ...

    async def claim(self, symbols: Collection[str]) -> Claim:
        """Take over the buckets of those of `symbols` on which no server works.

        Raises:
            StorageUnavailable: there is no session with the database, so nothing can be claimed.
        """
        ...

    def let_go(self, buckets: Collection[int]) -> None:
        """Hold `buckets` no longer. Others can have them once `released` has returned."""
        ...

    async def released(self) -> None:
        """Free what was let go."""
        ...

    async def surplus(self) -> Sequence[int]:
        """Buckets that are more than this server's fair share, if others are at work that have less."""
        ...


class SoleOwnership:
    """A server that has the database to itself: every symbol is its own."""

    session = None
    taken_through = 0

    def holds(self, symbol: str) -> bool:
        """See Ownership."""
        return bool(symbol)

    async def claim(self, symbols: Collection[str]) -> Claim:
        """See Ownership."""
        return Claim(frozenset(symbols))

    def let_go(self, buckets: Collection[int]) -> None:
        """See Ownership."""

    async def released(self) -> None:
        """See Ownership."""

    async def surplus(self) -> Sequence[int]:
        """See Ownership."""
        return ()
