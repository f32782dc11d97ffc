"""Bars of intervals other than five minutes: decisions, sessions, and models that are for another interval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from tests.support.builders import SURE, walk
from tests.support.running import ScriptedPolicy, always, dispositions, running_engine

from tradingsignals_server.application.decision.pipeline import BarStep, Pipeline
from tradingsignals_server.application.decision.quotes import Quote, input_of_quote
from tradingsignals_server.application.decision.symbol_state import SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ports.policy import PolicyDescription, PolicyOutput
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import SessionCalendar, calendar_for
from tradingsignals_server.domain.errors import InvalidBar, ModelInterval, ModelNotLoaded
from tradingsignals_server.domain.events import Disposition
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.intervals import INTERVALS
from tradingsignals_server.domain.positions import ExitReason, Position
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action
from tradingsignals_server.domain.window import Window

HOUR = timedelta(hours=1)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
"""Levels so far away that a walk never touches them."""
HOURLY = walk(120, interval=HOUR)
every_interval = pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)


class Recurrent(ScriptedPolicy):
    """A policy that counts the bars that it has decided on."""

    def __init__(self, interval: timedelta, reset: ResetRule = ResetRule.NEVER) -> None:
        super().__init__(lambda _: SURE[Action.HOLD])
        self.description = PolicyDescription(
            "r1", "test", "onnx", reset=reset, layers=1, hidden_size=1, interval=interval
        )

    def initial_state(self) -> RecurrentState:
        """See Policy."""
        return RecurrentState.zeros(1, 1)

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        return self._script(observation), RecurrentState(state.values + np.float32(1.0))


def steps(trader: Trader, calendar: SessionCalendar, bars: Sequence[Bar]) -> list[BarStep]:
    """Process bars one after the other, and return their steps."""
    pipeline = Pipeline(trader, lambda _: calendar)
    taken: list[BarStep] = []
    for one in bars:
        state = taken[-1].state if taken else SymbolState(one.symbol, calendar, Window.empty())
        taken.append(pipeline.on_bar(state, one))
    return taken


@every_interval
def test_decisions_are_the_same_functions_of_the_bars_at_every_interval(interval: timedelta) -> None:
    """A day of bars is the same to a policy, whatever the bars last; only the times differ."""
    calendar = calendar_for("EURUSD", interval=interval)
    opening = datetime(2020, 1, 1, tzinfo=UTC)
    bars = walk(70, symbol="EURUSD", times=[opening + n * interval for n in range(70)], interval=interval)
    policy = always(Action.BUY, interval)
    signals = [step.signal for step in steps(Trader(policy, FAR), calendar, bars) if step.signal is not None]
    assert len(signals) == 21
    assert all(signal.bar_age == timedelta(0) for signal in signals)
    assert [signal.timestamp for signal in signals] == [bar.close_time for bar in bars[49:]]


@every_interval
def test_position_is_closed_at_the_end_of_a_session_that_closes(interval: timedelta) -> None:
    """Sessions of bars of four hours and more are days without an end."""
    calendar = calendar_for("USDCOP", interval=interval)
    times = [time for n in range(160) for time in calendar.bars_of(date(2024, 1, 1) + timedelta(days=n))]
    bars = walk(min(len(times), 400), times=times, interval=interval)
    taken = steps(Trader(always(Action.BUY, interval), FAR), calendar, bars)
    closed = [e for step in taken for e in step.events if isinstance(e, Position) and e.exit is not None]
    if interval < timedelta(hours=4):
        assert closed
        assert {position.exit.reason for position in closed if position.exit} == {ExitReason.SESSION_END}
        assert all(calendar.is_last_bar(p.exit.time - interval) for p in closed if p.exit)
    else:
        assert closed == []
        assert taken[-1].state.live.position is not None


def test_bars_of_another_interval_than_the_model_are_not_decided_on() -> None:
    trader = Trader(Recurrent(timedelta(minutes=5)), FAR)
    taken = steps(trader, calendar_for("USDCOP", interval=HOUR), HOURLY)
    assert {step.disposition for step in taken} == {Disposition.OTHER_INTERVAL}
    assert all(step.signal is None for step in taken)
    assert trader.meter.count == 0
    assert len(taken[-1].state.window) == 100


def test_model_for_the_interval_continues_on_bars_that_another_one_was_not_for() -> None:
    """The window is kept, so that a model that is swapped in decides on the next bar."""
    calendar = calendar_for("USDCOP", interval=HOUR)
    before = steps(Trader(always(Action.BUY), FAR), calendar, HOURLY[:100])[-1].state
    step = Pipeline(Trader(always(Action.BUY, HOUR), FAR), lambda _: calendar).on_bar(before, HOURLY[100])
    assert step.disposition is Disposition.ACCEPTED
    assert step.signal is not None


def test_shadow_of_another_interval_makes_no_decision() -> None:
    calendar = calendar_for("USDCOP", interval=HOUR)
    shadow = Trader(always(Action.BUY), FAR)
    pipeline = Pipeline(Trader(always(Action.BUY, HOUR), FAR), lambda _: calendar, shadow)
    state = steps(pipeline.live, calendar, HOURLY[:60])[-1].state
    step = pipeline.on_bar(state.with_books(state.live, state.live), HOURLY[60])
    assert step.signal is not None
    assert not any(hasattr(event, "decision") for event in step.shadowed)


def test_recurrent_state_is_not_computed_from_bars_that_the_model_is_not_for() -> None:
    trader = Trader(Recurrent(timedelta(minutes=5)), FAR)
    assert trader.recurrent_around_newest(HOURLY, calendar_for("USDCOP", interval=HOUR)) == (
        RecurrentState.zeros(1, 1),
        RecurrentState.zeros(1, 1),
    )
    assert trader.meter.count == 0


async def test_requested_signals_are_refused_with_the_interval_of_the_model() -> None:
    hourly = partial(calendar_for, interval=HOUR)
    async with running_engine(policy=always(Action.BUY), calendar_of=hourly) as running:
        results = await running.engine.publish(HOURLY)
        assert set(dispositions(results)) == {Disposition.OTHER_INTERVAL}
        for call in (
            running.engine.generate("USDCOP", Quote(4000.0)),
            running.engine.generate_from_stored("USDCOP", 100),
            running.engine.generate("NEWCOP", Quote(4000.0)),
        ):
            with pytest.raises(ModelInterval, match="are of 1h and the model is for 5m: no decision is made") as caught:
                await call
            assert caught.value.metadata["model_interval"] == "5m"
        assert running.store.signals() == []


async def test_bar_of_another_interval_than_its_symbol_is_refused() -> None:
    async with running_engine() as running:
        (result,) = await running.engine.publish(HOURLY[:1])
        assert isinstance(result, InvalidBar)
        assert result.message == "interval: is '1h', and bars of USDCOP are of 5m"


async def test_symbol_with_stored_bars_of_another_interval_is_refused() -> None:
    """A server with another setting stored them, and this one takes the symbol over."""
    async with running_engine() as running:
        await running.publish(walk(60))
        store = running.store
    hourly = partial(calendar_for, interval=HOUR)
    async with running_engine(store, always(Action.BUY, HOUR), calendar_of=hourly) as running:
        results = await running.engine.publish(walk(70, interval=HOUR)[60:])
        assert set(dispositions(results)) == {"INTERVAL_STORED"}
        assert len(store.market_updates()) == 60


@pytest.mark.parametrize(("hours", "trades"), [(3, True), (4, False)])
def test_quote_trades_on_bars_that_are_at_most_three_intervals_old(hours: int, trades: bool) -> None:
    calendar = calendar_for("EURUSD", interval=HOUR)
    opening = datetime(2020, 1, 1, tzinfo=UTC)
    bars = walk(60, symbol="EURUSD", times=[opening + n * HOUR for n in range(60)], interval=HOUR)
    state = steps(Trader(always(Action.HOLD, HOUR), FAR), calendar, bars)[-1].state
    found = input_of_quote(state, Quote(bars[-1].close), bars[-1].close_time + hours * HOUR, RiskRules())
    assert (found.no_trade_reason is None) is trades


def test_daily_model_that_resets_its_state_each_session_is_refused() -> None:
    with pytest.raises(ModelNotLoaded, match="for bars of 1d is each bar"):
        Trader(Recurrent(timedelta(days=1), ResetRule.SESSION), FAR)
    Trader(Recurrent(timedelta(days=1)), FAR)
    Trader(Recurrent(timedelta(hours=4), ResetRule.SESSION), FAR)


async def test_late_bar_is_compared_with_the_bars_next_to_it_at_every_interval() -> None:
    hourly = partial(calendar_for, interval=HOUR)
    async with running_engine(policy=always(Action.HOLD, HOUR), calendar_of=hourly) as running:
        await running.publish([HOURLY[0], HOURLY[2]])
        late = HOURLY[1]
        wrong = Bar(late.symbol, late.time, 1.0, 1.0, 1.0, 1.0, interval=HOUR)
        assert dispositions(await running.engine.publish([wrong, late])) == ["PRICE_JUMP", Disposition.LATE]
