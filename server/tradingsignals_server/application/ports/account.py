"""The account port: what the keeper of the ledger has stored of account and equity, for callers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ...domain.equity import EquityPoint
from ...domain.values import dataclass
from .outcomes import StoredAccount


class EquityResolution(StrEnum):
    """What there is a point of equity for. Names are those of tradingsignals.v1.ListEquityRequest.Resolution."""

    BAR = "BAR"
    """Each close of a bar."""
    DAY = "DAY"
    """Each session day: its last point so far. A point outside every session counts to the session before it."""


@dataclass(frozen=True, slots=True)
class EquityQuery:
    """Which points of equity: those with start <= time < end; None omits a bound."""

    resolution: EquityResolution = EquityResolution.BAR
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class EquityPage:
    """Points of one page, newest first, and the sequence that the log was followed through.

    `next_before` is the time before which the next page starts, None on the last page.
    """

    points: Sequence[EquityPoint]
    next_before: datetime | None
    through_sequence: int


class AccountStore(Protocol):
    """Reads for callers. Every method raises StorageUnavailable or Overloaded, as those of Store do."""

    async def read_account(self) -> StoredAccount | None:
        """Read the account as of the newest entry that it has been followed through; None before its first commit."""
        ...

    async def list_equity(self, query: EquityQuery, before: datetime | None, limit: int) -> EquityPage:
        """Return points of equity with a time before `before`, newest first, and where the log is, in one snapshot."""
        ...
