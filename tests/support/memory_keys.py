"""API keys in memory, and callers with keys of every role and in every state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from tradingsignals_server.domain.access import (
    ID_BYTES,
    SECRET_BYTES,
    ApiKey,
    Role,
    api_key_text,
    parse_networks,
    secret_hash,
    split_api_key,
)
from tradingsignals_server.domain.errors import StorageUnavailable

NOW = datetime(2024, 3, 4, 13, tzinfo=UTC)
_numbers = count(1)


class MemoryKeys:
    """Implements application.ports.access.KeyStore."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {key.id: key for key in keys}
        self.is_away = False
        self.uses: list[Mapping[str, datetime]] = []
        self.loads = 0
        self.listeners: list[Callable[[], None]] = []
        self.listening = asyncio.Event()

    async def load_keys(self) -> Sequence[ApiKey]:
        """See KeyStore."""
        self._require_there()
        self.loads += 1
        return sorted(self.keys.values(), key=lambda key: key.created_at, reverse=True)

    async def add_key(self, key: ApiKey) -> None:
        """See KeyStore."""
        self._require_there()
        self.keys[key.id] = key
        self._notify()

    async def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """See KeyStore."""
        self._require_there()
        key = self.keys.get(key_id)
        if key is not None and key.revoked_at is None:
            key = self.keys[key_id] = replace(key, revoked_at=at)
            self._notify()
        return key

    async def record_uses(self, used_at: Mapping[str, datetime]) -> None:
        """See KeyStore."""
        self._require_there()
        self.uses.append(dict(used_at))
        for key_id, at in used_at.items():
            self.keys[key_id] = replace(self.keys[key_id], last_used_at=at)

    async def listen(self, changed: Callable[[], None]) -> None:
        """See KeyStore."""
        self._require_there()
        self.listeners.append(changed)
        changed()
        self.listening.set()
        await asyncio.Event().wait()

    def _notify(self) -> None:
        for changed in self.listeners:
            changed()

    def _require_there(self) -> None:
        if self.is_away:
            raise StorageUnavailable


def new_key(
    role: Role = Role.VIEWER, *, lifetime: timedelta | None = None, networks: Sequence[str] = (), revoked: bool = False
) -> tuple[ApiKey, str]:
    """Return a key made at NOW, and its text."""
    number = next(_numbers)
    text = api_key_text(number.to_bytes(ID_BYTES, "big") + number.to_bytes(SECRET_BYTES, "big"))
    key_id, secret = split_api_key(text)
    expires_at = None if lifetime is None else NOW + lifetime
    parsed = parse_networks(networks)
    key = ApiKey(key_id, f"key {number}", role, secret_hash(secret), NOW, expires_at, parsed)
    return (replace(key, revoked_at=NOW) if revoked else key), text
