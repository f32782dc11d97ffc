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
from tests.support.memory_store import MemoryStore
from tests.support.running import DEADLINE, patched, started

from tradingsignals_server.application.event_log import tail as broadcast_module
from tradingsignals_server.application.event_log.tail import Batch, Broadcast, Filter
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import SequencePruned, SequenceUnknown, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, EventKind, MarketUpdate
from tradingsignals_server.domain.signals import Action

EVERYTHING = Filter()
TimePasses = Callable[[float], Awaitable[None]]
LONG = 3600.0
"""Seconds to a heartbeat that no test lives to see."""


class Log:
    """A store with a log, and its broadcast."""

    def __init__(self, store: MemoryStore, broadcast: Broadcast) -> None:
        self.store = store
        self.broadcast = broadcast

    @classmethod
    async def with_entries(cls, count: int) -> Log:
        """A log that had so many entries when the server started."""
        store = MemoryStore()
        store.put(updates(0, count), NOW)
        return cls(store, Broadcast(store, await store.log_head()))

    def append(self, count: int) -> None:
        """Commit so many entries, and tell."""
        self.broadcast.append(self.store.put(updates(len(self.store.events), count), NOW))

    def append_events(self, *events: Event) -> None:
        self.broadcast.append(self.store.put(events, NOW))


@pytest.fixture
async def time_passes(monkeypatch: pytest.MonkeyPatch) -> TimePasses:
    """Puts the event loop's clock forward, and lets everyone do what is due."""
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


async def until_the_end(batches: AsyncIterator[Batch]) -> tuple[list[Batch], ShuttingDown]:
    """All batches of a follower up to the server's end, which must come."""
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
    with patched(broadcast_module, "TAIL_ENTRIES", tail), patched(broadcast_module, "PAGE_ENTRIES", page):
        log = await Log.with_entries(stored)
        following: list[tuple[int, asyncio.Task[tuple[list[Batch], ShuttingDown]]]] = []
        for turn, count in enumerate([*appended, 1]):
            for cursor, joins in followers:
                if joins == turn and cursor <= log.broadcast.newest:
                    batches = await log.broadcast.follow(EVERYTHING, cursor, LONG)
                    following.append((cursor, asyncio.create_task(until_the_end(batches))))
            await asyncio.sleep(0)
            if turn in unseen:
                log.store.put(updates(len(log.store.events), 2), NOW)
            log.append(count)
        log.broadcast.stop()
        for cursor, task in following:
            found, end = await task
            assert sequences(found) == list(range(cursor + 1, log.broadcast.newest + 1))
            assert all(len(batch.entries) <= page for batch in found)
            assert [batch.through_sequence for batch in found] == [batch.entries[-1].sequence for batch in found]
            assert end.metadata == {"sequence": str(log.broadcast.newest)}


async def test_without_a_cursor_it_is_live_from_now() -> None:
    log = await Log.with_entries(5)
    batches = await log.broadcast.follow(EVERYTHING, None, LONG)
    log.append(2)
    log.append(1)
    assert sequences([await next_batch(batches)]) == [6, 7, 8]


async def test_it_is_live_from_the_moment_it_was_asked_for() -> None:
    """Not from the first read: what is committed in between must not be lost."""
    log = await Log.with_entries(0)
    batches = await log.broadcast.follow(EVERYTHING, None, LONG)
    log.append(3)
    assert sequences([await next_batch(batches)]) == [1, 2, 3]


async def test_several_that_wait_come_in_one_batch() -> None:
    log = await Log.with_entries(0)
    batches = await log.broadcast.follow(EVERYTHING, 0, LONG)
    for _ in range(100):
        log.append(3)
    assert len((await next_batch(batches)).entries) == 300


async def test_who_waits_is_woken() -> None:
    log = await Log.with_entries(0)
    waiting = await started(*[next_batch(await log.broadcast.follow(EVERYTHING, None, LONG)) for _ in range(3)])
    assert not any(task.done() for task in waiting)
    log.append(1)
    assert [sequences([await task]) for task in waiting] == [[1]] * 3


# ------------------------------------------------------------------------------------------- memory and the store


