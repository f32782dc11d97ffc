"""Properties of the ledger and the account, for any trading of two symbols."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import bar, signal

from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import NO_CHARGES, Charges
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.ledger import Ledger
from tradingsignals_server.domain.outcomes import RESOLUTION_OF, Fill, Outcome
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Origin, Signal

SYMBOLS = ("USDCOP", "EURUSD")
EXPIRY = 6

eighths = st.integers(-24, 24).map(lambda n: 100.0 + n / 8)
desks = st.builds(
    RiskRules,
    trailing_stop_atr=st.sampled_from([0.0, 1.0]),
    max_holding_bars=st.sampled_from([0, 0, 2]),
    close_at_session_end=st.booleans(),
    spread=st.sampled_from([NO_CHARGES, Charges.flat(0.125)]),
    slippage=st.sampled_from([NO_CHARGES, Charges.flat(0.0625)]),
    account_currency=st.just("COP"),
)


@st.composite
def trading(draw: st.DrawFn) -> tuple[RiskRules, list[Event]]:
    """Draw rules, and the events of a desk that trades by them, in the order of the log."""
    rules, events, held, time = draw(desks), list[Event](), dict[str, Position](), 0
    for number in range(draw(st.integers(1, 14))):
        symbol = draw(st.sampled_from(SYMBOLS))
        time += draw(st.sampled_from([1, 1, 1, 2, 40, 230]))
        open_, close_, one, other = (draw(eighths) for _ in range(4))
        seen = bar(time, open_, max(open_, close_, one, other), min(open_, close_, one, other), close_, symbol=symbol)
        events.append(MarketUpdate(seen, Disposition.ACCEPTED))
        day, last = session(seen)
        if symbol in held:
            held[symbol] = after_bar(held[symbol], seen, rules, session_day=day, last_of_session=last)
            events.append(held[symbol])
            drop_closed(held, symbol)
        if symbol in held and draw(st.integers(0, 7)) == 0:
            events.append(close(held.pop(symbol), Exit(seen.close_time, close_, ExitReason.MANUAL), rules))
        choice = draw(st.sampled_from([None, Action.BUY, Action.SELL, Action.HOLD]))
        if choice is not None:
            decide(events, held, signal_of(choice, seen, number), rules, day, acts=draw(st.booleans()))
    return rules, events


def session(one: Bar) -> tuple[date | None, bool]:
    calendar = calendar_for(one.symbol)
    day = calendar.session_of(one.time)
    return day, day is not None and calendar.is_last_bar(one.time)


def signal_of(action: Action, seen: Bar, number: int) -> Signal:
    made = signal(action, seen.close, time=seen.close_time, name=number + 1, symbol=seen.symbol)
    return replace(made, bar_time=seen.time, origin=Origin.BAR)


def drop_closed(held: dict[str, Position], symbol: str) -> None:
    if not held[symbol].is_open:
        del held[symbol]


def decide(
    events: list[Event], held: dict[str, Position], made: Signal, rules: RiskRules, day: date | None, *, acts: bool
) -> None:
    """Append a signal and what a trader makes of it; one that does not act leaves a position alone."""
    events.append(made)
    before = held.get(made.symbol)
    if made.action is Action.HOLD or (before is not None and before.action is made.action):
        return
    if before is not None:
        reversal = Exit(made.timestamp, made.entry_price, ExitReason.REVERSED, made.signal_id)
        events.append(close(held.pop(made.symbol), reversal, rules))
    if acts:
        held[made.symbol] = open_position(made, rules, day)
        events.append(held[made.symbol])


def ledger_of(rules: RiskRules) -> Ledger:
    return Ledger(rules, calendar_for, EXPIRY)


def outcomes_of(rules: RiskRules, events: Sequence[Event]) -> list[Outcome]:
    book = ledger_of(rules)
    return [outcome for event in events for outcome in book.apply(event)]


def through_json(state: object) -> object:
    return json.loads(json.dumps(state))


def closed_in(events: Sequence[Event]) -> list[Position]:
    return [event for event in events if isinstance(event, Position) and not event.is_open]


# ---------------------------------------------------------------------------------------------------------- ledger


@given(trading(), st.data())
def test_ledger_folded_in_pieces_equals_the_ledger_folded_at_once(
    traded: tuple[RiskRules, list[Event]], data: st.DataObject
) -> None:
    rules, events = traded
    whole, pieces, found = ledger_of(rules), ledger_of(rules), list[Outcome]()
    at_once = [outcome for event in events for outcome in whole.apply(event)]
    cuts = data.draw(st.sets(st.integers(0, len(events))))
    for number, event in enumerate(events):
        if number in cuts:
            state = through_json(pieces.to_json())
            pieces = ledger_of(rules)
            pieces.restore_all(state)  # type: ignore[arg-type]  # json.loads gives what json.dumps was given
        found += pieces.apply(event)
    assert found == at_once
    assert pieces.to_json() == whole.to_json()


@given(trading())
def test_outcome_of_an_acted_signal_equals_the_exit_of_its_position(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    acted = {one.signal_id: one for one in outcomes_of(rules, events) if one.acted and one.fill is Fill.CLOSE}
    closed = closed_in(events)
    assert acted.keys() == {position.signal_id for position in closed}
    for position in closed:
        found, fill = acted[position.signal_id], position.exit
        assert fill is not None
        assert (found.entry_time, found.entry_price) == (position.entry_time, position.entry_price)
        assert (found.exit_time, found.exit_price) == (fill.time, fill.price)
        assert found.resolution is RESOLUTION_OF[fill.reason]
        assert (found.symbol, found.action, found.size) == (position.symbol, position.action, position.position_size)
        assert (found.stop_loss, found.take_profit) == (position.initial_stop_loss, position.take_profit)
        assert (found.r_multiple, found.net_pct) == (position.r_multiple, position.pnl_pct)
        assert (found.pnl_account, found.bars_held) == (position.pnl_account, position.bars_held)
        risk = abs(position.entry_price - position.initial_stop_loss)
        assert (found.mfe_r, found.mae_r) == (
            position.max_favorable_excursion / risk,
            position.max_adverse_excursion / risk,
        )


@given(trading())
def test_ledger_follows_a_position_to_the_same_exit_by_itself(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    rest = [event for event in events if not isinstance(event, Position)]
    by_rules = {(one.signal_id, one.fill): one for one in outcomes_of(rules, rest)}
    for one in outcomes_of(rules, events):
        by_hand = any(
            position.signal_id == one.signal_id
            and position.exit is not None
            and position.exit.reason is ExitReason.MANUAL
            for position in closed_in(events)
        )
        alone = by_rules.get((one.signal_id, one.fill))
        if one.acted and one.fill is Fill.CLOSE and not by_hand and one.bars_held < EXPIRY:
            assert alone == replace(one, acted=False)


@given(trading())
def test_signal_has_one_outcome_a_fill_and_no_exit_before_its_entry(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    found = outcomes_of(rules, events)
    assert max(Counter((one.signal_id, one.fill) for one in found).values(), default=1) == 1
    assert len({one.outcome_id for one in found}) == len(found)
    sides = {event.signal_id: event.action for event in events if isinstance(event, Signal)}
    for one in found:
        assert one.exit_time >= one.entry_time
        assert sides[one.signal_id] is one.action is not Action.HOLD
        assert one.mfe_r >= 0.0 <= one.mae_r
        assert math.isclose(one.gross_pct, one.net_pct, abs_tol=0.3)
    open_entries = ledger_of(rules)
    for event in events:
        open_entries.apply(event)
    still_open = sum(len(open_entries.open_entries(symbol)) for symbol in SYMBOLS)
    assert still_open + len(found) == 2 * sum(side is not Action.HOLD for side in sides.values())


@given(trading())
def test_mirrored_prices_mirror_buys_and_sells(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    rest = [event for event in events if not isinstance(event, Position)]
    there, back = outcomes_of(rules, rest), outcomes_of(rules, [mirrored(event) for event in rest])
    assert len(there) == len(back)
    for one, other in zip(there, back, strict=True):
        assert one.action is other.action.opposite
        for name in ("signal_id", "fill", "resolution", "r_multiple", "mfe_r", "mae_r", "bars_held", "exit_time"):
            assert getattr(one, name) == getattr(other, name), name
        assert one.exit_price == 200.0 - other.exit_price


def mirrored(event: Event) -> Event:
    """Return an event in the market mirrored at 100."""
    if isinstance(event, MarketUpdate):
        one = event.bar
        return replace(
            event,
            bar=bar(
                one.time, 200.0 - one.open, 200.0 - one.low, 200.0 - one.high, 200.0 - one.close, symbol=one.symbol
            ),
        )
    assert isinstance(event, Signal)
    return replace(
        signal(
            event.action.opposite,
            200.0 - event.entry_price,
            time=event.timestamp,
            name=event.signal_id.int,
            symbol=event.symbol,
        ),
        bar_time=event.bar_time,
    )


@given(trading())
def test_ledger_forgets_a_symbol_without_open_entries(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    book = ledger_of(rules)
    for event in events:
        book.apply(event)
    assert set(book.symbols) == {symbol for symbol in SYMBOLS if book.open_entries(symbol)}


# --------------------------------------------------------------------------------------------------------- account


@given(trading())
def test_equity_is_the_sum_of_its_parts(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    account, newest, peak = Account.opened(rules.initial_equity), dict[UUID, Position](), rules.initial_equity
    for event in events:
        account = account.after(event)
        if isinstance(event, Position):
            newest[event.position_id] = event
        held = [position for position in newest.values() if position.is_open]
        closed = [position for position in newest.values() if not position.is_open]
        assert account.realised == pytest.approx(sum(position.pnl_account for position in closed), abs=1e-6)
        assert account.unrealised == pytest.approx(sum(position.pnl_account for position in held), abs=1e-6)
        assert account.equity == rules.initial_equity + account.realised + account.unrealised
        assert account.exposure == pytest.approx(sum(position.position_size for position in held))
        assert (len(account.open_positions), account.closed) == (len(held), len(closed))
        peak = max(peak, account.equity)
        assert (account.peak, account.drawdown) == (peak, peak - account.equity)


@given(trading(), st.data())
def test_account_folded_in_pieces_equals_the_account_folded_at_once(
    traded: tuple[RiskRules, list[Event]], data: st.DataObject
) -> None:
    rules, events = traded
    whole = pieces = Account.opened(rules.initial_equity)
    cuts = data.draw(st.sets(st.integers(0, len(events))))
    for number, event in enumerate(events):
        if number in cuts:
            pieces = Account.of_json(through_json(pieces.to_json()))  # type: ignore[arg-type]  # as above
        whole, pieces = whole.after(event), pieces.after(event)
    assert pieces == whole
    assert pieces.equity == whole.equity


@given(trading())
def test_day_begins_with_the_equity_before_its_first_bar(traded: tuple[RiskRules, list[Event]]) -> None:
    rules, events = traded
    account, day, start = Account.opened(rules.initial_equity), None, rules.initial_equity
    for event in events:
        if isinstance(event, MarketUpdate) and event.bar.time.date() != day:
            day, start = event.bar.time.date(), account.equity
        account = account.after(event)
        assert (account.day, account.day_start) == (day, start)
        assert account.day_loss == max(0.0, start - account.equity)


def test_days_of_these_tests_follow_each_other() -> None:
    assert bar(230).time - bar(0).time > timedelta(hours=19)
