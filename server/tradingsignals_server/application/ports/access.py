"""The port to the API keys, which the database has and every server keeps in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ...domain.access import ApiKey


class KeyStore(Protocol):
    """API keys, kept by their hashes."""

    async def load_keys(self) -> Sequence[ApiKey]:
        """Return all keys, the newest first, revoked and expired ones included.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...

    async def add_key(self, key: ApiKey) -> None:
        """Store a new key; every server is notified.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...

    async def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key, and return it; one that is revoked stays as it is. None if there is none of this id.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...

    async def record_uses(self, used_at: Mapping[str, datetime]) -> None:
        """Store when keys were last used, by their ids.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        ...

    async def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called once changes are noticed, and at each change of a key, until the connection is lost.

        Raises:
            StorageUnavailable: the database cannot be reached, or not any more.
        """
        ...
