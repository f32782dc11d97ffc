"""API keys in PostgreSQL: what is stored, and every server knows of a change at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.support.deadlines import within
from tests.support.memory_keys import new_key

from tradingsignals_server.adapters.postgres.api_keys import PostgresKeys
from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.application.access.keys import KeyRing
from tradingsignals_server.domain.access import Role
from tradingsignals_server.domain.access_errors import InvalidKey
from tradingsignals_server.domain.errors import StorageUnavailable

from .conftest import Storage


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def keys(pool: Connections, dsn: str) -> PostgresKeys:
    return PostgresKeys(pool, dsn)


async def test_key_is_read_as_it_was_stored(keys: PostgresKeys) -> None:
    key, _ = new_key(Role.TRADER, lifetime=timedelta(days=1), networks=["10.0.0.0/8", "2001:db8::1"])
    other, _ = new_key(revoked=False)
    await keys.add_key(key)
    await keys.add_key(other)
    assert sorted(await keys.load_keys(), key=lambda found: found.id) == sorted([key, other], key=lambda each: each.id)


async def test_revoked_key_stays_as_it_was_first_revoked(keys: PostgresKeys) -> None:
    key, _ = new_key()
    await keys.add_key(key)
    first = now()
    revoked = [await keys.revoke_key(key.id, first + timedelta(hours=hours)) for hours in (0, 1)]
    assert [found and found.revoked_at for found in revoked] == [first, first]
    assert await keys.revoke_key("aaaaaaaaaaaaa", first) is None


async def test_last_use_never_goes_back(keys: PostgresKeys) -> None:
    key, _ = new_key()
    await keys.add_key(key)
    late, early = now(), now() - timedelta(hours=1)
    await keys.record_uses({key.id: late, "aaaaaaaaaaaaa": late})
    await keys.record_uses({key.id: early})
    assert [found.last_used_at for found in await keys.load_keys()] == [late]


async def test_secret_is_not_stored(keys: PostgresKeys, sql: asyncpg.Connection) -> None:
    key, text = new_key()
    await keys.add_key(key)
    secret = text.rpartition("_")[2] if "_" not in text[18:] else text[18:]
    rows = "".join(str(dict(row)) for row in await sql.fetch("SELECT *, encode(secret_hash, 'escape') FROM api_keys"))
    assert key.id in rows
    assert secret not in rows


async def test_every_server_knows_of_a_change_at_once(keys: PostgresKeys, dsn: str, sql: asyncpg.Connection) -> None:
    key, text = new_key()
    await keys.add_key(key)
    rings = [KeyRing(keys, now) for _ in range(2)]
    events = [asyncio.Event() for _ in rings]
    for ring, event in zip(rings, events, strict=True):
        ring.on_change = event.set
    running = [asyncio.create_task(ring.run()) for ring in rings]
    for ring, event in zip(rings, events, strict=True):
        await within(event.wait())  # it has begun to listen
        assert ring.find(text).id == key.id
        event.clear()
    await sql.execute("UPDATE api_keys SET revoked_at = now()")  # by hand, as an operator would
    for ring, event in zip(rings, events, strict=True):
        await within(event.wait())
        with pytest.raises(InvalidKey, match="revoked"):
            ring.find(text)
    for task in running:
        task.cancel()


async def test_server_listens_again_once_the_database_is_back(
    keys: PostgresKeys, storage: Storage, pool: Connections
) -> None:
    (key, text), (late, late_text) = new_key(), new_key()
    await keys.add_key(key)
    ring, event = KeyRing(keys, now), asyncio.Event()
    ring.on_change = event.set
    running = asyncio.create_task(ring.run())
    await within(event.wait())
    async with storage.outage():
        with pytest.raises(StorageUnavailable):
            await ring.load()
        assert ring.find(text).id == key.id
    event.clear()
    await within(event.wait())  # it listens again, and has read the table
    event.clear()
    await keys.add_key(late)
    await within(event.wait())
    assert ring.find(late_text).id == late.id
    running.cancel()
