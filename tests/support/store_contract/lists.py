"""The contract of what callers read from a store."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.support.builders import NOW, OPENING, bar, signal

from tradingsignals.v1.position_pb2 import Position as PositionMessage
from tradingsignals.v1.signal_pb2 import Signal as SignalMessage
from tradingsignals_server.application.ports.store import (
    Page,
    PositionSummary,
    SignalQuery,
    SignalSummary,
    Store,
    SymbolPage,
)
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.signals import Action, Signal
from tradingsignals_server.domain.statistics import PositionCounts, SignalCounts, Statistics

from ..deadlines import within
from ..trades import closed, trade, update

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class ListContract:
    """What callers list."""

    async def test_bars_are_listed_by_time_range(self, store: Store) -> None:
        bars = [bar(n) for n in range(10)]
        await store.commit([MarketUpdate(found, Disposition.LATE) for found in bars], NOW)
        assert await store.list_bars("USDCOP", None, None, 3) == bars[:-4:-1]
        assert await store.list_bars("USDCOP", bars[2].time, bars[5].time, 100) == bars[4:1:-1]
        assert await store.list_bars("USDCOP", bars[2].time + timedelta(microseconds=1), None, 100) == bars[:2:-1]
        assert await store.list_bars("USDCOP", None, OPENING, 100) == []
        assert await store.list_bars("EURUSD", None, None, 100) == []

    async def test_lists_may_be_bounded_by_any_time(self, store: Store) -> None:
        """The earliest and the latest datetime are infinite in PostgreSQL."""
        await store.commit([update(0), signal(name=1)], NOW)
        for start, end, count in ((EARLIEST, LATEST, 1), (LATEST, None, 0), (None, EARLIEST, 0), (LATEST, EARLIEST, 0)):
            assert len(await store.list_bars("USDCOP", start, end, 9)) == count
            assert len((await store.list_signals(SignalQuery(start=start, end=end), None, 9)).messages) == count

    async def test_latest_signal_is_the_last_in_the_log(self, store: Store) -> None:
        """Its timestamp may be the oldest: bars of years ago may be replayed between two requests."""
        assert await store.latest_signal(None) is None
        await store.commit([signal(name=1, time=NOW), signal(name=2, time=OPENING)], NOW)
        await store.commit([signal(name=3, symbol="EURUSD")], NOW)
        assert [await self._latest(store, symbol) for symbol in (None, "USDCOP", "EURUSD", "GBPUSD")] == [3, 2, 3, None]

    async def _latest(self, store: Store, symbol: str | None) -> int | None:
        found = await store.latest_signal(symbol)
        return None if found is None else UUID(SignalMessage.FromString(found).signal_id).int

    async def test_signals_are_listed_by_every_filter_and_page_by_page(self, store: Store) -> None:
        dice = random.Random(5)
        made = [
            signal(
                dice.choice([*Action]),
                name=name,
                symbol=dice.choice(["USDCOP", "EURUSD"]),
                time=OPENING + DEFAULT_INTERVAL * dice.randrange(20),
            )
            for name in range(1, 121)
        ]
        for start in range(0, len(made), 7):
            await store.commit(made[start : start + 7], NOW)
        for _ in range(40):
            query = SignalQuery(
                symbol=dice.choice([None, "USDCOP", "EURUSD", "GBPUSD"]),
                action=dice.choice([None, *Action]),
                start=dice.choice([None, OPENING + DEFAULT_INTERVAL * dice.randrange(20)]),
                end=dice.choice([None, OPENING + DEFAULT_INTERVAL * dice.randrange(20)]),
            )
            expected = [found.signal_id for found in reversed(made) if _passes(found, query)]
            limit, listed, before = dice.randrange(1, 50), list[UUID](), None
            while True:
                page = await store.list_signals(query, before, limit)
                listed += [UUID(SignalMessage.FromString(message).signal_id) for message in page.messages]
                assert page.through_sequence == len(made)
                assert len(page.messages) == limit or page.next_before is None
                if (before := page.next_before) is None:
                    break
            assert listed == expected, query

    async def test_full_last_page_has_no_next_page(self, store: Store) -> None:
        await store.commit([signal(name=name) for name in range(1, 5)], NOW)
        page = await store.list_signals(SignalQuery(), None, 4)
        assert (len(page.messages), page.next_before) == (4, None)
        page = await store.list_signals(SignalQuery(), None, 3)
        assert (len(page.messages), page.next_before) == (3, 2)

    async def test_positions_are_listed_by_state_and_symbol(self, store: Store) -> None:
        for name, symbol in enumerate(("USDCOP", "EURUSD", "USDCOP", "EURUSD", "USDCOP", "GBPUSD"), 1):
            opening, opened = trade(name, symbol)
            opened = replace(opened, entry_time=OPENING + name * DEFAULT_INTERVAL)
            await store.commit([opening, opened], NOW)
            if name < 4:
                await store.commit([closed(opened, 101.0)], NOW)
        assert position_numbers(await store.active_positions(None)) == [6, 5, 4]
        assert position_numbers(await store.active_positions("EURUSD")) == [4]
        assert position_numbers(await store.active_positions("CADUSD")) == []
        assert position_numbers(await store.closed_positions(None, None, 10)) == [3, 2, 1]
        assert position_numbers(await store.closed_positions("USDCOP", None, 10)) == [3, 1]
        first = await store.closed_positions(None, None, 2)
        assert position_numbers(first) == [3, 2]
        rest = await store.closed_positions(None, first.next_before, 2)
        assert (position_numbers(rest), rest.next_before) == ([1], None)
        assert first.through_sequence == 15

    async def test_symbols_are_listed_with_the_newest_of_each(self, store: Store) -> None:
        assert await store.list_symbols((), "", 9, 1) == SymbolPage([], None, 0)
        bars = [bar(n, 100.0 + n, symbol="EURUSD") for n in (1, 0, 2)]
        opening, opened = trade(1, "BRLUSD")
        await store.commit([MarketUpdate(found, Disposition.LATE) for found in bars], NOW)
        await store.commit([opening, opened, signal(name=2, symbol="CADUSD"), signal(name=3, symbol="EURUSD")], NOW)
        made = signal(name=4, symbol="EURUSD", time=OPENING)
        await store.commit([made, update(0)], NOW)
        page = await store.list_symbols((), "", 9, 2)
        assert [found.symbol for found in page.symbols] == ["BRLUSD", "CADUSD", "EURUSD", "USDCOP"]
        assert (page.next_after, page.through_sequence) == (None, 9)
        euro = page.symbols[2]
        assert (euro.interval, euro.last_bar_time) == (bars[2].interval, bars[2].time)
        assert euro.closes == [bars[0].close, bars[2].close]
        decision = made.decision
        assert euro.signal == SignalSummary(
            made.signal_id, 8, decision.action, decision.confidence, made.timestamp, made.bar_time
        )
        assert euro.position is None
        real, asked, _, cop = page.symbols
        assert real.position == PositionSummary(opened.position_id, opened.action, opened.pnl_pct)
        assert (asked.last_bar_time, asked.interval, asked.closes) == (None, None, [])
        assert (cop.signal, len(cop.closes)) == (None, 1)

    async def test_symbol_is_simulated_if_its_newest_bar_or_signal_is(self, store: Store) -> None:
        bars = [replace(bar(n, symbol=symbol), simulated=bool(n)) for symbol in ("AUDUSD", "EURUSD") for n in (0, 1)]
        await store.commit([MarketUpdate(found, Disposition.LATE) for found in bars[:3]], NOW)
        real, made = signal(name=1, symbol="EURUSD"), replace(signal(name=2, symbol="NZDUSD"), simulated=True)
        await store.commit([real, made, replace(signal(name=3, symbol="GBPUSD"), simulated=True)], NOW)
        await store.commit([signal(name=4, symbol="GBPUSD")], NOW)
        page = await store.list_symbols((), "", 9, 1)
        assert {found.symbol: found.simulated for found in page.symbols} == {
            "AUDUSD": True,
            "EURUSD": False,
            "GBPUSD": False,
            "NZDUSD": True,
        }

    async def test_symbols_are_listed_page_by_page_and_by_name(self, store: Store) -> None:
        names = [f"S{number:03d}" for number in range(60)]
        await store.commit([update(0, symbol=name) for name in names[::2]], NOW)
        await store.commit([signal(name=number, symbol=names[number]) for number in range(1, 60, 2)], NOW)
        for limit in (1, 7, 30, 60, 100):
            listed, after = list[str](), ""
            while True:
                page = await store.list_symbols((), after, limit, 1)
                listed += [found.symbol for found in page.symbols]
                if page.next_after is None:
                    break
                assert (len(page.symbols), page.next_after) == (limit, listed[-1])
                after = page.next_after
            assert listed == names
        some = await store.list_symbols(("S007", "NOSUCH", "S002", "S050"), "", 2, 1)
        assert ([found.symbol for found in some.symbols], some.next_after) == (["S002", "S007"], "S007")
        rest = await store.list_symbols(("S007", "NOSUCH", "S002", "S050"), "S007", 2, 1)
        assert ([found.symbol for found in rest.symbols], rest.next_after) == (["S050"], None)

    async def test_page_is_complete_up_to_its_sequence(self, store: Store, another_store: Store) -> None:
        """Commits continue meanwhile: a page has all signals up to its through_sequence and none after it."""
        writing = asyncio.create_task(_write_signals(another_store, 150))
        while not writing.done():
            page = await store.list_signals(SignalQuery(), None, 1000)
            sequences = [SignalMessage.FromString(message).sequence for message in page.messages]
            assert sequences == list(range(page.through_sequence, 0, -1))
        await within(writing)


async def _write_signals(store: Store, count: int) -> None:
    for name in range(1, count, 3):
        await store.commit([signal(name=name + i) for i in range(3)], NOW)


def _passes(found: Signal, query: SignalQuery) -> bool:
    return (
        query.symbol in {None, found.symbol}
        and query.action in {None, found.action}
        and (query.start is None or query.start <= found.timestamp)
        and (query.end is None or found.timestamp < query.end)
    )


def position_numbers(page: Page) -> list[int]:
    return [UUID(PositionMessage.FromString(message).position_id).int - 1000 for message in page.messages]


class TotalsContract:
    """Statistics over all that is stored."""

    async def test_empty_store_counts_nothing(self, store: Store) -> None:
        assert await store.statistics() == Statistics(
            SignalCounts(0, 0, 0, 0, 0, 0.0), PositionCounts(0, 0, 0, 0, 0.0, 0.0), 0, 0
        )
        totals = await store.signal_totals()
        assert (totals.count, totals.last_timestamp) == (0, None)

    async def test_statistics_agree_with_the_stored_events(self, store: Store) -> None:
        dice = random.Random(3)
        results, signals = list[Position](), list[Signal]()
        for name in range(1, 60):
            symbol = f"AB{name}" if name > 50 else "USDCOP"
            opening, opened = trade(name, symbol, dice.choice([Action.BUY, Action.SELL]))
            opening = replace(opening, latency_ms=dice.random(), simulated=dice.random() < 0.5)
            hold = signal(Action.HOLD, name=name + 500, symbol=symbol)
            events: list[Event] = [update(name, symbol=symbol), opening, hold, opened]
            if name <= 50:
                results.append(closed(opened, dice.choice([97.0, 99.5, 100.0, 102.5])))
                events.append(results[-1])
            signals += [opening, hold]
            await store.commit(events, NOW)

        found = await store.statistics()
        assert (found.signals.total, found.signals.simulated) == (118, sum(event.simulated for event in signals))
        assert found.signals.avg_latency_ms == pytest.approx(sum(event.latency_ms for event in signals) / 118)
        assert found.signals.hold == 59
        assert found.signals.buy + found.signals.sell == 59
        assert found.positions.opened == 59
        assert (found.positions.closed, found.positions.active) == (50, 9)
        assert found.positions.winning == sum(result.pnl > 0 for result in results)
        assert found.positions.losing == sum(result.pnl < 0 for result in results)
        assert found.positions.total_pnl == pytest.approx(sum(result.pnl for result in results))
        assert found.positions.total_pnl_account == pytest.approx(sum(result.pnl_account for result in results))
        assert (found.bars_stored, found.symbols) == (59, 10)
