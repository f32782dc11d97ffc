"""The port of performance: what a caller asks for, what is stored of it, and what computes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from ...domain.outcomes import Fill, Outcome
from ...domain.performance.breakdowns import Dimension
from ...domain.performance.trades import FloatArray
from ...domain.signals import Action, Origin
from ...domain.values import dataclass

MOST_OUTCOMES: Final = 20_000
MOST_POINTS: Final = 100_000
MOST_SIGNALS: Final = 20_000
"""The newest that are read: they bound time and memory."""


class Basis(StrEnum):
    """Whose outcomes count. Names are those of tradingsignals.v1.GetPerformanceRequest.Basis."""

    POSITIONS = "POSITIONS"
    """Of the signals that opened a position."""
    SIGNALS = "SIGNALS"
    """Of every BUY and SELL, acted on or not."""


@dataclass(frozen=True, slots=True)
class PerformanceQuery:
    """Conditions on outcomes; None omits one. `start` is inclusive, `end` exclusive, both on the time of the exit.

    shadow: of shadow models, or of live ones. by: what the trades are grouped by.
    """

    basis: Basis = Basis.POSITIONS
    fill: Fill = Fill.CLOSE
    shadow: bool = False
    symbol: str | None = None
    action: Action | None = None
    origin: Origin | None = None
    model_version: str | None = None
    model_key: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    by: tuple[Dimension, ...] = ()

    @property
    def of_account(self) -> bool:
        """Whether it selects what the account did, all of it, so that the equity is that of its trades."""
        filters = (self.symbol, self.action, self.origin, self.model_version, self.model_key)
        kind = self.basis is Basis.POSITIONS and self.fill is Fill.CLOSE and not self.shadow
        return kind and all(each is None for each in filters)


class CurvePoint(NamedTuple):
    """What the statistics need of the equity at a close: see EquityPoint, which costs three times as much to read."""

    time: datetime
    session_day: date | None
    equity: float
    exposure: float


@dataclass(frozen=True, slots=True)
class PerformanceRows:
    """What is stored of a query, in one snapshot.

    outcomes: the newest MOST_OUTCOMES, in the order of their exits. points: the newest MOST_POINTS of the equity in the
    period, in the order of their times, if the query is of the account. more_outcomes, more_points: older ones are left
    out. before: the point before the first; None if there is none.
    latencies: of the newest MOST_SIGNALS signals of the query in milliseconds, by the names of definitions.LATENCIES.
    initial_equity, currency: of the account; through_sequence: where it is in the log.
    """

    outcomes: Sequence[Outcome]
    more_outcomes: bool
    points: Sequence[CurvePoint]
    more_points: bool
    before: CurvePoint | None
    latencies: Mapping[str, FloatArray]
    initial_equity: float
    currency: str
    through_sequence: int


ComputePerformance = Callable[[PerformanceQuery], Awaitable[bytes]]
"""Computes a serialised GetPerformanceResponse.

Raises:
    StatisticsLimit: as many computations are pending as may, or this one exceeds its limits.
    StorageUnavailable: the database cannot be reached.
"""
