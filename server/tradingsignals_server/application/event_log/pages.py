"""Pages of the stored log, each read once for all the followers that want it.

A page is a stretch of the log that begins at a fixed sequence, so that followers who come back with a thousand
different cursors read the same few pages. Entries never change, so what was read is kept until newer reading needs the
room, and a page at the end of the log is read on from where it ended.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from ..ports.event_log import LogEntry
from ..ports.store import Store

PAGE_ENTRIES = 512
"""Entries of a page: what one reading of the store gives at most."""

KEPT_PAGES = 32
"""Pages kept in memory; at some 600 bytes an entry, 10 MB."""

READERS = 3
"""Readings of the store at a time, so that catching up never takes the connections that others need."""


class LogPages:
    """Reads and keeps pages of the log."""

    def __init__(self, store: Store, page_entries: int = PAGE_ENTRIES, kept_pages: int = KEPT_PAGES) -> None:
        self._store = store
        self._page_entries = page_entries
        self._kept_pages = kept_pages
        self._kept: OrderedDict[int, Sequence[LogEntry]] = OrderedDict()
        self._reading: dict[int, asyncio.Future[Sequence[LogEntry]]] = {}
        self._readers = asyncio.Semaphore(READERS)

    async def after(self, cursor: int) -> Sequence[LogEntry]:
        """Entries after `cursor` in their order, up to the end of its page; empty if the store has none there.

        The first one is not the next after `cursor` if that has been pruned.

        Raises:
            StorageUnavailable: the page has to be read, and cannot be.
        """
        number = cursor // self._page_entries
        page = self._kept.get(number)
        if page and page[-1].sequence > cursor:
            self._kept.move_to_end(number)
        else:
            page = await self._read_once(number)
        if not page or page[0].sequence > cursor:
            return page
        return page[cursor + 1 - page[0].sequence :]

    async def _read_once(self, number: int) -> Sequence[LogEntry]:
        """Read a page, or wait for who reads it already; whoever waits shares what comes, an error too."""
        while (reading := self._reading.get(number)) is not None:
            await asyncio.wait((reading,))
            if not reading.cancelled():
                return reading.result()
        reading = self._reading[number] = asyncio.get_running_loop().create_future()
        try:
            page = await self._read(number)
        except Exception as error:
            reading.set_exception(error)
            reading.exception()  # nobody may be waiting
            raise
        except BaseException:
            reading.cancel()  # who waits reads it then
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
