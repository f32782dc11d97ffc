"""The rules of a follower without I/O: each item once and in order through all faults, each gap reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradingsignals import (
    AccessDenied,
    Backoff,
    Connected,
    Disconnected,
    EpochChanged,
    EventsPruned,
    InvalidRequest,
    Notice,
    OutOfRange,
    Overloaded,
    Skipped,
    StartedOver,
    TooLarge,
    TradingSignalsError,
    Unavailable,
)
from tradingsignals.resume import Resume


@dataclass
class Item:
    """An item of a stream."""

    sequence: int
    epoch: str = "a"


def resume(**following: Any) -> tuple[Resume[Item], list[Notice]]:
    notices: list[Notice] = []
    return Resume(notify=notices.append, chance=lambda: 1.0, **following), notices


def items(*sequences: int) -> list[Item]:
    return [Item(sequence) for sequence in sequences]


def handed_out(machine: Resume[Item]) -> list[int]:
    found = []
    while (item := machine.hand_out()) is not None:
        found.append(item.sequence)
    return found


LOST = Unavailable("gone", code=grpc.StatusCode.UNAVAILABLE)


def pruned(oldest: int) -> OutOfRange:
    return OutOfRange("gone", reason="SEQUENCE_PRUNED", metadata={"oldest_sequence": str(oldest)})


def unknown(epoch: str) -> OutOfRange:
    return OutOfRange("unknown", reason="SEQUENCE_UNKNOWN", metadata={"epoch": epoch, "newest_sequence": "3"})


class TestSequence:
    def test_sequence_moves_with_each_returned_item(self) -> None:
        machine, _ = resume(resume_after=2)
        machine.received(items(3, 5), 9)
        places = [machine.sequence]
        while machine.hand_out() is not None:
            places.append(machine.sequence)
        assert places == [2, 3, 9]

    def test_heartbeat_moves_the_sequence(self) -> None:
        machine, _ = resume(resume_after=2)
        machine.received([], 40)
        assert (machine.sequence, machine.resume_after) == (40, 40)

    def test_heartbeat_does_not_move_the_sequence_past_pending_items(self) -> None:
        machine, _ = resume(resume_after=2)
        machine.received(items(3), 3)
        machine.received([], 40)
        assert machine.sequence == 2
        assert handed_out(machine) == [3]
        assert machine.sequence == 40

    def test_item_received_twice_is_returned_once(self) -> None:
        machine, _ = resume(resume_after=2)
        machine.received(items(3, 4), 4)
        machine.received(items(4, 5), 5)
        machine.received(items(1, 2), 2)
        assert handed_out(machine) == [3, 4, 5]
        assert machine.resume_after == 5

    def test_follower_without_a_sequence_begins_at_the_newest(self) -> None:
        machine, notices = resume()
        assert (machine.sequence, machine.epoch, machine.resume_after) == (None, None, None)
        machine.begin(17, "a")
        assert machine.opened("a") is None
        assert (machine.sequence, machine.epoch, machine.resume_after) == (17, "a", 17)
        assert notices == [Connected(17, "a")]

    def test_epoch_without_a_sequence_is_ignored(self) -> None:
        machine, _ = resume(epoch="a")
        machine.begin(17, "b")
        assert machine.opened("b") is None


class TestFailures:
    def test_pauses_double_until_a_response_arrives(self) -> None:
        machine, notices = resume(resume_after=2, epoch="a")
        assert [machine.failed(LOST, 0.0) for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
        assert machine.opened("a") is None
        machine.received([], 2)
        assert machine.failed(LOST, 0.0) == 0.25
        assert [type(notice) for notice in notices] == [Disconnected] * 7 + [Connected, Disconnected]
        assert notices[6:8] == [Disconnected(LOST, 7, 5.0), Connected(2, "a")]

    def test_stream_without_a_response_does_not_reset_the_pause(self) -> None:
        machine, _ = resume(resume_after=2)
        pauses = []
        for _ in range(3):
            machine.opened("a")
            pauses.append(machine.failed(LOST, 0.0))
        assert pauses == [0.25, 0.5, 1.0]

    def test_first_response_confirms_a_connection_without_an_epoch(self) -> None:
        machine, notices = resume(resume_after=2, epoch="a")
        assert machine.opened(None) is None
        assert notices == []
        machine.received([], 3)
        machine.received([], 4)
        assert notices == [Connected(2, "a")]

    @pytest.mark.parametrize("error", [LOST, Overloaded("slow", reason="FOLLOWER_STALLED")])
    def test_lasting_failure_is_raised_after_the_time_limit(self, error: TradingSignalsError) -> None:
        machine, _ = resume(resume_after=2, backoff=Backoff(1.0, 1.0, give_up_seconds=10.0))
        assert machine.failed(error, 100.0) == 1.0
        assert machine.failed(error, 109.0) == 1.0
        with pytest.raises(type(error)):
            machine.failed(error, 109.5)

    @pytest.mark.parametrize(
        "error", [InvalidRequest("symbol"), TooLarge("trailers"), AccessDenied("no role"), OutOfRange("unknown reason")]
    )
    def test_permanent_error_is_raised(self, error: TradingSignalsError) -> None:
        machine, notices = resume(resume_after=2)
        with pytest.raises(type(error)) as raised:
            machine.failed(error, 0.0)
        assert raised.value is error
        assert notices == []


class TestNewEpoch:
    def test_new_epoch_is_raised_by_default(self) -> None:
        machine, _ = resume(resume_after=7, epoch="a")
        with pytest.raises(EpochChanged) as raised:
            machine.opened("b")
        error = raised.value
        assert (error.sequence, error.old_epoch, error.epoch) == (7, "a", "b")
        assert str(error) == "SEQUENCE_UNKNOWN: the event log a followed up to 7 is another one now, b"
        with pytest.raises(EpochChanged) as again:
            machine.failed(error, 0.0)
        assert again.value is error

    def test_unknown_sequence_is_raised_as_a_new_epoch(self) -> None:
        machine, _ = resume(resume_after=7)
        with pytest.raises(EpochChanged) as raised:
            machine.failed(unknown("b"), 0.0)
        assert (raised.value.sequence, raised.value.old_epoch, raised.value.epoch) == (7, None, "b")

    def test_unknown_sequence_of_the_same_epoch_is_raised_as_set_back(self) -> None:
        machine, _ = resume(resume_after=7, epoch="a")
        with pytest.raises(EpochChanged, match="log a followed up to 7 was set back"):
            machine.failed(unknown("a"), 0.0)

    @pytest.mark.parametrize("how", ["metadata", "refusal"])
    def test_start_over_follows_the_new_epoch_from_its_beginning(self, how: str) -> None:
        machine, notices = resume(resume_after=7, epoch="a", on_new_epoch="start_over")
        pause = machine.opened("b") if how == "metadata" else machine.failed(unknown("b"), 0.0)
        assert (pause, machine.resume_after, machine.sequence, machine.epoch) == (0.0, 0, 0, "b")
        assert machine.opened("b") is None
        machine.received(items(1, 2), 2)
        assert handed_out(machine) == [1, 2]
        assert notices == [StartedOver("a", "b", 7), Connected(0, "b")]

    def test_epochs_that_keep_changing_are_followed_with_pauses(self) -> None:
        machine, _ = resume(resume_after=7, epoch="a", on_new_epoch="start_over")
        assert [machine.opened(epoch) for epoch in "bababa"] == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0]


class TestPrunedEvents:
    def test_pruning_is_raised_by_default(self) -> None:
        machine, _ = resume(resume_after=7)
        with pytest.raises(EventsPruned) as raised:
            machine.failed(pruned(20), 0.0)
        assert (raised.value.sequence, raised.value.oldest_sequence) == (7, 20)
        assert raised.value.metadata == {"oldest_sequence": "20"}

    def test_skip_continues_with_the_oldest_kept_item(self) -> None:
        machine, notices = resume(resume_after=7, on_pruned="skip")
        assert machine.failed(pruned(20), 0.0) == 0.0
        assert (machine.sequence, machine.resume_after) == (19, 19)
        assert notices == [Skipped(7, 20)]

    def test_oldest_sequence_in_the_past_does_not_move_the_follower_back(self) -> None:
        machine, notices = resume(resume_after=7, on_pruned="skip")
        assert [machine.failed(pruned(3), 0.0) for _ in range(3)] == [0.0, 0.5, 1.0]
        assert (machine.sequence, notices) == (7, [])


def test_backoff_is_randomised_and_bounded() -> None:
    backoff = Backoff(0.25, 5.0)
    assert [backoff.pause(1, chance) for chance in (0.0, 0.5, 1.0)] == [0.125, 0.1875, 0.25]
    assert backoff.pause(10**9, 1.0) == 5.0


@pytest.mark.parametrize(
    "wrong",
    [{"on_new_epoch": "ignore"}, {"on_pruned": "ignore"}],
)
def test_unknown_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Resume(**wrong)


@pytest.mark.parametrize("seconds", [0, -1, -15, 61, float("nan")])
def test_heartbeat_that_gives_no_wait_is_refused_as_the_service_would(seconds: int) -> None:
    """A follower that waits three heartbeats for a response would give up each stream before it could come."""
    with pytest.raises(InvalidRequest) as raised:
        resume(heartbeat_seconds=seconds)
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in raised.value.violations] == ["heartbeat_seconds"]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_time_after_which_a_follower_never_gives_up_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="give_up_seconds"):
        Backoff(give_up_seconds=seconds)


def test_invalid_backoff_is_refused() -> None:
    with pytest.raises(ValueError, match="first_seconds"):
        Backoff(2.0, 1.0)


# --------------------------------------------------------------------------------------------------------- all faults

ALL = 10**6
Fault = tuple[str, int]
HAPPENINGS = (
    *("append", "deliver", "take", "open") * 3,
    *("repeat", "lose", "heartbeat", "sever", "refuse", "prune", "replace_database", "set_back"),
)
FAULTS: st.SearchStrategy[Fault] = st.tuples(st.sampled_from(HAPPENINGS), st.integers(1, 5))


@dataclass
class World:
    """A service with a log, and one follower of it whose filter excludes each third entry."""

    machine: Resume[Item]
    notices: list[Notice | Item]
    epoch: str = "log 0"
    newest: int = 0
    oldest: int = 1
    place: int | None = None
    """How far the open stream has been sent, None without one."""
    logs: int = 0

    def matching(self, after: int, through: int) -> list[Item]:
        return [Item(n, self.epoch) for n in range(after + 1, through + 1) if n % 3]

    def append(self, size: int) -> None:
        """So many more entries."""
        self.newest += size

    def open(self, _: int) -> None:
        """The follower opens a stream, once it has returned the pending items."""
        if self.place is not None:
            return
        self.take(ALL)
        after = self.machine.resume_after or 0
        if after > self.newest:
            self.machine.failed(unknown(self.epoch), 0.0)
        elif after + 1 < self.oldest:
            self.machine.failed(pruned(self.oldest), 0.0)
        elif self.machine.opened(self.epoch) is None:
            self.place = after

    def deliver(self, size: int, again: int = 0) -> None:
        """A response with the next entries, and with some of those before."""
        if self.place is not None:
            start, self.place = max(self.place - again, 0), min(self.newest, self.place + size)
            self.machine.received(self.matching(start, self.place), self.place)

    def repeat(self, size: int) -> None:
        """A proxy sends entries again."""
        self.deliver(size, again=size)

    def heartbeat(self, _: int) -> None:
        """The service sends a heartbeat."""
        self.deliver(0)

    def sever(self, _: int) -> None:
        """The connection breaks."""
        if self.place is not None:
            self.place = None
            self.machine.failed(LOST, 0.0)

    def lose(self, size: int) -> None:
        """The connection breaks before a response arrives."""
        if self.place is not None:
            self.place = min(self.newest, self.place + size)
            self.sever(0)

    def refuse(self, _: int) -> None:
        """The service is unavailable."""
        if self.place is None:
            self.machine.failed(LOST, 0.0)

    def take(self, size: int) -> None:
        """The follower's user takes a number of items."""
        while size > 0 and (item := self.machine.hand_out()) is not None:
            self.notices.append(item)
            size -= 1

    def prune(self, size: int) -> None:
        """So many entries are no longer kept."""
        self.oldest = min(self.newest + 1, self.oldest + size)

    def replace_database(self, size: int) -> None:
        """The service restarts on a new database, which may have entries already."""
        self.sever(0)
        self.logs += 1
        self.epoch, self.newest, self.oldest = f"log {self.logs}", size - 1, 1

    def set_back(self, size: int) -> None:
        """The service restarts on an old copy of its database, which is noticed if the follower was further."""
        newest = max(0, self.newest - size)
        if newest < (self.machine.resume_after or 0):
            self.sever(0)
            self.newest, self.oldest = newest, min(self.oldest, newest + 1)


