"""Properties of every position, for any sequence of bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import MONDAY, OPENING, bar, position, signal

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar
from tradingsignals_server.domain.costs import NO_CHARGES, Charge, Charges
from tradingsignals_server.domain.positions import ExitReason, Position, after_bar, open_position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

CALENDAR = BogotaCalendar()

sides = st.sampled_from([Action.BUY, Action.SELL])
steps = st.sampled_from([1, 1, 1, 1, 2, 5, 40, 60, 230, 288])
"""Number of intervals from one bar to the next: mostly one, sometimes a gap, a night or a day."""
eighths = st.integers(-32, 32).map(lambda n: 100.0 + n / 8)
"""Prices near the entry of 100 that floating point adds, subtracts and mirrors without error."""
rules_of_a_desk = st.builds(
    RiskRules,
    trailing_stop_atr=st.sampled_from([0.0, 0.5, 1.0, 2.5]),
    max_holding_bars=st.sampled_from([0, 0, 1, 3, 10]),
    close_at_session_end=st.booleans(),
    spread=st.sampled_from([NO_CHARGES, Charges.flat(0.125)]),
    commission=st.sampled_from([NO_CHARGES, Charges(Charge(10.0, in_bp=True))]),
    slippage=st.sampled_from([NO_CHARGES, Charges.flat(0.25)]),
)


@st.composite
def bars_after_an_entry(draw: st.DrawFn) -> list[Bar]:
    found, time = list[Bar](), 0
    for step in draw(st.lists(steps, min_size=1, max_size=15)):
        time += step
        open_, close, one, other = (draw(eighths) for _ in range(4))
        found.append(bar(time, open_, max(open_, close, one, other), min(open_, close, one, other), close))
    return found


def life(held: Position, bars: Sequence[Bar], rules: RiskRules) -> list[Position]:
    """Return the position at its opening and after each bar, up to and including its exit."""
    lived = [held]
    for one in bars:
        if not lived[-1].is_open:
            break
        day = CALENDAR.session_of(one.time)
        last = day is not None and CALENDAR.is_last_bar(one.time)
        lived.append(after_bar(lived[-1], one, rules, session_day=day, last_of_session=last))
    return lived


@given(sides, rules_of_a_desk, bars_after_an_entry())
def test_exit_price_is_no_better_than_the_market_at_that_time(side: Action, rules: RiskRules, bars: list[Bar]) -> None:
    lived = life(position(side, rules), bars, rules)
    ended, one = lived[-1].exit, bars[len(lived) - 2]
    if ended is None:
        return
    before = lived[-2]
    assert ended.time in {one.time, one.close_time}
    if ended.reason is ExitReason.TAKE_PROFIT:
        # The price of the order, even if the market opened beyond it.
        assert ended.price == before.take_profit
        assert side.direction * (max(one.high, one.low, key=lambda price: side.direction * price) - ended.price) >= 0.0
    else:
        assert one.low <= ended.price <= one.high
        assert ended.time == one.close_time or ended.price == one.open
    if ended.time == one.close_time and ended.reason is ExitReason.STOP_LOSS:
        assert ended.price == before.stop_loss
    if ended.time == one.close_time and ended.reason is ExitReason.TRAILING_STOP:
        assert ended.price in {before.stop_loss, lived[-1].stop_loss, one.open}
        assert side.direction * (ended.price - lived[-1].stop_loss) <= 0.0, "no better than the stop"


@given(sides, rules_of_a_desk, bars_after_an_entry())
def test_bar_that_touches_a_level_closes_the_position(side: Action, rules: RiskRules, bars: list[Bar]) -> None:
    lived = life(position(side, rules), bars, rules)
    for (before, after), one in zip(pairwise(lived), bars, strict=False):
        touched = one.low <= before.stop_loss <= one.high or one.low <= before.take_profit <= one.high
        beyond = not min(before.stop_loss, before.take_profit) < one.open < max(before.stop_loss, before.take_profit)
        assert not ((touched or beyond) and after.is_open)


@given(sides, rules_of_a_desk, bars_after_an_entry())
def test_figures_of_a_position_are_consistent(side: Action, rules: RiskRules, bars: list[Bar]) -> None:
    for held in life(position(side, rules), bars, rules):
        move = side.direction * (held.current_price - held.entry_price)
        spread, commission = rules.spread.of(held.symbol).amount, rules.commission.of(held.symbol).amount
        at_market = 1 if held.exit is not None and held.exit.reason is ExitReason.TAKE_PROFIT else 2
        costs = spread + commission / 1e4 * (held.entry_price + held.current_price)
        costs += at_market * rules.slippage.of(held.symbol).amount
        assert math.isclose(held.costs, costs, rel_tol=1e-12)
        assert held.pnl == move - held.costs
        assert math.isclose(held.pnl_pct, 100.0 * held.pnl / held.entry_price, rel_tol=1e-12)
        assert math.isclose(held.r_multiple * 2.0, held.pnl, rel_tol=1e-12)
        assert math.isclose(held.pnl_account, held.pnl / held.current_price * 2_000.0, rel_tol=1e-12)
        assert held.max_favorable_excursion >= max(0.0, move)
        assert held.max_adverse_excursion >= max(0.0, -move)
        if held.exit is not None:
            assert held.current_price == held.exit.price


@given(sides, rules_of_a_desk, bars_after_an_entry())
def test_bars_held_and_excursions_never_decrease(side: Action, rules: RiskRules, bars: list[Bar]) -> None:
    lived = life(position(side, rules), bars, rules)
    for before, after in pairwise(lived):
        assert after.bars_held == before.bars_held + 1
        assert after.max_favorable_excursion >= before.max_favorable_excursion
        assert after.max_adverse_excursion >= before.max_adverse_excursion
        assert side.direction * (after.stop_loss - before.stop_loss) >= 0.0
        assert (after.position_id, after.entry_price, after.entry_time, after.take_profit, after.initial_stop_loss) == (
            before.position_id,
            before.entry_price,
            before.entry_time,
            before.take_profit,
            before.initial_stop_loss,
        )
    if rules.trailing_stop_atr == 0.0:
        assert {held.stop_loss for held in lived} == {lived[0].initial_stop_loss}


@given(sides, rules_of_a_desk, bars_after_an_entry())
def test_time_limit_and_session_end_close_the_position(side: Action, rules: RiskRules, bars: list[Bar]) -> None:
    for held in life(position(side, rules), bars, rules)[1:]:
        if rules.max_holding_bars:
            assert held.bars_held < rules.max_holding_bars or not held.is_open
        if rules.close_at_session_end and held.is_open:
            last_seen = bars[held.bars_held - 1].time
            assert CALENDAR.session_of(last_seen) == MONDAY
            assert not CALENDAR.is_last_bar(last_seen)


def mirrored(one: Bar) -> Bar:
    """Return the bar mirrored at the entry price of 100."""
    return bar(one.time, 200.0 - one.open, 200.0 - one.low, 200.0 - one.high, 200.0 - one.close)


@given(sides, rules_of_a_desk, bars_after_an_entry())
def test_stop_of_an_open_position_is_behind_the_price(side: Action, rules: RiskRules, bars: list[Bar]) -> None:
    for held in life(position(side, rules), bars, rules):
        assert not held.is_open or side.direction * (held.current_price - held.stop_loss) > 0.0


@given(sides, rules_of_a_desk, bars_after_an_entry(), st.integers(0, 60 * 40))
def test_bar_closed_by_the_entry_has_no_effect_and_exit_follows_entry(
    side: Action, rules: RiskRules, bars: list[Bar], seconds: int
) -> None:
    entered = OPENING + timedelta(seconds=seconds)
    held = replace(position(side, rules), entry_time=entered)
    early = [one for one in bars if one.close_time <= entered]
    lived = life(held, bars, rules)
    assert lived[: len(early) + 1] == [held] * (len(early) + 1)
    ends = [one.exit for one in lived if one.exit is not None]
    assert len(ends) <= 1
    assert all(end.time >= entered for end in ends)


@given(rules_of_a_desk, bars_after_an_entry())
def test_mirrored_market_gives_the_mirrored_position(rules: RiskRules, bars: list[Bar]) -> None:
    # A commission scales with the price, and so does the rate at which pesos become dollars.
    rules = replace(rules, commission=NO_CHARGES, account_currency="COP")
    long = life(position(Action.BUY, rules), bars, rules)
    short = life(position(Action.SELL, rules), [mirrored(one) for one in bars], rules)
    assert len(long) == len(short)
    for one, other in zip(long, short, strict=True):
        figures = ("pnl", "pnl_pct", "pnl_account", "r_multiple", "costs", "bars_held", "session_day")
        excursions = ("max_favorable_excursion", "max_adverse_excursion")
        for name in (*figures, *excursions):
            assert getattr(one, name) == getattr(other, name), name
        assert one.stop_loss == 200.0 - other.stop_loss
        assert one.current_price == 200.0 - other.current_price
        if one.exit is not None and other.exit is not None:
            assert (one.exit.reason, one.exit.time) == (other.exit.reason, other.exit.time)
        assert one.is_open == other.is_open


@given(sides, st.floats(0.01, 1e6), st.floats(1e-3, 0.3), st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=20))
def test_position_figures_are_finite_for_any_price_and_range(
    side: Action, price: float, share: float, moves: list[float]
) -> None:
    held = open_position(signal(side, price, atr=share * price), RiskRules(), None)
    bars, last = list[Bar](), price
    for time, move in enumerate(moves, 1):
        bars.append(bar(time, last, close=last * (1.0 + move)))
        last = bars[-1].close
    for position_then in life(held, bars, RiskRules()):
        for value in (position_then.pnl, position_then.pnl_pct, position_then.pnl_account, position_then.r_multiple):
            assert math.isfinite(value)
        if position_then.exit is not None:
            one, fill = bars[position_then.bars_held - 1], position_then.exit
            assert one.low <= fill.price <= one.high or fill.price == position_then.take_profit
