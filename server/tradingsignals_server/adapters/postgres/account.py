"""Account and equity in PostgreSQL, for callers. See application.ports.account for what each method promises."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

import asyncpg

from ...application.ports.account import EquityPage, EquityQuery, EquityResolution
from ...application.ports.outcomes import StoredAccount
from ...domain.equity import EquityPoint
from .connection import Connections, fetch_one
from .outcomes import stored_account
from .tables import conditions

_COLUMNS = ", ".join(field.name for field in fields(EquityPoint))

_POINTS = {
    EquityResolution.BAR: "equity",
    EquityResolution.DAY: f"""(
        SELECT {_COLUMNS.replace("session_day", "day AS session_day")} FROM (
            SELECT *, lead(day) OVER (ORDER BY time) AS next_day
            FROM (SELECT *, max(session_day) OVER (ORDER BY time) AS day FROM equity) AS carried
        ) AS points WHERE day IS NOT NULL AND next_day IS DISTINCT FROM day
    ) AS days""",
}


class PostgresAccount:
    """Implements application.ports.account.AccountStore."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def read_account(self) -> StoredAccount | None:
        """See AccountStore."""
        async with self._connections.for_read() as database:
            return stored_account(await fetch_one(database, "SELECT sequence, account, currency FROM ledger"))

    async def list_equity(self, query: EquityQuery, before: datetime | None, limit: int) -> EquityPage:
        """See AccountStore."""
        where, values = conditions(("time >= ", query.start), ("time < ", query.end), ("time < ", before))
        async with (
            self._connections.for_read() as database,
            database.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await database.fetch(
                f"SELECT {_COLUMNS} FROM {_POINTS[query.resolution]} {where} ORDER BY time DESC LIMIT {limit + 1:d}",
                *values,
            )
            through = await database.fetchval("SELECT sequence FROM ledger")
        points = list(map(equity_point, rows[:limit]))
        return EquityPage(points, points[-1].time if len(rows) > limit else None, through)


def equity_point(row: asyncpg.Record) -> EquityPoint:
    """Return the point that a row with its columns, in their order, holds."""
    return EquityPoint(*row.values())
