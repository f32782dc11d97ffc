"""Pages of the log: each is read once for all followers, cached, and extended by new entries."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.builders import NOW, bar
from tests.support.memory_store import MemoryStore
from tests.support.running import started

from tradingsignals_server.application.event_log.pages import READERS, LogPages
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate


class SlowStore(MemoryStore):
    """A store that returns a page once the gate is open; `reading` counts the pending reads."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.put([MarketUpdate(bar(n), Disposition.LATE) for n in range(entries)], NOW)
        self.reading = 0

    async def entries_after(self, sequence: int, limit: int) -> list[LogEntry]:
        """See Store."""
        self.reading += 1
        await self.gate.wait()
        self.reading -= 1
        return list(await super().entries_after(sequence, limit))


def numbers(page: object) -> list[int]:
    return [entry.sequence for entry in page]  # type: ignore[attr-defined]


async def test_concurrent_followers_share_each_page_read() -> None:
    store = SlowStore(100)
    pages = LogPages(store, page_entries=10)
    found = await asyncio.gather(*(pages.after(cursor % 100) for cursor in range(1000)))
    assert store.pages_read == 10
    for cursor, page in enumerate(found):
        end = (cursor % 100 // 10 + 1) * 10
        assert numbers(page) == list(range(cursor % 100 + 1, end + 1))


async def test_concurrent_page_reads_are_limited() -> None:
    store = SlowStore(100)
    store.gate.clear()
    pages = LogPages(store, page_entries=10)
    tasks = await started(*(pages.after(10 * n) for n in range(10)))
    assert store.reading == READERS
    store.gate.set()
    await asyncio.gather(*tasks)


async def test_last_page_is_extended_by_new_entries() -> None:
    store = SlowStore(5)
    pages = LogPages(store, page_entries=10)
    assert numbers(await pages.after(2)) == [3, 4, 5]
    assert numbers(await pages.after(0)) == [1, 2, 3, 4, 5]
    assert store.pages_read == 1
    store.put([MarketUpdate(bar(n), Disposition.LATE) for n in range(5, 12)], NOW)
    assert numbers(await pages.after(5)) == [6, 7, 8, 9, 10]
    assert numbers(await pages.after(10)) == [11, 12]


async def test_number_of_kept_pages_is_limited() -> None:
    store = SlowStore(100)
    pages = LogPages(store, page_entries=10, kept_pages=2)
    for cursor in (0, 10, 0, 20, 0, 10):
        await pages.after(cursor)
    assert store.pages_read == 4


async def test_read_error_is_raised_to_all_and_not_cached() -> None:
    store = SlowStore(10)
    store.down = True
    pages = LogPages(store, page_entries=10)
    results = await asyncio.gather(*(pages.after(0) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [StorageUnavailable] * 5
    store.down = False
    assert len(await pages.after(0)) == 10


async def test_cancelled_reader_does_not_affect_others() -> None:
    store = SlowStore(10)
    store.gate.clear()
    pages = LogPages(store, page_entries=10)
    leaving, staying = await started(pages.after(0), pages.after(3))
    leaving.cancel()
    await started()
    store.gate.set()
    assert numbers(await staying) == list(range(4, 11))
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_pruned_entries_are_absent() -> None:
    store = SlowStore(30)
    store.oldest = 15
    pages = LogPages(store, page_entries=10)
    assert numbers(await pages.after(3)) == []
    assert numbers(await pages.after(10)) == [15, 16, 17, 18, 19, 20]
    assert numbers(await pages.after(16)) == [17, 18, 19, 20]
