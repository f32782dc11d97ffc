"""A signal made again from its stored inputs, by the very steps that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.decision_settings import DecisionSettings
from ...domain.errors import ServiceError
from ...domain.recurrent_state import RecurrentState
from ...domain.risk import TradeTally
from ...domain.signals import Origin, Signal
from ...domain.values import dataclass
from ...domain.window import Window
from ..decision.consequence import Consequence
from ..decision.inputs import DecisionInput, bar_input
from ..decision.prefetch import Inference
from ..decision.quotes import Quote, input_of_bars, input_of_quote
from ..decision.symbol_state import SymbolState
from ..decision.trader import Trader
from ..ports.inputs import SignalInputs
from ..ports.policy import Policy


class CannotRemake(Exception):
    """A signal cannot be made again. The message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Material:
    """A stored signal, and all that it was made from besides the policy.

    bars: those that the store has now for the window of the signal, oldest first.
    trades: closed positions of the symbol before the signal; see StoredTraderState.closed.
    """

    signal: Signal
    inputs: SignalInputs
    settings: DecisionSettings
    bars: Sequence[Bar]
    trades: Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True, eq=False)
class RemadeSignal:
    """A signal as it comes out now, with the steps on the way."""

    signal: Signal
    decision_input: DecisionInput
    inference: Inference
    consequence: Consequence


def remake(material: Material, policy: Policy) -> RemadeSignal:
    """Make a signal again with the policy that made it.

    Raises:
        CannotRemake: the bars, the recurrent state or the quote do not suffice.
    """
    signal, inputs = material.signal, material.inputs
    trader = Trader(policy, material.settings.rules)
    try:
        decision_input = _decision_input(material, trader)
    except ServiceError as error:
        raise CannotRemake(error.message) from error
    inference = trader.infer(decision_input, recurrent_state(inputs, policy), inputs.held)
    tally = TradeTally(tuple(material.trades))
    signal_id, look = signal.signal_id, lambda: inputs.account
    made, consequence = trader.make_signal(tally, inputs.held, decision_input, inference, signal_id, look)
    return RemadeSignal(made, decision_input, inference, consequence)


def recurrent_state(inputs: SignalInputs, policy: Policy) -> RecurrentState:
    """Return the stored recurrent state from which the policy decided.

    Raises:
        CannotRemake: it has not the length of a state of the policy.
    """
    initial = policy.initial_state()
    if not inputs.state:
        return initial
    _, layers, size = initial.values.shape
    try:
        return RecurrentState.from_bytes(inputs.state, layers, size)
    except ValueError as error:
        raise CannotRemake("the stored recurrent state is not one of the model") from error


def _decision_input(material: Material, trader: Trader) -> DecisionInput:
    signal, inputs, bars = material.signal, material.inputs, material.bars
    calendar = material.settings.calendar
    if signal.origin is Origin.BAR:
        if not bars or bars[-1].time != signal.bar_time:
            raise CannotRemake("the bar of the signal is no longer stored")
        found = bar_input(_state(signal.symbol, calendar, bars[:-1], len(bars)), bars[-1]).decision
        if found is None:
            raise CannotRemake("the stored bars do not suffice for a decision")
        return found
    state = _state(signal.symbol, calendar, bars, len(bars) + 1)
    # What the prices were compared with is not an input: they were accepted.
    rules = replace(material.settings.rules, max_price_jump=0.0)
    if signal.origin is Origin.REQUEST:
        if inputs.quote is None:
            raise CannotRemake("the quote of the signal is not stored")
        return input_of_quote(state, Quote(**inputs.quote), signal.timestamp, rules, replayed=inputs.awaits_market)
    lookback_bars, warm_bars = inputs.indicator_bars, trader.warm_bars
    return input_of_bars(state, bars, lookback_bars, signal.timestamp, rules, warm_bars=warm_bars)


def _state(symbol: str, calendar: SessionCalendar, bars: Sequence[Bar], limit: int) -> SymbolState:
    """Return the state of a symbol after `bars`, whose window keeps `limit` bars."""
    window = Window(Window.of(bars).rows, bars[-1].time, limit) if bars else Window.empty(limit)
    newest_simulated = next((number for number, bar in enumerate(reversed(bars), 1) if bar.simulated), 0)
    return SymbolState(
        symbol,
        calendar,
        window,
        last_bar=bars[-1] if bars else None,
        session_day=calendar.session_of(bars[-1].time) if bars else None,
        simulated_left=limit + 1 - newest_simulated if newest_simulated else 0,
    )
