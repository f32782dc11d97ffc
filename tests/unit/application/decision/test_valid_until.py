"""Until when a signal may be acted on: until the next bar closes, and at no time where nothing may be opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import walk
from tests.support.running import Running, always, following, running_engine

from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.quotes import Quote, input_of_quote
from tradingsignals_server.application.decision.symbol_state import SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import SessionCalendar, calendar_for
from tradingsignals_server.domain.intervals import INTERVALS
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal
from tradingsignals_server.domain.window import Window

WALK = walk(240)
"""Four sessions of USDCOP, of 60 bars each."""
MINUTE = timedelta(minutes=1)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
OVER_NIGHT = replace(FAR, close_at_session_end=False)
EASTER = date(2024, 3, 25)
"""A holiday in Colombia, as are Thursday and Friday of its week."""

every_interval = pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
every_symbol = pytest.mark.parametrize("symbol", ["USDCOP", "EURUSD"])
every_action = pytest.mark.parametrize("action", list(Action))


def bars_from(calendar: SessionCalendar, symbol: str, first: date, count: int) -> list[Bar]:
    """Return bars from a day on, of whose session the last 100 at most."""
    skipped = max(0, calendar.bars - 100)
    times, day = list[datetime](), first
    while len(times) < skipped + count:
        times += calendar.bars_of(day)
        day += timedelta(days=1)
    return walk(count, symbol=symbol, times=times[skipped:], interval=calendar.interval)


def signals_of(trader: Trader, calendar: SessionCalendar, bars: Sequence[Bar]) -> tuple[list[Signal], SymbolState]:
    """Return the signals of bars, and the state after them."""
    pipeline, state = Pipeline(trader, lambda _: calendar), SymbolState(bars[0].symbol, calendar, Window.empty())
    made = list[Signal]()
    for one in bars:
        step = pipeline.on_bar(state, one)
        state = step.state
        made += [] if step.signal is None else [step.signal]
    return made, state


@every_interval
@every_symbol
@every_action
def test_signal_of_a_bar_is_valid_until_the_next_bar_closes(interval: timedelta, symbol: str, action: Action) -> None:
    """Over weekends and holidays too, if the session has no end; where it ends, nothing is opened on its last bar."""
    calendar = calendar_for(symbol, interval=interval)
    bars = bars_from(calendar, symbol, EASTER - timedelta(days=10), 160)
    made, _ = signals_of(Trader(always(action, interval), FAR), calendar, bars)
    assert len(made) == len(bars) - 49
    assert {signal.action for signal in made} == {action}
    for signal, this, following_bar in zip(made[:-1], bars[49:-1], bars[50:], strict=True):
        ends = calendar.is_last_bar(this.time)
        assert signal.valid_until == (signal.timestamp if ends else following_bar.close_time)
    if calendar.closes:
        assert any(signal.valid_until == signal.timestamp for signal in made)


@every_interval
@every_symbol
def test_position_that_is_held_over_night_may_be_opened_until_the_first_bar_of_the_next_session(
    interval: timedelta, symbol: str
) -> None:
    calendar = calendar_for(symbol, interval=interval)
    bars = bars_from(calendar, symbol, EASTER - timedelta(days=10), 160)
    made, _ = signals_of(Trader(always(Action.BUY, interval), OVER_NIGHT), calendar, bars)
    assert [signal.valid_until for signal in made[:-1]] == [one.close_time for one in bars[50:]]


@every_interval
@every_symbol
@given(after=st.timedeltas(timedelta(0), timedelta(days=9)), limit=st.sampled_from([None, 0, 60, 86_400]))
def test_requested_signal_is_valid_until_a_bar_closes_exactly_if_it_may_trade(
    interval: timedelta, symbol: str, after: timedelta, limit: int | None
) -> None:
    calendar = calendar_for(symbol, interval=interval)
    rules = replace(FAR, max_bar_age=None if limit is None else timedelta(seconds=limit))
    trader = Trader(always(Action.BUY, interval), rules)
    newest = bars_from(calendar, symbol, EASTER - timedelta(days=4), 1)[0]
    state = SymbolState(symbol, calendar, Window.empty()).with_session_bar(newest, calendar.session_of(newest.time))
    at = newest.close_time + after
    found = input_of_quote(state, Quote(newest.close, atr=1.0), at, rules)
    _, source, trades = trader.decide(state.live, found, trader.infer(found, state.live.recurrent, None), UUID(int=1))
    until = source.signal.valid_until
    assert until is not None
    if found.no_trade_reason is not None:
        assert (until, trades) == (at, ())
    else:
        assert len(trades) == 1
        assert at < until <= at + interval
        assert calendar.session_of(until - interval) is not None
        assert (until - datetime(1970, 1, 1, tzinfo=UTC)) % interval == timedelta(0)


# ------------------------------------------------------------------------------------------------- by the engine


@pytest.mark.parametrize(
    ("number", "later", "valid_for"),
    [
        (62, timedelta(0), 5 * MINUTE),
        (62, 2 * MINUTE, 3 * MINUTE),
        (62, 5 * MINUTE, 5 * MINUTE),
        (62, 7 * MINUTE, 3 * MINUTE),  # a bar is missing, and the service trades all the same
        (62, 15 * MINUTE, 5 * MINUTE),
        (62, 15 * MINUTE + timedelta(seconds=1), timedelta(0)),  # older than MAX_BAR_AGE
        (118, 7 * MINUTE, 3 * MINUTE),  # the session ends with the next bar but one
        (120, timedelta(0), timedelta(0)),  # the session has ended
        (120, 3 * 60 * MINUTE, timedelta(0)),
        (120, 19 * 60 * MINUTE + 2 * MINUTE, 3 * MINUTE),  # the next morning: bars do not age over night
    ],
)
async def test_request_is_valid_until_the_next_bar_closes(number: int, later: timedelta, valid_for: timedelta) -> None:
    at = WALK[number - 1].close_time + later
    async with running_engine(policy=always(Action.HOLD), clock=lambda: at) as running:
        await running.publish(WALK[:number])
        for encoded in (
            await running.engine.generate("USDCOP", Quote(WALK[number - 1].close)),
            await running.engine.generate_from_stored("USDCOP", 60),
        ):
            made = running.signal(encoded)
            assert (made.timestamp, made.valid_until) == (at, at + valid_for)


@pytest.mark.parametrize("replayed", [True, False], ids=["replayed", "simulated"])
@pytest.mark.parametrize("year", [2024, 2026])
async def test_request_in_a_replayed_or_simulated_market_is_valid_by_the_time_of_that_market(
    replayed: bool, year: int
) -> None:
    """The wall clock of either year changes nothing."""
    wall = datetime(year, 11, 26, 14, 33, tzinfo=UTC)
    bars = [replace(one, simulated=not replayed) for one in WALK]
    async with running_engine(policy=always(Action.BUY), clock=lambda: wall, market_is_replayed=replayed) as running:
        found = list[tuple[datetime | None, datetime | None]]()
        for number in (60, 61, 62, 120):
            await running.publish(bars[len(running.store.market_updates()) : number])
            quoted = running.signal(await running.engine.generate("USDCOP", Quote(bars[number - 1].close)))
            stored = running.signal(await running.engine.generate_from_stored("USDCOP", 60))
            assert quoted.valid_until == stored.valid_until
            found.append((quoted.timestamp, quoted.valid_until))
    ends = [bars[number - 1].close_time for number in (60, 61, 62, 120)]
    valid = [timedelta(0), 5 * MINUTE, 5 * MINUTE, timedelta(0)]
    assert found == [(end, end + long) for end, long in zip(ends, valid, strict=True)]


async def test_request_before_the_first_bar_of_a_replayed_market_is_valid_at_no_time() -> None:
    async with running_engine(clock=lambda: WALK[60].time, market_is_replayed=True) as running:
        made = running.signal(await running.engine.generate("USDCOP", Quote(4000.0, atr=5.0)))
        assert made.valid_until == made.timestamp == WALK[60].time


async def test_request_without_a_stored_bar_is_valid_until_the_next_bar_closes() -> None:
    async with running_engine(clock=lambda: datetime(2026, 1, 3, 12, 7, 30, tzinfo=UTC)) as running:
        made = running.signal(await running.engine.generate("EURUSD", Quote(1.1, atr=0.001)))
        assert (made.bar_time, made.valid_until) == (None, datetime(2026, 1, 3, 12, 10, tzinfo=UTC))


requests = st.lists(st.tuples(st.sampled_from(["bars", "quote", "stored"]), st.integers(0, 3000)), max_size=12)


@given(requests, st.booleans(), st.booleans(), st.integers(0, 10**6))
async def test_each_position_is_opened_by_a_signal_that_is_valid_after_its_time(
    ordered: list[tuple[str, int]], replayed: bool, over_night: bool, seed: int
) -> None:
    bars, wall = walk(180, seed=seed), [WALK[100].close_time]
    rules = replace(RiskRules(atr_multiplier_sl=0.5, min_risk_reward=0.1), close_at_session_end=not over_night)
    async with running_engine(
        policy=following(), rules=rules, clock=lambda: wall[0], market_is_replayed=replayed
    ) as running:
        await running.publish(bars[:101])
        for what, seconds in ordered:
            wall[0] += timedelta(seconds=seconds)
            if what == "bars":
                published = len(running.store.market_updates())
                await running.publish([one for one in bars[published:] if one.close_time <= wall[0]])
            elif what == "quote":
                await running.engine.generate("USDCOP", Quote(bars[100].close))
            else:
                await running.engine.generate_from_stored("USDCOP", 50)
        _check(running)


def _check(running: Running) -> None:
    signals = {event.signal_id: event for event in running.store.events if isinstance(event, Signal)}
    opened = {event.signal_id for event in running.store.events if isinstance(event, Position)}
    assert opened
    for signal_id in opened:
        signal = signals[signal_id]
        assert signal.valid_until is not None
        assert signal.valid_until > signal.timestamp
    assert all(one.valid_until is not None and one.valid_until >= one.timestamp for one in signals.values())
