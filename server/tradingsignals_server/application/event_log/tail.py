"""From one writer to many followers.

The log in the database is the truth; `Broadcast` keeps its newest entries in memory. A follower is a cursor: it reads
the entries after its cursor from memory if they are there and from the store if not, and waits when it has them all.
So a follower has no queue that could fill up, a slow one is caught up from the log by the same code that resumes one,
and nobody slows the writer or another follower.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Self

from ...domain.errors import SequencePruned, SequenceUnknown, ShuttingDown
from ...domain.events import EventKind
from ...domain.signals import Action
from ..ports.event_log import LogEntry, LogHead
from ..ports.store import Store
from .pages import LogPages
from .replay import Pace, Replay

TAIL_ENTRIES = 16_384
"""Entries kept in memory at least, and twice as many at most; at some 600 bytes each, 10 to 20 MB."""

PAGE_ENTRIES = 512
"""Entries a follower is handed at a time at most: a bound on its memory and on the size of one answer."""

PAGE_BYTES = 1 << 20
"""Bytes of the messages it is handed at a time at most, unless a single one is larger. Clients of gRPC take 4 MiB."""

SHARED_BATCHES = 32
"""Batches kept for others who stand at the same place with the same wishes."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries a follower wants; an empty set leaves a condition out.

    `min_confidence` and `actions` concern signals only; entries of other kinds pass them. `since` is a market time.
    """

    kinds: frozenset[EventKind] = frozenset()
    symbols: frozenset[str] = frozenset()
    min_confidence: float | None = None
    actions: frozenset[Action] = frozenset()
    since: datetime | None = None

    def passes(self, entry: LogEntry) -> bool:
        """True if the follower wants `entry`."""
        if self.kinds and entry.kind not in self.kinds:
            return False
        if self.symbols and entry.symbol not in self.symbols:
            return False
        if self.actions and entry.action is not None and entry.action not in self.actions:
            return False
        if self.since is not None and entry.market_time < self.since:
            return False
        return self.min_confidence is None or entry.confidence is None or entry.confidence >= self.min_confidence


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries for a follower, in order, complete through a sequence. Without entries it is a heartbeat.

    `answers` are the messages made of it, by the function that made them: followers who stand at the same place with
    the same wishes share a batch, and so its bytes.
    """

    entries: Sequence[LogEntry]
    through_sequence: int
    answers: dict[object, bytes] = field(default_factory=dict, compare=False, repr=False)


