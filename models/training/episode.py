"""One session, decision by decision, with the reward of each."""

from __future__ import annotations

from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

from .book import CERTAIN, Book
from .history import History, Session

ACTIONS = (Action.HOLD, Action.BUY, Action.SELL)
"""Actions by their number in a policy."""


class Episode:
    """A session of `history`, from its first bar that decides, without a position, to its last.

    The reward of a decision is the change of net profit and loss, marked to market, that it led to, in percent of the
    position's entry: from just before the decision at the close of one bar to just after the next bar has marked or
    ended the position. Costs are charged in full when a position is opened. The rewards of an episode add up to the
    profit and loss of its positions.

    A session whose closing bar is missing leaves a position open; the next bar of the file ends it, as it does live,
    and that is part of the last reward.

    Raises:
        ValueError: on construction, if the rules let a position outlive its session.
    """

    def __init__(self, history: History, session: Session, rules: RiskRules) -> None:
        if not rules.close_at_session_end:
            raise ValueError("an episode is a session, so close_at_session_end must be on")
        self.history = history
        self.session = session
        self.book = Book(history, rules)
        self.index = session.first

    @property
    def observation(self) -> Observation:
        """The observation at the close of the current bar; at the end, the last one."""
        observation: Observation = self.history.observations[min(self.index, self.session.last)]
        return observation

    @property
    def is_over(self) -> bool:
        """True after the decision at the last bar."""
        return self.index > self.session.last

    def step(self, action: Action) -> float:
        """Decide at the current bar, advance to the next, and return the reward."""
        if self.is_over:
            raise ValueError("the session is over")
        before = self.book.net_pct
        self.book.decide(self.index, CERTAIN[action])
        self.index += 1
        if self.index < len(self.history.bars):
            self.book.on_bar(self.index)
        return self.book.net_pct - before
