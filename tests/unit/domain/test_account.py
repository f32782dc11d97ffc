"""The account, by hand: 100,000 and positions of 2%, so one percent of a position is 20."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import MONDAY, OPENING, bar, signal

from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.events import Disposition, MarketUpdate, TradingControl
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

RULES = RiskRules(account_currency="COP")
START = Account.opened(RULES.initial_equity)


def opened(name: int = 1, symbol: str = "USDCOP") -> Position:
    return open_position(signal(Action.BUY, name=name, symbol=symbol, rules=RULES), RULES, MONDAY)


def ended(position: Position, price: float, reason: ExitReason = ExitReason.STOP_LOSS, after: int = 1) -> Position:
    return close(position, Exit(OPENING + after * DEFAULT_INTERVAL, price, reason), RULES)


def update(time: int, disposition: Disposition = Disposition.ACCEPTED) -> MarketUpdate:
    return MarketUpdate(bar(time), disposition)


def test_account_without_positions_is_its_initial_equity() -> None:
    assert (START.equity, START.realised, START.unrealised, START.exposure) == (100_000.0, 0.0, 0.0, 0.0)
    assert (START.peak, START.drawdown, START.drawdown_pct, START.day_loss, START.day_loss_pct) == (100_000, 0, 0, 0, 0)
    assert (START.day, START.closed, START.stops_in_row, START.last_stop) == (None, 0, 0, None)


def test_open_position_is_valued_at_its_newest_mark() -> None:
    held = after_bar(opened(), bar(1, 100.0, 101.5, 99.5, 101.0), RULES, session_day=MONDAY, last_of_session=False)
    account = START.after(opened()).after(held)
    assert (account.realised, account.unrealised, account.equity) == (0.0, 20.0, 100_020.0)
    assert (account.exposure, account.peak) == (0.02, 100_020.0)
    assert list(account.open_positions.values()) == [held]


def test_closed_position_is_realised() -> None:
    account = START.after(opened()).after(ended(opened(), 103.0, ExitReason.TAKE_PROFIT))
    assert (account.realised, account.unrealised, account.equity, account.exposure) == (60.0, 0.0, 100_060.0, 0.0)
    assert (account.closed, account.open_positions) == (1, {})


def test_exposure_adds_up_over_symbols_long_and_short() -> None:
    short = open_position(signal(Action.SELL, name=2, symbol="EURUSD", rules=RULES), RULES, MONDAY)
    assert START.after(opened()).after(short).exposure == 0.04


def test_drawdown_is_measured_from_the_peak() -> None:
    account = START.after(opened()).after(ended(opened(), 103.0, ExitReason.TAKE_PROFIT))
    account = account.after(opened(2)).after(ended(opened(2), 98.0))
    assert (account.peak, account.equity, account.drawdown) == (100_060.0, 100_020.0, 40.0)
    assert account.drawdown_pct == 100.0 * 40.0 / 100_060.0


def test_loss_of_the_day_starts_anew_with_the_first_bar_of_a_day() -> None:
    account = START.after(update(0)).after(opened()).after(ended(opened(), 98.0))
    assert (account.day, account.day_loss, account.day_loss_pct) == (MONDAY, 40.0, 0.04)
    tuesday = account.after(update(288))
    assert (tuesday.day, tuesday.day_start, tuesday.day_loss) == (MONDAY + timedelta(days=1), 99_960.0, 0.0)


def test_bar_of_an_earlier_day_or_late_does_not_turn_the_day_back() -> None:
    account = START.after(update(288))
    earlier = account.after(update(0))
    assert (earlier.day, earlier.as_of) == (account.day, account.as_of)
    assert account.after(update(600, Disposition.LATE)) is account
    assert earlier.after(update(288)) == account


def changed_on(account: Account, time: int, *changes: Position) -> Account:
    """Return the account after a bar of USDCOP, and what it led to."""
    account = account.after(update(time))
    for change in changes:
        account = account.after(change)
    return account


@pytest.mark.parametrize("days_ago", [1, 7, 8, 600])
def test_what_a_bar_of_an_earlier_day_comes_to_is_not_of_today(days_ago: int) -> None:
    today, earlier = 288 * 600, 288 * (600 - days_ago)
    account = START.after(MarketUpdate(bar(today, symbol="EURUSD"), Disposition.ACCEPTED))
    account = account.after(opened(9, "EURUSD")).after(replace(opened(9, "EURUSD"), pnl_account=7.0))
    after = changed_on(account, earlier, opened(), ended(opened(), 98.0, after=earlier + 1))
    assert (after.equity, after.day_start) == (account.equity - 40.0, 99_960.0)
    assert after.equity - after.day_start == 7.0
    assert (after.day, after.as_of, after.day_loss) == (account.day, account.as_of, 0.0)
    assert changed_on(after, today + 1, opened(2), ended(opened(2), 98.0, after=today + 1)).day_loss == 33.0


@pytest.mark.parametrize(("days_ago", "counts"), [(0, True), (1, True), (7, True), (8, False), (600, False)])
def test_drawdown_limit_and_row_of_stops_pass_over_history(days_ago: int, *, counts: bool) -> None:
    today, earlier = 288 * 600, 288 * (600 - days_ago)
    account = changed_on(START, today, opened(), ended(opened(), 98.0, after=today + 1))
    assert account.protected_drawdown_pct == pytest.approx(0.04)
    assert account.stops_in_row == 1
    lost = changed_on(account, earlier, opened(2), ended(opened(2), 98.0, after=earlier + 1))
    assert lost.stops_in_row == (2 if counts else 1)
    assert lost.last_stop == account.last_stop == OPENING + (today + 1) * DEFAULT_INTERVAL
    assert lost.protected_peak - lost.equity == (80.0 if counts else 40.0)
    assert (lost.drawdown, lost.peak) == (80.0, 100_000.0)
    won = changed_on(account, earlier, opened(2), ended(opened(2), 103.0, ExitReason.TAKE_PROFIT, earlier + 1))
    assert won.stops_in_row == (0 if counts else 1)
    assert won.protected_peak - won.equity == (0.0 if counts else 40.0)
    assert (won.equity, won.peak) == (100_020.0, 100_020.0)


def test_position_closed_by_hand_counts_for_today_whatever_bar_came_before() -> None:
    account = changed_on(START.after(update(288 * 20)), 0, opened())
    closed = account.after(ended(opened(), 98.0, ExitReason.MANUAL, after=288 * 20))
    assert (account.day_loss, closed.day_loss) == (0.0, 40.0)


def test_change_of_another_symbol_than_that_of_the_earlier_bar_counts_for_today() -> None:
    account = START.after(update(288 * 20)).after(update(0))
    assert account.after(replace(opened(1, "EURUSD"), pnl_account=-40.0)).day_loss == 40.0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.floats(-1e4, 1e4), st.booleans()), max_size=40))
def test_history_between_the_bars_of_today_changes_equity_and_no_limit(
    changes: list[tuple[bool, int, float, bool]],
) -> None:
    now = MarketUpdate(bar(288 * 20, symbol="EURUSD"), Disposition.ACCEPTED)
    account = alone = START.after(now)
    for step, (is_history, name, pnl, ends) in enumerate(changes):
        held = opened(10 + name) if is_history else opened(name, "EURUSD")
        held = replace(held, pnl=pnl, pnl_account=pnl)
        change = (
            replace(held, exit=Exit(OPENING + step * DEFAULT_INTERVAL, 99.0, ExitReason.STOP_LOSS)) if ends else held
        )
        account = Account.of_json(json.loads(json.dumps(account.after(update(step) if is_history else now).to_json())))
        account, alone = account.after(change), alone if is_history else alone.after(change)
        limited = (account.equity - account.day_start, account.protected_peak - account.equity)
        assert limited == pytest.approx((alone.equity - alone.day_start, alone.protected_peak - alone.equity), abs=1e-6)
        assert (account.stops_in_row, account.last_stop) == (alone.stops_in_row, alone.last_stop)


def test_state_has_the_names_of_a_field_only_where_it_is_needed() -> None:
    account = START.after(update(288 * 20))
    assert "earlier_day" not in account.to_json()
    assert {"earlier_day", "earlier_symbol"} <= set(account.after(update(0)).to_json())


def test_position_closed_at_midnight_counts_for_the_day_that_ends() -> None:
    last = bar(131)
    assert (last.time.date(), last.close_time.date()) == (MONDAY, MONDAY + timedelta(days=1))
    account = (
        START.after(opened()).after(MarketUpdate(last, Disposition.ACCEPTED)).after(ended(opened(), 98.0, after=132))
    )
    assert (account.day, account.day_loss) == (MONDAY, 40.0)


def test_stops_in_a_row_end_with_any_other_exit() -> None:
    account = START
    for name, reason, price, row in (
        (1, ExitReason.STOP_LOSS, 98.0, 1),
        (2, ExitReason.TRAILING_STOP, 99.0, 2),
        (3, ExitReason.TRAILING_STOP, 101.0, 0),
        (4, ExitReason.STOP_LOSS, 98.0, 1),
        (5, ExitReason.REVERSED, 99.0, 0),
    ):
        account = account.after(opened(name)).after(ended(opened(name), price, reason, after=name))
        assert account.stops_in_row == row
    assert account.last_stop == OPENING + 4 * DEFAULT_INTERVAL


def test_further_stop_of_an_earlier_time_does_not_bring_the_last_stop_forward() -> None:
    """Bars of an hour close beside later ones of five minutes, and a gap through the stop has the time of the open."""
    account = START.after(opened(1)).after(opened(2))
    account = account.after(ended(opened(1), 98.0, after=12)).after(ended(opened(2), 98.0, after=1))
    assert (account.stops_in_row, account.last_stop) == (2, OPENING + 12 * DEFAULT_INTERVAL)
    account = account.after(TradingControl(False, "", "", OPENING))
    account = account.after(opened(3)).after(ended(opened(3), 98.0, after=2))
    assert (account.stops_in_row, account.last_stop) == (1, OPENING + 2 * DEFAULT_INTERVAL)


def test_signal_changes_nothing() -> None:
    assert START.after(signal()) is START


def test_loss_of_a_day_that_began_without_equity_is_all_of_it() -> None:
    assert replace(START, day_start=-1.0).day_loss_pct == 100.0


def control(*, halted: bool, reason: str = "", by: str = "", after: int = 0) -> TradingControl:
    return TradingControl(halted, reason, by, OPENING + after * DEFAULT_INTERVAL)


def test_first_halt_stays_until_trading_is_resumed() -> None:
    halted = START.after(control(halted=True, reason="news", by="desk", after=1))
    assert (halted.halted, halted.halt_reason, halted.halted_by) == (True, "news", "desk")
    assert halted.halted_at == OPENING + DEFAULT_INTERVAL
    assert halted.after(control(halted=True, reason="other", after=2)) is halted
    assert halted.after(control(halted=False, after=3)) == START


def test_halt_without_a_reason_takes_the_first_that_is_given_and_its_author() -> None:
    silent = START.after(control(halted=True, by="desk", after=1))
    assert silent.after(control(halted=True, by="ana", after=2)) is silent
    explained = silent.after(control(halted=True, reason="audit", by="ana", after=3))
    assert (explained.halt_reason, explained.halted_by) == ("audit", "ana")
    assert explained.halted_at == silent.halted_at == OPENING + DEFAULT_INTERVAL
    assert silent.after(control(halted=True, reason="audit", after=3)).halted_by == "desk"
    assert explained.after(control(halted=True, reason="other", after=4)) is explained


def test_resuming_begins_drawdown_and_stops_anew_and_keeps_the_true_peak() -> None:
    account = START.after(opened()).after(ended(opened(), 103.0, ExitReason.TAKE_PROFIT))
    account = account.after(opened(2)).after(ended(opened(2), 98.0))
    assert (account.peak, account.protected_peak, account.stops_in_row) == (100_060.0, 100_060.0, 1)
    assert account.protected_drawdown_pct == account.drawdown_pct > 0.0
    resumed = account.after(control(halted=False))
    assert (resumed.peak, resumed.protected_peak, resumed.stops_in_row) == (100_060.0, 100_020.0, 0)
    assert (resumed.protected_drawdown_pct, resumed.drawdown_pct) == (0.0, account.drawdown_pct)
    assert resumed.last_stop == account.last_stop


def test_drawdown_of_an_account_that_was_resumed_without_equity_is_all_of_it() -> None:
    assert replace(START, protected_peak=-1.0).protected_drawdown_pct == 100.0


def test_value_of_a_position_of_an_older_version_beyond_every_bound_is_summed() -> None:
    huge = replace(opened(), pnl_account=1.5e308)
    account = START.after(huge)
    assert account.unrealised == 1.5e308
    assert account.after(replace(opened(2), pnl_account=2.0)).after(replace(huge, pnl_account=0.0)).unrealised == 2.0


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.floats(-1e12, 1e12), st.floats(0.0, 1.0), st.booleans(), st.booleans()),
        max_size=40,
    )
)
def test_equity_is_the_sum_of_its_parts_at_each_event(changes: list[tuple[int, float, float, bool, bool]]) -> None:
    account, realised = START, 0.0
    for step, (name, pnl, size, ends, turns) in enumerate(changes):
        account = account.after(update(step))
        if turns:
            account = account.after(control(halted=ends, after=step))
        held = replace(opened(name), pnl_account=pnl, position_size=size)
        account = account.after(replace(held, exit=Exit(OPENING, 99.0, ExitReason.MANUAL)) if ends else held)
        realised += pnl if ends else 0.0
        parts = account.open_positions.values()
        assert account.realised == realised
        assert account.unrealised == pytest.approx(fsum(one.pnl_account for one in parts), rel=1e-15, abs=1e-18)
        assert account.exposure == pytest.approx(fsum(one.position_size for one in parts), rel=1e-15, abs=1e-18)
        assert account.equity == account.initial_equity + account.realised + account.unrealised
        assert account.peak >= max(account.equity, account.protected_peak)
        assert account.protected_peak >= account.equity
        assert Account.of_json(json.loads(json.dumps(account.to_json()))) == account


def test_sums_do_not_drift_over_many_changes() -> None:
    account = START
    for step in range(20_000):
        account = account.after(replace(opened(step % 50), pnl_account=0.1 * step, position_size=0.1))
    assert account.unrealised == fsum(one.pnl_account for one in account.open_positions.values())
    assert account.exposure == 5.0
