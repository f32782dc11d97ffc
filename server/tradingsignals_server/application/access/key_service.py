"""Makes, lists and revokes API keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...domain.access import (
    ID_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_NETWORKS,
    SECRET_BYTES,
    ApiKey,
    Role,
    api_key_text,
    parse_networks,
    secret_hash,
    split_api_key,
)
from ...domain.access_errors import KeyNotFound
from ...domain.errors import FieldViolation, InvalidRequest
from ..ports.access import KeyStore
from ..ports.clock import Clock

MAX_LIFETIME = timedelta(days=3650)

RandomBytes = Callable[[int], bytes]
"""Returns unpredictable bytes: secrets.token_bytes."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key, and the key as it is sent, which is known now only."""

    key: ApiKey
    text: str


class KeyService:
    """The API keys in the database."""

    def __init__(self, store: KeyStore, clock: Clock, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes

    async def create(self, name: str, role: Role, expires_at: datetime | None, networks: Sequence[str]) -> NewKey:
        """Make a key.

        Args:
            name: whom or what it is for, 1 to MAX_NAME_CHARACTERS printable characters.
            role: what it may do.
            expires_at: when it is accepted no more; None: never.
            networks: addresses that it is accepted from; empty: all.

        Raises:
            InvalidRequest: one of them is not valid.
            StorageUnavailable: the database cannot be reached.
        """
        now = self._clock()
        violations = _violations(name, expires_at, networks, now)
        if violations:
            raise InvalidRequest(violations)
        text = api_key_text(self._random_bytes(ID_BYTES + SECRET_BYTES))
        key_id, secret = split_api_key(text)
        key = ApiKey(key_id, name, role, secret_hash(secret), now, expires_at, parse_networks(networks))
        await self._store.add_key(key)
        return NewKey(key, text)

    async def list(self) -> Sequence[ApiKey]:
        """Return all keys, the newest first.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        return await self._store.load_keys()

    async def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key, and return it. One that is revoked already stays as it is.

        Raises:
            KeyNotFound: there is no such key.
            StorageUnavailable: the database cannot be reached.
        """
        key = await self._store.revoke_key(key_id, self._clock())
        if key is None:
            raise KeyNotFound(key_id)
        return key


def _violations(name: str, expires_at: datetime | None, networks: Sequence[str], now: datetime) -> list[FieldViolation]:
    found = []
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
        found.append(FieldViolation("name", f"must be 1 to {MAX_NAME_CHARACTERS} printable characters"))
    if expires_at is not None and not now < expires_at <= now + MAX_LIFETIME:
        found.append(FieldViolation("expires_at", f"must be in the next {MAX_LIFETIME.days} days"))
    if len(networks) > MAX_NETWORKS:
        found.append(FieldViolation("networks", f"must be at most {MAX_NETWORKS}"))
    for index, network in enumerate(networks[:MAX_NETWORKS]):
        try:
            parse_networks([network])
        except ValueError as error:
            found.append(FieldViolation(f"networks[{index}]", str(error)))
    return found
