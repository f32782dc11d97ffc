"""The newest entries of the event log in memory, and who is notified of the next.

The log in the database is the truth; `LogTail` keeps its newest entries. A follower is a cursor: it reads the entries
after its cursor from memory if they are there and from the store if not. So a follower has no queue that could fill up,
a slow one catches up by the same code that resumes one, and none slows the writer or another follower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from ...domain.errors import SequencePruned, SequenceUnknown
from ..ports.event_log import LogEntry, LogHead
from ..ports.store import Store
from .filter import Filter
from .pages import PAGE_ENTRIES, LogPages
from .replay import Replay

TAIL_ENTRIES = 16_384
"""Entries kept in memory at least, and twice as many at most; at some 600 bytes each, 10 to 20 MB."""


class LogTail:
    """The newest entries of the log, and the store behind them."""

    def __init__(
        self, store: Store, head: LogHead, tail_entries: int = TAIL_ENTRIES, page_entries: int = PAGE_ENTRIES
    ) -> None:
        self._store = store
        self.epoch = head.epoch
        self.newest = head.newest
        """The sequence of the newest committed entry, 0 if there is none."""
        self.oldest = head.oldest
        """The oldest sequence kept, as far as this server knows; `newest` + 1 if none is."""
        self.is_stopping = False
        """True once the server is about to stop."""
        self.page_entries = page_entries
        self._tail_entries = tail_entries
        self._tail: list[LogEntry] = []
        self._pages = LogPages(store, page_entries)
        self._listeners: list[Callable[[], None]] = []

    # ------------------------------------------------------------------------------------------- changes of the log

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Take in entries that have just been committed, and notify all listeners."""
        if entries[0].sequence != self.newest + 1:
            # The entries in between are another server's, or of a commit whose result was lost: the store has them.
            self._tail.clear()
        self._tail.extend(entries)
        if len(self._tail) > 2 * self._tail_entries:
            del self._tail[: -self._tail_entries]
        self.newest = entries[-1].sequence
        self._notify()

    def advance(self, newest: int) -> None:
        """Extend the log to `newest`; what memory does not have is read from the store."""
        if newest > self.newest:
            self._tail.clear()
            self.newest = newest
            self._notify()

    def prune(self, oldest: int) -> None:
        """Record that entries before `oldest` are no longer kept."""
        self.oldest = max(self.oldest, oldest)

    def stop(self) -> None:
        """End every follower with ShuttingDown, once it has what is committed."""
        self.is_stopping = True
        self._notify()

    def subscribe(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Call `notify` whenever there are new entries, or the server stops; returns how to unsubscribe.

        It is called by the writer, and is to be short.
        """
        self._listeners.append(notify)
        return lambda: self._listeners.remove(notify)

    def _notify(self) -> None:
        for notify in self._listeners:
            notify()

    # ------------------------------------------------------------------------------------------------------ reading

    def after(self, cursor: int, limit: int) -> Sequence[LogEntry] | None:
        """The next entries after `cursor`, `limit` at most; None if they have to be loaded from the store first."""
        tail = self._tail
        if tail and tail[0].sequence <= cursor + 1:
            start = cursor + 1 - tail[0].sequence
            return tail[start : start + limit]
        # The store may have entries of another server that this one has not been notified of: all followers wait.
        return self._pages.kept_after(cursor, min(limit, self.newest - cursor))

    async def load(self, cursor: int) -> None:
        """Read the page with the entries after `cursor`, which is not the newest, so that `after` has them.

        Raises:
            SequencePruned: the next entry is no longer kept.
            StorageUnavailable: the store cannot be read.
        """
        page = await self._pages.after(cursor)
        if not page or page[0].sequence != cursor + 1:
            self.prune(page[0].sequence if page else (await self._store.log_head()).oldest)
            raise SequencePruned(cursor, self.oldest)

    def newest_matching(self, filter_: Filter, count: int) -> Sequence[LogEntry] | None:
        """The newest `count` entries that pass, newest first; None if memory does not reach back so far."""
        found = list(islice(filter(filter_.passes, reversed(self._tail)), count))
        return found if len(found) == count else None

    async def check(self, resume_after: int) -> None:
        """Check that a follower can resume after a sequence.

        Raises:
            SequencePruned, SequenceUnknown: it is not in the log.
            StorageUnavailable: the store has to be asked for it, and cannot be.
        """
        # A caller may have read in the database what has been committed but not appended here yet.
        if resume_after > self.newest and resume_after > (head := await self._store.log_head()).newest:
            raise SequenceUnknown(resume_after, head.newest, str(self.epoch))
        if resume_after + 1 < self.oldest:
            raise SequencePruned(resume_after, self.oldest)

    async def range_of(self, replay: Replay, after: int) -> tuple[int, int] | None:
        """The first and the last sequence after `after` whose market time a replay covers; None if there is none.

        Raises:
            StorageUnavailable: the store cannot be read.
        """
        return await self._store.sequence_range(replay.start, replay.end, after)
