"""What every store promises: reading. See application.ports.Store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.support.builders import NOW, OPENING, bar, position, signal
from tests.support.counted import assert_counted
from tests.support.deadlines import within

from tradingsignals.v1.position_pb2 import Position as PositionMessage
from tradingsignals.v1.signal_pb2 import Signal as SignalMessage
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.store import Page, SignalQuery, StoredSymbol, StoredTraderState
from tradingsignals_server.domain.bars import BAR_INTERVAL
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, close
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal
from tradingsignals_server.domain.statistics import PositionCounts, SignalCounts, Statistics

RULES = RiskRules()


def trade(name: int, symbol: str = "USDCOP", action: Action = Action.BUY) -> tuple[Signal, Position]:
    """A signal and the position that it opens."""
    made = signal(action, name=name, symbol=symbol)
    held = position(action)
    return made, replace(held, position_id=UUID(int=1000 + name), signal_id=made.signal_id, symbol=symbol)


def ended(held: Position, price: float) -> Position:
    return close(held, Exit(NOW, price, ExitReason.MANUAL), RULES)


NOTHING = StoredTraderState(None, [], None)


class TestWhatTheEngineReads:
    async def test_of_an_unknown_symbol_there_is_nothing(self, store: PostgresStore) -> None:
        await store.commit([MarketUpdate(bar(0), Disposition.ACCEPTED), *trade(1)], NOW)
        assert await store.load_symbol("EURUSD", 100, "v1@", None) == StoredSymbol([], None, NOTHING, None)

    async def test_the_window_has_only_what_decisions_looked_at(self, store: PostgresStore) -> None:
        taken = [Disposition.WARMING_UP, Disposition.ACCEPTED, Disposition.OUTSIDE_SESSION, Disposition.ACCEPTED]
        await store.commit([MarketUpdate(bar(n), taken[n % 4]) for n in range(0, 20, 2)], NOW)
        await store.commit([MarketUpdate(bar(n), Disposition.LATE) for n in range(1, 18, 2)], NOW)
        await store.commit([MarketUpdate(bar(n, symbol="EURUSD"), Disposition.ACCEPTED) for n in range(30)], NOW)

        found = await store.load_symbol("USDCOP", 3, "v1@", None)
        assert found.session_bars == [bar(8), bar(12), bar(16)]
        assert found.last_bar == bar(18)
        assert await store.session_bars("USDCOP", 100) == [bar(n) for n in (0, 4, 8, 12, 16)]

    async def test_a_stored_bar_of_the_far_future_is_not_the_newest(self, store: PostgresStore) -> None:
        """One that an older version took from a file; it would make every bar behind it late."""
        far = bar(datetime(2099, 1, 5, 13, 0, tzinfo=UTC))
        await store.commit([MarketUpdate(found, Disposition.ACCEPTED) for found in (bar(0), far)], NOW)
        found = await store.load_symbol("USDCOP", 3, "v1@", None)
        assert (found.session_bars, found.last_bar) == ([bar(0)], bar(0))
        assert await store.list_bars("USDCOP", None, None, 3) == [bar(0)]
        assert await store.find_bars([("USDCOP", far.time)]) == [far]

    async def test_a_bar_comes_back_as_it_was(self, store: PostgresStore) -> None:
        odd = replace(bar(0, 0.1 + 0.2, 1e12, 1e-9, 1 / 3), volume=5e-324, simulated=True)
        await store.commit([MarketUpdate(odd, Disposition.ACCEPTED)], NOW)
        assert await store.session_bars("USDCOP", 1) == [odd]
        assert await store.list_bars("USDCOP", None, None, 1) == [odd]
        assert await store.find_bars([("USDCOP", odd.time)]) == [odd]

    @pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
    async def test_a_position_comes_back_as_it_was(self, store: PostgresStore, action: Action) -> None:
        made, held = trade(1, action=action)
        full = replace(
            held,
            stop_loss=98.123456789,
            costs=0.1 + 0.2,
            pnl=-1 / 3,
            pnl_pct=-1e-17,
            pnl_account=1e17,
            r_multiple=-0.25,
            current_price=100.1,
            max_favorable_excursion=5e-324,
            max_adverse_excursion=2.5,
            bars_held=17,
            trail_distance=1.7,
            session_day=date(2024, 3, 5),
            simulated=True,
        )
        same_by_default = {f.name for f in fields(full) if getattr(full, f.name) == getattr(held, f.name)}
        assert same_by_default == {
            *("position_id", "signal_id", "symbol", "action", "entry_time", "entry_price", "take_profit"),
            *("initial_stop_loss", "position_size", "exit", "sequence"),
        }
        *_, entry = await store.commit([made, held, full], NOW)

        found = (await store.load_symbol("USDCOP", 1, "v1@", None)).live.position
        assert found == full
        assert found is not None
        assert found.sequence == entry.sequence

    async def test_what_may_be_absent_of_a_position_comes_back_absent(self, store: PostgresStore) -> None:
        made, held = trade(1)
        bare = replace(held, trail_distance=None, session_day=None)
        await store.commit([made, bare], NOW)
        assert (await store.load_symbol("USDCOP", 1, "v1@", None)).live.position == bare

    async def test_profits_come_in_the_order_of_closing(self, store: PostgresStore) -> None:
        """Whatever the order of opening: Kelly's tally adds up floats, so that the order is in its last bit."""
        prices = [103.0, 97.0, 101.0, 100.0]
        for name in (4, 2, 3, 1):
            made, held = trade(name)
            held = replace(held, entry_time=OPENING + name * BAR_INTERVAL)
            await store.commit([made, held, ended(held, prices[name - 1])], NOW)
        made, held = trade(5)
        await store.commit([made, held], NOW)

        found = await store.load_symbol("USDCOP", 1, "v1@", None)
        assert [pnl_pct for _, pnl_pct in found.live.closed] == pytest.approx([0.0, -3.0, 1.0, 3.0])
        assert found.live.position == held

    async def test_bars_are_found_by_symbol_and_time(self, store: PostgresStore) -> None:
        mine = [bar(n) for n in range(4)]
        others = [bar(n, symbol="EURUSD") for n in range(4)]
        taken = [*Disposition][:4]
        events = [MarketUpdate(found, taken[n % 4]) for n, found in enumerate([*mine, *others])]
        await store.commit(events, NOW)

        keys = [("USDCOP", mine[1].time), ("EURUSD", others[3].time), ("USDCOP", bar(9).time), ("GBPUSD", OPENING)]
        assert sorted(await store.find_bars(keys), key=lambda found: found.symbol) == [others[3], mine[1]]
        assert await store.find_bars([]) == []
        # Not every pair of a wanted symbol and a wanted time.
        assert await store.find_bars([("USDCOP", mine[0].time), ("EURUSD", others[1].time)]) in (
            [mine[0], others[1]],
            [others[1], mine[0]],
        )

    async def test_a_position_by_its_name(self, store: PostgresStore) -> None:
        made, held = trade(1)
        await store.commit([made, held], NOW)
        assert await store.symbol_of_position(held.position_id) == ("USDCOP", True)
        await store.commit([ended(held, 101.0)], NOW)
        assert await store.symbol_of_position(held.position_id) == ("USDCOP", False)
        assert await store.symbol_of_position(uuid4()) is None
        assert await store.symbols_with_open_positions() == []