async def test_what_memory_holds_is_not_read_again() -> None:
    log = await Log.with_entries(0)
    log.append(20)
    batches = await log.broadcast.follow(EVERYTHING, 0, LONG)
    assert sequences([await next_batch(batches)]) == list(range(1, 21))
    assert log.store.pages_read == 0


async def test_a_slow_follower_is_caught_up_from_the_store_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast_module, "TAIL_ENTRIES", 10)
    monkeypatch.setattr(broadcast_module, "PAGE_ENTRIES", 8)
    log = await Log.with_entries(0)
    batches = await log.broadcast.follow(EVERYTHING, 0, LONG)
    for _ in range(20):
        log.append(5)
        assert len(log.broadcast._tail) <= 20, "a follower that does not read costs no memory"
    found = [await next_batch(batches)]
    while found[-1].through_sequence < 100:
        found.append(await next_batch(batches))
    assert sequences(found) == list(range(1, 101))
    assert max(len(batch.entries) for batch in found) == 8
    assert 0 < log.store.pages_read < len(found), "the newest came from memory"


async def test_a_gap_clears_the_tail_and_the_stretch_comes_from_the_store() -> None:
    log = await Log.with_entries(0)
    log.append(5)
    log.store.put(updates(5, 3), NOW)
    log.append(2)
    batches = await log.broadcast.follow(EVERYTHING, 0, LONG)
    assert log.broadcast.newest == 10
    found = [await next_batch(batches)]
    assert sequences(found) == list(range(1, 11))
    assert log.store.pages_read == 1


async def test_a_follower_in_memory_does_not_need_the_database() -> None:
    log = await Log.with_entries(0)
    log.append(5)
    log.store.down = True
    batches = await log.broadcast.follow(EVERYTHING, 2, LONG)
    assert sequences([await next_batch(batches)]) == [3, 4, 5]


async def test_a_stretch_that_cannot_be_read_is_told_as_that() -> None:
    log = await Log.with_entries(5)
    batches = await log.broadcast.follow(EVERYTHING, 0, LONG)
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
    ("wanted", "expected"),
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
async def test_a_follower_gets_what_it_wants(wanted: Filter, expected: list[int]) -> None:
    log = await Log.with_entries(0)
    log.append_events(*EVENTS)
    batches = await log.broadcast.follow(wanted, 0, LONG)
    log.broadcast.stop()
    found, end = await until_the_end(batches)
    assert sequences(found) == expected
    assert end.metadata == {"sequence": "6"}, "a filtered stream is complete to the end all the same"
    if found:
        assert found[-1].through_sequence == 6


# --------------------------------------------------------------------------------------------------- heartbeats


async def test_silence_is_broken_by_a_heartbeat_that_carries_the_sequence(time_passes: TimePasses) -> None:
    log = await Log.with_entries(7)
    batches = await log.broadcast.follow(EVERYTHING, None, 15.0)
    for _ in range(3):
        (waiting,) = await started(read(batches))
        await time_passes(14.0)
        assert not waiting.done()
        await time_passes(2.0)
        assert await waiting == Batch((), 7)


async def test_what_is_said_puts_the_heartbeat_off(time_passes: TimePasses) -> None:
    log = await Log.with_entries(0)
    batches = await log.broadcast.follow(EVERYTHING, None, 15.0)
    for n in range(1, 4):
        (waiting,) = await started(read(batches))
        await time_passes(14.0)
        log.append(1)
        assert sequences([await waiting]) == [n]


async def test_a_filtered_stream_advances_by_its_heartbeats(time_passes: TimePasses) -> None:
    """What is filtered away is no sign of life, however much of it there is."""
    log = await Log.with_entries(0)
    batches = await log.broadcast.follow(Filter(symbols=frozenset({"EURUSD"})), None, 15.0)
    (waiting,) = await started(read(batches))
    for _ in range(4):
        await time_passes(4.0)
        log.append(1)
        await time_passes(0.0)
    assert await waiting == Batch((), 3)


