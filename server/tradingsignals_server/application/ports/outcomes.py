"""The outcome store port: durable storage of outcomes, account and equity, and of their place in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ...domain.account import Account
from ...domain.equity import EquityPoint
from ...domain.ledger import LedgerEvent
from ...domain.outcomes import Fill, Outcome, Resolution
from ...domain.signals import Action
from ...domain.values import dataclass
from .event_log import LogEntry

LIVE = ""
"""The policy of the live signals in a ledger. A shadow policy has its key."""


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """Where the ledger is: the sequence that it has followed the log through, and the version of its rules."""

    sequence: int
    version: int


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """The account after the entry `sequence` of the log. `currency`: ISO 4217 code of its amounts."""

    sequence: int
    account: Account
    currency: str


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """A place, and what is there.

    entries: the open entries as plain values, by policy and symbol.
    reported: the log has the outcomes of all that was resolved up to this sequence, and gets none of them again.
    account: None if it has not been followed yet: see OutcomeStore.restart_ledger.
    """

    place: LedgerPlace
    entries: Mapping[tuple[str, str], Sequence[Any]]
    reported: int
    account: StoredAccount | None


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """An event for the ledger of `policy`; None: for the ledgers of all policies, as a bar is.

    sequence, market_time: of its entry in the log; of a shadow's decision, those of its bar.
    """

    policy: str | None
    event: LedgerEvent
    sequence: int
    market_time: datetime


@dataclass(frozen=True, slots=True)
class ResolvedOutcome:
    """An outcome, with sequence and market time of the entry of the log that resolved it."""

    outcome: Outcome
    sequence: int
    market_time: datetime


@dataclass(frozen=True, slots=True)
class LedgerCommit:
    """A step of the ledger and the account through the log.

    before: where the ledger was. sequence: where it is now.
    resolved: the outcomes resolved between; one that is stored already is replaced.
    reported: those of them that the log does not have yet, to be appended at the time `at`.
    entries: the open entries of each policy and symbol that changed; without any they are deleted.
    account: after `sequence`.
    equity: at each close of a bar that was passed; one that is stored already is replaced.
    """

    before: LedgerPlace
    sequence: int
    resolved: Sequence[ResolvedOutcome]
    reported: Sequence[ResolvedOutcome]
    at: datetime
    entries: Mapping[tuple[str, str], Sequence[Any]]
    account: Account
    equity: Sequence[EquityPoint]

    @property
    def reported_events(self) -> Sequence[tuple[Outcome, datetime]]:
        """What is appended to the log, each with its market time."""
        return [(one.outcome, one.market_time) for one in self.reported]


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
        """Read the place of the ledger and what is there, in one snapshot."""
        ...

    async def load_account(self) -> StoredAccount | None:
        """Read the account as of the newest entry that it has been followed through; None before its first commit."""
        ...

    async def ledger_events(self, after: int, through: int) -> Sequence[PolicyEvent]:
        """Return what the log has for ledger and account in after < sequence <= through, in its order.

        These are bars, the BUYs and SELLs of the live policy and of shadow policies, every change of a position,
        and halts and resumes of trading.
        """
        ...

    async def commit_ledger(self, commit: LedgerCommit) -> Sequence[LogEntry] | None:
        """Store a step of the ledger in one transaction, and append to the log what it reports.

        Returns:
            The entries appended to the log. None if the ledger was not at `before` any more, moved by another keeper or
            a rebuild: nothing is stored.
        """
        ...

    async def restart_ledger(self, version: int, opening: Account, currency: str) -> int:
        """Put the ledger before the oldest entry of the log, with rules of `version` and without open entries.

        Outcomes and equity that it will follow again are deleted; the log keeps its entries. The account is `opening`
        with the positions of older entries, which the log has no more. Returns the sequence that the ledger is at.
        """
        ...

    async def list_outcomes(self, query: OutcomeQuery, before: int | None, limit: int) -> OutcomePage:
        """Return outcomes with a number below `before`, newest first."""
        ...
