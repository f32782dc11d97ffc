"""The outcome store port: durable storage of outcomes, and of the place of the ledger in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ...domain.ledger import LedgerEvent
from ...domain.outcomes import Fill, Outcome, Resolution
from ...domain.signals import Action
from ...domain.values import dataclass

LIVE = ""
"""The policy of the live signals in a ledger. A shadow policy has its key."""


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """Where the ledger is: the sequence that it has followed the log through, and the version of its rules."""

    sequence: int
    version: int


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """A place, and the open entries there as plain values, by policy and symbol."""

    place: LedgerPlace
    entries: Mapping[tuple[str, str], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """An event for the ledger of `policy`; None: for the ledgers of all policies, as a bar is."""

    policy: str | None
    event: LedgerEvent


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """Conditions on outcomes; None omits one. `start` is inclusive, `end` exclusive, both on the time of the exit."""

    symbol: str | None = None
    action: Action | None = None
    resolution: Resolution | None = None
    fill: Fill | None = None
    model_version: str | None = None
    shadow: bool | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutcomePage:
    """Outcomes of one page, newest first, and the sequence that the log was followed through.

    `next_before` is the number before which the next page starts, None on the last page.
    """

    outcomes: Sequence[Outcome]
    next_before: int | None
    through_sequence: int


class OutcomeStore(Protocol):
    """Durable storage. Every method raises StorageUnavailable if the database cannot be reached."""

    async def load_ledger(self) -> StoredLedger:
        """Read the place of the ledger and its open entries, in one snapshot."""
        ...

    async def ledger_events(self, after: int, through: int) -> Sequence[PolicyEvent]:
        """Return what the log has for the ledger in after < sequence <= through, in its order.

        These are bars, the BUYs and SELLs of the live policy and of shadow policies, and closed positions.
        """
        ...

    async def commit_ledger(
        self,
        before: LedgerPlace,
        sequence: int,
        outcomes: Sequence[Outcome],
        entries: Mapping[tuple[str, str], Sequence[Any]],
    ) -> bool:
        """Move the ledger from `before` to `sequence` in one transaction, with its outcomes and changed open entries.

        Args:
            before: where it was.
            sequence: where it is now.
            outcomes: those resolved between; one that is stored already is replaced.
            entries: the open entries of each policy and symbol that changed; without any they are deleted.

        Returns:
            False if the ledger was not at `before` any more, moved by another keeper or a rebuild. Nothing is stored.
        """
        ...

    async def restart_ledger(self, version: int) -> int:
        """Put the ledger before the oldest entry of the log, with rules of `version` and without open entries.

        Outcomes of the signals that it will follow again are deleted. Returns the sequence that it is at.
        """
        ...

    async def list_outcomes(self, query: OutcomeQuery, before: int | None, limit: int) -> OutcomePage:
        """Return outcomes with a number below `before`, newest first."""
        ...
