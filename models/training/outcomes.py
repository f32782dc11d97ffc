"""The results of a BUY and of a SELL at every bar, in hindsight, for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

from .book import CERTAIN, Book
from .history import History, Session

SIDES = (Action.BUY, Action.SELL)
"""The order of the last axis of outcomes."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Results of the position that each side would have opened at each bar, until its stop, target or session end.

    net_pct: profit and loss net of costs, in percent of the entry, shape (bars, 2), float64.
    NaN where no position could be opened, or where the bars end before it does.
    """

    net_pct: npt.NDArray[np.float64]

    @classmethod
    def of(cls, history: History, sessions: Sequence[Session], rules: RiskRules) -> Self:
        """The outcomes at the bars of `sessions`; NaN at all others."""
        outcomes = cls(np.full((len(history.bars), len(SIDES)), np.nan))
        for session in sessions:
            for index in range(session.first, session.last + 1):
                for column, side in enumerate(SIDES):
                    position = outcome(history, index, side, rules)
                    if position is not None:
                        outcomes.net_pct[index, column] = position.pnl_pct
        return outcomes


def outcome(history: History, index: int, side: Action, rules: RiskRules) -> Position | None:
    """The closed position that `side` at bar `index` opens if nothing is decided after it; None if there is none."""
    book = Book(history, rules)
    book.decide(index, CERTAIN[side])
    for later in range(index + 1, len(history.bars)):
        if book.position is None:
            break
        book.on_bar(later)
    return book.closed[0] if book.closed else None
