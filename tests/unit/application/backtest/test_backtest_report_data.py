from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.bars import a_month

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.backtest.columns import BarColumns
from tradingsignals_server.application.backtest.report_data import backtest_report, is_simulated, price_bars
from tradingsignals_server.application.backtest.result import BacktestResult, RefusedBar
from tradingsignals_server.application.backtest.run import BacktestPlan, BacktestRun
from tradingsignals_server.config.settings import Settings

SETTINGS = Settings(confidence_threshold=0.4)
PLAN = BacktestPlan(
    PlaceholderPolicy(), SETTINGS.risk_rules, SETTINGS.calendar_of, settings={"CONFIDENCE_THRESHOLD": "0.4"}
)
MONTH = BarColumns.of([a_month()])


@pytest.fixture(scope="module")
async def result() -> BacktestResult:
    return await BacktestRun(PLAN).run(MONTH.chunks(), len(MONTH))


async def test_trades_are_those_of_the_statistics(result: BacktestResult) -> None:
    data = backtest_report(result, PLAN, MONTH)
    assert len(data.trades) == result.performance.figures["trades"].value == len(result.positions) > 10
    for one, position in zip(data.trades, result.positions, strict=True):
        assert position.exit is not None
        assert (one.entry_price, one.exit_price) == (position.entry_price, position.exit.price)
        assert (one.stop_loss, one.take_profit) == (position.initial_stop_loss, position.take_profit)
        assert (one.trade.pnl, one.trade.r_multiple) == (position.pnl_account, position.r_multiple)
        assert one.bars_held == position.bars_held


async def test_prices_begin_with_the_first_bar_that_was_processed(result: BacktestResult) -> None:
    (prices,) = backtest_report(result, PLAN, MONTH).prices
    assert len(prices.times) == result.facts.bars
    later = replace(result, facts=replace(result.facts, first_bar=datetime(2024, 6, 10, tzinfo=UTC)))
    (fewer,) = backtest_report(later, PLAN, MONTH).prices
    assert fewer.times[0] >= datetime(2024, 6, 10, tzinfo=UTC).timestamp()


def test_of_bars_of_one_time_the_first_is_shown() -> None:
    bars = a_month()[:3]
    again = replace(bars[1], close=bars[1].close + 0.5, high=bars[1].high + 1.0)
    (prices,) = price_bars(BarColumns.of([[bars[0], bars[1], again, bars[2]]]))
    assert prices.close == tuple(bar.close for bar in bars)
    assert prices.interval == timedelta(minutes=5)


async def test_made_up_bars_and_decisions_are_marked(result: BacktestResult) -> None:
    data = backtest_report(result, PLAN, MONTH)
    assert (data.simulated, data.placeholder) == (False, True)
    made_up = BarColumns.of([[replace(bar, simulated=True) for bar in a_month()[:5]]])
    assert is_simulated(made_up)


async def test_what_flatters_or_is_missing_is_noted(result: BacktestResult) -> None:
    assert backtest_report(result, PLAN, MONTH).notes == ()
    trained = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 15, tzinfo=UTC)
    model = replace(result.facts.model, training_range=trained)
    refused = RefusedBar("USDCOP", result.facts.first_bar, "too far")
    altered = replace(result, facts=replace(result.facts, model=model), left_out=3, refused_bars=(refused,))
    notes = backtest_report(altered, PLAN, MONTH).notes
    assert "2024-06-15" in notes[0]
    assert "3 positions" in notes[1]
    assert "too far" in notes[2]
