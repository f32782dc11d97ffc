"""Outcomes, by hand-made bars. A BUY at 100 with its stop at 98 and its target at 103, and a SELL in the mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from tests.support.builders import OPENING, bar, signal

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.ledger import LEDGER_VERSION, FollowedSignal, Ledger
from tradingsignals_server.domain.outcomes import Fill, Outcome, Resolution
from tradingsignals_server.domain.positions import Exit, ExitReason, after_bar, close, open_position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Origin, Signal

Prices = tuple[float, float, float, float]
"""Open, high, low and close for a BUY; for a SELL they are mirrored at 100."""
SIDES = pytest.mark.parametrize("side", [Action.BUY, Action.SELL])
FIRST = OPENING + DEFAULT_INTERVAL
"""Time of the signal: the close of bar 0, so that bar 1 is the next one."""
QUIET: Prices = (100.0, 100.5, 99.5, 100.25)


def ledger(rules: RiskRules | None = None, expiry_bars: int = 288) -> Ledger:
    return Ledger(rules or RiskRules(), calendar_for, expiry_bars)


def made(
    side: Action = Action.BUY, name: int = 1, at: datetime = FIRST, price: float = 100.0, origin: Origin = Origin.BAR
) -> Signal:
    return signal(side, price, time=at, name=name, origin=origin)


def seen_by(side: Action, prices: Prices, time: int = 1) -> Bar:
    if side is Action.SELL:
        open_, high, low, close_ = (200.0 - price for price in prices)
        return bar(time, open_, low, high, close_)
    return bar(time, *prices)


def update(one: Bar, disposition: Disposition = Disposition.ACCEPTED) -> MarketUpdate:
    return MarketUpdate(one, disposition)


def folded(into: Ledger, events: Sequence[Event | FollowedSignal]) -> list[Outcome]:
    return [outcome for event in events for outcome in into.apply(event)]


def by_fill(outcomes: Sequence[Outcome]) -> dict[Fill, Outcome]:
    found = {outcome.fill: outcome for outcome in outcomes}
    assert len(found) == len(outcomes)
    return found


def mirrored(side: Action, price: float) -> float:
    return price if side is Action.BUY else 200.0 - price


TRAILING = RiskRules(trailing_stop_atr=1.5)
LIMITED = RiskRules(max_holding_bars=2)
OVERNIGHT = RiskRules(close_at_session_end=False)
PLAIN = RiskRules()

# Rules, bars after the signal by their number, resolution, exit price, exit at the open of the last bar, R, MFE and MAE
# in R (of 2 a unit), all by hand. "each one" says what the row is about.
CASES = [
    pytest.param(PLAIN, {1: (97, 99, 96, 99)}, Resolution.STOP, 97, True, -1.5, 0, 1.5, id="gap through the stop"),
    pytest.param(PLAIN, {1: (98, 99, 98, 99)}, Resolution.STOP, 98, True, -1, 0, 1, id="opens at the stop"),
    pytest.param(PLAIN, {1: (104, 105, 99, 100)}, Resolution.TARGET, 103, True, 1.5, 1.5, 0, id="gap beyond target"),
    pytest.param(PLAIN, {1: (103, 103, 97, 97)}, Resolution.TARGET, 103, True, 1.5, 1.5, 0, id="opens at the target"),
    pytest.param(PLAIN, {1: (100, 104, 97, 103.5)}, Resolution.STOP, 98, False, -1, 0, 1, id="tie: the stop counts"),
    pytest.param(PLAIN, {1: (100, 103, 98, 100)}, Resolution.STOP, 98, False, -1, 0, 1, id="tie: both exactly"),
    pytest.param(PLAIN, {1: (100, 101, 98, 99)}, Resolution.STOP, 98, False, -1, 0, 1, id="touches the stop"),
    pytest.param(PLAIN, {1: (100, 103, 99, 102)}, Resolution.TARGET, 103, False, 1.5, 1.5, 0, id="touches the target"),
    pytest.param(
        PLAIN,
        {1: (100, 102, 99, 101), 2: (101, 101.5, 99.5, 100), 3: (100, 103.5, 100, 103)},
        *(Resolution.TARGET, 103, False, 1.5, 1.5, 0.5),
        id="target after three bars",
    ),
    pytest.param(
        PLAIN,
        {1: (100, 102.5, 99.5, 102), 2: (102, 102, 100, 100.5), 3: (100.5, 101, 98.5, 99), 4: (99, 99, 97, 97.5)},
        *(Resolution.STOP, 98, False, -1, 1.25, 1),
        id="stop after a move in favor",
    ),
    pytest.param(
        PLAIN,
        {1: (100, 102.875, 98.125, 100), 2: (100, 102.875, 98.125, 100), 3: (97.5, 97.5, 97.5, 97.5)},
        *(Resolution.STOP, 97.5, True, -1.25, 1.4375, 1.25),
        id="a hair short of both, then a gap",
    ),
    pytest.param(
        PLAIN,
        {1: (100, 101, 100, 101), 59: (101, 102, 100.5, 101.5)},
        *(Resolution.SESSION_END, 101.5, False, 0.75, 0.75, 0),
        id="end of the session",
    ),
    pytest.param(
        PLAIN,
        {59: (100, 103, 99, 101)},
        Resolution.TARGET,
        103,
        False,
        1.5,
        1.5,
        0,
        id="tie: target before session end",
    ),
    pytest.param(
        PLAIN, {59: (100, 101, 98, 101)}, Resolution.STOP, 98, False, -1, 0, 1, id="tie: stop before session end"
    ),
    pytest.param(
        PLAIN,
        {57: (100, 100.5, 99.5, 100), 288: (101, 104, 97, 97)},
        *(Resolution.SESSION_END, 101, True, 0.5, 0.5, 0.25),
        id="the last bar is missing: next open",
    ),
    pytest.param(
        PLAIN, {60: (99, 104, 97, 97)}, Resolution.SESSION_END, 99, True, -0.5, 0, 0.5, id="a bar outside sessions"
    ),
    pytest.param(
        PLAIN, {288: (97, 97, 97, 97)}, Resolution.STOP, 97, True, -1.5, 0, 1.5, id="tie: overnight gap is the stop"
    ),
    pytest.param(
        OVERNIGHT,
        {59: (100, 101, 99, 101), 288: (101, 102, 100, 102), 289: (102, 103, 102, 103)},
        *(Resolution.TARGET, 103, False, 1.5, 1.5, 0.5),
        id="held overnight",
    ),
    pytest.param(
        LIMITED,
        {1: (100, 101, 99.5, 101), 2: (101, 101.5, 100.5, 101)},
        *(Resolution.TIME_LIMIT, 101, False, 0.5, 0.5, 0.25),
        id="time limit",
    ),
    pytest.param(
        LIMITED,
        {1: (100, 101, 99.5, 101), 2: (101, 103, 100.5, 101)},
        *(Resolution.TARGET, 103, False, 1.5, 1.5, 0.25),
        id="tie: target before time limit",
    ),
    pytest.param(
        LIMITED,
        {58: (100, 101, 100, 101), 59: (101, 101.5, 100.5, 101)},
        *(Resolution.TIME_LIMIT, 101, False, 0.5, 0.5, 0),
        id="tie: time limit before session end",
    ),
    pytest.param(
        TRAILING,
        {1: (100, 102, 100, 101.5), 2: (101.5, 101.5, 100, 100)},
        *(Resolution.TRAILING, 100.5, False, 0.25, 1, 0),
        id="trailed, then touched",
    ),
    pytest.param(
        TRAILING,
        {1: (100, 102, 100, 101.5), 2: (100.25, 100.25, 99, 99)},
        *(Resolution.TRAILING, 100.25, True, 0.125, 1, 0),
        id="trailed, then a gap",
    ),
    pytest.param(
        TRAILING,
        {1: (100, 102.75, 99.5, 100.25)},
        *(Resolution.TRAILING, 101.25, False, 0.625, 1.375, 0),
        id="trailed past its close",
    ),
    pytest.param(
        TRAILING,
        {1: (99.5, 101.5, 99.5, 100.5), 2: (100.5, 103, 100.25, 103)},
        *(Resolution.TARGET, 103, False, 1.5, 1.5, 0.25),
        id="trailed, then the target",
    ),
    pytest.param(
        TRAILING,
        {1: (99, 99, 97, 97)},
        *(Resolution.STOP, 98, False, -1, 0, 1),
        id="not trailed yet",
    ),
]


@SIDES
@pytest.mark.parametrize(("rules", "prices", "resolution", "price", "at_open", "r", "mfe", "mae"), CASES)
def test_outcome_of_a_signal_that_was_not_acted_on(
    side: Action,
    rules: RiskRules,
    prices: dict[int, Prices],
    resolution: Resolution,
    price: float,
    at_open: bool,
    r: float,
    mfe: float,
    mae: float,
) -> None:
    bars = [seen_by(side, one, time) for time, one in prices.items()]
    outcomes = folded(ledger(rules), [made(side), *map(update, bars)])
    found = by_fill(outcomes)[Fill.CLOSE]
    exit_time = bars[-1].time if at_open else bars[-1].close_time
    assert (found.resolution, found.exit_price, found.exit_time) == (resolution, mirrored(side, price), exit_time)
    assert (found.r_multiple, found.mfe_r, found.mae_r, found.bars_held) == (r, mfe, mae, len(bars))
    assert (found.entry_time, found.entry_price) == (FIRST, 100.0)
    assert (found.gross_pct, found.net_pct) == (2.0 * r, 2.0 * r)
    assert found.seconds_to_resolve == (exit_time - FIRST).total_seconds()
    assert (found.acted, found.shadow, found.rules_version) == (False, False, LEDGER_VERSION)


@SIDES
@pytest.mark.parametrize(("rules", "prices", "resolution", "price", "at_open", "r", "mfe", "mae"), CASES)
def test_acted_signal_ends_as_its_position_does_and_as_the_rules_say(
    side: Action,
    rules: RiskRules,
    prices: dict[int, Prices],
    resolution: Resolution,
    price: float,
    at_open: bool,
    r: float,
    mfe: float,
    mae: float,
) -> None:
    first = made(side)
    position = open_position(first, rules, calendar_for("USDCOP").session_of(OPENING))
    events: list[Event] = [first, position]
    for time, one in prices.items():
        seen, calendar = seen_by(side, one, time), calendar_for("USDCOP")
        day = calendar.session_of(seen.time)
        last = day is not None and calendar.is_last_bar(seen.time)
        position = after_bar(position, seen, rules, session_day=day, last_of_session=last)
        events += [update(seen), position]
    assert position.exit is not None
    acted = by_fill(folded(ledger(rules), events))[Fill.CLOSE]
    not_acted = by_fill(
        folded(ledger(rules), [event for event in events if event is not position and event != events[1]])
    )
    assert acted.acted
    assert replace(acted, acted=False) == not_acted[Fill.CLOSE]
    assert (acted.exit_time, acted.exit_price, acted.bars_held) == (
        *(position.exit.time, position.exit.price, position.bars_held),
    )
    assert (acted.r_multiple, acted.net_pct, acted.pnl_account) == (
        *(position.r_multiple, position.pnl_pct, position.pnl_account),
    )


# ------------------------------------------------------------------------------------------------------- next open


@SIDES
@pytest.mark.parametrize(
    ("bars", "resolution", "price", "held", "r"),
    [
        pytest.param([(101, 101.5, 100.5, 101), (101, 104, 101, 104)], Resolution.TARGET, 104, 2, 1.5, id="target"),
        pytest.param([(101, 101.5, 100.5, 101), (101, 101, 98.5, 99)], Resolution.STOP, 99, 2, -1, id="stop"),
        pytest.param(
            [(97, 98, 96, 97), (97, 97, 95, 95)], Resolution.STOP, 95, 2, -1, id="opens beyond the first stop"
        ),
        pytest.param([(101, 104, 101, 104)], Resolution.TARGET, 104, 1, 1.5, id="target within the bar of the fill"),
        pytest.param([(101, 104, 99, 104)], Resolution.STOP, 99, 1, -1, id="tie within the bar of the fill"),
    ],
)
def test_next_open_moves_the_levels_with_the_fill(
    side: Action, bars: list[Prices], resolution: Resolution, price: float, held: int, r: float
) -> None:
    seen = [seen_by(side, prices, time) for time, prices in enumerate(bars, 1)]
    found = by_fill(folded(ledger(), [made(side), *map(update, seen)]))[Fill.NEXT_OPEN]
    assert (found.entry_time, found.entry_price) == (seen[0].time, seen[0].open)
    assert (found.resolution, found.exit_price, found.bars_held) == (resolution, mirrored(side, price), held)
    assert found.r_multiple == r


@SIDES
def test_next_open_fills_at_the_next_bar_of_a_session(side: Action) -> None:
    late = made(side, at=bar(59).close_time)
    bars = [
        seen_by(side, QUIET, 60),
        seen_by(side, (101, 102, 100, 101), 288),
        seen_by(side, (101, 104, 101, 104), 289),
    ]
    found = by_fill(folded(ledger(), [late, *map(update, bars)]))[Fill.NEXT_OPEN]
    assert (found.entry_time, found.entry_price) == (bars[1].time, mirrored(side, 101))
    assert found.resolution is Resolution.TARGET


@SIDES
def test_opposite_signal_ends_both_fills_each_at_its_own_price(side: Action) -> None:
    bars = [seen_by(side, QUIET, 1), seen_by(side, (101, 102, 100.5, 101.5), 2), seen_by(side, (102, 103, 101, 102), 3)]
    against = made(side.opposite, 2, bars[1].close_time, mirrored(side, 101.5))
    outcomes = folded(ledger(), [made(side), update(bars[0]), update(bars[1]), against, update(bars[2])])
    found = by_fill([outcome for outcome in outcomes if outcome.signal_id == UUID(int=1)])
    closed, next_open = found[Fill.CLOSE], found[Fill.NEXT_OPEN]
    assert (closed.resolution, next_open.resolution) == (Resolution.REVERSED, Resolution.REVERSED)
    assert (closed.exit_time, closed.exit_price) == (against.timestamp, mirrored(side, 101.5))
    assert (next_open.exit_time, next_open.exit_price) == (bars[2].time, mirrored(side, 102))
    assert (closed.bars_held, next_open.bars_held) == (2, 3)


def test_signal_that_is_reversed_before_its_fill_opens_and_ends_at_one_price() -> None:
    at = FIRST + timedelta(seconds=30)
    events: list[Event] = [made(), made(Action.SELL, 2, at, origin=Origin.REQUEST), update(bar(2, 101.0))]
    found = by_fill([one for one in folded(ledger(), events) if one.signal_id == UUID(int=1)])[Fill.NEXT_OPEN]
    assert (found.entry_price, found.exit_price, found.bars_held, found.net_pct) == (101.0, 101.0, 0, 0.0)
    assert found.resolution is Resolution.REVERSED


# ---------------------------------------------------------------------------------------------- what ends an entry


def test_same_signal_is_followed_beside_the_first_one() -> None:
    book = ledger()
    assert folded(book, [made(), update(bar(1, 100.0)), made(name=2, at=bar(1).close_time)]) == []
    assert len(book.open_entries("USDCOP")) == 4


def test_bar_signal_decided_before_the_entry_does_not_end_it() -> None:
    book = ledger()
    requested = made(at=FIRST + timedelta(seconds=30), origin=Origin.REQUEST)
    assert folded(book, [requested, made(Action.SELL, 2, FIRST)]) == []


def test_request_at_the_same_moment_ends_an_entry() -> None:
    outcomes = folded(ledger(), [made(), made(Action.SELL, 2, FIRST, 101.0, Origin.REQUEST)])
    assert [(one.resolution, one.exit_time, one.net_pct) for one in outcomes] == [(Resolution.REVERSED, FIRST, 1.0)]


def test_position_closed_by_hand_ends_the_entries_of_its_signal_only() -> None:
    acted, other = made(), made(name=2, at=bar(1).close_time)
    position = open_position(acted, PLAIN, None)
    by_hand = close(position, Exit(bar(1).close_time, 101.0, ExitReason.MANUAL), PLAIN)
    outcomes = folded(ledger(), [acted, position, update(bar(1, 100.0)), other, by_hand, update(bar(2, 102.0))])
    found = by_fill(outcomes)
    assert {one.signal_id for one in outcomes} == {acted.signal_id}
    assert {one.resolution for one in outcomes} == {Resolution.MANUAL}
    assert (found[Fill.CLOSE].exit_price, found[Fill.NEXT_OPEN].exit_price) == (101.0, 102.0)
    assert found[Fill.NEXT_OPEN].acted


def test_entry_expires_but_a_position_does_not() -> None:
    acted, other = made(), made(name=2)
    book = ledger(OVERNIGHT, expiry_bars=2)
    bars = [bar(1, 100.0), bar(2, 101.0), bar(3, 101.5)]
    outcomes = folded(book, [acted, open_position(acted, OVERNIGHT, None), other, *map(update, bars)])
    assert [(one.signal_id.int, one.fill) for one in outcomes] == [
        (1, Fill.NEXT_OPEN),
        (2, Fill.CLOSE),
        (2, Fill.NEXT_OPEN),
    ]
    assert {(one.resolution, one.exit_price, one.bars_held) for one in outcomes} == {(Resolution.EXPIRED, 101.0, 2)}
    assert [entry.is_position for entry in book.open_entries("USDCOP")] == [True]


def test_time_limit_precedes_the_expiry() -> None:
    outcomes = folded(ledger(LIMITED, expiry_bars=2), [made(), update(bar(1, 100.0)), update(bar(2, 100.0))])
    assert {one.resolution for one in outcomes} == {Resolution.TIME_LIMIT}


def test_late_bar_and_bar_of_another_symbol_change_nothing() -> None:
    book = ledger()
    crash = bar(1, 90.0)
    assert folded(book, [made(), update(crash, Disposition.LATE), update(replace(crash, symbol="EURUSD"))]) == []
    assert len(book.open_entries("USDCOP")) == 2


def test_hold_has_no_outcome() -> None:
    book = ledger()
    assert folded(book, [made(Action.HOLD), update(bar(1, 90.0))]) == []
    assert not book.symbols
    with pytest.raises(ValueError, match="a HOLD has no outcome"):
        FollowedSignal.of(made(Action.HOLD))


# --------------------------------------------------------------------------------------------- figures and identity


def test_costs_count_in_net_and_r_but_not_in_gross() -> None:
    rules = RiskRules(spread=Charges.flat(0.5), account_currency="COP", initial_equity=50_000.0)
    found = by_fill(folded(ledger(rules), [made(), update(bar(1, 100.0, 103.0))]))[Fill.CLOSE]
    assert (found.gross_pct, found.net_pct, found.r_multiple, found.mfe_r) == (3.0, 2.5, 1.25, 1.5)
    assert found.pnl_account == pytest.approx(0.025 * 0.02 * 50_000.0)
    assert found.won


def test_outcome_names_its_signal_and_policy() -> None:
    first = made()
    live, shadow = ledger(), Ledger(PLAIN, calendar_for, model_key="v2 0123", shadow=True)
    events: list[Event] = [first, update(bar(1, 97.0))]
    one, other = (by_fill(folded(book, events))[Fill.CLOSE] for book in (live, shadow))
    assert (one.signal_id, one.symbol, one.action, one.origin) == (UUID(int=1), "USDCOP", Action.BUY, Origin.BAR)
    assert (one.model_version, one.model_key, one.shadow) == ("v1", "", False)
    assert (other.model_version, other.model_key, other.shadow) == ("v1", "v2 0123", True)
    assert (one.confidence, one.size, one.win_probability) == (0.9, 0.02, None)
    assert (one.stop_loss, one.take_profit) == (98.0, 103.0)
    assert one.outcome_id != other.outcome_id
    assert str(one.outcome_id) == "0b4db790-ade4-520d-b9e3-b2663a7f4531"


def test_state_of_another_version_is_refused() -> None:
    book = ledger()
    folded(book, [made()])
    state = book.to_json() | {"version": LEDGER_VERSION + 1}
    with pytest.raises(ValueError, match="cannot be continued by version"):
        ledger().restore_all(state)
