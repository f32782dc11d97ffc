"""The contract of idempotency keys, which are stored in the commit of what their calls did."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.support.builders import NOW, signal

from tradingsignals_server.application.ports.idempotency import KeyedRequest, KeyUse, UsedKey
from tradingsignals_server.application.ports.store import KeyTaken, Store

from ..trades import update

METHOD = "tradingsignals.v1.SignalService.GenerateSignal"


def key_use(key: str, caller: str = "key:abc", index: int = 0) -> KeyUse:
    """Return the use of a key by a request, whose response is the message of the event at `index`."""
    return KeyUse(KeyedRequest(caller, key, METHOD, bytes(32)), lambda entries: entries[index].payload)


class KeysContract:
    """Keys of calls."""

    async def test_key_is_stored_with_the_response_made_of_the_entries(self, store: Store) -> None:
        assert await store.used_key("key:abc", "one") is None
        keys = [key_use("one", index=1), key_use("two", index=2)]
        _, first, second = await store.commit([update(0), signal(name=1), signal(name=2)], NOW, keys=keys)

        assert await store.used_key("key:abc", "one") == UsedKey(METHOD, bytes(32), first.payload)
        assert await store.used_key("key:abc", "two") == UsedKey(METHOD, bytes(32), second.payload)

    async def test_same_key_of_another_caller_is_another_key(self, store: Store) -> None:
        await store.commit([signal(name=1)], NOW, keys=[key_use("one")])
        assert await store.used_key("key:abd", "one") is None
        (entry,) = await store.commit([signal(name=2)], NOW, keys=[key_use("one", caller="key:abd")])
        found = await store.used_key("key:abd", "one")
        assert found is not None
        assert found.response == entry.payload

    async def test_keys_that_are_looked_up_at_once_are_told_apart(self, store: Store) -> None:
        stored = [key_use(f"key{n}", caller=f"key:{n % 2}", index=n) for n in range(0, 40, 2)]
        entries = await store.commit([update(n) for n in range(40)], NOW, keys=stored)
        found = await asyncio.gather(*(store.used_key("key:0", f"key{n}") for n in range(40) for _ in range(2)))
        payloads = [None if each is None else each.response for each in found]
        assert payloads == [entries[n].payload if n % 2 == 0 else None for n in range(40) for _ in range(2)]

    async def test_commit_with_a_key_that_is_stored_leaves_nothing(self, store: Store) -> None:
        await store.commit([signal(name=1)], NOW, keys=[key_use("one")])
        first = await store.used_key("key:abc", "one")
        with pytest.raises(KeyTaken):
            await store.commit([update(0), signal(name=2)], NOW, keys=[key_use("two"), key_use("one", index=1)])

        assert (await store.log_head()).newest == 1
        assert (await store.signal_totals()).count == 1
        assert await store.used_key("key:abc", "one") == first
        assert await store.used_key("key:abc", "two") is None
        (entry,) = await store.commit([update(0)], NOW, keys=[key_use("two")])
        assert entry.sequence == 2

    async def test_one_of_two_servers_stores_a_key(self, store: Store, another_store: Store) -> None:
        for n in range(10):
            results = await asyncio.gather(
                *(
                    writer.commit([signal(name=2 * n + which)], NOW, keys=[key_use(f"key-{n}")])
                    for which, writer in enumerate((store, another_store))
                ),
                return_exceptions=True,
            )
            assert [isinstance(result, KeyTaken) for result in results].count(True) == 1
        assert (await store.signal_totals()).count == 10

    async def test_old_keys_are_deleted_in_batches(self, store: Store) -> None:
        for n in range(5):
            await store.commit([update(n)], NOW + timedelta(seconds=n), keys=[key_use(f"key{n}")])
        assert [await store.prune_keys(NOW + timedelta(seconds=4), 3) for _ in range(3)] == [3, 1, 0]
        assert [await store.used_key("key:abc", f"key{n}") is None for n in range(5)] == [True] * 4 + [False]
        await store.commit([update(9)], NOW, keys=[key_use("key0")])
        assert await store.used_key("key:abc", "key0") is not None
