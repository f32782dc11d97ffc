"""From one writer to many followers.

The log in the database is the truth; `Broadcast` keeps its newest entries in memory. A follower is a cursor: it reads
the entries after its cursor from memory if they are there and from the store if not, and waits when it has them all.
So a follower has no queue that could fill up, a slow one is caught up from the log by the same code that resumes one,
and nobody slows the writer or another follower.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from ..domain.errors import SequencePruned, SequenceUnknown, ShuttingDown
from ..domain.events import EventKind
from ..domain.signals import Action
from .ports import LogEntry, LogHead, Store

TAIL_ENTRIES = 16_384
"""Entries kept in memory at least, and twice as many at most; at some 600 bytes each, 10 to 20 MB."""

PAGE_ENTRIES = 512
"""Entries a follower is handed at a time at most: a bound on its memory and on the size of one answer."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries a follower wants; an empty set leaves a condition out.

    `min_confidence` and `actions` concern signals only; entries of other kinds pass them.
    """

    kinds: frozenset[EventKind] = frozenset()
    symbols: frozenset[str] = frozenset()
    min_confidence: float | None = None
    actions: frozenset[Action] = frozenset()

    def passes(self, entry: LogEntry) -> bool:
        """True if the follower wants `entry`."""
        if self.kinds and entry.kind not in self.kinds:
            return False
        if self.symbols and entry.symbol not in self.symbols:
            return False
        if self.actions and entry.action is not None and entry.action not in self.actions:
            return False
        return self.min_confidence is None or entry.confidence is None or entry.confidence >= self.min_confidence


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries for a follower, in order, complete through a sequence. Without entries it is a heartbeat."""

    entries: Sequence[LogEntry]
    through_sequence: int


class Broadcast:
    """The newest entries of the log, and everyone who waits for the next."""

    def __init__(self, store: Store, head: LogHead) -> None:
        self._store = store
        self.epoch = head.epoch
        self._oldest_stored = head.oldest
        self._tail: list[LogEntry] = []
        self._newest = head.newest
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = False

    @property
    def newest(self) -> int:
        """The sequence of the newest committed entry, 0 if there is none."""
        return self._newest

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Take in entries that have just been committed, and wake everyone who waits."""
        if entries[0].sequence != self._newest + 1:
            # A commit whose answer was lost, or another server's: followers read the stretch from the store.
            self._tail.clear()
        self._tail.extend(entries)
        if len(self._tail) > 2 * TAIL_ENTRIES:
            del self._tail[:-TAIL_ENTRIES]
        self._newest = entries[-1].sequence
        self._wake()

    def advance(self, newest: int) -> None:
        """Learn that the log reaches to `newest`: followers read what memory does not have from the store."""
        if newest > self._newest:
            self._tail.clear()
            self._newest = newest
            self._wake()

    def stop(self) -> None:
        """End every follower with ShuttingDown, once it has what is committed."""
        self._stopping = True
        self._wake()

    async def follow(self, wanted: Filter, resume_after: int | None, heartbeat_seconds: float) -> AsyncIterator[Batch]:
        """Subscribe: the entries after `resume_after` (None: after the newest now) that pass `wanted`, for ever.

        A batch without entries comes after `heartbeat_seconds` of silence. The iterator raises ShuttingDown after the
        last batch when the server stops, SequencePruned if the follower is slower than the retention, and
        StorageUnavailable if a stretch has to be read from the store and cannot be.

        Raises:
            SequencePruned, SequenceUnknown: `resume_after` is not in the log.
        """
        cursor = self._newest if resume_after is None else await self._checked(resume_after)
        return self._batches(wanted, cursor, heartbeat_seconds)

    async def _batches(self, wanted: Filter, cursor: int, heartbeat_seconds: float) -> AsyncIterator[Batch]:
        loop = asyncio.get_running_loop()
        spoken_at = loop.time()
        while True:
            while cursor < self._newest:
                page = await self._after(cursor)
                cursor = page[-1].sequence
                passing = [entry for entry in page if wanted.passes(entry)]
                if passing:
                    yield Batch(passing, cursor)
                    spoken_at = loop.time()
            if self._stopping:
                raise ShuttingDown(cursor)
            if not await self._wait(spoken_at + heartbeat_seconds - loop.time()):
                yield Batch((), cursor)
                spoken_at = loop.time()

    async def _checked(self, resume_after: int) -> int:
        # A caller may have read in the database what has been committed but has not come round to `append` yet.
        if resume_after > self._newest and resume_after > (head := await self._store.log_head()).newest:
            raise SequenceUnknown(resume_after, head.newest, str(self.epoch))
        if resume_after + 1 < self._oldest_stored:
            raise SequencePruned(resume_after, self._oldest_stored)
        return resume_after

    async def _after(self, cursor: int) -> Sequence[LogEntry]:
        """The next page of entries after `cursor`; there is at least one."""
        if self._tail and self._tail[0].sequence <= cursor + 1:
            start = cursor + 1 - self._tail[0].sequence
            return self._tail[start : start + PAGE_ENTRIES]
        page = await self._store.entries_after(cursor, PAGE_ENTRIES)
        if not page or page[0].sequence != cursor + 1:
            raise SequencePruned(cursor, page[0].sequence if page else self._newest + 1)
        return page

    async def _wait(self, seconds: float) -> bool:
        """Wait for a change, at most `seconds`; True if there was one."""
        if seconds <= 0.0:
            return False
        done, _ = await asyncio.wait((self._changed,), timeout=seconds)
        return bool(done)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)
