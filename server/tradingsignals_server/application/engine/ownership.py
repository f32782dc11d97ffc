"""Which server works on which symbols.

Of all servers on one database one works on a symbol at a time: it carries the symbol's state in memory. A server that
wants to work on one claims it. The claim holds as long as the server's session with the database; what the session is
called stands on every commit made under it, so that a server which has lost it without knowing can commit no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim led to.

    ours: symbols this server works on. elsewhere: the addresses (host:port) of the servers that work on the others. A
    symbol in neither is just changing hands.
    """

    ours: frozenset[str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)


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
        """Take over those of `symbols` on which nobody works.

        Raises:
            StorageUnavailable: there is no session with the database, so nothing can be claimed.
        """
        ...

    def let_go(self, symbols: Collection[str]) -> None:
        """Hold `symbols` no longer. Others can have them once `released` has returned."""
        ...

    async def released(self) -> None:
        """Free what was let go."""
        ...

    async def surplus(self) -> Sequence[str]:
        """Symbols that are more than this server's fair share, if others are at work that have less."""
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

    def let_go(self, symbols: Collection[str]) -> None:
        """See Ownership."""

    async def released(self) -> None:
        """See Ownership."""

    async def surplus(self) -> Sequence[str]:
        """See Ownership."""
        return ()
