"""Results of a policy and of strategies without a model, by the engine's own rules and after costs."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Probabilities

from .book import CERTAIN, Book
from .history import History, Session

Strategy = Callable[[int], Probabilities]
"""Maps the index of a bar to the probabilities at its close."""

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Result:
    """Results of a strategy over some sessions, net of costs.

    session_pct: profit and loss of each session, in percent: the sum over its positions, each of its entry.
    positions: those closed, in the order of closing.
    acted: bars on which the rules let a BUY or SELL stand, as a fraction of all bars that decide.
    """

    session_pct: npt.NDArray[np.float64]
    positions: tuple[Position, ...]
    acted: float

    @property
    def mean(self) -> float:
        """Mean of a session, in percent."""
        return float(self.session_pct.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, sessions taken as independent."""
        return float(self.session_pct.std(ddof=1) / np.sqrt(len(self.session_pct)))

    def mean_without_best(self, sessions: int) -> float:
        """Mean of a session without the best `sessions` of them; NaN if no other is left."""
        rest = np.sort(self.session_pct)[: max(0, len(self.session_pct) - sessions)]
        return float(rest.mean()) if len(rest) else float("nan")

    @property
    def trades(self) -> npt.NDArray[np.float64]:
        """Net profit and loss of each position, in percent of its entry."""
        return np.array([position.pnl_pct for position in self.positions])

    @property
    def win_rate(self) -> float:
        """Positions that ended with a net profit, of all; NaN without any."""
        return float((self.trades > 0.0).mean()) if self.positions else float("nan")

    @property
    def profit_factor(self) -> float:
        """Sum of profits over sum of losses; NaN without losses."""
        lost = -float(self.trades[self.trades < 0.0].sum())
        return float(self.trades[self.trades > 0.0].sum()) / lost if lost else float("nan")

    @property
    def max_drawdown(self) -> float:
        """Largest fall of the running total of positions from its peak, in percentage points."""
        total = np.concatenate(([0.0], np.cumsum(self.trades)))
        return float((np.maximum.accumulate(total) - total).max())

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """95% interval of the mean of a session: percentiles of RESAMPLES bootstrap samples of sessions."""
        dice, sessions = np.random.default_rng(seed), len(self.session_pct)
        means = self.session_pct[dice.integers(sessions, size=(RESAMPLES, sessions))].mean(axis=1)
        low, high = np.percentile(means, (2.5, 97.5))
        return float(low), float(high)


def trade(history: History, sessions: Sequence[Session], rules: RiskRules, strategy: Strategy) -> Result:
    """Trade `strategy` through `sessions`; each begins without a position."""
    session_pct, positions, acted, bars = list[float](), list[Position](), 0, 0
    for session in sessions:
        book = Book(history, rules)
        for index in range(session.first, session.last + 1):
            acted += book.decide(index, strategy(index)).action is not Action.HOLD
            if index + 1 < len(history.bars):
                book.on_bar(index + 1)
        session_pct.append(book.net_pct)
        positions += book.closed
        bars += len(session)
    return Result(np.array(session_pct), tuple(positions), acted / bars)


def served(probabilities: npt.NDArray[np.floating]) -> Strategy:
    """The strategy of a policy with known probabilities, [HOLD, BUY, SELL] for every bar of a history."""
    rows = probabilities.tolist()
    return lambda index: Probabilities(*rows[index])


def one_bar_late(sessions: Iterable[Session], strategy: Strategy) -> Strategy:
    """The same choices, each executed at the next bar's close instead of its own.

    Profit that disappears with one bar of delay came from prices that a desk may not get: a
    stray print is gone by the next bar.
    """
    first = {session.first for session in sessions}
    return lambda index: CERTAIN[Action.HOLD] if index in first else strategy(index - 1)


def always(action: Action) -> Strategy:
    """The strategy with the same action at every bar."""
    return lambda _: CERTAIN[action]


def long_each_session(sessions: Iterable[Session]) -> Strategy:
    """BUY at the first bar of each session, then HOLD."""
    first = {session.first for session in sessions}
    return lambda index: CERTAIN[Action.BUY if index in first else Action.HOLD]


def coin(seed: int, entries: Container[int]) -> Strategy:
    """BUY or SELL at random at the bars `entries`; HOLD at all others."""
    dice = np.random.default_rng(seed)

    def toss(index: int) -> Probabilities:
        return CERTAIN[(Action.BUY, Action.SELL)[dice.integers(2)] if index in entries else Action.HOLD]

    return toss


def average_cross(history: History) -> Strategy:
    """BUY at the bar at which the EMA of 20 bars crosses above that of 50, SELL where it crosses below."""

    def spread(index: int) -> float | None:
        known = history.indicators[index] if index >= 0 else None
        return None if known is None or known.ema_20 is None or known.ema_50 is None else known.ema_20 - known.ema_50

    def cross(index: int) -> Probabilities:
        now, before = spread(index), spread(index - 1)
        if now is None or before is None or (now > 0.0) == (before > 0.0):
            return CERTAIN[Action.HOLD]
        return CERTAIN[Action.BUY if now > 0.0 else Action.SELL]

    return cross
