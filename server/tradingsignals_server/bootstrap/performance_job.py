"""The job of a process that computes performance, made from the query of a caller."""

from __future__ import annotations

from dataclasses import dataclass

from ..application.ports.performance import PerformanceQuery
from ..domain.calendar import CalendarChoice, SessionCalendar, calendar_for
from ..domain.intervals import Intervals

WORKER = f"{__package__}.performance_worker"
"""The module that the process runs."""


@dataclass(frozen=True, slots=True)
class PerformanceJob:
    """What the process needs: the query, the database, and the settings that sessions depend on."""

    query: PerformanceQuery
    dsn: str
    session_calendar: CalendarChoice
    intervals: Intervals

    def calendar_of(self, symbol: str) -> SessionCalendar:
        """Return the sessions of a symbol, as the service has them."""
        return calendar_for(symbol, self.session_calendar, self.intervals.of(symbol))
