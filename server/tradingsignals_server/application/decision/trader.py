"""One policy at work on the books it holds: exits, decision, trade. The live policy and a shadow are both a Trader."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from time import perf_counter
from uuid import UUID

import numpy as np

from ...domain.bars import BAR_INTERVAL, Bar
from ...domain.calendar import SessionCalendar
from ...domain.features import Observation, observation
from ...domain.indicators import WARM_BARS, Indicators, indicators_of
from ...domain.market_state import market_regime, trend_direction
from ...domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from ...domain.recurrent_state import RecurrentState, ResetRule
from ...domain.risk import RiskRules, decide
from ...domain.signals import Action, Decision, Origin, Probabilities, Signal
from ...domain.window import Window
from ..ports.policy import Policy, PolicyOutput
from .symbol_state import Book

log = logging.getLogger(__name__)

NEWEST_INFERENCES = 1000
"""Inferences that percentiles are taken of."""

CERTAIN_HOLD = Probabilities(hold=1.0, buy=0.0, sell=0.0)
MODEL_FAILED = "The model's answer was not finite: HOLD, and its recurrent state starts anew"

Trades = tuple[Position, ...]
"""Positions after each change, in order."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a policy said to an observation, None if that was not finite, with its recurrent state before and after."""

    probabilities: Probabilities | None
    before: RecurrentState
    after: RecurrentState


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a decision does to the symbol's position, and the sentences that say so."""

    sentences: tuple[str, ...] = ()
    closes: bool = False
    opens: bool = False


