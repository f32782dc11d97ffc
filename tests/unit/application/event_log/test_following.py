"""Followers: ordered, unique, gap-free, resumable from any sequence, whatever memory still holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, bar, position, signal
from tests.support.deadlines import DEADLINE
from tests.support.following import Batch, follow
from tests.support.memory_store import MemoryStore
from tests.support.running import started

from tradingsignals_server.application.event_log.filter import Filter
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import SequencePruned, SequenceUnknown, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, EventKind, MarketUpdate
from tradingsignals_server.domain.signals import Action

TimePasses = Callable[[float], Awaitable[None]]


class Log:
    """A store with a log, and its tail."""

    def __init__(self, store: MemoryStore, tail: LogTail) -> None:
        self.store = store
        self.tail = tail

    @classmethod
    async def with_entries(cls, count: int, tail_entries: int = 1000, page_entries: int = 512) -> Log:
        """A log that had `count` entries when the server started."""
        store = MemoryStore()
        store.put(updates(0, count), NOW)
        return cls(store, LogTail(store, await store.log_head(), tail_entries, page_entries))

    def append(self, count: int) -> None:
        """Commit `count` entries, and append them to the tail."""
        self.tail.append(self.store.put(updates(len(self.store.events), count), NOW))

    def append_events(self, *events: Event) -> None:
        self.tail.append(self.store.put(events, NOW))


@pytest.fixture
async def time_passes(monkeypatch: pytest.MonkeyPatch) -> TimePasses:
    """Advances the event loop's clock, and lets all tasks do what is due."""
    loop, skipped = asyncio.get_running_loop(), [0.0]
    running_clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: running_clock() + sum(skipped))

    async def pass_(seconds: float) -> None:
        skipped.append(seconds)
        await started()

    return pass_


def updates(first: int, count: int) -> list[MarketUpdate]:
    return [MarketUpdate(bar(n), Disposition.WARMING_UP) for n in range(first, first + count)]


async def read(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)


async def next_batch(batches: AsyncIterator[Batch]) -> Batch:
    async with asyncio.timeout(DEADLINE):
        return await read(batches)


async def until_shutdown(batches: AsyncIterator[Batch]) -> tuple[list[Batch], ShuttingDown]:
    """Return all batches of a follower until the server stops, and its error."""
    found: list[Batch] = []
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                found.append(await anext(batches))
            except ShuttingDown as end:
                return found, end


def sequences(batches: Sequence[Batch]) -> list[int]:
    return [entry.sequence for batch in batches for entry in batch.entries]


# ------------------------------------------------------------------------------------------- no gap, no duplicate


@given(
    stored=st.integers(0, 12),
    appended=st.lists(st.integers(1, 7), max_size=12),
    followers=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=4),
    tail=st.integers(1, 6),
    page=st.integers(1, 5),
    unseen=st.sets(st.integers(0, 11)),
)
async def test_from_any_sequence_every_entry_comes_once(
    stored: int,
    appended: list[int],
    followers: list[tuple[int, int]],
    tail: int,
    page: int,
    unseen: set[int],
) -> None:
    """Followers join between appends, with any cursor; `unseen` appends are those of another server."""
    log = await Log.with_entries(stored, tail, page)
    following: list[tuple[int, asyncio.Task[tuple[list[Batch], ShuttingDown]]]] = []
    for turn, count in enumerate([*appended, 1]):
        for cursor, joins in followers:
            if joins == turn and cursor <= log.tail.newest:
                batches = await follow(log.tail, resume_after=cursor, limits=ResponseLimits(entries=page))
                following.append((cursor, asyncio.create_task(until_shutdown(batches))))
        await asyncio.sleep(0)
        if turn in unseen:
            log.store.put(updates(len(log.store.events), 2), NOW)
        log.append(count)
    log.tail.stop()
    for cursor, task in following:
        found, end = await task
        assert sequences(found) == list(range(cursor + 1, log.tail.newest + 1))
        assert all(len(batch.entries) <= page for batch in found)
        assert [batch.through_sequence for batch in found] == [batch.entries[-1].sequence for batch in found]
        assert end.metadata == {"sequence": str(log.tail.newest)}


async def test_follower_without_a_cursor_begins_at_the_newest_entry() -> None:
    log = await Log.with_entries(5)
    batches = await follow(log.tail)
    log.append(2)
    log.append(1)
    assert sequences([await next_batch(batches)]) == [6, 7, 8]


async def test_follower_is_live_once_it_is_opened() -> None:
    """Not from the first read: what is committed in between must not be lost."""
    log = await Log.with_entries(0)
    batches = await follow(log.tail)
    log.append(3)
    assert sequences([await next_batch(batches)]) == [1, 2, 3]


