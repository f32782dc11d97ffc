"""What a service has stored of a period: how it took bars, its signals and its positions, of one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from ...domain.events import Disposition
from ...domain.positions import ExitReason, Position
from ...domain.signals import Origin
from .bar_history import reading
from .tables import POSITIONS, position_of

_BARS = """
SELECT symbol, time, disposition, received_at FROM bars
WHERE (cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))
    AND ($2::timestamptz IS NULL OR time >= $2) AND ($3::timestamptz IS NULL OR time < $3)
"""
_SIGNALS = """
SELECT signal_id, symbol, bar_time, "timestamp", origin, message FROM signals
WHERE (cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))
    AND ($2::timestamptz IS NULL OR bar_time >= $2) AND ($3::timestamptz IS NULL OR bar_time < $3)
"""
_POSITIONS = f"""
SELECT {POSITIONS.read_back}, exit_time, exit_price, exit_reason, exit_signal_id FROM positions
WHERE (cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))
"""


@dataclass(frozen=True, slots=True)
class TakenBar:
    """How the service took a stored bar, and when it came."""

    disposition: Disposition
    received_at: datetime


@dataclass(slots=True)
class LiveRecord:
    """A period of a service.

    bars, signals: by symbol and time of the bar; a signal as the message that was sent. positions: by id.
    interventions: times at which a request or a call changed a position of a symbol.
    """

    bars: dict[tuple[str, datetime], TakenBar] = field(default_factory=dict)
    signals: dict[tuple[str, datetime], bytes] = field(default_factory=dict)
    positions: dict[UUID, Position] = field(default_factory=dict)
    interventions: dict[str, list[datetime]] = field(default_factory=dict)

    def late_until(self, symbol: str, time: datetime) -> tuple[datetime, datetime] | None:
        """Return time and arrival of the first late bar of a symbol up to `time`, None if there is none."""
        late = [
            (at, taken.received_at)
            for (of, at), taken in self.bars.items()
            if of == symbol and at <= time and taken.disposition is Disposition.LATE
        ]
        return min(late, default=None)


async def live_record(dsn: str, symbols: Sequence[str], start: datetime | None, end: datetime | None) -> LiveRecord:
    """Read the bars of `symbols`, of all if there are none, with start <= time < end, and what was made of them.

    Raises:
        StorageUnavailable: the database is unreachable, or becomes so meanwhile.
        DatabaseRefused: it refuses the connection or the query.
    """
    found, named = LiveRecord(), list(symbols)
    async with reading(dsn) as connection:
        async for row in connection.cursor(_BARS, named, start, end, prefetch=5000):
            taken = TakenBar(Disposition(row["disposition"]), row["received_at"])
            found.bars[row["symbol"], row["time"]] = taken
        requested: dict[UUID, datetime] = {}
        async for row in connection.cursor(_SIGNALS, named, start, end, prefetch=5000):
            if row["origin"] == Origin.BAR:
                found.signals[row["symbol"], row["bar_time"]] = row["message"]
            else:
                requested[row["signal_id"]] = row["timestamp"]
        async for row in connection.cursor(_POSITIONS, named, prefetch=5000):
            _take_position(found, row, requested)
    return found


def _take_position(found: LiveRecord, row: asyncpg.Record, requested: Mapping[UUID, datetime]) -> None:
    position = position_of(row)
    found.positions[position.position_id] = position
    times = found.interventions.setdefault(position.symbol, [])
    if position.signal_id in requested:
        times.append(position.entry_time)
    if (left := position.exit) is not None and (left.reason is ExitReason.MANUAL or left.signal_id in requested):
        times.append(left.time)
