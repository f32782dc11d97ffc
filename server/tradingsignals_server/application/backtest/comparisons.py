"""What other ways to trade make of the same bars: with the rules, costs and sizes of the policy that is tested.

Each has an account of its own, which the protections look at.

- buy and hold: one long position in each symbol, from the first bar that is decided on to the last bar, of the size
  POSITION_SIZE_PCT, without stop and target.
- coin: enters whenever the policy opens a position, on a side that a seeded coin decides, and leaves by the same rules.
- moving average cross: BUY when EMA 20 rises above EMA 50, SELL when it falls below.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.events import MarketUpdate
from ...domain.features import FeatureContext, Observation
from ...domain.indicators import side_of
from ...domain.performance.summary import PerformanceSettings, figures_of
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.risk import RiskRules
from ...domain.signals import Action, Probabilities, Signal
from ..decision.inputs import BarInput
from ..decision.pipeline import BarStep
from ..decision.symbol_state import Book
from ..decision.trader import Trader
from ..ports.policy import PolicyDescription, PolicyOutput
from .engine import ProcessedBar
from .record import EquityRecord, TradeRecord
from .result import Comparison

_NO_STATE = RecurrentState.zeros(0, 0)
_NO_POSITION = Book()
_CERTAIN = {
    Action.HOLD: Probabilities(1.0, 0.0, 0.0),
    Action.BUY: Probabilities(0.0, 1.0, 0.0),
    Action.SELL: Probabilities(0.0, 0.0, 1.0),
}


class NothingObserved:
    """The features of a policy whose choice is given."""

    name = "none"
    names: tuple[str, ...] = ()
    size = lookback_bars = history_bars = warm_bars = 0
    uses_position = False

    def observe(self, _: FeatureContext) -> Observation:
        """Return an empty observation."""
        return np.zeros(0, dtype=np.float32)


class GivenChoice:
    """A policy that takes `choice` with certainty."""

    features = NothingObserved()

    def __init__(self, name: str) -> None:
        self.description = PolicyDescription(version=name, type="comparison", mode="comparison")
        self.choice = Action.HOLD

    def initial_state(self) -> RecurrentState:
        """Return the empty state: the policy is not recurrent."""
        return _NO_STATE

    def decide(self, _: Observation, state: RecurrentState) -> PolicyOutput:
        """Return the choice."""
        return _CERTAIN[self.choice], state

    def decide_batch(self, _: npt.NDArray[np.float32], states: Sequence[RecurrentState]) -> Sequence[PolicyOutput]:
        """Return the choice for each row."""
        return [(_CERTAIN[self.choice], state) for state in states]


class TradingComparison(ABC):
    """A comparison that trades by its own choices."""

    name: str
    definition: str

    def __init__(self, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar]) -> None:
        # A choice that is given has no win probability.
        rules = replace(rules, min_win_probability=0.0)
        self._policy = GivenChoice(self.name)
        self._trader = Trader(self._policy, rules)
        self._books: dict[str, Book] = {}
        self._record = TradeRecord(rules, calendar_of, self._policy.description.key)

    @abstractmethod
    def choice(self, signal: Signal, *, opened: bool) -> Action:
        """Return what to do on the bar of which the policy made `signal`; `opened`: it opened a position."""

    def take(self, step: BarStep, bar: Bar, *, opened: bool) -> None:
        """Trade on a bar of which the policy made `step`; `opened`: it opened a position."""
        signal = step.signal
        choice = Action.HOLD if signal is None else self.choice(signal, opened=opened)
        book, happened = self._traded(self._books.get(bar.symbol, _NO_POSITION), bar, step.bar_input, choice)
        self._books[bar.symbol] = book
        self._record.take((MarketUpdate(bar, step.disposition), *happened))
        self._record.mark(bar)

    def _traded(
        self, book: Book, bar: Bar, features: BarInput, choice: Action
    ) -> tuple[Book, tuple[Signal | Position, ...]]:
        if choice is Action.HOLD:  # its signal would change nothing
            return self._trader.check_exits(book, bar, features)
        self._policy.choice = choice
        book, happened, _ = self._trader.on_bar(book, bar, features, self._record.account)
        return book, happened

    def result(self, settings: PerformanceSettings) -> Comparison | None:
        """Return the comparison; None without a bar in a session."""
        if (curve := self._record.equity.curve()) is None:
            return None
        figures = figures_of(self._record.trades(), curve, settings)
        return Comparison(self.name, self.definition, figures, curve)


class CoinComparison(TradingComparison):
    """Enters whenever the policy does, on the side of a coin."""

    name = "coin"
    definition = "enters whenever the policy opens a position, on a side that a seeded coin decides; same exits"

    def __init__(self, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar], seed: int) -> None:
        super().__init__(rules, calendar_of)
        self._coin = random.Random(seed)  # noqa: S311 - no secret

    def choice(self, signal: Signal, *, opened: bool) -> Action:  # noqa: ARG002 - the side is the coin's
        """See TradingComparison."""
        if not opened:
            return Action.HOLD
        return Action.BUY if self._coin.random() < 0.5 else Action.SELL


class CrossComparison(TradingComparison):
    """Follows the crosses of two moving averages."""

    name = "moving average cross"
    definition = "BUY when EMA 20 rises above EMA 50, SELL when it falls below; same exits"

    def __init__(self, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar]) -> None:
        super().__init__(rules, calendar_of)
        self._sides: dict[str, int] = {}

    def choice(self, signal: Signal, *, opened: bool) -> Action:  # noqa: ARG002 - it depends on the market alone
        """See TradingComparison."""
        fast, slow = signal.indicators.ema_20, signal.indicators.ema_50
        if fast is None or slow is None or not (side := side_of(fast - slow, signal.entry_price)):
            return Action.HOLD
        before, self._sides[signal.symbol] = self._sides.get(signal.symbol, side), side
        if side == before:
            return Action.HOLD
        return Action.BUY if side > 0 else Action.SELL


class HoldComparison:
    """One long position in each symbol, held to the end."""

    name = "buy and hold"
    definition = "one long position in each symbol, of POSITION_SIZE_PCT, from the first signal to the last bar"

    def __init__(self, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar]) -> None:
        self._rules = rules
        self._calendar_of = calendar_of
        self._entries: dict[str, float] = {}
        self._pnl: dict[str, float] = {}
        self._equity = EquityRecord(rules.initial_equity)

    def take(self, step: BarStep, bar: Bar, *, opened: bool) -> None:  # noqa: ARG002 - as the others
        """Mark the position to the close of a bar."""
        rules = self._rules
        if step.signal is not None:
            self._entries.setdefault(bar.symbol, bar.close)
        if (entry := self._entries.get(bar.symbol)) is not None:
            share = (bar.close - entry - rules.costs(bar.symbol, entry, bar.close)) / entry
            self._pnl[bar.symbol] = share * rules.position_size_pct * rules.initial_equity
        equity = rules.initial_equity + math.fsum(self._pnl.values())
        exposure = rules.position_size_pct * len(self._entries)
        day = self._calendar_of(bar.symbol).session_of(bar.time)
        self._equity.add(bar.time, bar.close_time, day, equity, exposure)

    def result(self, settings: PerformanceSettings) -> Comparison | None:
        """Return the comparison; None without a bar in a session. It has no closed trades."""
        if (curve := self._equity.curve()) is None:
            return None
        return Comparison(self.name, self.definition, figures_of((), curve, settings), curve)


class Comparisons:
    """All comparisons, on the same bars."""

    def __init__(self, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar], seed: int) -> None:
        self._all = (
            HoldComparison(rules, calendar_of),
            CoinComparison(rules, calendar_of, seed),
            CrossComparison(rules, calendar_of),
        )

    def take(self, processed: ProcessedBar, *, opened: bool) -> None:
        """Trade on a bar that has been processed; `opened`: what it is compared with opened a position on it."""
        if processed.step is not None:
            for comparison in self._all:
                comparison.take(processed.step, processed.bar, opened=opened)

    def results(self, settings: PerformanceSettings) -> tuple[Comparison, ...]:
        """Return the comparisons; none without a bar in a session."""
        found = (comparison.result(settings) for comparison in self._all)
        return tuple(one for one in found if one is not None)