async def test_pending_entries_come_in_as_few_batches_as_possible() -> None:
    log = await Log.with_entries(0)
    batches = await follow(log.tail, resume_after=0)
    for _ in range(100):
        log.append(3)
    sizes = [len((await next_batch(batches)).entries) for _ in range(2)]
    assert sizes == [256, 44]


async def test_waiting_followers_are_notified() -> None:
    log = await Log.with_entries(0)
    waiting = await started(*[next_batch(await follow(log.tail)) for _ in range(3)])
    assert not any(task.done() for task in waiting)
    log.append(1)
    assert [sequences([await task]) for task in waiting] == [[1]] * 3


# ------------------------------------------------------------------------------------------- memory and the store


async def test_entries_in_memory_are_not_read_from_the_store() -> None:
    log = await Log.with_entries(0)
    log.append(20)
    batches = await follow(log.tail, resume_after=0)
    assert sequences([await next_batch(batches)]) == list(range(1, 21))
    assert log.store.pages_read == 0


async def test_slow_follower_catches_up_from_the_store_page_by_page() -> None:
    log = await Log.with_entries(0, tail_entries=10, page_entries=8)
    batches = await follow(log.tail, resume_after=0, limits=ResponseLimits(entries=8))
    for _ in range(20):
        log.append(5)
        assert len(log.tail._tail) <= 20, "a follower that does not read costs no memory"
    found = [await next_batch(batches)]
    while found[-1].through_sequence < 100:
        found.append(await next_batch(batches))
    assert sequences(found) == list(range(1, 101))
    assert max(len(batch.entries) for batch in found) == 8
    assert 0 < log.store.pages_read < len(found), "the newest came from memory"


async def test_after_a_gap_the_entries_come_from_the_store() -> None:
    log = await Log.with_entries(0)
    log.append(5)
    log.store.put(updates(5, 3), NOW)
    log.append(2)
    batches = await follow(log.tail, resume_after=0)
    assert log.tail.newest == 10
    found = [await next_batch(batches)]
    assert sequences(found) == list(range(1, 11))
    assert log.store.pages_read == 1


async def test_follower_in_memory_does_not_need_the_database() -> None:
    log = await Log.with_entries(0)
    log.append(5)
    log.store.down = True
    batches = await follow(log.tail, resume_after=2)
    assert sequences([await next_batch(batches)]) == [3, 4, 5]


async def test_page_that_cannot_be_read_ends_the_follower() -> None:
    log = await Log.with_entries(5)
    batches = await follow(log.tail, resume_after=0)
    log.store.down = True
    with pytest.raises(StorageUnavailable):
        await next_batch(batches)


# ------------------------------------------------------------------------------------------------------ filters

BUY, SELL, HOLD = (signal(action, name=n) for n, action in enumerate(Action, 1))
FOREIGN = signal(Action.BUY, symbol="EURUSD", name=9)
HELD = position()
STORED = MarketUpdate(bar(0), Disposition.ACCEPTED)
EVENTS: list[Event] = [STORED, BUY, SELL, HOLD, FOREIGN, HELD]
"""At the sequences 1 to 6; every signal has a confidence of 0.9."""


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (Filter(), [1, 2, 3, 4, 5, 6]),
        (Filter(kinds=frozenset({EventKind.SIGNAL})), [2, 3, 4, 5]),
        (Filter(kinds=frozenset({EventKind.MARKET_UPDATE, EventKind.POSITION_UPDATE})), [1, 6]),
        (Filter(symbols=frozenset({"EURUSD"})), [5]),
        (Filter(symbols=frozenset({"EURUSD", "USDCOP"})), [1, 2, 3, 4, 5, 6]),
        (Filter(actions=frozenset({Action.SELL, Action.HOLD})), [1, 3, 4, 6]),
        (Filter(min_confidence=0.9), [1, 2, 3, 4, 5, 6]),
        (Filter(min_confidence=0.91), [1, 6]),
        (Filter(frozenset({EventKind.SIGNAL}), frozenset({"USDCOP"}), 0.5, frozenset({Action.BUY})), [2]),
        (Filter(symbols=frozenset({"GBPUSD"})), []),
    ],
)
async def test_follower_receives_entries_that_pass_its_filter(filter_: Filter, expected: list[int]) -> None:
    log = await Log.with_entries(0)
    log.append_events(*EVENTS)
    batches = await follow(log.tail, filter_, 0)
    log.tail.stop()
    found, end = await until_shutdown(batches)
    assert sequences(found) == expected
    assert end.metadata == {"sequence": "6"}, "a filtered stream is complete to the end all the same"
    if found:
        assert found[-1].through_sequence == 6


# --------------------------------------------------------------------------------------------------- heartbeats


async def test_heartbeat_with_the_sequence_comes_after_silence(time_passes: TimePasses) -> None:
    log = await Log.with_entries(7)
    batches = await follow(log.tail, heartbeat_seconds=15.0)
    for _ in range(3):
        (waiting,) = await started(read(batches))
        await time_passes(14.0)
        assert not waiting.done()
        await time_passes(2.0)
        assert await waiting == Batch((), 7)