class TestLists:
    async def test_bars_of_a_time_range(self, store: PostgresStore) -> None:
        bars = [bar(n) for n in range(10)]
        await store.commit([MarketUpdate(found, Disposition.LATE) for found in bars], NOW)
        assert await store.list_bars("USDCOP", None, None, 3) == bars[:-4:-1]
        assert await store.list_bars("USDCOP", bars[2].time, bars[5].time, 100) == bars[4:1:-1]
        assert await store.list_bars("USDCOP", bars[2].time + timedelta(microseconds=1), None, 100) == bars[:2:-1]
        assert await store.list_bars("USDCOP", None, OPENING, 100) == []
        assert await store.list_bars("EURUSD", None, None, 100) == []

    async def test_the_latest_signal_is_the_last_one_made(self, store: PostgresStore) -> None:
        """A call may have asked for it while bars of years ago go by: the order is that of the log."""
        assert await store.latest_signal(None) is None
        await store.commit([signal(name=1, time=NOW), signal(name=2, time=OPENING)], NOW)
        await store.commit([signal(name=3, symbol="EURUSD")], NOW)
        assert [await self._latest(store, symbol) for symbol in (None, "USDCOP", "EURUSD", "GBPUSD")] == [3, 2, 3, None]

    async def _latest(self, store: PostgresStore, symbol: str | None) -> int | None:
        found = await store.latest_signal(symbol)
        return None if found is None else UUID(SignalMessage.FromString(found).signal_id).int

    async def test_signals_by_every_filter_and_page_by_page(self, store: PostgresStore) -> None:
        dice = random.Random(5)
        made = [
            signal(
                dice.choice([*Action]),
                name=name,
                symbol=dice.choice(["USDCOP", "EURUSD"]),
                time=OPENING + BAR_INTERVAL * dice.randrange(20),
            )
            for name in range(1, 121)
        ]
        for start in range(0, len(made), 7):
            await store.commit(made[start : start + 7], NOW)
        for _ in range(40):
            query = SignalQuery(
                symbol=dice.choice([None, "USDCOP", "EURUSD", "GBPUSD"]),
                action=dice.choice([None, *Action]),
                start=dice.choice([None, OPENING + BAR_INTERVAL * dice.randrange(20)]),
                end=dice.choice([None, OPENING + BAR_INTERVAL * dice.randrange(20)]),
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

    async def test_a_full_last_page_has_no_next_one(self, store: PostgresStore) -> None:
        await store.commit([signal(name=name) for name in range(1, 5)], NOW)
        page = await store.list_signals(SignalQuery(), None, 4)
        assert (len(page.messages), page.next_before) == (4, None)
        page = await store.list_signals(SignalQuery(), None, 3)
        assert (len(page.messages), page.next_before) == (3, 2)

    async def test_positions_open_and_closed(self, store: PostgresStore) -> None:
        for name, symbol in enumerate(("USDCOP", "EURUSD", "USDCOP", "EURUSD", "USDCOP", "GBPUSD"), 1):
            made, held = trade(name, symbol)
            held = replace(held, entry_time=OPENING + name * BAR_INTERVAL)
            await store.commit([made, held], NOW)
            if name < 4:
                await store.commit([ended(held, 101.0)], NOW)
        assert _names(await store.active_positions(None)) == [6, 5, 4]
        assert _names(await store.active_positions("EURUSD")) == [4]
        assert _names(await store.active_positions("CADUSD")) == []
        assert _names(await store.closed_positions(None, None, 10)) == [3, 2, 1]
        assert _names(await store.closed_positions("USDCOP", None, 10)) == [3, 1]
        first = await store.closed_positions(None, None, 2)
        assert _names(first) == [3, 2]
        rest = await store.closed_positions(None, first.next_before, 2)
        assert (_names(rest), rest.next_before) == ([1], None)
        assert first.through_sequence == 15

    async def test_list_then_follow_has_no_gap(self, store: PostgresStore, another_store: PostgresStore) -> None:
        """Whatever is committed meanwhile: a page holds all up to its through_sequence and nothing after it."""
        writing = asyncio.create_task(_write_signals(another_store, 150))
        while not writing.done():
            page = await store.list_signals(SignalQuery(), None, 1000)
            sequences = [SignalMessage.FromString(message).sequence for message in page.messages]
            assert sequences == list(range(page.through_sequence, 0, -1))
        await within(writing)


async def _write_signals(store: PostgresStore, count: int) -> None:
    for name in range(1, count, 3):
        await store.commit([signal(name=name + i) for i in range(3)], NOW)


def _passes(found: Signal, query: SignalQuery) -> bool:
    return (
        query.symbol in {None, found.symbol}
        and query.action in {None, found.action}
        and (query.start is None or query.start <= found.timestamp)
        and (query.end is None or found.timestamp < query.end)
    )


def _names(page: Page) -> list[int]:
    return [UUID(PositionMessage.FromString(message).position_id).int - 1000 for message in page.messages]


class TestCounts:
    async def test_of_nothing(self, store: PostgresStore) -> None:
        assert await store.statistics() == Statistics(
            SignalCounts(0, 0, 0, 0, 0, 0.0), PositionCounts(0, 0, 0, 0, 0.0, 0.0), 0, 0
        )
        totals = await store.signal_totals()
        assert (totals.count, totals.last_timestamp) == (0, None)

    async def test_agree_with_what_was_stored(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        dice = random.Random(3)
        results: list[Position] = []
        for name in range(1, 60):
            symbol = f"AB{name}" if name > 50 else "USDCOP"
            made, held = trade(name, symbol, dice.choice([Action.BUY, Action.SELL]))
            made = replace(made, latency_ms=dice.random(), simulated=dice.random() < 0.5)
            hold = signal(Action.HOLD, name=name + 500, symbol=symbol)
            events: list[Event] = [MarketUpdate(bar(name, symbol=symbol), Disposition.ACCEPTED), made, hold, held]
            if name <= 50:
                results.append(ended(held, dice.choice([97.0, 99.5, 100.0, 102.5])))
                events.append(results[-1])
            await store.commit(events, NOW)

        found = await store.statistics()
        (expected,) = await sql.fetch(
            "SELECT count(*), avg(latency_ms), count(*) FILTER (WHERE simulated) FROM signals"
        )
        assert (found.signals.total, found.signals.simulated) == (expected[0], expected[2]) == (118, expected[2])
        assert found.signals.avg_latency_ms == pytest.approx(expected[1])
        assert found.signals.hold == 59
        assert found.signals.buy + found.signals.sell == 59
        assert found.positions.opened == 59
        assert (found.positions.closed, found.positions.active) == (50, 9)
        assert found.positions.winning == sum(result.pnl > 0 for result in results)
        assert found.positions.losing == sum(result.pnl < 0 for result in results)
        assert found.positions.total_pnl == pytest.approx(sum(result.pnl for result in results))
        assert found.positions.total_pnl_account == pytest.approx(sum(result.pnl_account for result in results))
        assert (found.bars_stored, found.symbols) == (59, 10)
        await assert_counted(found, sql)

    async def test_totals_count_every_commit_once(self, store: PostgresStore, another_store: PostgresStore) -> None:
        times: list[datetime] = [OPENING + n * BAR_INTERVAL for n in range(20)]
        made: Sequence[Signal] = [signal(name=n + 1, time=time) for n, time in enumerate(times)]
        await asyncio.gather(
            *(
                (store, another_store)[n % 2].commit([found, MarketUpdate(bar(n), Disposition.ACCEPTED)], NOW)
                for n, found in enumerate(made)
            )
        )
        totals = await store.signal_totals()
        assert totals.count == 20
        assert totals.last_timestamp in times


class TestLog:
    async def test_of_a_new_database(self, store: PostgresStore) -> None:
        head = await store.log_head()
        assert (head.oldest, head.newest) == (1, 0)
        assert await store.entries_after(0, 10) == []

    async def test_its_name_stays_and_is_its_own(self, store: PostgresStore, another_store: PostgresStore) -> None:
        head = await store.log_head()
        await store.commit([signal(name=1)], NOW)
        assert (await another_store.log_head()).epoch == head.epoch
        assert head.epoch.version == 4

    async def test_page_by_page(self, store: PostgresStore) -> None:
        entries = list(await store.commit([MarketUpdate(bar(n), Disposition.LATE) for n in range(10)], NOW))
        assert await store.entries_after(0, 4) == entries[:4]
        assert await store.entries_after(4, 4) == entries[4:8]
        assert await store.entries_after(8, 4) == entries[8:]
        assert await store.entries_after(10, 4) == []
        assert await store.entries_after(10**15, 4) == []