async def test_a_stream_with_something_to_say_needs_no_heartbeat() -> None:
    log = await Log.with_entries(0)
    batches = await log.broadcast.follow(EVERYTHING, None, LONG)
    for n in range(1, 4):
        log.append(1)
        assert sequences([await next_batch(batches)]) == [n]


# ----------------------------------------------------------------------------------------- cursors out of range


@pytest.mark.parametrize("cursor", [6, 7, 2**62])
async def test_a_sequence_of_another_epoch_is_refused(cursor: int) -> None:
    log = await Log.with_entries(5)
    with pytest.raises(SequenceUnknown) as caught:
        await log.broadcast.follow(EVERYTHING, cursor, LONG)
    assert caught.value.metadata == {"newest_sequence": "5", "epoch": str(UUID(int=4))}


async def test_a_sequence_that_is_committed_but_not_told_yet_is_known() -> None:
    """A list read in the database may be ahead of the broadcast by a moment."""
    log = await Log.with_entries(5)
    entries = log.store.put(updates(5, 2), NOW)
    batches = await log.broadcast.follow(EVERYTHING, 7, LONG)
    log.broadcast.append(entries)
    log.append(1)
    assert sequences([await next_batch(batches)]) == [8]


@pytest.mark.parametrize(("cursor", "kept"), [(0, False), (3, False), (4, True), (10, True)])
async def test_a_sequence_that_is_no_longer_kept_is_refused(cursor: int, kept: bool) -> None:
    store = MemoryStore()
    store.put(updates(0, 10), NOW)
    store.oldest = 5
    broadcast = Broadcast(store, await store.log_head())
    if kept:
        assert await broadcast.follow(EVERYTHING, cursor, LONG)
    else:
        with pytest.raises(SequencePruned) as caught:
            await broadcast.follow(EVERYTHING, cursor, LONG)
        assert caught.value.metadata == {"oldest_sequence": "5"}


async def test_a_follower_that_is_slower_than_the_retention_is_told() -> None:
    log = await Log.with_entries(10)
    batches = await log.broadcast.follow(EVERYTHING, 2, LONG)
    log.store.oldest = 6
    with pytest.raises(SequencePruned) as caught:
        await next_batch(batches)
    assert caught.value.metadata == {"oldest_sequence": "6"}


# ------------------------------------------------------------------------------------------------------ the end


async def test_a_stop_ends_followers_after_the_last_entry() -> None:
    log = await Log.with_entries(3)
    idle, busy = [await log.broadcast.follow(EVERYTHING, cursor, LONG) for cursor in (None, 0)]
    (waiting,) = await started(until_the_end(idle))
    log.append(2)
    log.broadcast.stop()
    for found, end in (await waiting, await until_the_end(busy)):
        assert sequences(found)[-2:] == [4, 5]
        assert end.metadata == {"sequence": "5"}


async def test_a_stop_wakes_those_who_wait() -> None:
    log = await Log.with_entries(3)
    (waiting,) = await started(until_the_end(await log.broadcast.follow(EVERYTHING, None, LONG)))
    log.broadcast.stop()
    assert sequences((await waiting)[0]) == []


async def test_who_comes_after_the_stop_gets_what_there_is_and_is_told() -> None:
    log = await Log.with_entries(3)
    log.broadcast.stop()
    found, _ = await until_the_end(await log.broadcast.follow(EVERYTHING, 1, LONG))
    assert sequences(found) == [2, 3]


async def test_a_follower_that_goes_away_harms_nobody() -> None:
    log = await Log.with_entries(0)
    leaving, staying = await started(
        *[until_the_end(await log.broadcast.follow(EVERYTHING, None, LONG)) for _ in range(2)]
    )
    leaving.cancel()
    await asyncio.wait((leaving,))
    log.append(2)
    log.broadcast.stop()
    found, _ = await staying
    assert sequences(found) == [1, 2]


def test_a_filter_does_not_look_at_the_confidence_of_what_has_none() -> None:
    entry = LogEntry(1, NOW - timedelta(1), EventKind.POSITION_UPDATE, "USDCOP", None, None, b"", NOW)
    assert Filter(min_confidence=1.0, actions=frozenset({Action.BUY})).passes(entry)
