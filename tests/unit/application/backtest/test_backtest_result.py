"""What a result contains, and what it depends on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.backtests import WILLING, plan, result_of
from tests.support.bars import a_month
from tests.support.builders import walk

from tradingsignals_server.application.backtest import record
from tradingsignals_server.application.backtest.document import document_of
from tradingsignals_server.application.backtest.result import BacktestProgress
from tradingsignals_server.application.backtest.run import BacktestRun
from tradingsignals_server.domain.ledger import EXPIRY_BARS
from tradingsignals_server.domain.outcomes import Fill
from tradingsignals_server.domain.risk import RiskRules

MONTH = a_month()


async def test_the_parts_of_a_result_agree() -> None:
    result = await result_of(MONTH)
    figures, equity = result.performance.figures, result.equity
    assert equity is not None
    assert figures["trades"].value == len(result.positions) > 10
    realised = sum(position.pnl_account for position in result.positions)
    unrealised = sum(position.pnl_account for position in result.open_positions)
    assert equity.equity[-1] == pytest.approx(100_000.0 + realised + unrealised)
    acted = [one for one in result.outcomes if one.acted and one.fill is Fill.CLOSE]
    assert [one.pnl_account for one in acted] == [position.pnl_account for position in result.positions]
    assert sum(signal.opened for signal in result.signals) == len(result.positions) + len(result.open_positions)
    bars = result.bars
    given = bars.accepted + bars.warming_up + bars.outside_session + bars.duplicate + bars.refused
    assert given == result.facts.bars == len(MONTH)
    assert sum(result.actions.values()) == bars.accepted


async def test_choices_that_were_not_traded_are_counted_by_the_rule_that_stopped_them() -> None:
    result = await result_of(MONTH, rules=replace(WILLING, confidence_threshold=0.5))
    counts = {rejection.rule: rejection for rejection in result.rejections}
    below = counts["BUY at … is below the threshold of …: HOLD"]
    assert below.count > 10
    assert "below the threshold of 50.0%" in below.example
    assert counts["Already long: the position is kept"].count > 0
    traded = result.actions["BUY"] + result.actions["SELL"]
    not_opened = traded - sum(signal.opened for signal in result.signals)
    in_hold = sum(one.count for one in result.rejections if one.rule.endswith(": HOLD"))
    assert sum(one.count for one in result.rejections) == not_opened + in_hold


@pytest.mark.untraced
async def test_equal_runs_have_equal_results_and_hashes() -> None:
    first, again = await result_of(MONTH, compare=True), await result_of(MONTH, compare=True)
    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)
    other_bar = [*MONTH[:-1], replace(MONTH[-1], volume=1.0)]
    assert (await result_of(other_bar)).facts.bars_sha256 != first.facts.bars_sha256
    settings = await result_of(MONTH, settings={"SPREAD": "*=1bp"})
    assert settings.facts.settings_sha256 != first.facts.settings_sha256
    assert settings.facts.bars_sha256 == first.facts.bars_sha256


async def test_the_comparisons_trade_by_the_same_rules() -> None:
    result = await result_of(MONTH, compare=True)
    held, coin, cross = result.comparisons
    assert (held.name, coin.name, cross.name) == ("buy and hold", "coin", "moving average cross")
    first, last = next(bar for bar in MONTH if bar.close_time == result.signals[0].timestamp), MONTH[-1]
    assert held.equity.times == result.equity.times if result.equity else False
    assert held.equity.equity[-1] - 100_000.0 == pytest.approx(2000.0 * (last.close / first.close - 1.0), abs=40.0)
    assert coin.figures["trades"].value is not None
    assert 0 < coin.figures["trades"].value <= len(result.positions) + 1
    assert cross.figures["trades"].value is not None
    assert cross.figures["trades"].value > 0
    other_coin = (await result_of(MONTH, compare=True, seed=99)).comparisons[1]
    assert other_coin.equity != coin.equity


async def test_what_is_kept_is_bounded_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record.TradeRecord.__init__, "__defaults__", (EXPIRY_BARS, 5))
    result = await result_of(MONTH)
    assert len(result.positions) == len(result.outcomes) == 5
    assert result.left_out > 5


async def test_progress_is_reported_with_the_equity() -> None:
    seen: list[BacktestProgress] = []
    await BacktestRun(plan()).run([MONTH], len(MONTH), seen.append)
    assert seen[-1].bars == seen[-1].total_bars == len(MONTH)
    assert seen[-1].through == MONTH[-1].time
    assert seen[0].bars < len(MONTH)
    assert seen[-1].closed_positions > 10


async def test_a_result_is_json() -> None:
    result = await result_of(walk(200), compare=True, settings={"SPREAD": "*=1bp"})
    document = json.loads(json.dumps(document_of(result), allow_nan=False))
    assert document["facts"]["settings"] == {"SPREAD": "*=1bp"}
    assert document["equity"]["times"][0].startswith("2024-03-04T13:05")
    assert document["performance"]["figures"]["trades"]["value"] == len(document["positions"])


async def test_without_a_trade_there_are_no_figures_of_trades() -> None:
    result = await result_of(walk(100), rules=RiskRules(confidence_threshold=1.0))
    assert not result.positions
    assert result.performance.figures["win_rate_pct"].value is None
    assert result.performance.figures["max_drawdown_pct"].value == 0.0
