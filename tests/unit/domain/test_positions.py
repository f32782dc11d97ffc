"""Exits of positions, by hand-made bars. Entry 100, ATR 1: a long position has its stop at 98 and its target at 103."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from tests.support.builders import MONDAY, OPENING, bar, position, signal

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

TUESDAY = MONDAY + timedelta(days=1)
CALENDAR = BogotaCalendar()
SIDES = pytest.mark.parametrize("side", [Action.BUY, Action.SELL])
NO_COSTS = RiskRules()

POSITION_OF_SEVEN = "2d80d828-3122-5969-be86-ae4f654f8594"
"""Id of the position of signal 7, as a literal: if ids changed, open positions would be opened a second time."""

Prices = tuple[float, float, float, float]
"""Open, high, low and close for a long position; for a short one they are mirrored."""


def seen_by(side: Action, prices: Prices, time: int = 1) -> Bar:
    """Return a bar for a position of `side`, mirrored at the entry price if it is short."""
    if side is Action.SELL:
        open_, high, low, close = (200.0 - price for price in prices)
        return bar(time, open_, low, high, close)
    return bar(time, *prices)


def price_seen_by(side: Action, price: float) -> float:
    return price if side is Action.BUY else 200.0 - price


def lived(held: Position, bars: Sequence[Bar], rules: RiskRules = NO_COSTS) -> Position:
    """Return the position after each bar until it is closed, with the sessions of Bogota."""
    for one in bars:
        if held.is_open:
            day = CALENDAR.session_of(one.time)
            last = day is not None and CALENDAR.is_last_bar(one.time)
            held = after_bar(held, one, rules, session_day=day, last_of_session=last)
    return held


def test_position_of_these_tests_has_the_expected_levels() -> None:
    long, short = position(Action.BUY), position(Action.SELL)
    assert (long.entry_price, long.stop_loss, long.take_profit) == (100.0, 98.0, 103.0)
    assert (short.entry_price, short.stop_loss, short.take_profit) == (100.0, 102.0, 97.0)


# ------------------------------------------------------------------------------------------------------ opening


@SIDES
def test_open_position_copies_its_signal(side: Action) -> None:
    made = signal(side, name=7)
    opened = open_position(made, NO_COSTS, MONDAY)
    assert (opened.signal_id, opened.symbol, opened.action) == (UUID(int=7), "USDCOP", side)
    assert (opened.entry_time, opened.entry_price, opened.current_price) == (OPENING, 100.0, 100.0)
    assert (opened.stop_loss, opened.take_profit) == (made.decision.stop_loss, made.decision.take_profit)
    assert opened.initial_stop_loss == opened.stop_loss
    assert opened.position_size == made.decision.position_size
    assert (opened.pnl, opened.costs, opened.r_multiple, opened.bars_held) == (0.0, 0.0, 0.0, 0)
    assert opened.is_open


def test_same_signal_gives_the_same_position_id() -> None:
    first, again, other = (open_position(signal(name=n), NO_COSTS, None) for n in (7, 7, 8))
    assert first.position_id == again.position_id != other.position_id
    assert str(first.position_id) == POSITION_OF_SEVEN


def test_simulated_signal_opens_a_simulated_position() -> None:
    assert open_position(replace(signal(), simulated=True), NO_COSTS, None).simulated


def test_hold_opens_no_position() -> None:
    with pytest.raises(ValueError, match="a HOLD opens no position"):
        open_position(signal(Action.HOLD), NO_COSTS, MONDAY)


# --------------------------------------------------------------------------------------------- one bar, one exit

AT_OPEN, AT_CLOSE = timedelta(0), DEFAULT_INTERVAL


@SIDES
@pytest.mark.parametrize(
    ("prices", "reason", "price", "after"),
    [
        pytest.param((97.0, 99.0, 96.0, 99.0), ExitReason.STOP_LOSS, 97.0, AT_OPEN, id="gap through the stop"),
        pytest.param((98.0, 99.0, 98.0, 99.0), ExitReason.STOP_LOSS, 98.0, AT_OPEN, id="opens at the stop"),
        pytest.param((104.0, 105.0, 99.0, 100.0), ExitReason.TAKE_PROFIT, 103.0, AT_OPEN, id="gap through the target"),
        pytest.param((104.0,) * 4, ExitReason.TAKE_PROFIT, 103.0, AT_OPEN, id="one price, beyond the target"),
        pytest.param((97.0,) * 4, ExitReason.STOP_LOSS, 97.0, AT_OPEN, id="one price, beyond the stop"),
        pytest.param((103.0, 103.0, 97.0, 97.0), ExitReason.TAKE_PROFIT, 103.0, AT_OPEN, id="opens at the target"),
        pytest.param((100.0, 104.0, 97.0, 103.5), ExitReason.STOP_LOSS, 98.0, AT_CLOSE, id="both touched"),
        pytest.param((100.0, 103.0, 98.0, 100.0), ExitReason.STOP_LOSS, 98.0, AT_CLOSE, id="both touched exactly"),
        pytest.param((100.0, 101.0, 98.0, 99.0), ExitReason.STOP_LOSS, 98.0, AT_CLOSE, id="exact touch of the stop"),
        pytest.param((100.0, 101.0, 97.5, 97.5), ExitReason.STOP_LOSS, 98.0, AT_CLOSE, id="falls through the stop"),
        pytest.param((100.0, 103.0, 99.0, 102.0), ExitReason.TAKE_PROFIT, 103.0, AT_CLOSE, id="touch of the target"),
        pytest.param(
            (100.0, 105.0, 99.0, 105.0), ExitReason.TAKE_PROFIT, 103.0, AT_CLOSE, id="runs through the target"
        ),
    ],
)
def test_bar_closes_position_by_the_first_matching_rule(
    side: Action, prices: Prices, reason: ExitReason, price: float, after: timedelta
) -> None:
    one = seen_by(side, prices)
    ended = lived(position(side), [one])
    assert ended.exit == Exit(one.time + after, price_seen_by(side, price), reason)
    assert ended.current_price == price_seen_by(side, price)
    assert ended.bars_held == 1


@SIDES
@pytest.mark.parametrize(
    ("prices", "reason", "price"),
    [
        pytest.param((97.0, 101.0, 97.0, 100.0), ExitReason.STOP_LOSS, 98.0, id="opened beyond the stop"),
        pytest.param((104.0, 104.0, 99.0, 103.5), ExitReason.TAKE_PROFIT, 103.0, id="closed beyond the target"),
        pytest.param((104.0, 104.0, 99.0, 100.0), None, 100.0, id="was beyond the target some time"),
        pytest.param((100.0, 104.0, 98.0, 103.5), ExitReason.STOP_LOSS, 98.0, id="both touched"),
    ],
)
def test_bar_that_contains_the_entry_counts_only_against_the_position(
    side: Action, prices: Prices, reason: ExitReason | None, price: float
) -> None:
    one = seen_by(side, prices)
    held = lived(replace(position(side), entry_time=one.time + timedelta(seconds=100)), [one])
    if reason is None:
        assert held.is_open
        assert held.max_favorable_excursion == 0.0
    else:
        assert held.exit == Exit(one.close_time, price_seen_by(side, price), reason)
    assert held.current_price == price_seen_by(side, price)


@SIDES
def test_bar_that_touches_no_level_marks_to_the_close(side: Action) -> None:
    held = lived(position(side), [seen_by(side, (100.0, 102.75, 98.25, 101.5))])
    assert held.is_open
    assert held.current_price == price_seen_by(side, 101.5)
    assert (held.pnl, held.pnl_pct, held.r_multiple, held.bars_held) == (1.5, 1.5, 0.75, 1)
    assert (held.max_favorable_excursion, held.max_adverse_excursion) == (2.75, 1.75)


@SIDES
def test_excursions_are_the_maximum_so_far(side: Action) -> None:
    bars = [
        seen_by(side, (100.0, 101.0, 98.5, 99.0), 1),
        seen_by(side, (99.0, 102.5, 99.0, 102.0), 2),
        seen_by(side, (102.0, 102.0, 99.5, 101.0), 3),
    ]
    held = lived(position(side), bars)
    assert (held.max_favorable_excursion, held.max_adverse_excursion, held.bars_held) == (2.5, 1.5, 3)


@SIDES
def test_only_the_fill_of_the_exit_bar_counts_towards_excursions(side: Action) -> None:
    ended = lived(position(side), [seen_by(side, (100.0, 102.9, 97.0, 97.0))])
    assert (ended.max_favorable_excursion, ended.max_adverse_excursion) == (0.0, 2.0)
    gap = lived(position(side), [seen_by(side, (104.5, 105.0, 97.0, 97.0))])
    assert (gap.max_favorable_excursion, gap.max_adverse_excursion) == (3.0, 0.0)


# ----------------------------------------------------------------------------------------------- end of the session

QUIET = (100.0, 100.5, 99.5, 100.25)


@SIDES
def test_last_bar_of_the_session_closes_at_its_close(side: Action) -> None:
    assert lived(position(side), [seen_by(side, QUIET, 58)]).is_open
    last = seen_by(side, QUIET, 59)
    ended = lived(position(side), [last])
    assert ended.exit == Exit(last.close_time, last.close, ExitReason.SESSION_END)


@pytest.mark.parametrize(
    ("prices", "reason"), [((100.0, 104.0, 99.0, 103.0), ExitReason.TAKE_PROFIT), ((97.0,) * 4, ExitReason.STOP_LOSS)]
)
def test_levels_precede_the_session_end(prices: Prices, reason: ExitReason) -> None:
    ended = lived(position(), [seen_by(Action.BUY, prices, 59)])
    assert ended.exit is not None
    assert ended.exit.reason is reason


@SIDES
@pytest.mark.parametrize("next_bar", [60, 72, 288], ids=["outside every session", "that evening", "the next day"])
def test_missed_session_end_closes_at_the_next_open(side: Action, next_bar: int) -> None:
    later = seen_by(side, (101.0, 104.0, 97.0, 97.0), next_bar)
    ended = lived(position(side), [seen_by(side, QUIET, 57), later])
    assert ended.exit == Exit(later.time, later.open, ExitReason.SESSION_END)


def test_overnight_gap_through_a_level_has_the_reason_of_the_level() -> None:
    for price, fill, reason in ((97.0, 97.0, ExitReason.STOP_LOSS), (104.0, 103.0, ExitReason.TAKE_PROFIT)):
        ended = lived(position(), [bar(288, *(price,) * 4)])
        assert ended.exit == Exit(bar(288).time, fill, reason)


def test_position_stays_open_overnight_if_configured() -> None:
    rules = RiskRules(close_at_session_end=False)
    bars = [seen_by(Action.BUY, QUIET, time) for time in (58, 59, 60, 288, 347)]
    held = lived(position(rules=rules), bars, rules)
    assert held.is_open
    assert held.bars_held == 5


def test_position_opened_between_sessions_belongs_to_the_next() -> None:
    between = position(day=None)
    bars = [seen_by(Action.BUY, QUIET, time) for time in (70, 288, 346, 347)]
    assert lived(between, bars[:1]).session_day is None
    assert lived(between, bars[:2]).session_day == TUESDAY
    assert lived(between, bars[:3]).is_open
    ended = lived(between, bars)
    assert ended.exit is not None
    assert (ended.exit.time, ended.exit.reason) == (bars[3].close_time, ExitReason.SESSION_END)


# --------------------------------------------------------------------------------------------------- time limit


@SIDES
def test_time_limit_counts_bars(side: Action) -> None:
    rules = RiskRules(max_holding_bars=3)
    bars = [seen_by(side, QUIET, time) for time in (1, 2, 3)]
    assert lived(position(side, rules), bars[:2], rules).is_open
    ended = lived(position(side, rules), bars, rules)
    assert ended.exit == Exit(bars[2].close_time, bars[2].close, ExitReason.TIME_LIMIT)
    assert ended.bars_held == 3


def test_levels_precede_time_limit_precedes_session_end() -> None:
    rules = RiskRules(max_holding_bars=1)
    touched = lived(position(rules=rules), [seen_by(Action.BUY, (100.0, 103.0, 99.0, 100.0))], rules)
    assert touched.exit is not None
    assert touched.exit.reason is ExitReason.TAKE_PROFIT
    last = lived(position(rules=rules), [seen_by(Action.BUY, QUIET, 59)], rules)
    assert last.exit is not None
    assert last.exit.reason is ExitReason.TIME_LIMIT


# ------------------------------------------------------------------------------------------------- trailing stop

TRAILING = RiskRules(trailing_stop_atr=1.5)


@SIDES
def test_trailing_stop_follows_the_best_price_and_never_moves_back(side: Action) -> None:
    held, stops = position(side, TRAILING), []
    for time, prices in enumerate(
        [
            (100.0, 100.25, 99.5, 100.0),  # 1.5 behind 100.25 is 98.75: the stop has moved
            (100.0, 102.0, 100.0, 101.5),
            (101.5, 101.75, 101.0, 101.0),
            (101.0, 102.75, 101.0, 102.0),
        ],
        1,
    ):
        held = lived(held, [seen_by(side, prices, time)], TRAILING)
        stops.append(price_seen_by(side, held.stop_loss))
    assert stops == [98.75, 100.5, 100.5, 101.25]
    assert price_seen_by(side, held.initial_stop_loss) == 98.0
    assert price_seen_by(side, held.take_profit) == 103.0


def test_trail_distance_is_a_multiple_of_the_atr() -> None:
    rules = RiskRules(trailing_stop_atr=1.5)
    assert open_position(signal(Action.BUY, atr=4.0), rules, MONDAY).trail_distance == 6.0


@SIDES
def test_exit_reason_is_trailing_stop_only_if_the_stop_moved(side: Action) -> None:
    up, down = seen_by(side, (100.0, 102.0, 100.0, 101.5), 1), seen_by(side, (101.5, 101.5, 100.0, 100.0), 2)
    ended = lived(position(side, TRAILING), [up, down], TRAILING)
    assert ended.exit == Exit(down.close_time, price_seen_by(side, 100.5), ExitReason.TRAILING_STOP)
    assert ended.r_multiple == 0.25
    gap = seen_by(side, (100.0,) * 4, 2)
    ended = lived(position(side, TRAILING), [up, gap], TRAILING)
    assert ended.exit == Exit(gap.time, 100.0, ExitReason.TRAILING_STOP)
    first = seen_by(side, (99.0, 99.0, 97.0, 97.0), 1)
    ended = lived(position(side, TRAILING), [first], TRAILING)
    assert ended.exit is not None
    assert ended.exit.reason is ExitReason.STOP_LOSS


@SIDES
@pytest.mark.parametrize(
    ("prices", "distance", "fill"),
    [
        pytest.param((100.0, 102.75, 99.5, 100.25), 2.0, 100.75, id="the close is beyond it"),
        pytest.param((100.0, 102.5, 99.5, 100.5), 2.0, 100.5, id="the close is at it"),
        pytest.param((98.5, 98.5, 98.25, 98.25), 1.0, 98.5, id="the whole bar is beyond it: the open"),
    ],
)
def test_stop_trailed_to_the_close_or_past_it_fills(side: Action, prices: Prices, distance: float, fill: float) -> None:
    rules, one = RiskRules(trailing_stop_atr=distance), seen_by(side, prices)
    ended = lived(position(side, rules), [one], rules)
    assert ended.exit == Exit(one.close_time, price_seen_by(side, fill), ExitReason.TRAILING_STOP)
    assert ended.max_favorable_excursion == max(0.0, prices[1] - 100.0), "the price that it followed came before"
    limited = replace(rules, max_holding_bars=1)
    assert lived(position(side, limited), [one], limited).exit == ended.exit, "a level comes before the time limit"


@SIDES
@pytest.mark.parametrize("entry", [timedelta(seconds=300), timedelta(seconds=301), timedelta(days=2)])
def test_bar_closed_at_or_before_the_entry_changes_nothing(side: Action, entry: timedelta) -> None:
    one = seen_by(side, (97.0, 104.0, 97.0, 97.0))
    held = replace(position(side), entry_time=one.time + entry)
    assert after_bar(held, one, RiskRules(max_holding_bars=1), session_day=TUESDAY, last_of_session=True) is held


def test_exit_before_the_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot end at"):
        close(position(), Exit(OPENING - timedelta(microseconds=1), 100.0, ExitReason.MANUAL), NO_COSTS)


def test_stop_closer_than_the_trail_distance_stays() -> None:
    rules = RiskRules(trailing_stop_atr=5.0)
    assert lived(position(rules=rules), [seen_by(Action.BUY, (100.0, 102.0, 100.0, 101.0))], rules).stop_loss == 98.0


def test_stop_is_fixed_without_trailing() -> None:
    assert lived(position(), [seen_by(Action.BUY, (100.0, 102.9, 100.0, 102.0))]).stop_loss == 98.0


# ----------------------------------------------------------------------------------- closed by hand, and reversed


@SIDES
@pytest.mark.parametrize("reason", [ExitReason.MANUAL, ExitReason.REVERSED])
def test_position_is_closed_by_a_call_or_an_opposite_signal(side: Action, reason: ExitReason) -> None:
    held = lived(position(side), [seen_by(side, (100.0, 101.0, 99.5, 100.5))])
    fill = Exit(OPENING, price_seen_by(side, 102.0), reason, UUID(int=9) if reason is ExitReason.REVERSED else None)
    ended = close(held, fill, NO_COSTS)
    assert ended.exit == fill
    assert not ended.is_open
    assert (ended.pnl, ended.r_multiple, ended.bars_held) == (2.0, 1.0, 1)
    assert (ended.max_favorable_excursion, ended.max_adverse_excursion) == (2.0, 0.5)
    assert ended.current_price == fill.price


# ---------------------------------------------------------------------------------------------- profit and loss


@SIDES
@pytest.mark.parametrize(("fill", "pnl"), [(103.0, 3.0), (98.0, -2.0), (100.0, 0.0)])
def test_profit_has_the_sign_of_the_move_in_favor(side: Action, fill: float, pnl: float) -> None:
    rules = RiskRules(initial_equity=50_000.0)
    ended = close(position(side, rules), Exit(OPENING, price_seen_by(side, fill), ExitReason.MANUAL), rules)
    assert (ended.pnl, ended.pnl_pct, ended.r_multiple) == (pnl, pnl, pnl / 2.0)
    assert ended.position_size == 0.02
    assert ended.pnl_account == pytest.approx(pnl / price_seen_by(side, fill) * 0.02 * 50_000.0)


def test_pnl_pct_is_relative_to_the_entry() -> None:
    held = open_position(signal(price=4000.0, atr=50.0), NO_COSTS, MONDAY)
    ended = close(held, Exit(OPENING, 4100.0, ExitReason.MANUAL), NO_COSTS)
    assert (ended.pnl, ended.pnl_pct, ended.r_multiple) == (100.0, 2.5, 1.0)


@pytest.mark.parametrize(
    ("side", "fill", "costs"), [(Action.BUY, 104.0, 0.05 + 0.408), (Action.SELL, 96.0, 0.05 + 0.392)]
)
def test_costs_are_spread_and_commission_of_both_sides(side: Action, fill: float, costs: float) -> None:
    rules = RiskRules(spread=Charges.flat(0.05), commission=Charges(Charge(20.0, in_bp=True)))
    ended = close(position(side, rules), Exit(OPENING, fill, ExitReason.MANUAL), rules)
    assert ended.costs == pytest.approx(costs)
    assert ended.pnl == pytest.approx(4.0 - costs)
    assert ended.pnl_pct == pytest.approx(4.0 - costs)
    assert ended.r_multiple == pytest.approx((4.0 - costs) / 2.0)


def test_pnl_of_an_open_position_equals_that_of_closing_it_now() -> None:
    rules = RiskRules(spread=Charges.flat(0.1), commission=Charges(Charge(50.0, in_bp=True)))
    opened = position(rules=rules)
    assert opened.pnl == -opened.costs == pytest.approx(-1.1)
    one = seen_by(Action.BUY, (100.0, 101.0, 99.0, 101.0))
    held = lived(opened, [one], rules)
    ended = close(held, Exit(one.close_time, 101.0, ExitReason.MANUAL), rules)
    assert held.pnl == ended.pnl == pytest.approx(1.0 - 0.1 - 0.005 * 201.0)
    assert held.max_favorable_excursion == 1.0, "excursions leave costs out"


def test_days_of_these_tests_are_business_days() -> None:
    assert [CALENDAR.session_of(bar(time).time) for time in (0, 59, 60, 288)] == [MONDAY, MONDAY, None, TUESDAY]
