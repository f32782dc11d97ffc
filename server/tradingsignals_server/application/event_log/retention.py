"""Retention of the event log. Only the log is pruned: bars, signals and positions stay."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

from ...domain.errors import StorageUnavailable
from ..ports.clock import Clock, Sleep
from ..ports.store import Store
from .tail import LogTail

INTERVAL_SECONDS = 3600.0
"""Between two prunings."""

BATCH_ENTRIES = 2000
"""Entries deleted in one transaction: some ten milliseconds, of which writers wait only for the commit."""

log = logging.getLogger(__name__)


class Retention:
    """Prunes the log at a start and every hour from then on. More than one server may do so on one database.

    Entries older than `keep` are deleted; none are if it is zero.
    """

    def __init__(
        self, store: Store, log_tail: LogTail, clock: Clock, keep: timedelta, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._store = store
        self._log_tail = log_tail
        self._clock = clock
        self._keep = keep
        self._sleep = sleep

    async def run(self) -> None:
        """Prune until cancelled. What cannot be pruned now is pruned an hour later."""
        while self._keep:
            try:
                await self.prune()
            except StorageUnavailable:
                log.warning("the log could not be pruned: the database cannot be reached")
            except Exception:
                # A defect here must not take the service down.
                log.exception("the log could not be pruned")
            await self._sleep(INTERVAL_SECONDS)

    async def prune(self) -> int:
        """Delete what is older than is to be kept; returns how many entries that were.

        Between two batches there is a pause as long as a batch took, so that it takes half of the database at most.
        """
        before = self._clock() - self._keep
        total = 0
        while True:
            started = time.monotonic()
            count = await self._store.prune(before, BATCH_ENTRIES)
            total += count
            if count < BATCH_ENTRIES:
                break
            await self._sleep(time.monotonic() - started)
        # Another server may have pruned as well.
        self._log_tail.prune((await self._store.log_head()).oldest)
        if total:
            log.info("pruned %d events older than %s", total, before.isoformat())
        return total
