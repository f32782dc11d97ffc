"""The contract of the event log in a store: its pages, its retention, and the sequence range of a period."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

from tests.support.builders import NOW, OPENING, bar, position, signal

from tradingsignals_server.application.ports.store import SignalQuery, Store

from ..trades import closed, trade, update

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class LogContract:
    """The head and the entries of the log."""

    async def test_new_log_is_empty(self, store: Store) -> None:
        head = await store.log_head()
        assert (head.oldest, head.newest) == (1, 0)
        assert await store.entries_after(0, 10) == []

    async def test_epoch_never_changes(self, store: Store, another_store: Store) -> None:
        head = await store.log_head()
        await store.commit([signal(name=1)], NOW)
        assert (await another_store.log_head()).epoch == head.epoch

    async def test_entries_come_page_by_page(self, store: Store) -> None:
        entries = list(await store.commit([update(n) for n in range(10)], NOW))
        assert await store.entries_after(0, 4) == entries[:4]
        assert await store.entries_after(4, 4) == entries[4:8]
        assert await store.entries_after(8, 4) == entries[8:]
        assert await store.entries_after(10, 4) == []
        assert await store.entries_after(10**15, 4) == []

    async def test_market_time_is_that_of_the_newest_bar(self, store: Store) -> None:
        opening, opened = replace(signal(name=1), bar_time=bar(0).time), position()
        opened = replace(opened, signal_id=opening.signal_id)
        entries = [
            *await store.commit([update(0), opening, opened], NOW),
            *await store.commit([update(3), replace(opened, bars_held=1)], NOW + DAY),
        ]
        assert [entry.market_time for entry in entries] == [bar(0).time] * 3 + [bar(3).time] * 2
        assert await store.entries_after(0, 10) == entries


class RetentionContract:
    """Pruning of the log."""

    async def test_only_the_oldest_entries_of_the_log_are_deleted(self, store: Store) -> None:
        opening, opened = trade(1)
        await store.commit([update(0), opening, opened], NOW - 91 * DAY)
        await store.commit([update(1), closed(opened)], NOW - 89 * DAY)
        before = await self._rows(store)

        assert await store.prune(NOW - 90 * DAY, 100) == 3
        assert ((await store.log_head()).oldest, (await store.log_head()).newest) == (4, 5)
        assert [entry.sequence for entry in await store.entries_after(0, 10)] == [4, 5]
        assert await self._rows(store) == before
        assert await store.prune(NOW - 90 * DAY, 100) == 0

    async def _rows(self, store: Store) -> tuple[object, ...]:
        return (
            await store.list_bars("USDCOP", None, None, 10),
            await store.list_signals(SignalQuery(), None, 10),
            await store.closed_positions(None, None, 10),
            await store.statistics(),
        )

    async def test_no_gap_is_left_when_the_clock_went_back(self, store: Store) -> None:
        for days in (95, 85, 94, 80):
            await store.commit([update(days)], NOW - days * DAY)
        assert await store.prune(NOW - 90 * DAY, 100) == 1
        assert [entry.sequence for entry in await store.entries_after(0, 10)] == [2, 3, 4]

    async def test_sequences_continue_after_all_entries_are_deleted(self, store: Store) -> None:
        await store.commit([update(n) for n in range(10)], NOW - 91 * DAY)
        assert await store.prune(NOW, 100) == 10
        assert ((await store.log_head()).oldest, (await store.log_head()).newest) == (11, 10)
        (entry,) = await store.commit([update(10)], NOW)
        assert entry.sequence == 11
        assert (await store.log_head()).oldest == 11

    async def test_entries_are_deleted_in_batches(self, store: Store) -> None:
        await store.commit([update(n) for n in range(10)], NOW - 91 * DAY)
        assert [await store.prune(NOW, 4) for _ in range(4)] == [4, 4, 2, 0]


class SequenceRangeContract:
    """The sequences of a period of market time."""

    async def test_range_spans_histories_that_follow_one_another(self, store: Store) -> None:
        """Three days of one symbol, then the same three days of another: sequences 1 to 3 and 4 to 6."""
        for symbol in ("USDCOP", "EURUSD"):
            for day in range(3):
                await store.commit([update(OPENING + day * DAY, symbol=symbol)], NOW)
        first, second, third = (OPENING + day * DAY for day in range(3))
        assert await store.sequence_range(None, None, 0) == (1, 6)
        assert await store.sequence_range(second, second.replace(hour=23), 0) == (2, 5)
        assert await store.sequence_range(second, None, 0) == (2, 6)
        assert await store.sequence_range(second, second.replace(hour=23), 2) == (5, 5)
        assert await store.sequence_range(third, None, 3) == (6, 6)
        assert await store.sequence_range(None, first, 0) == (1, 4), "the resolution is a day"
        assert await store.sequence_range(None, first.replace(hour=0), 0) is None
        assert await store.sequence_range(third + DAY, None, 0) is None
        assert await store.sequence_range(datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC), 6) is None

    async def test_range_may_be_bounded_by_any_time(self, store: Store) -> None:
        """The earliest and the latest datetime are infinite in PostgreSQL, which cannot subtract them."""
        for start, end in product((None, EARLIEST, LATEST), repeat=2):
            assert await store.sequence_range(start, end, 0) is None, "the log is empty"
        await store.commit([update(OPENING)], NOW)
        for start, end in product((None, EARLIEST, EARLIEST + MICROSECOND), (None, LATEST - MICROSECOND, LATEST)):
            assert await store.sequence_range(start, end, 0) == (1, 1)
        for start, end in (
            (LATEST, None),
            (None, EARLIEST),
            (LATEST, LATEST),
            (EARLIEST, EARLIEST),
            (LATEST, EARLIEST),
        ):
            assert await store.sequence_range(start, end, 0) is None

    async def test_empty_log_has_no_range(self, store: Store) -> None:
        assert await store.sequence_range(None, None, 0) is None
