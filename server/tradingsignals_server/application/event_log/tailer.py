"""Bringing what others have committed to the followers of this server.

What this server commits right behind the newest entry it knows goes to the followers from memory. Everything else,
another server's commits and one's own behind them, is read from the store, once for all followers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ...domain.errors import StorageUnavailable
from ..ports.event_log import LogEntry
from ..ports.store import Store
from .tail import PAGE_ENTRIES, Broadcast

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the log when nobody tells of news: a notification may be lost with its connection."""


class LogReader:
    """Reads the log behind the newest entry that the followers have. Run `run` in a task."""

    def __init__(self, store: Store, broadcast: Broadcast) -> None:
        self._store = store
        self._broadcast = broadcast
        self._news = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Look for news when told of it, and now and then all the same, until cancelled."""
        reachable = True
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
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
        """There may be news."""
        self._news.set()

    def committed(self, entries: Sequence[LogEntry]) -> None:
        """This server has committed `entries`."""
        newest = self._broadcast.newest
        if entries[0].sequence == newest + 1:
            self._broadcast.append(entries)
        elif entries[-1].sequence > newest:
            self.wake()  # others have committed in between

    async def catch_up(self) -> None:
        """Hand the followers all that is committed now.

        Raises:
            StorageUnavailable: it cannot be read.
        """
        async with self._one_at_a_time:
            while True:
                page = await self._store.entries_after(self._broadcast.newest, PAGE_ENTRIES)
                # Meanwhile this server may have committed some of it.
                new = [entry for entry in page if entry.sequence > self._broadcast.newest]
                if new:
                    self._broadcast.append(new)
                if len(page) < PAGE_ENTRIES:
                    return
