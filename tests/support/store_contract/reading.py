"""The contract of what the engine reads from a store."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from tests.support.builders import NOW, OPENING, bar

from tradingsignals_server.application.ports.store import Store, StoredSymbol, StoredTraderState
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.signals import Action

from ..trades import closed, trade, update

NO_STATE = StoredTraderState(None, [], None)


class ResumeContract:
    """What the engine reads to resume a symbol."""

    async def test_unknown_symbol_has_nothing(self, store: Store) -> None:
        await store.commit([update(0), *trade(1)], NOW)
        assert await store.load_symbol("EURUSD", 100, "v1@", None) == StoredSymbol([], None, NO_STATE, None)

    async def test_session_bars_are_the_decision_inputs(self, store: Store) -> None:
        taken = [Disposition.WARMING_UP, Disposition.ACCEPTED, Disposition.OUTSIDE_SESSION, Disposition.ACCEPTED]
        await store.commit([MarketUpdate(bar(n), taken[n % 4]) for n in range(0, 20, 2)], NOW)
        await store.commit([MarketUpdate(bar(n), Disposition.LATE) for n in range(1, 18, 2)], NOW)
        await store.commit([update(n, symbol="EURUSD") for n in range(30)], NOW)

        found = await store.load_symbol("USDCOP", 3, "v1@", None)
        assert found.session_bars == [bar(8), bar(12), bar(16)]
        assert found.last_bar == bar(18)
        assert await store.session_bars("USDCOP", 100) == [bar(n) for n in (0, 4, 8, 12, 16)]

    async def test_bar_of_the_far_future_is_not_the_newest(self, store: Store) -> None:
        """An older version took such a bar from a file; it would make all real bars late."""
        far = bar(datetime(2099, 1, 5, 13, 0, tzinfo=UTC))
        await store.commit([MarketUpdate(found, Disposition.ACCEPTED) for found in (bar(0), far)], NOW)
        found = await store.load_symbol("USDCOP", 3, "v1@", None)
        assert (found.session_bars, found.last_bar) == ([bar(0)], bar(0))
        assert await store.list_bars("USDCOP", None, None, 3) == [bar(0)]
        assert await store.find_bars([("USDCOP", far.time)]) == [far]

    async def test_bar_is_read_back_unchanged(self, store: Store) -> None:
        odd = replace(bar(0, 0.1 + 0.2, 1e12, 1e-9, 1 / 3), volume=5e-324, simulated=True)
        await store.commit([MarketUpdate(odd, Disposition.ACCEPTED)], NOW)
        assert await store.session_bars("USDCOP", 1) == [odd]
        assert await store.list_bars("USDCOP", None, None, 1) == [odd]
        assert await store.find_bars([("USDCOP", odd.time)]) == [odd]

    @pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
    async def test_position_is_read_back_unchanged(self, store: Store, action: Action) -> None:
        opening, opened = trade(1, action=action)
        full = replace(
            opened,
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
        same_by_default = {f.name for f in fields(full) if getattr(full, f.name) == getattr(opened, f.name)}
        assert same_by_default == {
            *("position_id", "signal_id", "symbol", "action", "entry_time", "entry_price", "take_profit"),
            *("initial_stop_loss", "position_size", "exit", "sequence"),
        }
        *_, entry = await store.commit([opening, opened, full], NOW)

        found = (await store.load_symbol("USDCOP", 1, "v1@", None)).live.position
        assert found == full
        assert found is not None
        assert found.sequence == entry.sequence

    async def test_optional_fields_of_a_position_stay_absent(self, store: Store) -> None:
        opening, opened = trade(1)
        bare = replace(opened, trail_distance=None, session_day=None)
        await store.commit([opening, bare], NOW)
        assert (await store.load_symbol("USDCOP", 1, "v1@", None)).live.position == bare

    async def test_results_come_in_the_order_of_closing(self, store: Store) -> None:
        """The tally for Kelly's fraction sums floats, so their order is in its last bit."""
        prices = [103.0, 97.0, 101.0, 100.0]
        for name in (4, 2, 3, 1):
            opening, opened = trade(name)
            opened = replace(opened, entry_time=OPENING + name * DEFAULT_INTERVAL)
            await store.commit([opening, opened, closed(opened, prices[name - 1])], NOW)
        opening, opened = trade(5)
        await store.commit([opening, opened], NOW)

        found = await store.load_symbol("USDCOP", 1, "v1@", None)
        assert [pnl_pct for _, pnl_pct in found.live.closed] == pytest.approx([0.0, -3.0, 1.0, 3.0])
        assert found.live.position == opened

    async def test_bars_are_found_by_symbol_and_time(self, store: Store) -> None:
        mine = [bar(n) for n in range(4)]
        others = [bar(n, symbol="EURUSD") for n in range(4)]
        taken = [*Disposition][:4]
        events = [MarketUpdate(found, taken[n % 4]) for n, found in enumerate([*mine, *others])]
        await store.commit(events, NOW)

        keys = [("USDCOP", mine[1].time), ("EURUSD", others[3].time), ("USDCOP", bar(9).time), ("GBPUSD", OPENING)]
        assert sorted(await store.find_bars(keys), key=lambda found: found.symbol) == [others[3], mine[1]]
        assert await store.find_bars([]) == []
        # Only the given pairs of symbol and time.
        assert await store.find_bars([("USDCOP", mine[0].time), ("EURUSD", others[1].time)]) in (
            [mine[0], others[1]],
            [others[1], mine[0]],
        )

    async def test_symbols_with_recent_bars_are_those_with_the_newest_first(self, store: Store) -> None:
        for symbol, last in (("USDCOP", 3), ("EURUSD", 5), ("GBPUSD", 1)):
            bars = [bar(at, symbol=symbol) for at in range(last + 1)]
            await store.commit([MarketUpdate(one, Disposition.ACCEPTED) for one in bars], NOW)
        start = bar(2).time
        assert await store.symbols_with_bars_since(start, 10) == ["EURUSD", "USDCOP"]
        assert await store.symbols_with_bars_since(start, 1) == ["EURUSD"]
        assert await store.symbols_with_bars_since(bar(6).time, 10) == []

    async def test_symbol_and_state_of_a_position_are_found_by_its_id(self, store: Store) -> None:
        opening, opened = trade(1)
        await store.commit([opening, opened], NOW)
        assert await store.symbol_of_position(opened.position_id) == ("USDCOP", True)
        await store.commit([closed(opened, 101.0)], NOW)
        assert await store.symbol_of_position(opened.position_id) == ("USDCOP", False)
        assert await store.symbol_of_position(uuid4()) is None
        assert await store.symbols_with_open_positions() == []
