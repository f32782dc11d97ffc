"""The store in PostgreSQL. See application.ports.Store for what each method promises, and commit.py for commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ...application.ports.event_log import Encode, LogEntry, LogHead
from ...application.ports.inputs import StoredSignal
from ...application.ports.store import Page, ShadowScore, SignalQuery, SignalTotals, StoredSymbol, StoredTraderState
from ...domain.bars import Bar
from ...domain.risk import KELLY_WINDOW
from ...domain.statistics import PositionCounts, SignalCounts, Statistics
from .bars_table import BarsTable
from .commit import Committer
from .connection import Connections, Database, fetch_one
from .pruning import prune
from .symbols import SymbolLists
from .tables import BARS, ENTRY, INPUTS, POSSIBLE, bar_of, checkpoint_of, conditions, entry_of, inputs_of, position_of
from .used_keys import KeyLookup, UsedKeys

_BAR = BARS.read_back
_DECIDED_ON = "disposition IN ('ACCEPTED', 'WARMING_UP', 'OTHER_INTERVAL')"

_INTERVALS = """
SELECT symbol, newest.interval_seconds FROM symbols, LATERAL (
    SELECT interval_seconds FROM bars WHERE bars.symbol = symbols.symbol ORDER BY time DESC LIMIT 1
) AS newest ORDER BY symbol
"""

_WITH_BARS_SINCE = """
SELECT symbol FROM symbols, LATERAL (
    SELECT time FROM bars WHERE bars.symbol = symbols.symbol ORDER BY time DESC LIMIT 1
) AS newest WHERE newest.time >= $1 ORDER BY newest.time DESC, symbol LIMIT $2
"""

_PAGE = """
WITH page AS MATERIALIZED (SELECT sequence, message FROM {source} {limit})
SELECT (SELECT last_sequence FROM event_log) AS through,
    ARRAY(SELECT message FROM page) AS messages,
    ARRAY(SELECT sequence FROM page) AS sequences
