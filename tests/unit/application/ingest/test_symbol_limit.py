"""Symbols in memory: only those with stored bars or positions, and at most MAX_SYMBOLS."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.builders import bar
from tests.support.running import dispositions, running_engine

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.domain.errors import TooManySymbols
from tradingsignals_server.domain.events import Disposition

WARMING_UP = Disposition.WARMING_UP


async def test_signal_of_an_unknown_symbol_leaves_nothing_in_memory() -> None:
    async with running_engine(policy=PlaceholderPolicy()) as running:
        for n in range(50):
            await running.engine.generate(f"X{n}", Quote(100.0))
        held = {held.symbol for held in running.store.positions()}
        assert {state.symbol for state in running.engine.states()} == held
        assert await running.engine.last_bar("NOSUCH") is None
        assert {state.symbol for state in running.engine.states()} == held


async def test_symbol_beyond_the_limit_is_refused_and_known_ones_continue() -> None:
    async with running_engine(max_symbols=3) as running:
        bars = [bar(0, symbol=f"S{n}COP") for n in range(5)]
        results = await running.engine.publish(bars)
        assert sorted(dispositions(results), key=str) == sorted([WARMING_UP] * 3 + ["TOO_MANY_SYMBOLS"] * 2, key=str)
        known = sorted(state.symbol for state in running.engine.states())
        assert len(known) == 3
        again = [bar(1, symbol=symbol) for symbol in known]
        assert dispositions(await running.engine.publish([*again, bars[4]])) == [WARMING_UP] * 3 + ["TOO_MANY_SYMBOLS"]
        with pytest.raises(TooManySymbols):
            await running.engine.generate("NEWCOP", Quote(100.0))
        await running.engine.generate(known[0], Quote(100.0))


async def test_concurrent_publishers_do_not_exceed_the_limit_together() -> None:
    async with running_engine(max_symbols=10) as running:
        await asyncio.gather(*(running.engine.publish([bar(0, symbol=f"S{n}COP")]) for n in range(40)))
        assert len({update.bar.symbol for update in running.store.market_updates()}) == 10


async def test_states_in_memory_are_bounded_and_read_again_when_needed() -> None:
    async with running_engine(max_symbols=5) as running:
        for n in range(5):
            await running.publish([bar(0, symbol=f"S{n}COP")])
    async with running_engine(running.store, max_symbols=2) as fewer:
        for n in range(5):
            assert dispositions(await fewer.engine.publish([bar(1, symbol=f"S{n}COP")])) == [WARMING_UP]
        assert [state.symbol for state in fewer.engine.states()] == ["S3COP", "S4COP"]
