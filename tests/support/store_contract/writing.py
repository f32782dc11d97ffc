"""The contract of Store.commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.support.builders import NOW, bar, signal

from tradingsignals.v1.event_pb2 import MarketUpdate as MarketUpdateMessage
from tradingsignals.v1.position_pb2 import Position as PositionMessage
from tradingsignals.v1.signal_pb2 import Signal as SignalMessage
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.store import RefusedByStore, SignalQuery, StaleState, Store
from tradingsignals_server.domain.events import Disposition, Event, EventKind
from tradingsignals_server.domain.positions import ExitReason, Position
from tradingsignals_server.domain.signals import Action, Signal

from ..deadlines import DEADLINE
from ..trades import closed, trade, update
from .lists import position_numbers


async def content(store: Store) -> tuple[object, ...]:
    """Return all that the store holds, as far as the port shows it."""
    return (
        await store.log_head(),
        await store.entries_after(0, 10_000),
        await store.statistics(),
        await store.signal_totals(),
        await store.list_bars("USDCOP", None, None, 10_000),
        await store.list_signals(SignalQuery(), None, 10_000),
        await store.active_positions(None),
        await store.closed_positions(None, None, 10_000),
    )


def not_storable(opening: Signal, opened: Position) -> dict[str, Sequence[Event]]:
    """Return events that contradict what is stored: a bar at 0, `opening`, and `opened`, which is open."""
    other_signal, other_position = trade(2)
    return {
        "the same bar again": [update(0)],
        "a different bar for the same time": [update(0, price=200.0)],
        "the same signal again": [opening],
        "a second open position of the symbol": [other_signal, other_position],
        "a position without its signal": [replace(other_position, symbol="EURUSD", signal_id=uuid4())],
        "one bar twice": [update(5), update(5)],
    }


class CommitContract:
    """The entries and rows of a commit."""

    async def test_entries_are_numbered_in_the_order_given(self, store: Store) -> None:
        opening, opened = trade(1)
        first = await store.commit([update(0), opening, opened], NOW)
        second = await store.commit([update(1), closed(opened)], NOW + timedelta(seconds=1))

        assert [entry.sequence for entry in (*first, *second)] == [1, 2, 3, 4, 5]
        assert [entry.kind for entry in first] == [
            EventKind.MARKET_UPDATE,
            EventKind.SIGNAL,
            EventKind.POSITION_UPDATE,
        ]
        assert {entry.time for entry in first} == {NOW}
        assert [(entry.action, entry.confidence) for entry in first] == [(None, None), (Action.BUY, 0.9), (None, None)]
        assert {entry.symbol for entry in (*first, *second)} == {"USDCOP"}
        assert await store.entries_after(0, 100) == [*first, *second]

    async def test_listed_messages_are_the_streamed_ones(self, store: Store) -> None:
        opening, opened = trade(1)
        bar_entry, signal_entry, position_entry = await store.commit([update(0), opening, opened], NOW)

        assert await store.latest_signal(None) == signal_entry.payload
        assert (await store.active_positions(None)).messages == [position_entry.payload]
        assert SignalMessage.FromString(signal_entry.payload).sequence == signal_entry.sequence
        assert PositionMessage.FromString(position_entry.payload).sequence == position_entry.sequence
        assert MarketUpdateMessage.FromString(bar_entry.payload).bar.symbol == "USDCOP"

    async def test_position_is_listed_once_after_its_newest_change(self, store: Store) -> None:
        opening, opened = trade(1)
        await store.commit([opening, opened, replace(opened, bars_held=1), replace(opened, bars_held=2)], NOW)
        *_, last = await store.commit([replace(opened, bars_held=3), closed(replace(opened, bars_held=4))], NOW)

        assert (await store.active_positions(None)).messages == []
        assert (await store.closed_positions(None, None, 10)).messages == [last.payload]
        assert last.sequence == (await store.log_head()).newest == 6

    async def test_position_can_be_reversed_in_one_commit(self, store: Store) -> None:
        first_signal, first = trade(1)
        await store.commit([first_signal, first], NOW)
        second_signal, second = trade(2, action=Action.SELL)
        third_signal, third = trade(3)
        await store.commit(
            [
                *(replace(first, bars_held=1), second_signal, closed(first, reason=ExitReason.REVERSED), second),
                *(third_signal, closed(second, reason=ExitReason.REVERSED), third),
            ],
            NOW,
        )
        assert position_numbers(await store.closed_positions(None, None, 10)) == [2, 1]
        assert position_numbers(await store.active_positions(None)) == [3]

    async def test_open_positions_are_limited_to_one_per_symbol(self, store: Store) -> None:
        for number, symbol in enumerate(("USDCOP", "EURUSD", "USDCOP"), 1):
            opening, opened = trade(number, symbol)
            await store.commit([opening, opened, closed(opened)] if number == 1 else [opening, opened], NOW)
        assert await store.symbols_with_open_positions() == ["EURUSD", "USDCOP"]


class AtomicityContract:
    """A commit is stored whole or not at all."""

    @pytest.mark.parametrize("what", not_storable(*trade(1)))
    async def test_stale_event_leaves_nothing_of_its_commit(self, store: Store, what: str) -> None:
        opening, opened = trade(1)
        await store.commit([update(0), opening, opened], NOW)
        before = await content(store)
        good: list[Event] = [update(1), signal(name=7), update(2, Disposition.WARMING_UP)]

        with pytest.raises(StaleState):
            await store.commit([*good, *not_storable(opening, opened)[what]], NOW)
        assert await content(store) == before

        entries = await store.commit(good, NOW)
        assert [entry.sequence for entry in entries] == [4, 5, 6]

    async def test_refused_event_leaves_nothing_of_its_commit(self, store: Store) -> None:
        opening, opened = trade(1)
        before = await content(store)
        for _ in range(2):
            with pytest.raises(RefusedByStore, match="positions_check"):
                await store.commit([update(0), opening, replace(opened, current_price=-1.0)], NOW)
            assert await content(store) == before
        await store.commit([update(0), opening, opened], NOW)

    async def test_cancelled_commit_leaves_nothing_or_all(self, store: Store) -> None:
        """At whatever point a commit is cancelled, the next one finds the log without a gap."""
        for turns in range(30):
            task = asyncio.create_task(store.commit([update(2 * turns), update(2 * turns + 1)], NOW))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            head = await store.log_head()
            bars = await store.list_bars("USDCOP", None, None, 1000)
            assert len(bars) == len(await store.entries_after(0, 1000)) == head.newest
            assert len(bars) % 2 == 0
        (entry,) = await store.commit([update(1000)], NOW)
        assert entry.sequence == head.newest + 1


class ConcurrencyContract:
    """Two servers write to one log."""

    async def test_sequences_become_visible_in_order_and_without_gaps(self, store: Store, another_store: Store) -> None:
        """A follower that continues after its last entry receives every entry, though two servers write at once."""
        commits, writers = 25, 6
        total = sum(1 + n % 3 for n in range(commits)) * writers
        written: dict[int, list[LogEntry]] = {writer: [] for writer in range(writers)}

        async def write(writer: int) -> None:
            to = (store, another_store)[writer % 2]
            for n in range(commits):
                bars = [update(1000 * n + i, symbol=f"AB{writer}") for i in range(1 + n % 3)]
                written[writer].extend(await to.commit(bars, NOW))

        async def follow() -> list[LogEntry]:
            seen: list[LogEntry] = []
            while len(seen) < total:
                page = await another_store.entries_after(len(seen), 7)
                assert [entry.sequence for entry in page] == [len(seen) + 1 + i for i in range(len(page))]
                seen.extend(page)
            return seen

        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            follower = group.create_task(follow())
            for writer in range(writers):
                group.create_task(write(writer))
        for entries in written.values():
            assert entries == sorted(entries, key=lambda entry: entry.sequence)
        assert follower.result() == sorted(
            (entry for entries in written.values() for entry in entries), key=lambda entry: entry.sequence
        )

    async def test_second_of_two_equal_commits_is_stale(self, store: Store, another_store: Store) -> None:
        for n in range(10):
            results = await asyncio.gather(
                *(writer.commit([update(n), signal(name=n + 1)], NOW) for writer in (store, another_store)),
                return_exceptions=True,
            )
            assert [isinstance(result, StaleState) for result in results].count(True) == 1
        assert (await store.log_head()).newest == 20
        assert (await store.signal_totals()).count == 10
        assert await store.list_bars("USDCOP", None, None, 100) == [bar(n) for n in reversed(range(10))]

    async def test_totals_count_every_commit_once(self, store: Store, another_store: Store) -> None:
        await asyncio.gather(
            *(
                (store, another_store)[n % 2].commit([signal(name=n + 1, time=bar(n).time), update(n)], NOW)
                for n in range(20)
            )
        )
        totals = await store.signal_totals()
        assert totals.count == 20
        assert totals.last_timestamp in [bar(n).time for n in range(20)]
