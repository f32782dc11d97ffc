from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from tests.support.resolved_trades import resolved_trade, some_trades

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings
from tradingsignals_server.domain.performance.breakdowns import Breakdown, Dimension, confidence_bin
from tradingsignals_server.domain.performance.summary import PerformanceSettings, performance_of
from tradingsignals_server.domain.performance.trades import Trade
from tradingsignals_server.domain.signals import Action, Origin

PLAIN = PerformanceSettings(bootstrap=BootstrapSettings(resamples=0))


def breakdowns(trades: list[Trade], settings: PerformanceSettings = PLAIN) -> tuple[Breakdown, ...]:
    return performance_of(trades, None, settings).breakdowns


def test_groups_of_each_dimension_in_order() -> None:
    trades = [
        resolved_trade(0.1, session=4, minute=70, confidence=0.65, resolution="TARGET"),
        resolved_trade(-0.1, session=0, symbol="EURUSD", action=Action.SELL, confidence=1.0, model_version="v2"),
        resolved_trade(0.1, session=31, confidence=0.699, origin=Origin.REQUEST),
    ]
    keys = {dimension: [one.key for one in breakdowns(trades) if one.dimension is dimension] for dimension in Dimension}
    assert keys == {
        Dimension.SYMBOL: ["EURUSD", "USDCOP"],
        Dimension.MODEL_VERSION: ["v1", "v2"],
        Dimension.ACTION: ["BUY", "SELL"],
        Dimension.ORIGIN: ["BAR", "REQUEST"],
        Dimension.RESOLUTION: ["STOP", "TARGET"],
        Dimension.CONFIDENCE: ["0.65-0.70", "0.95-1.00"],
        Dimension.HOUR: ["13", "14"],
        Dimension.WEEKDAY: ["Monday", "Thursday", "Friday"],
        Dimension.MONTH: ["2025-06", "2025-07"],
    }


@pytest.mark.parametrize("at", range(20))
def test_a_bound_of_confidence_belongs_to_the_bin_above(at: int) -> None:
    assert confidence_bin(at / 20) == at
    assert confidence_bin(0.05 * at) == at


@pytest.mark.untraced
@given(some_trades)
def test_the_groups_of_a_dimension_are_all_trades(trades: list[Trade]) -> None:
    for dimension in Dimension:
        groups = [one.figures for one in breakdowns(trades) if one.dimension is dimension]
        assert sum(group["trades"].n for group in groups) == len(trades)
        assert sum(group["pnl"].value or 0.0 for group in groups) == pytest.approx(
            sum(trade.pnl for trade in trades), abs=1e-9
        )


def test_a_group_of_few_sessions_has_no_interval() -> None:
    trades = [resolved_trade(0.1 * (-1) ** at, session=at, symbol="A" if at < 9 else "B") for at in range(40)]
    first, second = breakdowns(trades, PerformanceSettings())[:2]
    assert (first.key, first.figures["win_rate_pct"].interval) == ("A", None)
    assert second.figures["win_rate_pct"].interval is not None


def test_only_the_requested_dimensions_are_grouped_by() -> None:
    trades = [resolved_trade(0.1, session=at, symbol=symbol) for at, symbol in enumerate("ABAC")]
    settings = replace(PLAIN, dimensions=(Dimension.ACTION, Dimension.SYMBOL))
    found = [(one.dimension, one.key) for one in breakdowns(trades, settings)]
    assert found == [(Dimension.ACTION, "BUY"), *((Dimension.SYMBOL, key) for key in "ABC")]


def test_of_many_groups_those_with_the_most_trades_are_kept_in_order() -> None:
    trades = [resolved_trade(0.1, session=at, symbol=symbol) for at, symbol in enumerate("DCCBAAAC")]
    settings = replace(PLAIN, dimensions=(Dimension.SYMBOL,), most_groups=2)
    assert [one.key for one in breakdowns(trades, settings)] == ["A", "C"]
