"""The main job, as pure steps: bar -> features -> policy -> signal -> risk levels -> position.

A step takes the state of a symbol and gives the next one with the events that happened, in their order. Nothing here
waits, stores or sends; the engine commits what a step gives, and only then is it true.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from uuid import UUID

from ..domain.bars import Bar
from ..domain.calendar import SessionCalendar
from ..domain.events import Disposition, Event, MarketUpdate
from ..domain.features import observation
from ..domain.indicators import WARM_BARS, Indicators, indicators_of
from ..domain.market_state import market_regime, trend_direction
from ..domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from ..domain.risk import RiskRules, decide
from ..domain.signals import Action, Decision, Origin, Probabilities, Signal, bar_signal_id
from ..domain.window import Window
from .ports import Policy
from .sessions import SymbolState

log = logging.getLogger(__name__)

CERTAIN_HOLD = Probabilities(hold=1.0, buy=0.0, sell=0.0)


@dataclass(frozen=True, slots=True)
class Step:
    """The next state of the symbol, and what happened on the way there."""

    state: SymbolState
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class BarStep(Step):
    """What a bar led to; `signal` is None unless the disposition is ACCEPTED."""

    disposition: Disposition
    signal: Signal | None = None


@dataclass(frozen=True, slots=True)
class SignalStep(Step):
    """What a request led to."""

    signal: Signal


@dataclass(slots=True)
class InferenceMeter:
    """How often the policy was asked in this process, and how long it took, in milliseconds."""

    count: int = 0
    total_ms: float = 0.0

    @property
    def avg_ms(self) -> float:
        """Mean of one inference; 0 before the first."""
        return self.total_ms / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What a decision looks at, and under which name it goes down."""

    signal_id: UUID
    timestamp: datetime
    origin: Origin
    window: Window
    indicators: Indicators
    price: float
    session_progress: float
    simulated: bool
    started: float


class Pipeline:
    """The steps, with the policy and the rules they use."""

    def __init__(self, policy: Policy, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar]) -> None:
        self.policy = policy
        self.rules = rules
        self.calendar_of = calendar_of
        self.meter = InferenceMeter()

    def on_bar(self, state: SymbolState, bar: Bar) -> BarStep:
        """Process a bar that is newer than every bar of `state`."""
        started = perf_counter()
        day = state.calendar.session_of(bar.time)
        last_of_session = day is not None and state.calendar.is_last_bar(bar.time)
        state, exits = self._check_exits(state, bar, last_of_session=last_of_session)
        if day is None:
            return _without_signal(replace(state, last_bar=bar), bar, Disposition.OUTSIDE_SESSION, exits)
        state = state.with_session_bar(bar, day)
        if len(state.window) < WARM_BARS:
            return _without_signal(state, bar, Disposition.WARMING_UP, exits)
        sight = Sight(
            signal_id=bar_signal_id(bar.symbol, bar.time, self.policy.description.version),
            timestamp=bar.close_time,
            origin=Origin.BAR,
            window=state.window,
            indicators=indicators_of(state.window),
            price=bar.close,
            session_progress=state.calendar.progress(bar.time),
            simulated=state.simulated_left > 0,
            started=started,
        )
        state, signal, trades = self._decide_and_act(state, sight, opens=not self._session_closes(last_of_session))
        events: tuple[Event, ...] = (MarketUpdate(bar, Disposition.ACCEPTED), *exits, signal, *trades)
        return BarStep(state, events, Disposition.ACCEPTED, signal)

    def on_request(self, state: SymbolState, sight: Sight) -> SignalStep:
        """Make a signal that was asked for, outside the flow of bars, and act on it."""
        state, signal, trades = self._decide_and_act(state, sight, opens=True)
        return SignalStep(state, (signal, *trades), signal)

    def on_close(self, state: SymbolState, price: float, at: datetime) -> Step:
        """Close the open position of `state` by hand at `price`."""
        if state.position is None:
            raise ValueError(f"{state.symbol} holds no position")
        closed = close(state.position, Exit(at, price, ExitReason.MANUAL), self.rules)
        return Step(state.with_position(closed), (closed,))

    def _check_exits(
        self, state: SymbolState, bar: Bar, *, last_of_session: bool
    ) -> tuple[SymbolState, tuple[Position, ...]]:
        if state.position is None:
            return state, ()
        day = state.calendar.session_of(bar.time)
        position = after_bar(state.position, bar, self.rules, session_day=day, last_of_session=last_of_session)
        return state.with_position(position), (position,)

    def _session_closes(self, last_of_session: bool) -> bool:
        return last_of_session and self.rules.close_at_session_end

    def _decide_and_act(
        self, state: SymbolState, sight: Sight, *, opens: bool
    ) -> tuple[SymbolState, Signal, tuple[Position, ...]]:
        features = observation(sight.window, sight.indicators, sight.session_progress)
        asked = perf_counter()
        probabilities = self.policy.probabilities(features)
        self.meter.count += 1
        self.meter.total_ms += (perf_counter() - asked) * 1e3
        if probabilities is None:
            log.error("the model's answer for %s is not probabilities; holding", state.symbol)
            probabilities = CERTAIN_HOLD
        decision = decide(probabilities, sight.price, sight.indicators, self.rules, state.tally)
        decision = _with_consequence(decision, state.position, opens=opens)
        described = self.policy.description
        signal = Signal(
            signal_id=sight.signal_id,
            timestamp=sight.timestamp,
            symbol=state.symbol,
            entry_price=sight.price,
            decision=decision,
            probabilities=probabilities,
            indicators=sight.indicators,
            origin=sight.origin,
            model_version=described.version,
            model_type=described.type,
            simulated=sight.simulated or described.simulated,
            bar_time=sight.window.time,
            market_regime=market_regime(sight.indicators),
            trend_direction=trend_direction(sight.indicators),
            latency_ms=(perf_counter() - sight.started) * 1e3,
        )
        state, trades = self._act(state, signal, opens=opens)
        return state, signal, trades

    def _act(self, state: SymbolState, signal: Signal, *, opens: bool) -> tuple[SymbolState, tuple[Position, ...]]:
        """Reverse, open or leave alone: a symbol holds one position at most."""
        held = state.position
        if signal.action is Action.HOLD or (held is not None and held.action is signal.action):
            return state, ()
        trades: list[Position] = []
        if held is not None:
            reversal = Exit(signal.timestamp, signal.entry_price, ExitReason.REVERSED, signal.signal_id)
            trades.append(close(held, reversal, self.rules))
            state = state.with_position(trades[-1])
        if opens:
            day = state.session_day if signal.origin is Origin.BAR else None
            trades.append(open_position(signal, self.rules, day))
            state = state.with_position(trades[-1])
        return state, tuple(trades)


def _without_signal(state: SymbolState, bar: Bar, disposition: Disposition, exits: tuple[Position, ...]) -> BarStep:
    return BarStep(state, (MarketUpdate(bar, disposition), *exits), disposition)


def _with_consequence(decision: Decision, held: Position | None, *, opens: bool) -> Decision:
    """The decision with a last sentence on what it does to the symbol's position."""
    if decision.action is Action.HOLD:
        return decision
    side = "long" if decision.action is Action.BUY else "short"
    if held is not None and held.action is decision.action:
        sentence = f"Already {side}: the position is kept"
    elif not opens:
        sentence = "The session ends with this bar: no position is opened"
    elif held is not None:
        sentence = f"Closes the opposite position and goes {side}"
    else:
        sentence = f"Goes {side}"
    return replace(decision, reasoning=(*decision.reasoning, sentence))