"""
"""A page and the end of the log in one statement, and so in one snapshot."""

_DAY = "(market_time AT TIME ZONE 'UTC')::date"

# One step in the index on day and sequence for each bound of each day. The earliest and the latest datetime of Python
# are infinite in PostgreSQL, so days are counted only if some of those stored lie between.
_SEQUENCE_RANGE = f"""
WITH stored AS (
    SELECT (SELECT {_DAY} FROM events ORDER BY 1 LIMIT 1) AS first,
        (SELECT {_DAY} FROM events ORDER BY 1 DESC LIMIT 1) AS last
), bounds AS (
    SELECT greatest(($1::timestamptz AT TIME ZONE 'UTC')::date, stored.first) AS first,
        least((($2::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date, stored.last) AS last
    FROM stored WHERE stored.first IS NOT NULL
), days AS (
    SELECT first + n AS day
    FROM bounds, generate_series(0, CASE WHEN first <= last THEN last - first ELSE -1 END) AS n
)
SELECT min(found.first) AS first, max(found.last) AS last
FROM days, LATERAL (SELECT
    (SELECT sequence FROM events WHERE {_DAY} = days.day AND sequence > $3 ORDER BY {_DAY}, sequence LIMIT 1) AS first,
    (SELECT sequence FROM events WHERE {_DAY} = days.day AND sequence > $3
        ORDER BY {_DAY} DESC, sequence DESC LIMIT 1) AS last
) AS found
"""

_SHADOW_SCORE = """
SELECT agreeing.*, closed.*
FROM (
    SELECT count(*) AS decisions, count(*) FILTER (WHERE signals.action = shadow_signals.action) AS agreements
    FROM shadow_signals LEFT JOIN signals USING (symbol, bar_time)
    WHERE policy = $1 AND coalesce(origin, 'BAR') = 'BAR'
) AS agreeing, (
    SELECT count(*) AS closed, count(*) FILTER (WHERE pnl > 0) AS winning, coalesce(sum(pnl), 0) AS total_pnl
    FROM shadow_positions WHERE policy = $1 AND status = 'CLOSED'
) AS closed
"""


_CLOSED_TRADES = (
    "SELECT exit_time, pnl_pct FROM {source} AND status = 'CLOSED' "
    f"ORDER BY sequence DESC, exit_time DESC LIMIT {KELLY_WINDOW}"
)

_SIGNAL = f"""
SELECT signals.message, signals.signal_id, sequence, content, {", ".join(column.name for column in INPUTS.columns[1:])}
FROM signals LEFT JOIN signal_inputs USING (sequence) LEFT JOIN decision_settings USING (settings_id)
WHERE signal_id = $1
"""

_LOGGED_BARS = f"""
SELECT payload FROM events WHERE kind = 'MARKET_UPDATE' AND symbol = $1 AND market_time BETWEEN $2 AND $3
AND {_DAY} BETWEEN ($2::timestamptz AT TIME ZONE 'UTC')::date AND ($3::timestamptz AT TIME ZONE 'UTC')::date
ORDER BY sequence
"""


class PostgresStore(Committer, UsedKeys, SymbolLists):
    """Implements application.ports.Store. `encode` makes the messages; `bars_table` is the user's own."""

    def __init__(self, connections: Connections, encode: Encode, bars_table: BarsTable | None = None) -> None:
        super().__init__(connections, encode)
        self._key_lookup = KeyLookup(connections)
        self._bars_table = bars_table

    # -------------------------------------------------------------------------------------------- engine's reads

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """See Store."""
        async with self._connections.for_engine() as database:
            bars = await self._session_bars(database, symbol, session_bars)
            last = await database.fetchrow(
                f"SELECT {_BAR} FROM bars WHERE symbol = $1 AND {POSSIBLE} ORDER BY time DESC LIMIT 1", symbol
            )
            live_state = await _trader_state(database, symbol, live, shadow=False)
            shadow_state = None if shadow is None else await _trader_state(database, symbol, shadow, shadow=True)
        newest = [bar_of(last)] if last is not None else []
        return StoredSymbol(
            session_bars=bars,
            last_bar=max([*newest, *bars[-1:]], key=lambda bar: bar.time, default=None),
            live=live_state,
            shadow=shadow_state,
        )

    async def known_symbols(self, symbols: Collection[str]) -> Collection[str]:
        """See Store."""
        async with self._connections.for_engine() as database:
            rows = await database.fetch("SELECT symbol FROM symbols WHERE symbol = ANY ($1::text[])", list(symbols))
            known = {row["symbol"] for row in rows}
            if self._bars_table is not None and len(known) < len(symbols):
                known |= await self._bars_table.known_symbols(database, [s for s in symbols if s not in known])
        return known

    async def symbol_count(self) -> int:
        """See Store."""
        async with self._connections.for_engine() as database:
            count: int = await database.fetchval("SELECT count(*) FROM symbols")
        return count

    async def find_bars(self, keys: Sequence[tuple[str, datetime]]) -> Sequence[Bar]:
        """See Store."""
        symbols, times = [symbol for symbol, _ in keys], [time for _, time in keys]
        async with self._connections.for_engine() as database:
            rows = await database.fetch(
                f"SELECT {_BAR} FROM bars JOIN unnest($1::text[], $2::timestamptz[]) AS key (symbol, time) "
                "USING (symbol, time)",
                symbols,
                times,
            )
            found = {(row["symbol"], row["time"]): bar_of(row) for row in rows}
            if self._bars_table is not None:
                for bar in await self._bars_table.find(database, symbols, times):
                    found.setdefault((bar.symbol, bar.time), bar)
        return list(found.values())

    async def session_bars(self, symbol: str, limit: int) -> Sequence[Bar]:
        """See Store."""
        async with self._connections.for_read() as database:
            return await self._session_bars(database, symbol, limit)

    async def bars_until(self, symbol: str, newest: datetime, limit: int) -> Sequence[Bar]:
        """See Store."""
        async with self._connections.for_read() as database:
            return await self._session_bars(database, symbol, limit, newest)

    async def _session_bars(
        self, database: Database, symbol: str, limit: int, newest: datetime | None = None
    ) -> Sequence[Bar]:
        until = "" if newest is None else "AND time <= $3"
        rows = await database.fetch(
            f"SELECT {_BAR} FROM bars WHERE symbol = $1 AND {_DECIDED_ON} AND {POSSIBLE} {until} "
            "ORDER BY time DESC LIMIT $2",
            *(symbol, limit, *([] if newest is None else [newest])),
        )
        bars = [bar_of(row) for row in reversed(rows)]
        if self._bars_table is not None and len(bars) < limit:
            after = None if newest is None else newest + timedelta(microseconds=1)
            before = bars[0].time if bars else after
            bars = [*await self._bars_table.session_bars(database, symbol, before, limit - len(bars)), *bars]
        return bars

    async def symbol_of_position(self, position_id: UUID) -> tuple[str, bool] | None:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await database.fetchrow("SELECT symbol, status FROM positions WHERE position_id = $1", position_id)
        return None if row is None else (row["symbol"], row["status"] == "OPEN")

    async def symbols_with_open_positions(self) -> Sequence[str]:
        """See Store."""
        async with self._connections.for_engine() as database:
            rows = await database.fetch("SELECT symbol FROM positions WHERE status = 'OPEN' ORDER BY symbol")
        return [row["symbol"] for row in rows]

    async def symbols_with_bars_since(self, start: datetime, limit: int) -> Sequence[str]:
        """See Store."""
        async with self._connections.for_engine() as database:
            rows = await database.fetch(_WITH_BARS_SINCE, start, limit)
        return [row["symbol"] for row in rows]

    async def bar_intervals(self) -> Mapping[str, timedelta]:
        """Return the interval of the stored bars of each symbol that has any."""
        async with self._connections.for_engine() as database:
            rows = await database.fetch(_INTERVALS)
        return {row["symbol"]: timedelta(seconds=row["interval_seconds"]) for row in rows}

    # ------------------------------------------------------------------------------------------- callers' reads

    async def list_bars(self, symbol: str, start: datetime | None, end: datetime | None, limit: int) -> Sequence[Bar]:
        """See Store."""
        where, values = conditions(("symbol = ", symbol), ("time >= ", start), ("time < ", end))
        async with self._connections.for_read() as database:
            rows = await database.fetch(
                f"SELECT {_BAR} FROM bars {where} AND {POSSIBLE} ORDER BY time DESC LIMIT ${len(values) + 1}",
                *values,
                limit,
            )
            bars = {row["time"]: bar_of(row) for row in rows}
            if self._bars_table is not None:
                for bar in await self._bars_table.newest(database, symbol, start, end, limit):
                    bars.setdefault(bar.time, bar)
        return sorted(bars.values(), key=lambda bar: bar.time, reverse=True)[:limit]

    async def signal(self, signal_id: UUID) -> StoredSignal | None:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await database.fetchrow(_SIGNAL, signal_id)
        if row is None:
            return None
        known = row["window_bars"] is not None
        return StoredSignal(row["message"], row["sequence"], inputs_of(row) if known else None)

    async def closed_trades(self, symbol: str, before: int) -> Sequence[tuple[datetime, float]]:
        """See Store."""
        async with self._connections.for_read() as database:
            rows = await database.fetch(
                _CLOSED_TRADES.format(source="positions WHERE symbol = $1 AND sequence < $2"), symbol, before
            )
        return [(row["exit_time"], row["pnl_pct"]) for row in reversed(rows)]

    async def logged_bars(self, symbol: str, start: datetime, end: datetime) -> Sequence[bytes]:
        """See Store."""
        async with self._connections.for_read() as database:
            rows = await database.fetch(_LOGGED_BARS, symbol, start, end)
        return [row["payload"] for row in rows]

    async def latest_signal(self, symbol: str | None) -> bytes | None:
        """See Store."""
        where, values = conditions(("symbol = ", symbol))
        async with self._connections.for_read() as database:
            message: bytes | None = await database.fetchval(
                f"SELECT message FROM signals {where} ORDER BY sequence DESC LIMIT 1", *values
            )
        return message

    async def list_signals(self, query: SignalQuery, before: int | None, limit: int) -> Page:
        """See Store."""
        where, values = conditions(
            ("symbol = ", query.symbol),
            ("action = ", query.action),
            ('"timestamp" >= ', query.start),
            ('"timestamp" < ', query.end),
            ("sequence < ", before),
        )
        return await self._page(f"signals {where} ORDER BY sequence DESC", values, limit)

    async def active_positions(self, symbol: str | None) -> Page:
        """See Store."""
        where, values = conditions(("status = ", "OPEN"), ("symbol = ", symbol))
        return await self._page(f"positions {where} ORDER BY entry_time DESC, sequence DESC", values, None)

    async def closed_positions(self, symbol: str | None, before: int | None, limit: int) -> Page:
        """See Store."""
        where, values = conditions(("status = ", "CLOSED"), ("symbol = ", symbol), ("sequence < ", before))
        return await self._page(f"positions {where} ORDER BY sequence DESC", values, limit)

    async def _page(self, source: str, values: Sequence[Any], limit: int | None) -> Page:
        limited = "" if limit is None else f"LIMIT {limit + 1:d}"
        async with self._connections.for_read() as database:
            row = await fetch_one(database, _PAGE.format(source=source, limit=limited), *values)
        messages, sequences = row["messages"], row["sequences"]
        more = limit is not None and len(messages) > limit
        return Page(messages[:limit], sequences[limit - 1] if more and limit is not None else None, row["through"])

    async def statistics(self) -> Statistics:
        """See Store. The totals are kept by the commits."""
        statement = "SELECT event_log.*, (SELECT count(*) FROM symbols) AS symbols FROM event_log"
        async with self._connections.for_read() as database:
            row = await fetch_one(database, statement)
        signals = SignalCounts(
            total=row["signals"],
            buy=row["buys"],
            sell=row["sells"],
            hold=row["signals"] - row["buys"] - row["sells"],
            simulated=row["simulated_signals"],
            avg_latency_ms=row["latency_ms"] / row["signals"] if row["signals"] else 0.0,
        )
        positions = PositionCounts(
            opened=row["positions_opened"],
            closed=row["positions_closed"],
            winning=row["positions_won"],
            losing=row["positions_lost"],
            total_pnl=row["pnl"],
            total_pnl_account=row["pnl_account"],
        )
        return Statistics(signals, positions, row["bars"], row["symbols"])

    async def signal_totals(self) -> SignalTotals:
        """See Store."""
        async with self._connections.for_engine() as database:
            row = await fetch_one(
                database,
                "SELECT (SELECT signals FROM event_log) AS count, "
                '(SELECT "timestamp" FROM signals ORDER BY sequence DESC LIMIT 1) AS last',
            )
        return SignalTotals(row["count"], row["last"])

    async def warnings(self) -> Sequence[str]:
        """See Store."""
        if self._bars_table is None:
            return ()
        async with self._connections.for_engine() as database:
            return await self._bars_table.warnings(database)

    async def shadow_score(self, policy: str) -> ShadowScore:
        """See Store."""
        async with self._connections.for_read() as database:
            return ShadowScore(**await fetch_one(database, _SHADOW_SCORE, policy))

    # ----------------------------------------------------------------------------------------------- the event log

    async def log_head(self) -> LogHead:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await fetch_one(database, "SELECT epoch, oldest_sequence, last_sequence FROM event_log")
        return LogHead(UUID(bytes=row["epoch"].bytes), row["oldest_sequence"], row["last_sequence"])

    async def entries_after(self, sequence: int, limit: int) -> Sequence[LogEntry]:
        """See Store."""
        async with self._connections.for_engine() as database:
            rows = await database.fetch(
                f"SELECT {ENTRY} FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2",
                sequence,
                limit,
            )
        return [entry_of(row) for row in rows]

    async def sequence_range(self, start: datetime | None, end: datetime | None, after: int) -> tuple[int, int] | None:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await fetch_one(database, _SEQUENCE_RANGE, start, end, after)
        return None if row["first"] is None else (row["first"], row["last"])

    async def prune(self, before: datetime, limit: int) -> int:
        """See Store."""
        async with self._connections.for_engine() as database:
            return await prune(database, before, limit)

    async def ping(self) -> None:
        """See Store."""
        async with self._connections.for_engine() as database:
            await database.fetchval("SELECT 1")


async def _trader_state(database: Database, symbol: str, policy: str, *, shadow: bool) -> StoredTraderState:
    """Read the state of one policy's trading in one symbol. Live positions outlive a change of the live policy."""
    source, values = ("positions WHERE symbol = $1", [symbol])
    if shadow:
        source, values = ("shadow_positions WHERE symbol = $1 AND policy = $2", [symbol, policy])
    position = await database.fetchrow(f"SELECT * FROM {source} AND status = 'OPEN'", *values)
    closed = await database.fetch(_CLOSED_TRADES.format(source=source), *values)
    checkpoint = await database.fetchrow(
        "SELECT * FROM recurrent_states WHERE symbol = $1 AND policy = $2 AND shadow = $3", symbol, policy, shadow
    )
    return StoredTraderState(
        position=None if position is None else position_of(position),
        closed=[(row["exit_time"], row["pnl_pct"]) for row in reversed(closed)],
        checkpoint=None if checkpoint is None else checkpoint_of(checkpoint),
    )
