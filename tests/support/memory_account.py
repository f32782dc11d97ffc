"""Account and equity for callers in memory, on an outcome store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tests.support.memory_outcomes import MemoryOutcomes

from tradingsignals_server.application.ports.account import EquityPage, EquityQuery, EquityResolution
from tradingsignals_server.application.ports.outcomes import StoredAccount
from tradingsignals_server.domain.equity import EquityPoint


class MemoryAccount:
    """Implements application.ports.account.AccountStore."""

    def __init__(self, outcomes: MemoryOutcomes) -> None:
        self._outcomes = outcomes

    async def read_account(self) -> StoredAccount | None:
        """See AccountStore."""
        return await self._outcomes.load_account()

    async def list_equity(self, query: EquityQuery, before: datetime | None, limit: int) -> EquityPage:
        """See AccountStore."""
        points = [self._outcomes.equity[time] for time in sorted(self._outcomes.equity)]
        if query.resolution is EquityResolution.DAY:
            points = ends_of_days(points)
        found = [
            point
            for point in points[::-1]
            if (query.start is None or query.start <= point.time)
            and (query.end is None or point.time < query.end)
            and (before is None or point.time < before)
        ]
        page, more = found[:limit], len(found) > limit
        return EquityPage(page, page[-1].time if more else None, self._outcomes.place.sequence)


def ends_of_days(points: Sequence[EquityPoint]) -> list[EquityPoint]:
    """Return the last point of each session day; one outside every session counts to the newest session before it."""
    ends: dict[object, EquityPoint] = {}
    newest = None
    for point in points:
        if point.session_day is not None and (newest is None or point.session_day > newest):
            newest = point.session_day
        if newest is not None:
            ends[newest] = replace(point, session_day=newest)
    return list(ends.values())
