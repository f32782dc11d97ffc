"""What is stored of a query for performance, read by a connection of its own that changes nothing."""

from __future__ import annotations

import asyncpg
import numpy as np

from ...application.ports.performance import (
    MOST_OUTCOMES,
    MOST_POINTS,
    MOST_SIGNALS,
    Basis,
    CurvePoint,
    PerformanceQuery,
    PerformanceRows,
)
from ...domain.performance.trades import FloatArray
from .bar_history import reading
from .outcomes import outcome_of, stored_account
from .tables import conditions

_POINT = ", ".join(CurvePoint._fields)

_LATENCIES = """
SELECT latency_ms, CASE WHEN after_close BETWEEN 0 AND interval_seconds THEN 1000 * after_close END AS to_commit_ms
FROM (
    SELECT latency_ms, interval_seconds,
        extract(epoch FROM received_at - time)::float8 - interval_seconds AS after_close
    FROM (SELECT * FROM signals {where} ORDER BY sequence DESC LIMIT {limit:d}) AS made
    LEFT JOIN bars ON made.origin = 'BAR' AND bars.symbol = made.symbol AND bars.time = made.bar_time
) AS timed
"""


async def performance_rows(dsn: str, query: PerformanceQuery) -> PerformanceRows:
    """Read what is stored of a query, in one snapshot.

    Raises:
        StorageUnavailable: the database is unreachable, or becomes so meanwhile.
        DatabaseRefused: it refuses the connection or a query.
    """
    async with reading(dsn) as database:
        outcomes = await _outcomes(database, query)
        points, before = await _points(database, query) if query.of_account else ([], None)
        latencies = await _latencies(database, query)
        (ledger,) = await database.fetch("SELECT sequence, account, currency FROM ledger")
    stored = stored_account(ledger)
    return PerformanceRows(
        outcomes=[outcome_of(row) for row in outcomes[MOST_OUTCOMES - 1 :: -1]],
        more_outcomes=len(outcomes) > MOST_OUTCOMES,
        points=[CurvePoint(*row) for row in points[MOST_POINTS - 1 :: -1]],
        more_points=len(points) > MOST_POINTS,
        before=None if before is None else CurvePoint(*before),
        latencies=latencies,
        initial_equity=1.0 if stored is None else stored.account.initial_equity,
        currency="" if stored is None else stored.currency,
        through_sequence=ledger["sequence"],
    )


async def _outcomes(database: asyncpg.Connection, query: PerformanceQuery) -> list[asyncpg.Record]:
    where, values = conditions(
        ("fill = ", query.fill),
        ("shadow = ", query.shadow),
        ("acted = ", True if query.basis is Basis.POSITIONS else None),
        ("symbol = ", query.symbol),
        ("action = ", query.action),
        ("origin = ", query.origin),
        ("model_version = ", query.model_version),
        ("model_key = ", query.model_key),
        ("exit_time >= ", query.start),
        ("exit_time < ", query.end),
    )
    found: list[asyncpg.Record] = await database.fetch(
        f"SELECT * FROM outcomes {where} ORDER BY exit_time DESC, number DESC LIMIT {MOST_OUTCOMES + 1:d}", *values
    )
    return found


async def _points(
    database: asyncpg.Connection, query: PerformanceQuery
) -> tuple[list[asyncpg.Record], asyncpg.Record | None]:
    """Return the points in the period, newest first, and the one before them."""
    where, values = conditions(("time >= ", query.start), ("time < ", query.end))
    points = await database.fetch(
        f"SELECT {_POINT} FROM equity {where} ORDER BY time DESC LIMIT {MOST_POINTS + 1:d}", *values
    )
    if len(points) > MOST_POINTS:
        return points, points[-1]
    start = points[-1]["time"] if points else query.start
    before = f"SELECT {_POINT} FROM equity WHERE time < $1 ORDER BY time DESC LIMIT 1"
    return points, None if start is None else await database.fetchrow(before, start)


async def _latencies(database: asyncpg.Connection, query: PerformanceQuery) -> dict[str, FloatArray]:
    """Return the latencies of signals; those of shadow models are not stored."""
    version = query.model_version or (query.model_key and query.model_key.rpartition("@")[0])
    where, values = conditions(
        ("symbol = ", query.symbol),
        ("action = ", query.action),
        ("origin = ", query.origin),
        ("model_version = ", version or None),
        ('"timestamp" >= ', query.start),
        ('"timestamp" < ', query.end),
    )
    rows = [] if query.shadow else await database.fetch(_LATENCIES.format(where=where, limit=MOST_SIGNALS), *values)
    return {
        "inference_ms": np.array([row["latency_ms"] for row in rows]),
        "close_to_commit_ms": np.array([row["to_commit_ms"] for row in rows if row["to_commit_ms"] is not None]),
    }
