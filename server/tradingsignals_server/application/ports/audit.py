"""The port to the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ...domain.audit import AuditEntry


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries are listed; None: all. method: its name, without the service."""

    caller_id: str | None = None
    method: str | None = None
    refused: bool | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, the newest first. next_before: where the next page begins; None on the last."""

    entries: Sequence[AuditEntry]
    next_before: int | None


class AuditStore(Protocol):
    """The audit log, to which entries are only appended."""

    async def append_entries(self, entries: Sequence[AuditEntry]) -> None:
        """Append entries, all or none.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...

    async def list_entries(self, query: AuditQuery, before: int | None, limit: int) -> AuditPage:
        """Return the newest entries of a query that come before one of them; None: the newest of all.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...

    async def delete_entries(self, before: datetime, limit: int) -> int:
        """Delete entries of before a time, at most `limit`, and return how many; those of the last 30 days stay.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...
