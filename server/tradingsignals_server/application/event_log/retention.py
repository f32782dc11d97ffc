"""Retention of the event log, and of idempotency keys. Bars, signals and positions stay."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from ...domain.errors import StorageUnavailable
from ..ports.clock import Clock, Sleep
from ..ports.store import Store
from .tail import LogTail

INTERVAL_SECONDS = 3600.0
"""Between two prunings."""

BATCH_ENTRIES = 2000
"""Entries, or keys, deleted in one transaction: some ten milliseconds, of which writers wait only for the commit."""

log = logging.getLogger(__name__)


class Retention:
    """Prunes log and keys at a start and every hour from then on. More than one server may do so on one database.

    Entries older than `keep` are deleted, none if it is zero; and idempotency keys older than `keep_keys`.
    """

    def __init__(
        self,
        store: Store,
        log_tail: LogTail,
        clock: Clock,
        keep: timedelta,
        keep_keys: timedelta,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._log_tail = log_tail
        self._clock = clock
        self._keep = keep
        self._keep_keys = keep_keys
        self._sleep = sleep

    async def run(self) -> None:
        """Prune until cancelled. What cannot be pruned now is pruned an hour later."""
        while True:
            try:
                await self.prune_keys()
                if self._keep:
                    await self.prune()
            except StorageUnavailable:
                log.warning("the log could not be pruned: the database cannot be reached")
            except Exception:
                # A defect here must not take the service down.
                log.exception("the log could not be pruned")
            await self._sleep(INTERVAL_SECONDS)

    async def prune(self) -> int:
        """Delete the entries that are older than is to be kept; returns how many that were."""
        before = self._clock() - self._keep
        total = await self._in_batches(partial(self._store.prune, before))
        # Another server may have pruned as well.
        self._log_tail.prune((await self._store.log_head()).oldest)
        if total:
            log.info("pruned %d events older than %s", total, before.isoformat())
        return total

    async def prune_keys(self) -> int:
        """Delete the idempotency keys that are older than is to be kept; returns how many that were."""
        return await self._in_batches(partial(self._store.prune_keys, self._clock() - self._keep_keys))

    async def _in_batches(self, prune: Callable[[int], Awaitable[int]]) -> int:
        """Call `prune` with the size of a batch until nothing is left; return how much it has deleted.

        Between two batches there is a pause as long as a batch took, so that it takes half of the database at most.
        """
        total, started = 0, time.monotonic()
        while count := await prune(BATCH_ENTRIES):
            total += count
            await self._sleep(time.monotonic() - started)
            started = time.monotonic()
        return total
