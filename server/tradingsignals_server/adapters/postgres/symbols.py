"""The list of the symbols that the store knows, with the newest of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import asyncpg

from ...application.ports.store import PositionSummary, SignalSummary, SymbolPage, SymbolSummary
from ...domain.bars import Bar
from ...domain.signals import Action
from .bars_table import BarsTable
from .connection import Connections
from .tables import POSSIBLE

# A symbol with signals on request only has no row in `symbols`. The signals of all symbols are found by one step in
# their index for each symbol.
_ALL = """
signalled (symbol) AS (
    (SELECT symbol FROM signals WHERE symbol > $1 ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT next.symbol FROM signalled, LATERAL (
        SELECT symbol FROM signals WHERE signals.symbol > signalled.symbol ORDER BY symbol LIMIT 1
    ) AS next
), named AS (
    (SELECT symbol FROM symbols WHERE symbol > $1 ORDER BY symbol LIMIT $2)
    UNION (SELECT symbol FROM signalled LIMIT $2)
)"""

_SOME = """
named AS (
    SELECT symbol FROM unnest($4::text[]) AS given (symbol) WHERE symbol > $1 AND (
        EXISTS (SELECT FROM symbols WHERE symbols.symbol = given.symbol)
        OR EXISTS (SELECT FROM signals WHERE signals.symbol = given.symbol)
    )
)"""

_SYMBOLS = f"""
WITH RECURSIVE {{named}}, page AS MATERIALIZED (SELECT symbol FROM named ORDER BY symbol LIMIT $2)
SELECT event_log.last_sequence AS through, page.symbol, bar.*, signal.*,
    positions.position_id, positions.action AS side, positions.pnl_pct
FROM event_log LEFT JOIN page ON true
LEFT JOIN LATERAL (
    SELECT array_agg(time ORDER BY time) AS times, array_agg(close ORDER BY time) AS closes,
        (array_agg(interval_seconds ORDER BY time DESC))[1] AS interval_seconds,
        (array_agg(simulated ORDER BY time DESC))[1] AS is_bar_simulated
    FROM (
        SELECT time, close, interval_seconds, simulated FROM bars WHERE bars.symbol = page.symbol AND {POSSIBLE}
        ORDER BY time DESC LIMIT $3
    ) AS newest
) AS bar ON true
LEFT JOIN LATERAL (
    SELECT signal_id, sequence, action, confidence, "timestamp", bar_time, simulated FROM signals
    WHERE signals.symbol = page.symbol ORDER BY sequence DESC LIMIT 1
) AS signal ON true
LEFT JOIN positions ON positions.symbol = page.symbol AND positions.status = 'OPEN'
ORDER BY page.symbol
"""
"""Parameters: the name after which the page starts, symbols, bars of each, the names if only some are listed. One row
for each symbol, one without a symbol if there is none; all of one snapshot."""


class SymbolLists:
    """Implements the part of application.ports.Store that lists symbols."""

    _connections: Connections
    _bars_table: BarsTable | None

    async def list_symbols(self, symbols: Collection[str], after: str, limit: int, closes: int) -> SymbolPage:
        """See Store. Of BARS_TABLE only its newest rows are considered."""
        statement = _SYMBOLS.format(named=_SOME if symbols else _ALL)
        async with self._connections.for_read() as database:
            rows = await database.fetch(statement, after, limit + 1, closes, *([sorted(symbols)] if symbols else ()))
            found = [row for row in rows if row["symbol"] is not None]
            page, of_table = found[:limit], dict[str, list[Bar]]()
            if self._bars_table is not None and page:
                of_table = await self._bars_table.newest_of(database, [row["symbol"] for row in page])
        return SymbolPage(
            [_summary(row, of_table.get(row["symbol"], ()), closes) for row in page],
            page[-1]["symbol"] if len(found) > limit else None,
            rows[0]["through"],
        )


def _summary(row: asyncpg.Record, of_table: Sequence[Bar], closes: int) -> SymbolSummary:
    """Return the symbol in a row, with those of its bars in the user's table that are not stored."""
    stored = dict(zip(row["times"] or (), row["closes"] or (), strict=True))
    interval = None if not stored else timedelta(seconds=row["interval_seconds"])
    is_simulated = bool(row["is_bar_simulated"])
    by_time = {bar.time: bar.close for bar in of_table} | stored
    times = sorted(by_time)[-closes:]
    if times and times[-1] not in stored:
        interval, is_simulated = of_table[0].interval, False
    signal = position = None
    if row["signal_id"] is not None:
        action, bar_time = Action(row["action"]), row["bar_time"]
        signal = SignalSummary(row["signal_id"], row["sequence"], action, row["confidence"], row["timestamp"], bar_time)
    if row["position_id"] is not None:
        position = PositionSummary(row["position_id"], Action(row["side"]), row["pnl_pct"])
    return SymbolSummary(
        symbol=row["symbol"],
        interval=interval,
        last_bar_time=times[-1] if times else None,
        closes=[by_time[time] for time in times],
        signal=signal,
        position=position,
        simulated=is_simulated or bool(row["simulated"]),
    )
