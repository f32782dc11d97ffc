"""What a service has stored of a period, for a report on it: bars, signals and positions of one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from ...application.backtest.columns import BarColumns
from ...application.live_report import LivePeriod, LiveSignal
from ...domain.signals import Action, Origin, Probabilities
from .bar_history import reading, stored_bars
from .place import place_of
from .tables import POSITIONS, position_of

_SIGNALS = """
SELECT signal_id, "timestamp", action, confidence, win_probability, hold_probability, buy_probability, sell_probability,
    model_version, model_type, origin, reasoning
FROM signals
WHERE (cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))
    AND ($2::timestamptz IS NULL OR "timestamp" >= $2) AND ($3::timestamptz IS NULL OR "timestamp" <= $3)
ORDER BY "timestamp", symbol, signal_id
"""
_POSITIONS = f"""
SELECT {POSITIONS.read_back}, exit_time, exit_price, exit_reason, exit_signal_id FROM positions
WHERE (cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))
    AND ($2::timestamptz IS NULL OR entry_time >= $2) AND ($3::timestamptz IS NULL OR entry_time <= $3)
ORDER BY entry_time, symbol, position_id
"""


async def live_period(dsn: str, symbols: Sequence[str], start: datetime | None, end: datetime | None) -> LivePeriod:
    """Read the bars of `symbols`, of all if there are none, with start <= time < end, and what was made in that time.

    Raises:
        StorageUnavailable: the database is unreachable, or becomes so meanwhile.
        DatabaseRefused: it refuses the connection or the query.
    """
    named = list(symbols)
    async with reading(dsn) as connection:
        bars = await BarColumns.read(stored_bars(connection, named, start, end))
        signals = [_signal_of(row) async for row in connection.cursor(_SIGNALS, named, start, end, prefetch=5000)]
        positions = [position_of(row) async for row in connection.cursor(_POSITIONS, named, start, end, prefetch=5000)]
    return LivePeriod(bars, tuple(signals), tuple(positions), f"the database at {place_of(dsn)}")


def _signal_of(row: asyncpg.Record) -> LiveSignal:
    return LiveSignal(
        signal_id=row["signal_id"],
        timestamp=row["timestamp"],
        action=Action(row["action"]),
        confidence=row["confidence"],
        win_probability=row["win_probability"],
        probabilities=Probabilities(row["hold_probability"], row["buy_probability"], row["sell_probability"]),
        model_version=row["model_version"],
        origin=Origin(row["origin"]),
        made_up=row["model_type"] == "placeholder",
        reasoning=tuple(row["reasoning"] or ()),
    )
