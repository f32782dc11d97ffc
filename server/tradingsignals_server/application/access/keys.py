"""The API keys in memory: the whole table, which is small, so that a call costs no read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from ...domain.access import ApiKey, split_api_key
from ...domain.access_errors import InvalidKey
from ...domain.errors import StorageUnavailable
from ..ports.access import KeyStore
from ..ports.clock import Clock

log = logging.getLogger(__name__)

RELOAD_INTERVAL_S = 30.0
"""Between two reads of the table when nothing was notified: a notification may be lost with its connection."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
"""Between two attempts to listen again once the connection is lost."""

USES_INTERVAL = timedelta(minutes=1)
"""How often the time of its last use is stored of a key, at most."""


class KeyRing:
    """The API keys as this server knows them. If the database is away, they stay what they were.

    `on_change` is called when keys have changed.
    """

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._used: dict[str, datetime] = {}
        self._changed = asyncio.Event()
        self.on_change: Callable[[], None] | None = None

    async def load(self) -> None:
        """Read the table.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        self._keys = {key.id: key for key in await self._store.load_keys()}
        if self.on_change is not None:
            self.on_change()

    def find(self, text: str) -> ApiKey:
        """Return the key of a text, as it was sent.

        Raises:
            InvalidKey: there is none, or it is revoked or expired.
        """
        key_id, secret = split_api_key(text)
        key = self._keys.get(key_id)
        if key is None or not key.has_secret(secret):
            raise InvalidKey("unknown")
        now = self._clock()
        if (error := key.invalid(now)) is not None:
            raise error
        used = self._used.get(key_id) or key.last_used_at
        if used is None or now - used >= USES_INTERVAL:
            self._used[key_id] = now
        return key

    def invalid(self, key_id: str) -> InvalidKey | None:
        """Return why a key is not accepted any more; None if it is."""
        key = self._keys.get(key_id)
        return InvalidKey("unknown", key_id) if key is None else key.invalid(self._clock())

    async def run(self) -> None:
        """Follow the changes of the table until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._reload())

    async def _listen(self) -> None:
        pause = FIRST_PAUSE_S

        def changed() -> None:
            nonlocal pause
            pause = FIRST_PAUSE_S
            self._changed.set()

        while True:
            with suppress(StorageUnavailable):
                await self._store.listen(changed)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _reload(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RELOAD_INTERVAL_S):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._record_uses()
                await self.load()
            except StorageUnavailable:
                log.warning("the API keys cannot be read; those known before are used")

    async def _record_uses(self) -> None:
        """Store the uses since the last time."""
        known = self._keys
        used = {
            key_id: at
            for key_id, at in self._used.items()
            if key_id in known and (known[key_id].last_used_at or datetime.min.replace(tzinfo=at.tzinfo)) < at
        }
        if used:
            await self._store.record_uses(used)
