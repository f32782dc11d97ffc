"""One policy and its books: exits, decisions, trades. The live policy and the shadow each have a Trader."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from time import perf_counter
from uuid import UUID

import numpy as np

from ... import __version__
from ...domain.account import Account
from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.decision_settings import DecisionSettings
from ...domain.errors import ModelInterval, ModelNotLoaded
from ...domain.events import Disposition, MarketUpdate
from ...domain.features import FeatureContext, FeaturesFailed, Observation
from ...domain.indicators import WARM_BARS
from ...domain.intervals import LONGEST_INTERVAL, interval_name
from ...domain.market_state import market_regime, trend_direction
from ...domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from ...domain.protections import AccountAtDecision
from ...domain.recurrent_state import RecurrentState, ResetRule
from ...domain.risk import RiskRules, TradeTally, decide
from ...domain.signals import Decision, Origin, Probabilities, Signal, bar_signal_id
from ...domain.window import LOOKBACK_BARS, Window
from ..ports.policy import Policy
from .consequence import Consequence, LookAtAccount, consequence_of, valid_until
from .inputs import BarInput, DecisionInput, Held
from .prefetch import Inference, InferenceMeter, PrefetchingPolicy
from .source import DecisionSource
from .symbol_state import Book

log = logging.getLogger(__name__)

CERTAIN_HOLD = Probabilities(hold=1.0, buy=0.0, sell=0.0)
SESSION_OF_ONE_BAR = (
    "the recurrent state is reset each session, which for bars of 1d is each bar: export it with the reset rule never"
)
FEATURES_FAILED = "The features could not be computed ({}): HOLD, and the recurrent state starts anew"
MODEL_FAILED = "The output of the model was not finite: HOLD, and its recurrent state starts anew"
NOTHING_OBSERVED: Observation = np.zeros(0, dtype=np.float32)

Trades = tuple[Position, ...]
"""Positions after each change, in order."""


class Trader:
    """A policy and the rules it trades by."""

    def __init__(self, policy: Policy, rules: RiskRules) -> None:
        self.policy = policy
        self.rules = rules
        self.meter = InferenceMeter()
        self.warm_bars = max(WARM_BARS, policy.features.warm_bars)
        self.history_bars = max(LOOKBACK_BARS, policy.features.history_bars)
        interval = policy.description.interval
        if policy.description.reset is ResetRule.SESSION and interval is not None and interval >= LONGEST_INTERVAL:
            raise ModelNotLoaded(SESSION_OF_ONE_BAR)
        self._inference = PrefetchingPolicy(policy, self.meter)
        self._settings: dict[SessionCalendar, DecisionSettings] = {}

    def on_bar(
        self, book: Book, bar: Bar, features: BarInput, account: Account | None = None
    ) -> tuple[Book, tuple[Signal | Position, ...], DecisionSource | None]:
        """Exit, decide and trade on a new bar.

        Returns the book after it, what happened in order, and the source of the signal, None if the bar was not
        decided on. `account` is that from before the bar; None applies no protections.
        """
        book, exits = self.check_exits(book, bar, features)
        if features.decision is None or not self.is_for(bar.interval) or not self.is_warm(features.decision):
            return book, exits, None
        inference = self.infer(features.decision, book.recurrent, book.position)
        signal_id = bar_signal_id(bar.symbol, bar.time, self.policy.description.key)
        guarded = None if account is None else partial(self._account_after, account, bar, exits)
        book, source, trades = self.decide(book, features.decision, inference, signal_id, guarded)
        return book.after_bar(inference.before, inference.after), (*exits, source.signal, *trades), source

    def settings_in(self, calendar: SessionCalendar) -> DecisionSettings:
        """Return the settings in force for symbols with this calendar."""
        if calendar not in self._settings:
            key, features = self.policy.description.key, self.policy.features.name
            self._settings[calendar] = DecisionSettings(key, features, self.rules, calendar, __version__)
        return self._settings[calendar]

    def is_for(self, interval: timedelta) -> bool:
        """Return whether the policy decides on bars of `interval`."""
        return self.policy.description.interval in {None, interval}

    def require_for(self, symbol: str, interval: timedelta) -> None:
        """Refuse a decision on bars of an interval that the policy is not for.

        Raises:
            ModelInterval: it is for another one.
        """
        of_model = self.policy.description.interval
        if of_model is not None and of_model != interval:
            raise ModelInterval(symbol, interval_name(interval), interval_name(of_model))

    def is_warm(self, decision_input: DecisionInput) -> bool:
        """Return whether there are enough bars for the features of the policy."""
        return len(decision_input.window) >= self.warm_bars

    def infer(self, decision_input: DecisionInput, carried: RecurrentState, held: Held | None) -> Inference:
        """Run the policy, if `carried` is the recurrent state that the last bar left, and `held` the open position."""
        before = self._recurrent_before(decision_input, carried)
        try:
            observation = decision_input.observe(self.policy.features, held)
        except FeaturesFailed as error:
            return Inference(NOTHING_OBSERVED, None, before, self.policy.initial_state(), 0.0, str(error))
        return self._inference.infer(observation, before)

    def prefetch(self, inputs: Sequence[DecisionInput], carried: Sequence[RecurrentState]) -> Sequence[RecurrentState]:
        """Run the policy before `infer` needs its outputs; return the recurrent states for the next bars.

        The position at later bars is not known ahead, so a policy that observes it is not run.
        """
        after = list(carried)
        features = self.policy.features
        if features.uses_position:
            return after
        places, observations, before = list[int](), list[Observation](), list[RecurrentState]()
        for place, decision_input in enumerate(inputs):
            if not self.is_warm(decision_input):
                continue
            try:
                observations.append(decision_input.observe(features, None))
            except FeaturesFailed:  # `infer` runs into it again
                after[place] = self.policy.initial_state()
                continue
            places.append(place)
            before.append(self._recurrent_before(decision_input, carried[place]))
        if places:
            for place, inference in zip(places, self._inference.prefetch(observations, before), strict=True):
                after[place] = inference.after
        return after

    def clear_prefetched(self) -> None:
        """Drop the outputs that were not used."""
        self._inference.clear()

    def decide(
        self,
        book: Book,
        decision_input: DecisionInput,
        inference: Inference,
        signal_id: UUID,
        account: Callable[[], Account] | None = None,
    ) -> tuple[Book, DecisionSource, Trades]:
        """Make the signal from a policy output, and act on it. The recurrent state of the book does not change.

        `account` returns the account at the time of the decision; None applies no protections.
        """
        if inference.probabilities is None:
            self.meter.failures += 1
            why = inference.failure or "the model's output is not finite"
            log.error("no decision for %s: %s. HOLD, and the recurrent state starts anew", decision_input.symbol, why)
        held, settings = book.position, self.settings_in(decision_input.calendar)
        look = partial(self._look, account, held, decision_input)
        signal, consequence = self.make_signal(book.tally, held, decision_input, inference, signal_id, look)
        book, trades = self._act(book, signal, consequence, decision_input.session_day)
        history_bars = self.policy.features.history_bars
        looked_at = consequence.account
        source = DecisionSource(signal, decision_input, inference, held, settings, history_bars, looked_at)
        return book, source, trades

    def make_signal(
        self,
        tally: TradeTally,
        held: Held | None,
        decision_input: DecisionInput,
        inference: Inference,
        signal_id: UUID,
        look: LookAtAccount,
    ) -> tuple[Signal, Consequence]:
        """Make the signal from a policy output; return it with what it does to the position.

        Args:
            tally: closed positions of the symbol.
            held: the open position.
            decision_input: what is decided on.
            inference: the policy output.
            signal_id: id of the signal.
            look: see LookAtAccount.
        """
        started = perf_counter()
        probabilities = inference.probabilities or CERTAIN_HOLD
        indicators = decision_input.indicators
        decision, consequence = self._decision(tally, held, decision_input, inference, look)
        described, features = self.policy.description, self.policy.features
        observed = decision_input.observed.get(features)
        used_bars = max(decision_input.indicator_bars, features.history_bars)
        signal = Signal(
            signal_id=signal_id,
            timestamp=decision_input.timestamp,
            symbol=decision_input.symbol,
            entry_price=decision_input.price,
            decision=decision,
            probabilities=probabilities,
            indicators=indicators,
            origin=decision_input.origin,
            model_version=described.version,
            model_type=described.type,
            simulated=decision_input.simulated_within(used_bars) or described.simulated,
            bar_time=decision_input.window.time,
            bar_interval=decision_input.interval,
            valid_until=valid_until(decision_input, self.rules),
            market_regime=market_regime(indicators),
            trend_direction=trend_direction(indicators),
            model_failed=inference.probabilities is None,
            latency_ms=decision_input.ms
            + (0.0 if observed is None else observed.ms)
            + inference.ms
            + (perf_counter() - started) * 1e3,
        )
        return signal, consequence

    def _decision(
        self,
        tally: TradeTally,
        held: Held | None,
        decision_input: DecisionInput,
        inference: Inference,
        look: LookAtAccount,
    ) -> tuple[Decision, Consequence]:
        """Apply the rules to a policy output."""
        decision = decide(
            decision_input.symbol,
            inference.probabilities or CERTAIN_HOLD,
            decision_input.price,
            decision_input.indicators,
            self.rules,
            tally.at(decision_input.timestamp),
            self.policy.description.win_calibration,
        )
        consequence = consequence_of(decision, held, decision_input, self.rules, look)
        if sentences := (*_age(decision_input), *consequence.sentences):
            decision = replace(decision, reasoning=(*decision.reasoning, *sentences))
        if inference.probabilities is None:
            reason = FEATURES_FAILED.format(inference.failure) if inference.failure else MODEL_FAILED
            decision = replace(decision, reasoning=(reason, *decision.reasoning))
        return decision, consequence

    def close_by_hand(self, book: Book, price: float, at: datetime) -> tuple[Book, Position]:
        """Close the open position of `book` at `price`."""
        if book.position is None:
            raise ValueError("the book holds no position")
        closed = close(book.position, Exit(at, price, ExitReason.MANUAL), self.rules)
        return book.with_position(closed), closed

    def recurrent_around_newest(
        self, bars: Sequence[Bar], calendar: SessionCalendar
    ) -> tuple[RecurrentState, RecurrentState]:
        """Compute the recurrent states before and after the newest of `bars`, given oldest first, bar by bar.

        Without recurrent state, or of bars that the policy is not for, they are the initial one. With the reset rule
        SESSION only the newest session matters, and the result is exact if all of it and the `history_bars` before it
        are given. With NEVER it is an approximation, as the earlier bars are missing; so it is for a policy that
        observes its position, which is taken to have held none.
        """
        before = recurrent = self.policy.initial_state()
        reset = self.policy.description.reset
        if reset is ResetRule.NONE or not bars or not self.is_for(calendar.interval):
            return before, recurrent
        newest = calendar.session_of(bars[-1].time)
        features = self.policy.features
        window = Window.empty(self.history_bars)
        for bar in bars:
            window = window.append(bar)
            of_newest = reset is ResetRule.NEVER or calendar.session_of(bar.time) == newest
            if not of_newest or len(window) < self.warm_bars:
                continue
            context = FeatureContext(window.newest(features.history_bars), calendar, calendar.progress(bar.time))
            try:
                before, recurrent = recurrent, self.policy.decide(features.observe(context), recurrent)[1]
            except FeaturesFailed:
                before, recurrent = recurrent, self.policy.initial_state()
        return before, recurrent

    def check_exits(self, book: Book, bar: Bar, features: BarInput) -> tuple[Book, Trades]:
        """Apply a later bar to the open position; a bar from before the entry changes nothing."""
        if book.position is None:
            return book, ()
        position = after_bar(
            book.position,
            bar,
            self.rules,
            session_day=features.session_day,
            last_of_session=features.ends_session,
        )
        if position is book.position:
            return book, ()
        return book.with_position(position), (position,)

    def _recurrent_before(self, decision_input: DecisionInput, carried: RecurrentState) -> RecurrentState:
        """Return the recurrent state to start from: `carried`, or the initial one where the reset rule says so."""
        if decision_input.new_session and self.policy.description.reset is ResetRule.SESSION:
            return self.policy.initial_state()
        return carried

    def _account_after(self, account: Account, bar: Bar, exits: Trades) -> Account:
        """Return the account after a bar that is decided on, and what it did to the position."""
        return account.guarded((MarketUpdate(bar, Disposition.ACCEPTED), *exits), self.rules.protections)

    def _look(
        self, account: Callable[[], Account] | None, held: Position | None, decision_input: DecisionInput
    ) -> AccountAtDecision | None:
        """Return what the protections look at: the account once the position `held` is closed. See LookAtAccount."""
        if account is None:
            return None
        protections, found = self.rules.protections, account()
        if not protections.has_limits and not protections.trading_halted and not found.halted:
            return None
        if held is not None:
            reversal = Exit(decision_input.timestamp, decision_input.price, ExitReason.REVERSED)
            found = found.guarded((close(held, reversal, self.rules),), protections)
        return found.at_decision(protections)

    def _act(
        self, book: Book, signal: Signal, consequence: Consequence, session_day: date | None
    ) -> tuple[Book, Trades]:
        """Close, open, both or neither: a symbol holds one position at most."""
        trades: list[Position] = []
        if consequence.closes and book.position is not None:
            reversal = Exit(signal.timestamp, signal.entry_price, ExitReason.REVERSED, signal.signal_id)
            trades.append(close(book.position, reversal, self.rules))
            book = book.with_position(trades[-1])
        if consequence.opens:
            trades.append(open_position(signal, self.rules, session_day))
            book = book.with_position(trades[-1])
        return book, tuple(trades)


def _age(decision_input: DecisionInput) -> tuple[str, ...]:
    """Say how old the bars of a requested decision are; the decision on a bar is made as the bar closes."""
    if decision_input.origin is Origin.BAR:
        return ()
    if decision_input.window.time is None:
        return ("No bar of the symbol is stored: the decision rests on the quote alone",)
    closed = decision_input.window.time + decision_input.interval
    age = duration_text(decision_input.timestamp - closed)
    minute = closed.isoformat(" ", "minutes")[: len("2024-03-04 13:05")]  # strftime takes twice as long
    return (f"The newest bar closed at {minute} UTC, {age} before",)


def duration_text(duration: timedelta) -> str:
    """A duration in the largest unit of which it has two, such as "90 s", "15 min" or "3 days"."""
    seconds = max(0, round(duration.total_seconds()))
    for name, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {name}"
    return f"{seconds} s"
