"""Bars in memory pass the checks of a live service, and a warmed-up engine is one that was restarted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.backtests import WILLING, plan, processed_by, result_of
from tests.support.bars import a_month
from tests.support.builders import walk
from tests.support.engine import running_engine
from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.backtest.run import BacktestRun, NothingToTest
from tradingsignals_server.domain.errors import BarConflict, InvalidBar, PriceJump
from tradingsignals_server.domain.events import Disposition
from tradingsignals_server.domain.signals import Signal


async def test_a_repeated_bar_is_a_duplicate_and_a_different_one_refused() -> None:
    bars = walk(60)
    other = replace(bars[55], close=bars[55].open, volume=7.0)
    found = await processed_by([*bars[:56], bars[55], other, *bars[56:]])
    assert found[56].disposition is Disposition.DUPLICATE
    assert isinstance(found[57].refusal, BarConflict)
    assert sum(one.disposition is Disposition.ACCEPTED for one in found) == 11


async def test_a_price_jump_and_another_interval_are_refused() -> None:
    bars = walk(60)
    far = replace(bars[30], open=9e6, high=9e6, low=9e6, close=9e6)
    coarse = replace(bars[31], interval=timedelta(minutes=15), time=bars[33].time)
    found = await processed_by([*bars[:30], far, coarse, *bars[34:]])
    assert isinstance(found[30].refusal, PriceJump)
    assert isinstance(found[31].refusal, InvalidBar)
    result = await result_of([*bars[:30], far, *bars[31:]])
    assert result.bars.refused == 1
    assert result.refused_bars[0].time == bars[30].time


async def test_bars_out_of_order_are_a_defect() -> None:
    bars = walk(3)
    with pytest.raises(ValueError, match="not in the order"):
        await BacktestRun(plan()).run([[bars[1], bars[0]]], 2)


async def test_bars_before_the_start_warm_up_the_engine_as_a_restart_does() -> None:
    bars = a_month()
    cut = 700
    store = MemoryStore()
    async with running_engine(store, rules=replace(WILLING, confidence_threshold=1.0)) as live:
        await live.publish(bars[:cut])
    before = len(store.events)
    async with running_engine(store, rules=WILLING) as live:
        await live.publish(bars[cut:])
    found = await processed_by(bars, start=bars[cut].time)
    events = [event for one in found if one.step is not None for event in one.step.events]
    assert events == store.events[before:]
    assert any(isinstance(event, Signal) and event.action != "HOLD" for event in events)


async def test_bars_from_the_end_on_are_left_out() -> None:
    bars = walk(120)
    result = await result_of(bars, end=bars[100].time)
    assert result.facts.last_bar == bars[99].time
    assert result.facts.bars == 100


async def test_a_period_without_bars_is_refused() -> None:
    bars = walk(60)
    with pytest.raises(NothingToTest, match="no bar to test on in the period"):
        await result_of(bars, start=bars[-1].close_time)
