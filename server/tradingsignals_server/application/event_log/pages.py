"""Pages of the stored log, each read once for all followers that need it.

A page begins at a fixed sequence, so that followers that resume from a thousand different cursors read the same few
pages. Entries never change, so a page is kept until the memory is needed for newer ones, and a page at the end of the
log is read on from where it ended.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from ..ports.event_log import LogEntry
from ..ports.store import Store

PAGE_ENTRIES = 512
"""Entries of a page: the most that one read of the store returns."""

KEPT_PAGES = 32
"""Pages kept in memory; at some 600 bytes an entry, 10 MB."""

READERS = 3
"""Reads of the store at a time, so that followers that catch up never take the connections that others need."""


class LogPages:
    """Reads and keeps pages of the log."""

    def __init__(self, store: Store, page_entries: int = PAGE_ENTRIES, kept_pages: int = KEPT_PAGES) -> None:
        self._store = store
        self._page_entries = page_entries
        self._kept_pages = kept_pages
        self._kept: OrderedDict[int, Sequence[LogEntry]] = OrderedDict()
        self._reading: dict[int, asyncio.Future[Sequence[LogEntry]]] = {}
        self._readers = asyncio.Semaphore(READERS)

    def kept_after(self, cursor: int, limit: int) -> Sequence[LogEntry] | None:
        """Entries after `cursor` from a kept page, `limit` at most; None if the page has to be read."""
        number = cursor // self._page_entries
        page = self._kept.get(number)
        if not page or page[-1].sequence <= cursor or page[0].sequence > cursor + 1:
            return None
        self._kept.move_to_end(number)
        start = cursor + 1 - page[0].sequence
        return page[start : start + limit]

    async def after(self, cursor: int) -> Sequence[LogEntry]:
        """Read the entries after `cursor` in their order, up to the end of its page; empty if the store has none there.

        The first one is not the next after `cursor` if that has been pruned.

        Raises:
            StorageUnavailable: the page has to be read, and cannot be.
        """
        kept = self.kept_after(cursor, self._page_entries)
        if kept is not None:
            return kept
        page = await self._read_once(cursor // self._page_entries)
        if not page or page[0].sequence > cursor:
            return page
        return page[cursor + 1 - page[0].sequence :]

    async def _read_once(self, number: int) -> Sequence[LogEntry]:
        """Read a page, or wait for the read that is under way; its result is shared, an error too."""
        while (reading := self._reading.get(number)) is not None:
            await asyncio.wait((reading,))
            if not reading.cancelled():
                return reading.result()
        reading = self._reading[number] = asyncio.get_running_loop().create_future()
        try:
            page = await self._read(number)
        except Exception as error:
            reading.set_exception(error)
            reading.exception()  # there may be no other waiter to retrieve it
            raise
        except BaseException:
            reading.cancel()  # the next waiter reads it
            raise
        else:
            reading.set_result(page)
        finally:
            del self._reading[number]
        return page

    async def _read(self, number: int) -> Sequence[LogEntry]:
        known = self._kept.get(number, ())
        start, end = number * self._page_entries, (number + 1) * self._page_entries
        after = known[-1].sequence if known else start
        async with self._readers:
            found = await self._store.entries_after(after, end - after)
        page = [*known, *(entry for entry in found if entry.sequence <= end)]
        self._kept[number] = page
        self._kept.move_to_end(number)
        if len(self._kept) > self._kept_pages:
            self._kept.popitem(last=False)
        return page
