"""Appends the commits of other servers to the log tail of this server.

What this server commits right after the newest entry of its tail is appended from memory. All other commits, those of
other servers and its own after them, are read from the store, once for all followers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ...domain.errors import StorageUnavailable
from ..ports.event_log import LogEntry
from ..ports.store import Store
from .pages import PAGE_ENTRIES
from .tail import LogTail

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two reads of the log without a notification: one may be lost with its connection."""


class LogReader:
    """Reads the log after the newest entry of the tail. Run `run` in a task."""

    def __init__(self, store: Store, log_tail: LogTail) -> None:
        self._store = store
        self._log_tail = log_tail
        self._notified = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Read on when notified, and now and then all the same, until cancelled."""
        reachable = True
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._notified.wait()
            except TimeoutError:
                pass
            self._notified.clear()
            try:
                await self.catch_up()
            except StorageUnavailable:
                if reachable:
                    log.warning("the log cannot be read; followers wait")
                reachable = False
            except Exception:
                log.exception("the log could not be read; followers wait")
            else:
                reachable = True

    def wake(self) -> None:
        """Read the log soon: there may be new entries."""
        self._notified.set()

    def committed(self, entries: Sequence[LogEntry]) -> None:
        """Take `entries`, which this server has committed."""
        newest = self._log_tail.newest
        if entries[0].sequence == newest + 1:
            self._log_tail.append(entries)
        elif entries[-1].sequence > newest:
            self.wake()  # others have committed in between

    async def catch_up(self) -> None:
        """Append all that is committed now.

        Raises:
            StorageUnavailable: it cannot be read.
        """
        async with self._one_at_a_time:
            while True:
                page = await self._store.entries_after(self._log_tail.newest, PAGE_ENTRIES)
                # Meanwhile this server may have committed some of it.
                new = [entry for entry in page if entry.sequence > self._log_tail.newest]
                if new:
                    self._log_tail.append(new)
                if len(page) < PAGE_ENTRIES:
                    return