async def test_response_defers_the_heartbeat(time_passes: TimePasses) -> None:
    log = await Log.with_entries(0)
    batches = await follow(log.tail, heartbeat_seconds=15.0)
    for n in range(1, 4):
        (waiting,) = await started(read(batches))
        await time_passes(14.0)
        log.append(1)
        assert sequences([await waiting]) == [n]


async def test_filtered_stream_advances_by_its_heartbeats(time_passes: TimePasses) -> None:
    """Entries that do not pass the filter do not defer the heartbeat."""
    log = await Log.with_entries(0)
    batches = await follow(log.tail, Filter(symbols=frozenset({"EURUSD"})), heartbeat_seconds=15.0)
    (waiting,) = await started(read(batches))
    for _ in range(4):
        await time_passes(4.0)
        log.append(1)
        await time_passes(0.0)
    assert await waiting == Batch((), 3)


async def test_busy_stream_needs_no_heartbeat() -> None:
    log = await Log.with_entries(0)
    batches = await follow(log.tail)
    for n in range(1, 4):
        log.append(1)
        assert sequences([await next_batch(batches)]) == [n]


# ----------------------------------------------------------------------------------------- cursors out of range


@pytest.mark.parametrize("cursor", [6, 7, 2**62])
async def test_sequence_of_another_epoch_is_refused(cursor: int) -> None:
    log = await Log.with_entries(5)
    with pytest.raises(SequenceUnknown) as caught:
        await follow(log.tail, resume_after=cursor)
    assert caught.value.metadata == {"newest_sequence": "5", "epoch": str(UUID(int=4))}


async def test_sequence_that_is_committed_but_not_appended_yet_is_accepted() -> None:
    """A list read in the database may be ahead of the log_tail by a moment."""
    log = await Log.with_entries(5)
    entries = log.store.put(updates(5, 2), NOW)
    batches = await follow(log.tail, resume_after=7)
    log.tail.append(entries)
    log.append(1)
    assert sequences([await next_batch(batches)]) == [8]


@pytest.mark.parametrize(("cursor", "kept"), [(0, False), (3, False), (4, True), (10, True)])
async def test_sequence_that_is_no_longer_kept_is_refused(cursor: int, kept: bool) -> None:
    store = MemoryStore()
    store.put(updates(0, 10), NOW)
    store.oldest = 5
    log_tail = LogTail(store, await store.log_head())
    if kept:
        assert await follow(log_tail, resume_after=cursor)
    else:
        with pytest.raises(SequencePruned) as caught:
            await follow(log_tail, resume_after=cursor)
        assert caught.value.metadata == {"oldest_sequence": "5"}


async def test_follower_that_is_slower_than_the_retention_is_ended() -> None:
    log = await Log.with_entries(10)
    batches = await follow(log.tail, resume_after=2)
    log.store.oldest = 6
    with pytest.raises(SequencePruned) as caught:
        await next_batch(batches)
    assert caught.value.metadata == {"oldest_sequence": "6"}


# ------------------------------------------------------------------------------------------------------------- shutdown


async def test_stop_ends_followers_after_the_last_entry() -> None:
    log = await Log.with_entries(3)
    idle, busy = [await follow(log.tail, resume_after=cursor) for cursor in (None, 0)]
    (waiting,) = await started(until_shutdown(idle))
    log.append(2)
    log.tail.stop()
    for found, end in (await waiting, await until_shutdown(busy)):
        assert sequences(found)[-2:] == [4, 5]
        assert end.metadata == {"sequence": "5"}


async def test_stop_notifies_waiting_followers() -> None:
    log = await Log.with_entries(3)
    (waiting,) = await started(until_shutdown(await follow(log.tail)))
    log.tail.stop()
    assert sequences((await waiting)[0]) == []


async def test_follower_opened_after_the_stop_receives_committed_entries() -> None:
    log = await Log.with_entries(3)
    log.tail.stop()
    found, _ = await until_shutdown(await follow(log.tail, resume_after=1))
    assert sequences(found) == [2, 3]


async def test_follower_that_leaves_does_not_affect_others() -> None:
    log = await Log.with_entries(0)
    leaving, staying = await started(*[until_shutdown(await follow(log.tail)) for _ in range(2)])
    leaving.cancel()
    await asyncio.wait((leaving,))
    log.append(2)
    log.tail.stop()
    found, _ = await staying
    assert sequences(found) == [1, 2]


def test_confidence_filter_ignores_entries_without_confidence() -> None:
    entry = LogEntry(1, NOW - timedelta(1), EventKind.POSITION_UPDATE, "USDCOP", None, None, b"", NOW)
    assert Filter(min_confidence=1.0, actions=frozenset({Action.BUY})).passes(entry)
