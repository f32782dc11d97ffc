"""Idempotency keys of calls that come together are looked up together, so that the calls reach the writer together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from tests.support.deadlines import within
from tests.support.running import started

from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.used_keys import KeyLookup
from tradingsignals_server.application.ports.idempotency import UsedKey
from tradingsignals_server.domain.errors import StorageUnavailable


class Reads:
    """Stands in for the connections: each read waits for `may_respond`, and finds the keys in `stored`."""

    def __init__(self) -> None:
        self.keys: list[Sequence[str]] = []
        self.stored = {"key3": b"response 3"}
        self.may_respond = asyncio.Event()
        self.errors: list[Exception] = []

    @asynccontextmanager
    async def for_read(self) -> AsyncIterator[Reads]:
        """See Connections."""
        yield self

    async def fetch(self, _: str, callers: Sequence[str], keys: Sequence[str]) -> list[dict[str, Any]]:
        """See asyncpg."""
        self.keys.append(keys)
        await self.may_respond.wait()
        if self.errors:
            raise self.errors.pop()
        sent = zip(callers, keys, strict=True)
        rest = {"method": "m", "request_hash": b"h"}
        return [{"caller": c, "key": k, "response": self.stored[k], **rest} for c, k in sent if k in self.stored]


def lookup_of(reads: Reads) -> KeyLookup:
    return KeyLookup(cast(Connections, reads))


async def test_keys_that_arrive_during_a_lookup_share_the_next() -> None:
    reads = Reads()
    lookup = lookup_of(reads)
    first = await started(lookup.find("a", "key0"))
    others = await started(*(lookup.find("a", f"key{n}") for n in range(1, 64)))
    others[0].cancel()
    assert len(reads.keys) == 1
    reads.may_respond.set()
    found = await within(asyncio.gather(*first, *others, return_exceptions=True))
    assert [len(keys) for keys in reads.keys] == [1, 63]
    assert isinstance(found.pop(1), asyncio.CancelledError)
    assert found == [None, None, UsedKey("m", b"h", b"response 3"), *[None] * 60]


async def test_lookup_that_fails_is_an_error_of_its_calls_alone() -> None:
    reads = Reads()
    lookup = lookup_of(reads)
    reads.errors.append(StorageUnavailable())
    failing = await started(lookup.find("a", "key0"), lookup.find("a", "key1"))
    (later,) = await started(lookup.find("a", "key3"))
    reads.may_respond.set()
    for each in failing:
        with pytest.raises(StorageUnavailable):
            await within(each)
    assert await within(later) is not None