class Broadcast:
    """The newest entries of the log, and everyone who waits for the next."""

    def __init__(self, store: Store, head: LogHead) -> None:
        self._store = store
        self.epoch = head.epoch
        self._oldest = head.oldest
        self._tail: list[LogEntry] = []
        self._newest = head.newest
        self._pages = LogPages(store, PAGE_ENTRIES)
        self._batches: OrderedDict[tuple[int, int, Filter], Batch] = OrderedDict()
        self._waiting: set[asyncio.Future[bool]] = set()
        self._listeners: list[Callable[[], None]] = []
        self._stopping = False

    @property
    def newest(self) -> int:
        """The sequence of the newest committed entry, 0 if there is none."""
        return self._newest

    @property
    def oldest(self) -> int:
        """The oldest sequence kept, as far as this server knows; `newest` + 1 if none is."""
        return self._oldest

    @property
    def stopping(self) -> bool:
        """True once the server is about to go."""
        return self._stopping

    # ----------------------------------------------------------------------------------------- what the log does

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

    def pruned(self, oldest: int) -> None:
        """Learn that entries before `oldest` are no longer kept."""
        self._oldest = max(self._oldest, oldest)

    def stop(self) -> None:
        """End every follower with ShuttingDown, once it has what is committed."""
        self._stopping = True
        self._wake()

    # ------------------------------------------------------------------------------------------------- followers

    async def follow(
        self, wanted: Filter, resume_after: int | None, heartbeat_seconds: float, replay: Replay | None = None
    ) -> Follower:
        """Subscribe: the entries after `resume_after` (None: after the newest now) that pass `wanted`, for ever.

        With a `replay` the entries of a range of market time, from the first there is if `resume_after` is None.

        Raises:
            SequencePruned, SequenceUnknown: `resume_after` is not in the log.
            StorageUnavailable: the store has to be asked for it, and cannot be.
        """
        cursor = self._newest if resume_after is None else await self._checked(resume_after)
        if replay is None:
            return Follower(self, wanted, cursor, heartbeat_seconds)
        newest = self._newest
        after = self._oldest - 1 if resume_after is None else cursor
        bounds = await self._store.sequence_range(replay.start, replay.end, after)
        # Without a range there is nothing to replay up to now; what comes now is live.
        first, last = bounds or (newest + 1, newest)
        return Follower(self, wanted, max(first - 1, after), heartbeat_seconds, replay, max(min(last, newest), after))

    async def place(self, resume_after: int | None) -> int:
        """The cursor of a new follower: for those who follow on behalf of many, and wait by `listen`.

        Raises:
            SequencePruned, SequenceUnknown, StorageUnavailable: as `follow`.
        """
        return self._newest if resume_after is None else await self._checked(resume_after)

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` whenever there is something new, or the server stops; returns how to stop that.

        It is called by the writer, and is to be short.
        """
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    async def next_of(self, replay: Replay, after: int) -> int | None:
        """The first sequence after `after` from which entries of a replay may come, or None."""
        bounds = await self._store.sequence_range(replay.start, replay.end, after)
        return None if bounds is None else bounds[0]

    async def page_after(self, cursor: int) -> Sequence[LogEntry]:
        """The next entries after `cursor`, which is not the newest; there is at least one.

        Raises:
            SequencePruned: the next entry is no longer kept.
            StorageUnavailable: they have to be read from the store and cannot be.
        """
        if (remembered := self.remembered_after(cursor, PAGE_ENTRIES)) is not None:
            return remembered
        page = await self._pages.after(cursor)
        if not page or page[0].sequence != cursor + 1:
            self.pruned(page[0].sequence if page else (await self._store.log_head()).oldest)
            raise SequencePruned(cursor, self._oldest)
        # The store may have what another server committed and this one has not heard of: everybody gets it then.
        return page if page[-1].sequence <= self._newest else page[: self._newest - cursor]

    def remembered_newest(self, wanted: Filter, count: int) -> Sequence[LogEntry] | None:
        """The newest `count` entries that pass, newest first; None if memory does not reach back so far."""
        found = list(islice(filter(wanted.passes, reversed(self._tail)), count))
        return found if len(found) == count else None

    def remembered_after(self, cursor: int, limit: int) -> Sequence[LogEntry] | None:
        """The same from memory, `limit` at most; None if memory does not reach back so far."""
        if not self._tail or self._tail[0].sequence > cursor + 1:
            return None
        start = cursor + 1 - self._tail[0].sequence
        return self._tail[start : start + limit]

    async def batch_after(self, cursor: int, wanted: Filter) -> Batch:
        """The next batch for a follower at `cursor`, which is not the newest; without entries if none of them passes.

        Raises:
            SequencePruned, StorageUnavailable: as `page_after`.
        """
        key = (cursor, min(self._newest, cursor + PAGE_ENTRIES), wanted)
        batch = self._batches.get(key)
        if batch is None:
            page = await self.page_after(cursor)
            batch = self._batches.get(key)  # whoever waited for the same page may have made it
        if batch is None:
            batch = self._batches[key] = batch_of(page, wanted)
            if len(self._batches) > SHARED_BATCHES:
                self._batches.popitem(last=False)
        return batch

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something new, at most `seconds`; True if there is."""
        if seconds <= 0.0:
            return False
        loop = asyncio.get_running_loop()
        changed: asyncio.Future[bool] = loop.create_future()
        self._waiting.add(changed)
        expiry = loop.call_later(seconds, _expire, changed)
        try:
            return await changed
        finally:
            expiry.cancel()
            self._waiting.discard(changed)

    async def _checked(self, resume_after: int) -> int:
        # A caller may have read in the database what has been committed but has not come round to `append` yet.
        if resume_after > self._newest and resume_after > (head := await self._store.log_head()).newest:
            raise SequenceUnknown(resume_after, head.newest, str(self.epoch))
        if resume_after + 1 < self._oldest:
            raise SequencePruned(resume_after, self._oldest)
        return resume_after

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for changed in waiting:
            if not changed.done():
                changed.set_result(True)
        for listener in self._listeners:
            listener()


class Follower(AsyncIterator[Batch]):
    """Someone's place in the log, and an iterator over what comes after it.

    Everything up to `cursor` that was asked for has been handed out. A batch without entries comes after
    `heartbeat_seconds` of silence. The iterator raises ShuttingDown after the last batch when the server stops,
    SequencePruned if the follower is slower than the retention, and StorageUnavailable if a stretch has to be read
    from the store and cannot be. It ends by itself only where a replay has an end, after a batch that says so.
    """

    def __init__(
        self,
        broadcast: Broadcast,
        wanted: Filter,
        cursor: int,
        heartbeat_seconds: float,
        replay: Replay | None = None,
        last: int = 0,
    ) -> None:
        """`last` is the sequence up to which a replay goes."""
        self.cursor = cursor
        self._broadcast = broadcast
        self._wanted = wanted
        self._heartbeat_seconds = heartbeat_seconds
        self._loop = asyncio.get_running_loop()
        self._silent_since = self._loop.time()
        self._told: int | None = None
        self._replay = replay
        self._last = last
        self._pace = Pace(replay.speed if replay is not None else 0.0)
        self._pending: list[tuple[float | None, LogEntry]] = []
        self._page_end = cursor
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        batch = await self._next()
        self._told = batch.through_sequence
        self._silent_since = self._loop.time()
        return batch

    async def _next(self) -> Batch:
        while self._replay is not None and not self._ended:
            if (batch := await self._replayed(self._replay)) is not None:
                return batch
        if self._ended:
            raise StopAsyncIteration
        while True:
            while self.cursor < self._broadcast.newest:
                batch = await self._broadcast.batch_after(self.cursor, self._wanted)
                self.cursor = batch.through_sequence
                if batch.entries or self._is_due():
                    return batch
            if self._broadcast.stopping:
                raise ShuttingDown(self.cursor)
            if not await self._broadcast.wait(self._quiet_seconds()):
                return Batch((), self.cursor)

    def _quiet_seconds(self) -> float:
        """Until the next heartbeat."""
        return self._silent_since + self._heartbeat_seconds - self._loop.time()

    def _is_due(self) -> bool:
        """True if a heartbeat is; a filtered stream that catches up tells how far it is, too."""
        return self._quiet_seconds() <= 0.0

    # -------------------------------------------------------------------------------------------------- replaying

    async def _replayed(self, replay: Replay) -> Batch | None:
        """The next batch of a replay; None if there is nothing to say yet, or the live entries are next."""
        if not self._pending and self.cursor >= self._last:
            return self._end(replay)
        if self._broadcast.stopping:
            raise ShuttingDown(self.cursor)
        if not self._pending:
            await self._turn_page(replay)
        elif (seconds := self._until_due()) > 0.0:
            await self._broadcast.wait(min(seconds, self._quiet_seconds()))
        else:
            return self._take_due()
        return Batch((), self.cursor) if self._is_due() else None

    def _end(self, replay: Replay) -> Batch | None:
        self._replay = None
        if replay.end is None:
            self._wanted = replace(self._wanted, since=replay.start)
            return None
        self._ended = True
        return Batch((), self.cursor) if self._told != self.cursor else None

    async def _turn_page(self, replay: Replay) -> None:
        page = await self._broadcast.page_after(self.cursor)
        in_range = [entry for entry in page if entry.sequence <= self._last and replay.has(entry)]
        self._page_end = min(page[-1].sequence, self._last)
        if not in_range:
            # Where several histories lie one after the other, what is between two stretches is not read.
            following = await self._broadcast.next_of(replay, self._page_end)
            self._page_end = self._last if following is None else min(following - 1, self._last)
        self._pending = [(None, entry) for entry in reversed(in_range) if self._wanted.passes(entry)]
        if not self._pending:
            self.cursor = self._page_end

    def _until_due(self) -> float:
        """Seconds until the next entry that waits is due."""
        due, entry = self._pending[-1]
        if due is None:
            due = self._pace.due(entry.market_time, self._loop.time())
            self._pending[-1] = due, entry
        return due - self._loop.time()

    def _take_due(self) -> Batch:
        """All that is due, as far as PAGE_BYTES go."""
        taken: list[LogEntry] = []
        size = 0
        while self._pending and self._until_due() <= 0.0:
            size += len(self._pending[-1][1].payload)
            if taken and size > PAGE_BYTES:
                break
            taken.append(self._pending.pop()[1])
        self.cursor = taken[-1].sequence if self._pending else self._page_end
        return Batch(taken, self.cursor)


def batch_of(page: Sequence[LogEntry], wanted: Filter) -> Batch:
    """What of a page passes, as far as PAGE_BYTES go."""
    passing: list[LogEntry] = []
    size = 0
    for entry in page:
        if wanted.passes(entry):
            size += len(entry.payload)
            if passing and size > PAGE_BYTES:
                return Batch(passing, entry.sequence - 1)
            passing.append(entry)
    return Batch(passing, page[-1].sequence)


def _expire(changed: asyncio.Future[bool]) -> None:
    if not changed.done():
        changed.set_result(False)
