"""Replays over a stream: which entries, in which order, when, and how they end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, OPENING, bar
from tests.support.deadlines import DEADLINE
from tests.support.following import Batch, Batches, follow
from tests.support.memory_store import MemoryStore
from tests.support.running import started

from tradingsignals_server.application.event_log.filter import Filter
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.application.event_log.replay import CLOSED_MARKET, Pace, Replay
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.domain.errors import SequencePruned, ShuttingDown
from tradingsignals_server.domain.events import Disposition, MarketUpdate

MINUTE = timedelta(minutes=1)
ONE_ENTRY = ResponseLimits(entries=1)


def update(minutes: int, symbol: str = "USDCOP") -> MarketUpdate:
    """A bar a number of minutes, a multiple of five, after the first opening."""
    return MarketUpdate(replace(bar(0, symbol=symbol), time=OPENING + minutes * MINUTE), Disposition.WARMING_UP)


async def stored(*minutes: int, page_entries: int = 512) -> tuple[MemoryStore, LogTail]:
    """A log of bars at these minutes, and a server that has just started on it."""
    store = MemoryStore()
    store.put([update(m, f"S{n}") for n, m in enumerate(minutes)], NOW)
    return store, LogTail(store, await store.log_head(), page_entries=page_entries)


async def to_the_end(follower: Batches) -> list[Batch]:
    async with asyncio.timeout(DEADLINE):
        return [batch async for batch in follower]


async def live_to_the_end(follower: Batches, newest: int) -> list[Batch]:
    async with asyncio.timeout(DEADLINE):
        found = [await anext(follower)]
        while found[-1].through_sequence < newest:
            found.append(await anext(follower))
    return found


def sequences(batches: list[Batch]) -> list[int]:
    return [entry.sequence for batch in batches for entry in batch.entries]


@given(
    minutes=st.lists(st.integers(0, 40).map(lambda n: 5 * n), max_size=30),
    start=st.none() | st.integers(-10, 210),
    length=st.none() | st.integers(1, 210),
    resume_after=st.none() | st.integers(0, 30),
    page=st.integers(1, 6),
    since_then=st.integers(0, 5),
)
async def test_replay_contains_all_entries_of_the_range_in_log_order(
    minutes: list[int], start: int | None, length: int | None, resume_after: int | None, page: int, since_then: int
) -> None:
    """This holds for any order of the bars; without an end the live entries follow."""
    begin = None if start is None else OPENING + start * MINUTE
    end = None if length is None else (begin or OPENING) + length * MINUTE
    store, log_tail = await stored(*minutes, page_entries=page)
    after = None if resume_after is None else min(resume_after, len(minutes))
    follower = await follow(log_tail, None, after, 0.0, Replay(begin, end), ResponseLimits(entries=page))
    if since_then:
        log_tail.append(store.put([update(5 * n, f"L{n}") for n in range(since_then)], NOW))
    if end is None:
        found = await live_to_the_end(follower, len(store.entries))
        upto = len(store.entries)
    else:
        found = await to_the_end(follower)
        upto = len(minutes)
        assert found[-1].through_sequence == follower.cursor
    expected = [
        entry.sequence
        for entry in store.entries[after or 0 : upto]
        if (begin is None or begin <= entry.market_time) and (end is None or entry.market_time < end)
    ]
    assert sequences(found) == expected


async def test_interrupted_replay_resumes() -> None:
    _, log_tail = await stored(0, 5, 10, 60, 15, 20)
    range_ = Replay(OPENING + 5 * MINUTE, OPENING + 20 * MINUTE)
    first = await follow(log_tail, replay=range_, limits=ONE_ENTRY)
    sent = await anext(first)
    assert sequences([sent]) == [2]
    rest = await to_the_end(await follow(log_tail, resume_after=sent.through_sequence, replay=range_))
    assert sequences(rest) == [3, 5]
    assert sequences(await to_the_end(await follow(log_tail, resume_after=5, replay=range_))) == []


async def test_filter_applies_to_a_replay() -> None:
    _, log_tail = await stored(0, 5, 10, 15)
    filter_ = Filter(symbols=frozenset({"S1", "S3"}))
    found = await to_the_end(await follow(log_tail, filter_, replay=Replay(OPENING, OPENING + 60 * MINUTE)))
    assert sequences(found) == [2, 4]


async def test_empty_replay_ends_with_its_complete_sequence() -> None:
    _, log_tail = await stored(0, 5)
    found = await to_the_end(await follow(log_tail, replay=Replay(None, OPENING)))
    assert found == [Batch((), 2)]


async def test_pages_outside_the_range_are_not_read() -> None:
    day = 24 * 60
    store, log_tail = await stored(0, *[day + n for n in range(0, 500, 5)], 10, page_entries=4)
    found = await to_the_end(await follow(log_tail, replay=Replay(OPENING, OPENING + 30 * MINUTE)))
    assert sequences(found) == [1, 102]
    assert store.pages_read == 3


async def test_replay_is_paced_by_market_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """At sixty times the market five minutes are five seconds; nights and times that go back cause no wait."""
    loop, skipped = asyncio.get_running_loop(), [0.0]
    running_clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: running_clock() + sum(skipped))
    _, log_tail = await stored(0, 0, 5, 15, 10, 400, 405)
    follower = await follow(log_tail, heartbeat_seconds=8.0, replay=Replay(OPENING, OPENING + 500 * MINUTE, speed=60.0))
    found: list[tuple[float, list[int]]] = []
    for _ in range(5):
        (reading,) = await started(_read(follower))
        waited = 0.0
        while not reading.done():
            skipped.append(1.0)
            waited += 1.0
            await started()
        found.append((waited, sequences([reading.result()])))
    assert found == [(0.0, [1, 2]), (5.0, [3]), (8.0, []), (2.0, [4, 5, 6]), (5.0, [7])]


async def _read(follower: Batches) -> Batch:
    return await anext(follower)


def test_late_replay_does_not_catch_up() -> None:
    pace = Pace(60.0)

    def due(minutes: float, now: float) -> float:
        return pace.due(OPENING + minutes * MINUTE, now)

    assert due(0, 100.0) == 100.0
    assert due(5, 101.0) == 105.0
    assert due(10, 105.0) == 110.0
    assert due(15, 200.0) == 200.0, "late: continues from now"
    assert due(20, 200.0) == 205.0
    assert due(0, 201.0) == 201.0, "an older time"
    assert due(25, 205.0) == 206.0, "and from there"
    assert due(25 + CLOSED_MARKET / MINUTE + 1, 206.0) == 206.0, "a night"


async def test_stop_ends_a_replay_at_its_sequence() -> None:
    _, log_tail = await stored(0, 5, 10)
    follower = await follow(log_tail, replay=Replay(OPENING, None, speed=1.0))
    assert sequences([await _read(follower)]) == [1]
    (waiting,) = await started(_read(follower))
    log_tail.stop()
    with pytest.raises(ShuttingDown) as caught:
        await waiting
    assert caught.value.metadata == {"sequence": "1"}


async def test_replay_that_is_slower_than_the_retention_is_ended() -> None:
    store, log_tail = await stored(0, 5, 10, page_entries=1)
    follower = await follow(log_tail, replay=Replay(OPENING, datetime.max.replace(tzinfo=NOW.tzinfo)))
    assert sequences([await _read(follower)]) == [1]
    store.oldest = 3
    with pytest.raises(SequencePruned):
        await _read(follower)


async def test_range_is_looked_for_again_only_behind_a_page_without_entries_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_after: list[int] = []
    range_of = LogTail.range_of

    async def watched(log: LogTail, replay: Replay, after: int) -> tuple[int, int] | None:
        looked_after.append(after)
        return await range_of(log, replay, after)

    monkeypatch.setattr(LogTail, "range_of", watched)
    days = 24 * 60
    within = Replay(OPENING, OPENING + timedelta(days=1))
    for minutes, expected in (
        ([5 * n for n in range(9)], [0]),
        ([0, 5, *(5 * days + 5 * n for n in range(6)), 10, 15], [0, 4]),
    ):
        looked_after.clear()
        _, log_tail = await stored(*minutes, page_entries=2)
        found = sequences(await to_the_end(await follow(log_tail, replay=within)))
        assert found == [n for n, minute in enumerate(minutes, 1) if minute < days]
        assert looked_after == expected
