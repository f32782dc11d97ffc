"""Steps of the pipeline: the events of a bar or a request, their order, and the state after them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import MONDAY, NOW, bar, session_times, walk
from tests.support.running import ScriptedPolicy, always, following, in_turn

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.decision.pipeline import BarStep, Pipeline
from tradingsignals_server.application.decision.quotes import Quote, input_of_quote
from tradingsignals_server.application.decision.symbol_state import NO_STATE, SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.events import MarketUpdate, SymbolEvent
from tradingsignals_server.domain.indicators import WARM_BARS
from tradingsignals_server.domain.positions import ExitReason, Position
from tradingsignals_server.domain.risk import KELLY_MINIMUM_TRADES, RiskRules, Sizing, TradeTally
from tradingsignals_server.domain.signals import Action, Origin, Signal, bar_signal_id
from tradingsignals_server.domain.window import LOOKBACK_BARS, Window

FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
"""Levels so far away that a walk never touches them."""


def pipeline_of(policy: Policy, rules: RiskRules = FAR) -> Pipeline:
    return Pipeline(Trader(policy, rules), calendar_for)


def fresh() -> SymbolState:
    return SymbolState("USDCOP", calendar_for("USDCOP"), Window.empty())


def steps(pipeline: Pipeline, bars: Sequence[Bar], state: SymbolState | None = None) -> list[BarStep]:
    """Process bars one after the other, and return their steps."""
    taken: list[BarStep] = []
    for one in bars:
        taken.append(pipeline.on_bar(taken[-1].state if taken else state or fresh(), one))
    return taken


def events_of(step: BarStep) -> list[str]:
    """Describe the events of a step: the bar's disposition, the signal's action, or the change of the position."""
    return [_short(event) for event in step.events]


def _short(event: SymbolEvent) -> str:
    if isinstance(event, MarketUpdate):
        return event.disposition
    if isinstance(event, Signal):
        return event.action
    if event.exit is not None:
        return f"closed {event.exit.reason}"
    return f"{'held' if event.bars_held else 'opened'} {event.action}"


WALK = walk(180)
"""Three sessions."""


def test_no_bar_is_decided_on_until_the_indicators_are_warm() -> None:
    taken = steps(pipeline_of(always(Action.HOLD)), WALK[:51])
    assert [events_of(step) for step in taken[:49]] == [["WARMING_UP"]] * 49
    assert [events_of(step) for step in taken[49:]] == [["ACCEPTED", "HOLD"]] * 2
    assert taken[48].signal is None
    assert len(taken[49].state.window) == WARM_BARS


def test_order_is_bar_then_exit_then_signal_then_trades() -> None:
    policy = in_turn(Action.BUY, Action.BUY, Action.SELL, Action.HOLD)
    taken = steps(pipeline_of(policy), WALK[:53])
    assert [events_of(step) for step in taken[49:]] == [
        ["ACCEPTED", "BUY", "opened BUY"],
        ["ACCEPTED", "held BUY", "BUY"],
        ["ACCEPTED", "held BUY", "SELL", "closed REVERSED", "opened SELL"],
        ["ACCEPTED", "held SELL", "HOLD"],
    ]


def test_stop_is_filled_before_the_bar_is_decided_on() -> None:
    bars = [*WALK[:50], bar(WALK[50].time, 1000.0)]
    taken = steps(pipeline_of(always(Action.BUY), RiskRules()), bars)
    assert events_of(taken[50]) == ["ACCEPTED", "closed STOP_LOSS", "BUY", "opened BUY"]


def test_reversal_names_its_signal() -> None:
    step = steps(pipeline_of(in_turn(Action.BUY, Action.SELL)), WALK[:51])[-1]
    ended = next(event for event in step.events if isinstance(event, Position) and not event.is_open)
    assert step.signal is not None
    assert ended.exit is not None
    assert (ended.exit.signal_id, ended.exit.price) == (step.signal.signal_id, step.signal.entry_price)
    assert ended.exit.time == step.signal.timestamp == WALK[50].close_time
    assert step.state.live.position is not None
    assert step.state.live.position.signal_id == step.signal.signal_id


def test_last_reasoning_sentence_states_the_effect_of_the_signal() -> None:
    policy = in_turn(Action.BUY, Action.BUY, Action.SELL)
    signals = [step.signal for step in steps(pipeline_of(policy), WALK[:53]) if step.signal]
    assert [made.decision.reasoning[-1] for made in signals[:3]] == [
        "Goes long",
        "Already long: the position is kept",
        "Closes the opposite position and goes short",
    ]
    assert "position" not in signals[3].decision.reasoning[-1]


def test_size_of_zero_closes_the_opposite_position_and_opens_none() -> None:
    losses = TradeTally()
    for trade in range(KELLY_MINIMUM_TRADES):
        losses = losses.with_trade(WALK[trade].time, -1.0)
    rules = replace(FAR, sizing=Sizing.KELLY)
    held = steps(pipeline_of(always(Action.BUY), rules), WALK[:50])[-1].state
    losing = replace(held, live=replace(held.live, tally=losses))
    step = pipeline_of(always(Action.SELL), rules).on_bar(losing, WALK[50])
    assert step.signal is not None
    nothing = "Sizing by kelly comes to 0: no position is opened"
    assert step.signal.decision.reasoning[-2:] == ("Closes the opposite position", nothing)
    assert step.state.live.position is None
    flat = replace(losing, live=replace(losing.live, position=None))
    step = pipeline_of(always(Action.SELL), rules).on_bar(flat, WALK[50])
    assert step.signal is not None
    assert "Closes the opposite position" not in step.signal.decision.reasoning
    assert step.signal.decision.reasoning[-1] == nothing
    assert step.state.live.position is None


def test_signal_of_a_bar_names_the_bar_and_the_model() -> None:
    step = steps(pipeline_of(always(Action.BUY)), WALK[:50])[-1]
    made, last = step.signal, WALK[49]
    assert made is not None
    assert made.signal_id == bar_signal_id("USDCOP", last.time, "v1@")
    assert (made.timestamp, made.bar_time, made.entry_price) == (last.close_time, last.time, last.close)
    assert (made.origin, made.model_version, made.model_type) == (Origin.BAR, "v1", "test")
    assert made.latency_ms > 0.0
    assert made.market_regime is not None
    assert made.trend_direction is not None


def test_two_runs_over_the_same_bars_are_equal() -> None:
    first, second = (steps(pipeline_of(following(), RiskRules(spread=Charges.flat(0.5))), WALK) for _ in range(2))
    assert [step.events for step in first] == [step.events for step in second]
    assert {step.signal.action for step in first if step.signal} == set(Action)


# -------------------------------------------------------------------------------------------------- the session


def test_bar_outside_the_session_can_exit_but_is_not_decided_on() -> None:
    night = bar(session_times(1)[-1].replace(hour=23), 4000.0)
    state = steps(pipeline_of(always(Action.HOLD)), WALK[:60])[-1].state
    step = pipeline_of(always(Action.BUY)).on_bar(state, night)
    assert events_of(step) == ["OUTSIDE_SESSION"]
    assert step.state.last_bar == night
    assert step.state.window is state.window
    holding = steps(pipeline_of(always(Action.BUY)), WALK[:59])[-1].state
    assert events_of(pipeline_of(always(Action.BUY)).on_bar(holding, night)) == [
        "OUTSIDE_SESSION",
        "closed SESSION_END",
    ]


def test_last_bar_of_a_session_closes_and_opens_nothing() -> None:
    taken = steps(pipeline_of(always(Action.BUY)), WALK[:61])
    assert events_of(taken[59]) == ["ACCEPTED", "closed SESSION_END", "BUY"]
    assert taken[59].signal is not None
    assert taken[59].signal.decision.reasoning[-1] == "The session ends with this bar: no position is opened"
    assert events_of(taken[60]) == ["ACCEPTED", "BUY", "opened BUY"]


def test_without_session_end_exits_the_last_bar_opens_too() -> None:
    pipeline = pipeline_of(in_turn(*[Action.HOLD] * 10, Action.BUY), replace(FAR, close_at_session_end=False))
    taken = steps(pipeline, WALK[:60])
    assert events_of(taken[59]) == ["ACCEPTED", "BUY", "opened BUY"]
    overnight = steps(pipeline_of(always(Action.BUY), replace(FAR, close_at_session_end=False)), WALK[:61])
    assert events_of(overnight[59]) == ["ACCEPTED", "held BUY", "BUY"]
    assert events_of(overnight[60]) == ["ACCEPTED", "held BUY", "BUY"]


def test_position_belongs_to_the_session_that_opened_it() -> None:
    held = steps(pipeline_of(always(Action.BUY)), WALK[:50])[-1].state.live.position
    assert held is not None
    assert held.session_day == MONDAY


# ------------------------------------------------------------------------------------------- simulated, and faults


@pytest.mark.parametrize("simulated", [0, 20, 49, 50, 70])
def test_signals_are_marked_while_a_simulated_bar_is_in_their_window(simulated: int) -> None:
    bars = [replace(one, simulated=n == simulated) for n, one in enumerate(WALK)]
    for n, step in enumerate(steps(pipeline_of(always(Action.HOLD)), bars)):
        if step.signal is not None:
            assert step.signal.simulated == any(one.simulated for one in bars[max(0, n - LOOKBACK_BARS + 1) : n + 1])


def test_signals_of_a_placeholder_are_marked_simulated() -> None:
    made = steps(pipeline_of(PlaceholderPolicy()), WALK[:50])[-1].signal
    assert made is not None
    assert made.simulated
    assert made.model_version == "placeholder"


def test_output_that_is_not_finite_holds(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = pipeline_of(ScriptedPolicy(lambda _: None))
    with caplog.at_level(logging.ERROR):
        made = steps(pipeline, WALK[:50])[-1].signal
    assert made is not None
    assert made.action is Action.HOLD
    assert made.probabilities.hold == 1.0
    assert "USDCOP" in caplog.text


def test_inferences_are_counted() -> None:
    pipeline = pipeline_of(always(Action.HOLD))
    assert pipeline.live.meter.avg_ms == 0.0
    steps(pipeline, WALK[:53])
    assert pipeline.live.meter.count == 4
    assert pipeline.live.meter.avg_ms == pipeline.live.meter.total_ms / 4 > 0.0


# ----------------------------------------------------------------------------------------------------- requests


def test_request_trades_but_leaves_the_window_unchanged() -> None:
    pipeline = pipeline_of(always(Action.BUY))
    before = steps(pipeline_of(always(Action.HOLD)), WALK[:55])[-1].state
    at = WALK[54].close_time + timedelta(minutes=1)
    step = pipeline.on_request(before, input_of_quote(before, Quote(4100.0), at, RiskRules()), NO_STATE, UUID(int=3))
    assert [_short(event) for event in step.events] == ["BUY", "opened BUY"]
    assert step.state.window is before.window
    assert (step.state.last_bar, step.state.session_day) == (before.last_bar, before.session_day)
    signal = step.events[0]
    assert isinstance(signal, Signal)
    assert (signal.signal_id, signal.timestamp, signal.origin) == (UUID(int=3), at, Origin.REQUEST)
    assert signal.entry_price == 4100.0
    assert step.state.live.position is not None
    assert step.state.live.position.session_day == MONDAY


def test_manual_close_ends_the_position_and_leaves_none_to_close() -> None:
    pipeline = pipeline_of(always(Action.BUY))
    holding = steps(pipeline, WALK[:50])[-1].state
    step = pipeline.on_close(holding, 4321.0, NOW)
    (ended,) = step.events
    assert isinstance(ended, Position)
    assert ended.exit is not None
    assert (ended.exit.reason, ended.exit.price, ended.exit.time) == (ExitReason.MANUAL, 4321.0, NOW)
    assert step.state.live.position is None
    with pytest.raises(ValueError, match="holds no position"):
        pipeline.on_close(step.state, 4321.0, NOW)


# ----------------------------------------------------------------------------------------- what must always hold


@given(
    seed=st.integers(0, 10**6),
    missing=st.sets(st.integers(0, 179), max_size=40),
    rules=st.sampled_from([RiskRules(), RiskRules(trailing_stop_atr=1.0, max_holding_bars=5), FAR]),
)
def test_positions_do_not_overlap_and_each_ends_once(seed: int, missing: set[int], rules: RiskRules) -> None:
    times = [time for n, time in enumerate(session_times(3)) if n not in missing]
    taken = steps(pipeline_of(following(), rules), walk(len(times), seed=seed, times=times))
    held: UUID | None = None
    ended: dict[UUID, float] = {}
    for step in taken:
        for event in step.events:
            if not isinstance(event, Position):
                continue
            assert event.position_id not in ended
            assert held in {None, event.position_id}
            held = event.position_id if event.is_open else None
            if not event.is_open:
                ended[event.position_id] = event.pnl_pct
        assert (step.state.live.position.position_id if step.state.live.position else None) == held
    assert [pnl_pct for _, pnl_pct in step.state.live.tally.trades] == list(ended.values())
