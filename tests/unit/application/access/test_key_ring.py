"""The API keys in memory follow the table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from tests.support.deadlines import within
from tests.support.memory_keys import NOW, MemoryKeys, new_key

from tradingsignals_server.application.access import keys as module
from tradingsignals_server.application.access.keys import KeyRing
from tradingsignals_server.domain.access_errors import InvalidKey
from tradingsignals_server.domain.errors import StorageUnavailable


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def refused(cause: str) -> Iterator[None]:
    with pytest.raises(InvalidKey) as caught:
        yield
    assert caught.value.metadata["cause"] == cause


async def changed(ring: KeyRing, store: MemoryKeys) -> asyncio.Event:
    """Return an event that is set at each change from now on; the ring has to run."""
    await within(store.listening.wait())
    event = asyncio.Event()
    ring.on_change = event.set
    return event


async def test_key_is_found_by_its_whole_text_only() -> None:
    (key, text), (_, other) = new_key(), new_key()
    ring = KeyRing(MemoryKeys(key), Clock())
    await ring.load()
    assert ring.find(text) is key
    with refused("unknown"):
        ring.find(other)
    with refused("unknown"):
        ring.find(text[:-1] + ("-" if text[-1] != "-" else "_"))
    with refused("malformed"):
        ring.find(text + "A")


async def test_key_expires_without_a_change_of_the_table() -> None:
    (key, text), clock = new_key(lifetime=timedelta(hours=1)), Clock()
    ring = KeyRing(MemoryKeys(key), clock)
    await ring.load()
    assert ring.find(text) is key
    assert ring.invalid(key.id) is None
    clock.now += timedelta(hours=1)
    with refused("expired"):
        ring.find(text)
    assert ring.invalid(key.id) is not None


async def test_revoked_and_new_keys_are_known_once_notified() -> None:
    (key, text), (new, new_text) = new_key(), new_key()
    store = MemoryKeys(key)
    ring = KeyRing(store, Clock())
    await ring.load()
    running = asyncio.create_task(ring.run())
    event = await changed(ring, store)
    await store.revoke_key(key.id, NOW)
    await store.add_key(new)
    await within(event.wait())
    with refused("revoked"):
        ring.find(text)
    assert ring.find(new_text) is new
    running.cancel()


async def test_keys_stay_known_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELOAD_INTERVAL_S", 0.001)
    (key, text), (new, new_text) = new_key(), new_key()
    store = MemoryKeys(key)
    ring = KeyRing(store, Clock())
    await ring.load()
    running = asyncio.create_task(ring.run())
    event = await changed(ring, store)
    store.is_away = True
    with pytest.raises(StorageUnavailable):
        await ring.load()
    assert ring.find(text) is key
    store.keys[new.id] = new  # and nobody is notified
    store.is_away = False
    event.clear()
    await within(event.wait())
    assert ring.find(new_text) is new
    running.cancel()


async def test_last_use_is_stored_at_most_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELOAD_INTERVAL_S", 0.001)
    (key, text), clock = new_key(), Clock()
    store = MemoryKeys(key)
    ring = KeyRing(store, clock)
    await ring.load()
    running = asyncio.create_task(ring.run())
    event = await changed(ring, store)
    for seconds in (0, 30, 59, 60, 61):
        clock.now = NOW + timedelta(seconds=seconds)
        ring.find(text)
        for _ in range(2):  # one that may be under way, and one more
            event.clear()
            await within(event.wait())
    assert [use[key.id] for use in store.uses] == [NOW, NOW + timedelta(seconds=60)]
    running.cancel()
