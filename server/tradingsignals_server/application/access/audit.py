"""Writes the audit log beside the calls, which never wait for it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Final

from ...domain.access import Caller
from ...domain.audit import AuditEntry
from ...domain.errors import StorageUnavailable
from ..paging import page_start, page_token
from ..ports.audit import AuditPage, AuditQuery, AuditStore
from ..ports.clock import Clock, Sleep

log = logging.getLogger(__name__)

WRITE_INTERVAL_S: Final = 0.5
"""Between two writes. A server that is killed loses the entries of so long at most."""

RETRY_INTERVAL_S: Final = 1.0
"""After a write that failed."""

MAX_PENDING: Final = 10_000
"""Entries in memory while the database is away. Further ones are counted, and the count becomes an entry."""

MAX_STRANGERS: Final = 100
"""Addresses without accepted credentials that have an entry of their own in one write; those of further ones share one,
so that a flood from everywhere writes no more."""

DELETE_INTERVAL_S: Final = 3600.0
DELETE_ENTRIES: Final = 2_000
"""Between two deletions of old entries, and how many of them in one transaction."""

DROPPED: Final = "DROPPED"
"""Result of the entry that counts those that were not kept."""

_Key = tuple[str, ...]


class AuditLog:
    """The audit log of this server. Entries that are merged stand for all calls of one kind between two writes."""

    def __init__(self, store: AuditStore, clock: Clock, keep: timedelta, sleep: Sleep = asyncio.sleep) -> None:
        """Args:
        store: where entries are appended.
        clock: the time.
        keep: entries that are older are deleted; none are if it is zero.
        sleep: waits.
        """
        self._store = store
        self._clock = clock
        self._keep = keep
        self._sleep = sleep
        self._pending: list[AuditEntry] = []
        self._merged: dict[_Key, AuditEntry] = {}
        self._strangers: set[str] = set()
        self._dropped = 0
        self._recorded = asyncio.Event()

    def record(self, entry: AuditEntry, *, merge: bool = False) -> None:
        """Have an entry written. `merge`: it stands with others of its caller, method and result in one."""
        self._recorded.set()
        if not merge:
            if len(self._pending) + len(self._merged) >= MAX_PENDING:
                self._dropped += entry.count
            else:
                self._pending.append(entry)
            return
        entry = self._of_stranger(entry)
        caller = entry.caller
        key = (caller.credential, caller.id, caller.address, entry.method, entry.result, entry.reason)
        known = self._merged.get(key)
        if known is not None:
            self._merged[key] = known.and_another()
        elif len(self._pending) + len(self._merged) >= MAX_PENDING:
            self._dropped += entry.count
        else:
            self._merged[key] = entry

    async def run(self) -> None:
        """Write entries and delete old ones until cancelled; then write what is left."""
        deleting = asyncio.create_task(self._delete_regularly())
        try:
            while True:
                await self._recorded.wait()
                await self._sleep(WRITE_INTERVAL_S if await self.write() else RETRY_INTERVAL_S)
        finally:
            deleting.cancel()
            await self.write()

    async def write(self) -> bool:
        """Write what is pending; return False if it could not be, and stays pending."""
        self._recorded.clear()
        entries = [*self._pending, *self._merged.values()]
        dropped = self._dropped
        if dropped:
            entries.append(AuditEntry(self._clock(), Caller(), "", DROPPED, count=dropped))
        if not entries:
            return True
        pending, merged, strangers = self._pending, self._merged, self._strangers
        self._pending, self._merged, self._strangers, self._dropped = [], {}, set(), 0
        try:
            await self._store.append_entries(entries)
        except StorageUnavailable:
            log.warning("%d entries of the audit log are pending: the database cannot be reached", len(entries))
        except Exception:
            # A defect here must not take the service down.
            log.exception("%d entries of the audit log could not be written", len(entries))
        else:
            return True
        kept = [*pending, *merged.values(), *self._pending]
        self._pending, self._dropped = kept[:MAX_PENDING], self._dropped + dropped
        self._dropped += sum(entry.count for entry in kept[MAX_PENDING:])
        self._strangers |= strangers
        self._recorded.set()
        return False

    async def entries(self, query: AuditQuery, token: str, limit: int) -> tuple[AuditPage, str]:
        """Return a page of entries, the newest first, and the token of the next page, "" for the last page.

        Raises:
            InvalidPageToken: the token belongs to another query.
            StorageUnavailable: the database cannot be reached.
        """
        scope = f"audit|{query}"
        page = await self._store.list_entries(query, page_start(token, scope), limit)
        return page, page_token(page.next_before, scope)

    def _of_stranger(self, entry: AuditEntry) -> AuditEntry:
        """Return the entry, without its call and, beyond MAX_STRANGERS, its address if the caller is not known."""
        caller = entry.caller
        if caller.role is not None:
            return entry
        entry = replace(entry, method="", request_id="")
        if caller.address in self._strangers:
            return entry
        if len(self._strangers) >= MAX_STRANGERS:
            return replace(entry, caller=replace(caller, id="", address=""))
        self._strangers.add(caller.address)
        return entry

    async def _delete_regularly(self) -> None:
        while self._keep:
            try:
                while await self._store.delete_entries(self._clock() - self._keep, DELETE_ENTRIES) == DELETE_ENTRIES:
                    await self._sleep(0)
            except StorageUnavailable:
                log.warning("old entries of the audit log could not be deleted: the database cannot be reached")
            except Exception:
                log.exception("old entries of the audit log could not be deleted")
            await self._sleep(DELETE_INTERVAL_S)
