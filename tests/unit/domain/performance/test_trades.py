from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.support.resolved_trades import resolved_trade

from tradingsignals_server.domain.performance.trades import Trade, TradeColumns, in_order_of_exit
from tradingsignals_server.domain.signals import Action


def test_a_hold_is_no_trade() -> None:
    with pytest.raises(ValueError, match="a HOLD is no trade"):
        resolved_trade(action=Action.HOLD)


def test_an_exit_before_the_entry_is_refused() -> None:
    trade = resolved_trade()
    with pytest.raises(ValueError, match="cannot end at"):
        replace(trade, exit_time=trade.entry_time - timedelta(minutes=5))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda trade: replace(trade, pnl=math.nan),
        lambda trade: replace(trade, r_multiple=math.inf),
        lambda trade: replace(trade, size=-0.01),
        lambda trade: replace(trade, mae_r=-1.0),
    ],
)
def test_impossible_numbers_are_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(ValueError, match="finite"):
        wrong(resolved_trade())


@pytest.mark.parametrize("chance", [-0.1, 1.1, math.nan])
def test_chances_outside_of_0_to_1_are_refused(chance: float) -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        replace(resolved_trade(), confidence=chance)
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        replace(resolved_trade(), win_probability=chance)


def test_a_trade_that_broke_even_neither_won_nor_lost() -> None:
    results: list[Trade] = [resolved_trade(net) for net in (0.1, 0.0, -0.1)]
    assert [(trade.won, trade.lost) for trade in results] == [(True, False), (False, False), (False, True)]


def test_trades_are_ordered_by_exit_whatever_their_order_was() -> None:
    trades = [resolved_trade(net, session=session) for net in (0.1, -0.2) for session in (1, 0)]
    ordered = in_order_of_exit(trades)
    assert ordered == in_order_of_exit(reversed(trades))
    assert [trade.session_day.day for trade in ordered] == [2, 2, 3, 3]


def test_columns_number_sessions_by_day() -> None:
    columns = TradeColumns.of(tuple(resolved_trade(session=session) for session in (4, 1, 4)))
    assert [day.day for day in columns.session_days] == [3, 6]
    assert columns.session.tolist() == [1, 0, 1]
    assert np.isnan(columns.win_probability).all()
