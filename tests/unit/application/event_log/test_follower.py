"""A follower with the clock of the test: its responses, and the condition that it then awaits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.following import PickledEncoding, batch_of
from tests.support.logs import Log

from tradingsignals_server.application.event_log.filter import Filter
from tradingsignals_server.application.event_log.follower import Follower, Followers, StreamName, StreamRequest
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.application.event_log.replay import Replay
from tradingsignals_server.domain.errors import FollowerStalled, SequencePruned, ShuttingDown, StorageUnavailable
from tradingsignals_server.transport.methods import Budget

HEARTBEAT = 10.0
STALL = 30.0
EURUSD = Filter(symbols=frozenset({"EURUSD"}))


async def opened(log: Log, filter_: Filter | None = None, resume_after: int | None = None, **options: Any) -> Follower:
    followers = Followers(log.log_tail, STALL, ResponseLimits(entries=options.pop("entries", 64)))
    request = StreamRequest(filter_ or Filter(), resume_after, HEARTBEAT)
    return await followers.open(request, PickledEncoding(**options))


def awaited_by(follower: Follower) -> str:
    """What it awaits now; mypy would take an attribute for unchanged."""
    return follower.awaits


def sequences(response: bytes | None) -> list[int]:
    assert response is not None
    return [entry.sequence for entry in batch_of(response).entries]


async def test_entries_are_returned_in_responses_of_bounded_size() -> None:
    log = await Log.with_entries(0)
    follower = await opened(log, entries=3)
    assert follower.next(0.0, Budget()) is None
    assert awaited_by(follower) == "entries"
    log.append(5)
    assert sequences(follower.next(1.0, Budget())) == [1, 2, 3]
    assert awaited_by(follower) == "turn"
    assert sequences(follower.next(1.0, Budget())) == [4, 5]
    assert (awaited_by(follower), follower.cursor) == ("entries", 5)
    assert follower.next(1.0, Budget()) is None


async def test_entries_that_do_not_pass_move_the_cursor_without_a_response() -> None:
    log = await Log.with_entries(0)
    follower = await opened(log, EURUSD)
    log.append(3)
    assert follower.next(0.0, Budget()) is None
    assert (awaited_by(follower), follower.cursor) == ("entries", 3)
    log.append(1)
    assert sequences(follower.next(0.0, Budget())) == [4]


async def test_heartbeat_is_returned_after_silence_and_defers_the_next() -> None:
    log = await Log.with_entries(7)
    follower = await opened(log)
    assert follower.next(100.0, Budget()) is None
    assert follower.due_at == 100.0 + HEARTBEAT
    assert follower.next(109.9, Budget()) is None
    heartbeat = batch_of(follower.next(110.0, Budget()) or b"")
    assert (heartbeat.entries, heartbeat.through_sequence) == ((), 7)
    assert follower.due_at == 120.0
    log.append(1)
    assert sequences(follower.next(115.0, Budget())) == [8]
    assert follower.due_at == 125.0


async def test_text_begins_with_a_heartbeat_that_has_the_cursor() -> None:
    follower = await opened(await Log.with_entries(7), begins_with_heartbeat=True)
    assert batch_of(follower.next(0.0, Budget()) or b"").through_sequence == 7
    assert follower.next(0.0, Budget()) is None


async def test_entries_that_memory_lacks_are_read_from_the_store() -> None:
    follower = await opened(await Log.with_entries(5), resume_after=2)
    assert follower.next(0.0, Budget()) is None
    assert awaited_by(follower) == "page"
    await follower.read()
    assert sequences(follower.next(0.0, Budget())) == [3, 4, 5]


async def test_store_that_cannot_be_read_ends_the_stream_with_a_last_response() -> None:
    log = await Log.with_entries(5)
    follower = await opened(log, resume_after=2)
    follower.next(0.0, Budget())
    log.store.down = True
    await follower.read()
    assert awaited_by(follower) == "end"
    assert follower.end is not None
    assert isinstance(follower.end.error, StorageUnavailable)
    assert follower.end.response
    assert follower.next(0.0, Budget()) is None


async def test_entries_that_were_pruned_meanwhile_end_the_stream() -> None:
    log = await Log.with_entries(5)
    follower = await opened(log, resume_after=2)
    follower.next(0.0, Budget())
    log.store.oldest = 5
    await follower.read()
    assert follower.end is not None
    assert isinstance(follower.end.error, SequencePruned)


async def test_stop_ends_the_stream_once_all_entries_are_returned() -> None:
    log = await Log.with_entries(0)
    follower = await opened(log, entries=2)
    log.append(3)
    log.log_tail.stop()
    assert sequences(follower.next(0.0, Budget())) == [1, 2]
    assert sequences(follower.next(0.0, Budget())) == [3]
    assert follower.next(0.0, Budget()) is None
    assert follower.end is not None
    assert isinstance(follower.end.error, ShuttingDown)


@pytest.mark.parametrize("is_sent", [False, True])
async def test_stalled_caller_is_ended_with_its_last_complete_sequence(is_sent: bool) -> None:
    log = await Log.with_entries(0)
    follower = await opened(log)
    log.append(2)
    follower.next(0.0, Budget())
    log.append(2)
    follower.next(1.0, Budget())
    follower.blocked(1.0, sent=is_sent)
    log.append(1)
    assert follower.next(30.9, Budget()) is None
    assert follower.end is None
    assert follower.due_at == 1.0 + STALL
    assert follower.next(31.0, Budget()) is None
    assert follower.end is not None
    assert isinstance(follower.end.error, FollowerStalled)
    assert follower.end.error.metadata["sequence"] == ("4" if is_sent else "2")
    assert follower.end.response is None, "it is not read either"


async def test_caller_that_reads_again_resumes_without_a_gap() -> None:
    log = await Log.with_entries(0)
    follower = await opened(log)
    log.append(2)
    follower.next(0.0, Budget())
    follower.blocked(0.0)
    log.append(2)
    assert follower.next(29.0, Budget()) is None
    follower.unblocked(29.0)
    assert sequences(follower.next(29.0, Budget())) == [3, 4]
    follower.blocked(29.0)
    assert follower.due_at == 29.0 + STALL


async def test_lagging_follower_waits_its_turn_and_a_live_one_does_not() -> None:
    log = await Log.with_entries(0)
    behind, live = await opened(log, entries=2), await opened(log, entries=2)
    log.append(2)
    live.next(0.0, Budget())
    log.append(2)
    spent = Budget()
    spent.left = 0
    assert behind.next(0.0, spent) is None
    assert awaited_by(behind) == "turn"
    assert sequences(live.next(0.0, spent)) == [3, 4]
    assert sequences(behind.next(0.0, Budget())) == [1, 2]


@given(st.data())
async def test_each_entry_that_passes_is_returned_once_and_in_order(data: st.DataObject) -> None:
    log = await Log.with_entries(data.draw(st.integers(0, 5), "stored before"))
    start = data.draw(st.integers(0, log.newest), "resumes after")
    filter_ = data.draw(st.sampled_from([Filter(), EURUSD]))
    follower = await opened(log, filter_, start, entries=data.draw(st.integers(1, 4), "entries a response"))
    now, returned, complete = 0.0, list[int](), start
    for step in (
        data.draw(st.lists(st.sampled_from(["append", "next", "silence", "block"]), max_size=40)) + ["next"] * 40
    ):
        if step == "append":
            log.append(data.draw(st.integers(1, 3)))
        elif step == "silence":
            now += HEARTBEAT
        elif step == "block":
            follower.blocked(now)
            assert follower.next(now, Budget()) is None
            follower.unblocked(now)
        elif follower.awaits == "page":
            await follower.read()
        if (response := follower.next(now, Budget())) is not None:
            batch = batch_of(response)
            assert batch.through_sequence >= complete
            returned += [entry.sequence for entry in batch.entries]
            complete = batch.through_sequence
    assert follower.cursor == log.newest
    entries = log.store.entries
    assert returned == [entry.sequence for entry in entries if entry.sequence > start and filter_.passes(entry)]


async def test_lag_is_what_the_log_has_beyond_the_cursor() -> None:
    log = await Log.with_entries(5)
    followers = Followers(log.log_tail, STALL)
    name = StreamName("StreamSignals", "grpc")
    first = await followers.open(StreamRequest(Filter(), 2, HEARTBEAT), PickledEncoding(), name)
    assert first.next(0.0, Budget()) is None
    second = await followers.open(StreamRequest(Filter(), None, HEARTBEAT), PickledEncoding(), name)
    unnamed = await followers.open(StreamRequest(Filter(), 0, HEARTBEAT), PickledEncoding())
    assert (first.lag, second.lag, unnamed.lag) == (3, 0, 5)
    assert {each: sorted(lags) for each, lags in followers.lags().items()} == {name: [0, 3]}
    await first.read()
    assert sequences(first.next(0.0, Budget())) == [3, 4, 5]
    assert first.lag == 0
    del first, second
    assert followers.lags() == {}, "a follower that is gone does not count"


async def test_ended_follower_and_replay_have_no_lag() -> None:
    log = await Log.with_entries(5)
    followers = Followers(log.log_tail, STALL)
    ended = await followers.open(StreamRequest(Filter(), None, HEARTBEAT), PickledEncoding())
    ended.next(0.0, Budget())
    log.log_tail.stop()
    ended.next(1.0, Budget())
    log.append(3)
    assert (awaited_by(ended), ended.lag) == ("end", 0)
    replaying = await followers.open(StreamRequest(Filter(), None, HEARTBEAT, Replay(speed=1.0)), PickledEncoding())
    assert replaying.lag == 0
