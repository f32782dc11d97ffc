"""Bars as columns, and the first difference of two values."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.support.builders import bar, position, signal, walk

from tradingsignals_server.application.backtest.columns import BarColumns, TooManyBars
from tradingsignals_server.application.backtest.differences import Difference, first_difference
from tradingsignals_server.domain.bars import Bar


def test_bars_come_back_in_the_order_of_their_times() -> None:
    bars = [*walk(50), *walk(50, symbol="EURCOP", seed=2), bar(500, simulated=True)]
    shuffled = bars[:]
    random.Random(1).shuffle(shuffled)
    columns = BarColumns.of([shuffled[:40], shuffled[40:]])
    found = [one for chunk in columns.chunks(7) for one in chunk]
    assert [one.time for one in found] == sorted(one.time for one in bars)
    assert {(one.symbol, one.time): one for one in found} == {(one.symbol, one.time): one for one in bars}
    assert found[-1].simulated


def test_bars_are_chosen_by_symbol_and_time() -> None:
    usd, eur = walk(50), walk(50, symbol="EURCOP", seed=2)
    columns = BarColumns.of([usd, eur])
    assert columns.of_symbols(["EURCOP"]).bars(0, 100) == eur
    assert columns.of_symbols([]).bars(0, 1) == columns.bars(0, 1)
    between = columns.of_symbols(["USDCOP"]).between(usd[10].time, usd[20].time)
    assert between.bars(0, 100) == usd[10:20]


async def test_more_bars_than_allowed_are_refused() -> None:
    async def chunks() -> AsyncIterator[list[Bar]]:
        yield walk(30)
        yield walk(30)

    assert len(await BarColumns.read(chunks(), 60)) == 60
    with pytest.raises(TooManyBars, match="more than 59 bars"):
        await BarColumns.read(chunks(), 59)


def test_the_first_difference_names_the_field() -> None:
    one = signal()
    assert first_difference(one, replace(one, latency_ms=9.0)) is None
    other = replace(one, decision=replace(one.decision, stop_loss=1.0))
    assert first_difference([one], [other]) == Difference("[0].decision.stop_loss", "98.0", "1.0")
    assert first_difference([one], [one, position()]) == Difference(" (number)", "1", "2")
    assert first_difference([one], [position()], "events") is not None