@dataclass(slots=True)
class InferenceMeter:
    """How often the policy was asked in this process, how long it took in milliseconds, and how often it failed."""

    count: int = 0
    total_ms: float = 0.0
    failures: int = 0
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST_INFERENCES))

    def add(self, inferences: int, total_ms: float) -> None:
        """Count inferences that were made together."""
        self.count += inferences
        self.total_ms += total_ms
        self.newest.extend([total_ms / inferences] * inferences)

    def percentile_ms(self, percent: float) -> float:
        """That percentile of the newest inferences; 0 before the first."""
        newest = sorted(self.newest)
        return newest[min(int(len(newest) * percent / 100.0), len(newest) - 1)] if newest else 0.0

    @property
    def avg_ms(self) -> float:
        """Mean of one inference; 0 before the first."""
        return self.total_ms / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What a decision looks at. `session_day` is the session that a position opened by it belongs to, if any.

    `closed_door` says in a sentence why the decision does not trade, None if it does. `started` is when the work on the
    decision began, by perf_counter.
    """

    symbol: str
    timestamp: datetime
    origin: Origin
    window: Window
    indicators: Indicators
    price: float
    session_progress: float
    session_day: date | None
    simulated: bool
    closed_door: str | None
    started: float


class Trader:
    """A policy and the rules it trades by."""

    def __init__(self, policy: Policy, rules: RiskRules) -> None:
        self.policy = policy
        self.rules = rules
        self.meter = InferenceMeter()

    def check_exits(
        self, book: Book, bar: Bar, *, session_day: date | None, last_of_session: bool
    ) -> tuple[Book, Trades]:
        """The book after a later bar met its open position; a bar from before the entry changes nothing."""
        if book.position is None:
            return book, ()
        position = after_bar(book.position, bar, self.rules, session_day=session_day, last_of_session=last_of_session)
        if position is book.position:
            return book, ()
        return book.with_position(position), (position,)

    def recurrent_at(self, carried: RecurrentState, *, new_session: bool) -> RecurrentState:
        """The state with which the policy meets the next bar, if `carried` is what the last one left."""
        if new_session and self.policy.description.reset is ResetRule.SESSION:
            return self.policy.initial_state()
        return carried

    def ask(self, observations: Sequence[Observation], recurrent: Sequence[RecurrentState]) -> list[Opinion]:
        """The policy's opinion of each observation, after the recurrent state of the same place."""
        asked = perf_counter()
        answers: Sequence[PolicyOutput]
        if len(observations) == 1:
            answers = (self.policy.decide(observations[0], recurrent[0]),)
        else:
            answers = self.policy.decide_batch(np.stack(observations), recurrent)
        self.meter.add(len(observations), (perf_counter() - asked) * 1e3)
        return [Opinion(said, before, after) for before, (said, after) in zip(recurrent, answers, strict=True)]

    def conclude(self, book: Book, sight: Sight, opinion: Opinion, signal_id: UUID) -> tuple[Book, Signal, Trades]:
        """Make the signal that `opinion` leads to, and act on it. The state the book carries is not touched."""
        failed = opinion.probabilities is None
        if failed:
            self.meter.failures += 1
            log.error("the model's answer for %s is not finite; holding, its state starts anew", sight.symbol)
        probabilities = opinion.probabilities or CERTAIN_HOLD
        tally = book.tally.at(sight.timestamp)
        decision = decide(probabilities, sight.price, sight.indicators, self.rules, tally)
        consequence = self._consequence(decision, book.position, sight)
        said = (*([MODEL_FAILED] if failed else ()), *decision.reasoning, *_age(sight), *consequence.sentences)
        decision = replace(decision, reasoning=said)
        described = self.policy.description
        signal = Signal(
            signal_id=signal_id,
            timestamp=sight.timestamp,
            symbol=sight.symbol,
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
            model_failed=failed,
            latency_ms=(perf_counter() - sight.started) * 1e3,
        )
        book, trades = self._act(book, signal, consequence, sight.session_day)
        return book, signal, trades

    def close_by_hand(self, book: Book, price: float, at: datetime) -> tuple[Book, Position]:
        """Close the open position of `book` at `price`."""
        if book.position is None:
            raise ValueError("the book holds no position")
        closed = close(book.position, Exit(at, price, ExitReason.MANUAL), self.rules)
        return book.with_position(closed), closed

    def recurrent_around_newest(
        self, bars: Sequence[Bar], calendar: SessionCalendar
    ) -> tuple[RecurrentState, RecurrentState]:
        """The policy's states before and after the newest of `bars`, given oldest first, had it met them one by one.

        With the reset rule SESSION only the newest session matters, and the result is exact if all of it and
        LOOKBACK_BARS before it are given. With NEVER it is an approximation that forgets how it began.
        """
        before = recurrent = self.policy.initial_state()
        reset = self.policy.description.reset
        if reset is ResetRule.NONE or not bars:
            return before, recurrent
        newest = calendar.session_of(bars[-1].time)
        window = Window.empty()
        for bar in bars:
            window = window.append(bar)
            of_newest = reset is ResetRule.NEVER or calendar.session_of(bar.time) == newest
            if of_newest and len(window) >= WARM_BARS:
                features = observation(window, indicators_of(window), calendar.progress(bar.time))
                before, recurrent = recurrent, self.policy.decide(features, recurrent)[1]
        return before, recurrent

    def _consequence(self, decision: Decision, held: Position | None, sight: Sight) -> Consequence:
        """What the decision does to the symbol's position."""
        if decision.action is Action.HOLD:
            return Consequence()
        side = "long" if decision.action is Action.BUY else "short"
        if held is not None and held.action is decision.action:
            return Consequence((f"Already {side}: the position is kept",))
        if sight.closed_door is not None:
            return Consequence((sight.closed_door,))
        if held is not None and sight.origin is Origin.BAR and sight.timestamp <= held.entry_time:
            return Consequence(("The position was entered after this bar closed: it is kept",))
        closes = held is not None
        if decision.position_size <= 0.0:
            nothing = f"Sizing by {self.rules.sizing} comes to 0: no position is opened"
            return Consequence((*(["Closes the opposite position"] if closes else ()), nothing), closes=closes)
        sentence = f"Closes the opposite position and goes {side}" if closes else f"Goes {side}"
        return Consequence((sentence,), closes=closes, opens=True)

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


def _age(sight: Sight) -> tuple[str, ...]:
    """How old the bars of a decision that was asked for are; a bar's own decision is made as it closes."""
    if sight.origin is Origin.BAR:
        return ()
    if sight.window.time is None:
        return ("No bar of the symbol is stored: the decision rests on the quote alone",)
    closed = sight.window.time + BAR_INTERVAL
    return (f"The newest bar closed at {closed:%Y-%m-%d %H:%M} UTC, {spoken(sight.timestamp - closed)} before",)


def spoken(duration: timedelta) -> str:
    """A duration in the largest unit of which it has two, such as "90 s", "15 min" or "3 days"."""
    seconds = max(0, round(duration.total_seconds()))
    for name, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {name}"
    return f"{seconds} s"