def check_handed_out(notices: Sequence[Notice | Item], world: World) -> None:
    """Check that each matching item came once and in order, but for reported gaps and old logs."""
    epoch, place = "log 0", 0
    for one in notices:
        match one:
            case Item(sequence, of):
                assert of == epoch
                assert sequence > place
                assert all(n % 3 == 0 for n in range(place + 1, sequence)), "one was missed"
                place = sequence
            case Skipped(sequence, oldest):
                assert all(n % 3 == 0 for n in range(place + 1, sequence + 1)), "one was missed before the gap"
                assert oldest > sequence + 1
                place = oldest - 1
            case StartedOver(old, new, sequence):
                assert old == epoch
                assert all(n % 3 == 0 for n in range(place + 1, sequence + 1)), "one was missed in the old log"
                epoch, place = str(new), 0
    assert epoch == world.epoch
    assert all(n % 3 == 0 for n in range(place + 1, world.newest + 1)), "one was missed at the end"


@settings(max_examples=200)
@given(st.lists(FAULTS, min_size=30, max_size=60))
@pytest.mark.slow
def test_each_item_is_returned_once_through_random_faults(faults: list[Fault]) -> None:
    notices: list[Notice | Item] = []
    machine: Resume[Item] = Resume(
        resume_after=0, epoch="log 0", on_new_epoch="start_over", on_pruned="skip", notify=notices.append
    )
    world = World(machine, notices)
    for what, size in faults:
        getattr(world, what)(size)
    for _ in range(5):  # a gap, a new log, and a stream that is fine
        world.open(1)
        world.deliver(ALL)
        world.take(ALL)
    assert (machine.sequence, machine.epoch) == (world.newest, world.epoch)
    check_handed_out(notices, world)
