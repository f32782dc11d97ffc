"""The store in PostgreSQL. See application.ports.Store for what each method promises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from ...application.ports.event_log import Encode, LogEntry, LogHead
from ...application.ports.ownership import bucket_of
from ...application.ports.store import (
    Page,
    RecurrentCheckpoint,
    RefusedByStore,
    ShadowEvent,
    ShadowScore,
    SignalQuery,
    SignalTotals,
    StaleState,
    StoredSymbol,
)
from ...domain.bars import Bar
from ...domain.errors import StorageUnavailable
from ...domain.events import Event, MarketUpdate, market_times
from ...domain.signals import Signal
from ...domain.statistics import Statistics
from .bars_table import BarsTable
from .books import load_book, shadow_score
from .connection import REFUSALS, Connections, Database, fetch_one
from .rows import EVENT_COLUMNS, bar_of, entry_of, kind_of, statistics_of
from .statements import (
    APPEND,
    PRUNE,
    PRUNING,
    SEQUENCE_RANGE,
    SHADOW,
    commit_rows,
    commit_statement,
    shadow_parameters,
    symbols_of,
    totals_of,
)

_BAR = "symbol, time, open, high, low, close, volume, simulated"
_TRIES = 3
"""Of a commit that the database has rolled back for the sake of another transaction (40001, 40P01)."""
_DECIDED_ON = "disposition IN ('ACCEPTED', 'WARMING_UP')"
_POSSIBLE = "time < now() + interval '1 day'"
"""Bars further ahead than any clock is wrong were stored by an older version, which did not check the times of a file.
They are kept, and never read as a symbol's newest bars: every real bar would be late."""


class PostgresStore:
    """Implements application.ports.Store. `encode` makes the messages; `bars_table` is the user's own."""

    def __init__(self, connections: Connections, encode: Encode, bars_table: BarsTable | None = None) -> None:
        self._connections = connections
        self._encode = encode
        self._bars_table = bars_table
        self._known_symbols: set[str] = set()
        """Symbols that are in the table of symbols for sure."""
        self._head: int | None = None
        """Where the log ended after the last commit of ours, if that went well: a guess where it ends now."""

    # --------------------------------------------------------------------------------------------------- writing

    async def commit(
        self,
        events: Sequence[Event],
        at: datetime,
        *,
        shadow_events: Sequence[ShadowEvent] = (),
        checkpoints: Sequence[RecurrentCheckpoint] = (),
        owner: UUID | None = None,
    ) -> Sequence[LogEntry]:
        """See Store."""
        head, self._head = self._head, None
        for further_tries in reversed(range(_TRIES)):
            try:
                entries = await self._commit_once(head, events, at, shadow_events, checkpoints, owner)
                break
            except StorageUnavailable as error:
                if not further_tries or not isinstance(error.__cause__, asyncpg.TransactionRollbackError):
                    raise
        self._head = entries[-1].sequence
        self._known_symbols.update(symbols_of(events))
        return entries

    async def _commit_once(
        self,
        head: int | None,
        events: Sequence[Event],
        at: datetime,
        shadow_events: Sequence[ShadowEvent],
        checkpoints: Sequence[RecurrentCheckpoint],
        owner: UUID | None,
    ) -> Sequence[LogEntry]:
        """Commit in one statement if the log ends at `head`, which is a guess, and otherwise in steps."""
        try:
            entries = None
            if head is not None and not shadow_events:
                entries = await self._commit_at_once(head, events, at, checkpoints, owner)
            if entries is None:
                entries = await self._commit_in_steps(events, at, shadow_events, checkpoints, owner)
        except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError) as error:
            raise StaleState from error
        except REFUSALS as error:
            raise RefusedByStore(_rule(error)) from error
        return entries

    async def _commit_at_once(
        self,
        head: int,
        events: Sequence[Event],
        at: datetime,
        checkpoints: Sequence[RecurrentCheckpoint],
        owner: UUID | None,
    ) -> Sequence[LogEntry] | None:
        """Commit in one statement, if the log still ends at `head` and the symbols are the owner's; else None."""
        entries = self._entries(events, head + 1, at)
        tables, arrays = commit_rows(events, entries, checkpoints, symbols_of(events) - self._known_symbols)
        async with self._connections.for_engine() as database:
            done = await database.execute(
                commit_statement(tables, at_once=True),
                *arrays,
                *_owned(entries, owner),
                len(events),
                *totals_of(events),
                head,
            )
        return entries if done == f"INSERT 0 {len(entries)}" else None

    async def _commit_in_steps(
        self,
        events: Sequence[Event],
        at: datetime,
        shadow_events: Sequence[ShadowEvent],
        checkpoints: Sequence[RecurrentCheckpoint],
        owner: UUID | None,
    ) -> Sequence[LogEntry]:
        """Take the sequences first, wherever the log ends.

        Raises:
            StaleState: a symbol is not the owner's any more.
        """
        async with self._connections.for_engine() as database, database.transaction():
            newest = await database.fetchval(APPEND, len(events), *totals_of(events), owner)
            entries = self._entries(events, newest - len(events) + 1, at)
            tables, arrays = commit_rows(events, entries, checkpoints, symbols_of(events) - self._known_symbols)
            done = await database.execute(commit_statement(tables, at_once=False), *arrays, *_owned(entries, owner))
            if done != f"INSERT 0 {len(entries)}":
                raise StaleState("another server has taken over a symbol of this commit")
            if shadow_events:
                await database.execute(SHADOW, *shadow_parameters(shadow_events, newest))
        return entries

    def _entries(self, events: Sequence[Event], first: int, at: datetime) -> list[LogEntry]:
        return [
            self._entry(event, sequence, at, market_time)
            for sequence, (event, market_time) in enumerate(zip(events, market_times(events), strict=True), first)
        ]

    def _entry(self, event: Event, sequence: int, at: datetime, market_time: datetime) -> LogEntry:
        symbol = event.bar.symbol if isinstance(event, MarketUpdate) else event.symbol
        action, confidence = None, None
        if isinstance(event, Signal):
            action, confidence = event.action, event.decision.confidence
        payload = self._encode(event, sequence)
        return LogEntry(sequence, at, kind_of(event), symbol, action, confidence, payload, market_time)

    # --------------------------------------------------------------------------------------- what the engine reads

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """See Store."""
        async with self._connections.for_engine() as database:
            bars = await self._session_bars(database, symbol, session_bars)
            last = await database.fetchrow(
                f"SELECT {_BAR} FROM bars WHERE symbol = $1 AND {_POSSIBLE} ORDER BY time DESC LIMIT 1", symbol
            )
            live_book = await load_book(database, symbol, live, shadow=False)
            shadow_book = None if shadow is None else await load_book(database, symbol, shadow, shadow=True)
        newest = [bar_of(last)] if last is not None else []
        return StoredSymbol(
            session_bars=bars,
            last_bar=max([*newest, *bars[-1:]], key=lambda bar: bar.time, default=None),
            live=live_book,
            shadow=shadow_book,
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
                f"SELECT {_BAR} FROM bars JOIN unnest($1::text[], $2::timestamptz[]) AS wanted(symbol, time) "
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

    async def _session_bars(self, database: Database, symbol: str, limit: int) -> Sequence[Bar]:
        rows = await database.fetch(
            f"SELECT {_BAR} FROM bars WHERE symbol = $1 AND {_DECIDED_ON} AND {_POSSIBLE} ORDER BY time DESC LIMIT $2",
            symbol,
            limit,
        )
        bars = [bar_of(row) for row in reversed(rows)]
        if self._bars_table is not None and len(bars) < limit:
            before = bars[0].time if bars else None
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

    # ------------------------------------------------------------------------------------------ what callers read

    async def list_bars(self, symbol: str, start: datetime | None, end: datetime | None, limit: int) -> Sequence[Bar]:
        """See Store."""
        where, values = _conditions(("symbol = ", symbol), ("time >= ", start), ("time < ", end))
        async with self._connections.for_read() as database:
            rows = await database.fetch(
                f"SELECT {_BAR} FROM bars {where} AND {_POSSIBLE} ORDER BY time DESC LIMIT ${len(values) + 1}",
                *values,
                limit,
            )
            bars = {row["time"]: bar_of(row) for row in rows}
            if self._bars_table is not None:
                for bar in await self._bars_table.newest(database, symbol, start, end, limit):
                    bars.setdefault(bar.time, bar)
        return sorted(bars.values(), key=lambda bar: bar.time, reverse=True)[:limit]

    async def latest_signal(self, symbol: str | None) -> bytes | None:
        """See Store."""
        where, values = _conditions(("symbol = ", symbol))
        async with self._connections.for_read() as database:
            message: bytes | None = await database.fetchval(
                f"SELECT message FROM signals {where} ORDER BY sequence DESC LIMIT 1", *values
            )
        return message

    async def list_signals(self, query: SignalQuery, before: int | None, limit: int) -> Page:
        """See Store."""
        where, values = _conditions(
            ("symbol = ", query.symbol),
            ("action = ", query.action),
            ('"timestamp" >= ', query.start),
            ('"timestamp" < ', query.end),
            ("sequence < ", before),
        )
        return await self._page(f"signals {where} ORDER BY sequence DESC", values, limit)

    async def active_positions(self, symbol: str | None) -> Page:
        """See Store."""
        where, values = _conditions(("status = ", "OPEN"), ("symbol = ", symbol))
        return await self._page(f"positions {where} ORDER BY entry_time DESC, sequence DESC", values, None)

    async def closed_positions(self, symbol: str | None, before: int | None, limit: int) -> Page:
        """See Store."""
        where, values = _conditions(("status = ", "CLOSED"), ("symbol = ", symbol), ("sequence < ", before))
        return await self._page(f"positions {where} ORDER BY sequence DESC", values, limit)

    async def _page(self, source: str, values: Sequence[Any], limit: int | None) -> Page:
        """Messages and the head of the log, in one statement and so in one snapshot."""
        paged = "" if limit is None else f"LIMIT {limit + 1:d}"
        async with self._connections.for_read() as database:
            row = await fetch_one(
                database,
                f"WITH page AS MATERIALIZED (SELECT sequence, message FROM {source} {paged}) "
                "SELECT (SELECT last_sequence FROM event_log) AS through, "
                "ARRAY(SELECT message FROM page) AS messages, ARRAY(SELECT sequence FROM page) AS sequences",
                *values,
            )
        messages, sequences = row["messages"], row["sequences"]
        more = limit is not None and len(messages) > limit
        return Page(messages[:limit], sequences[limit - 1] if more and limit is not None else None, row["through"])

    async def statistics(self) -> Statistics:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await fetch_one(
                database, "SELECT event_log.*, (SELECT count(*) FROM symbols) AS symbols FROM event_log"
            )
        return statistics_of(row)

    async def signal_totals(self) -> SignalTotals:
        """See Store."""
        async with self._connections.for_engine() as database:
            row = await fetch_one(
                database,
                "SELECT (SELECT signals FROM event_log) AS count, "
                '(SELECT "timestamp" FROM signals ORDER BY sequence DESC LIMIT 1) AS last',
            )
        return SignalTotals(row["count"], row["last"])

    async def shadow_score(self, policy: str) -> ShadowScore:
        """See Store."""
        async with self._connections.for_read() as database:
            return await shadow_score(database, policy)

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
                f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2",
                sequence,
                limit,
            )
        return [entry_of(row) for row in rows]

    async def sequence_range(self, start: datetime | None, end: datetime | None, after: int) -> tuple[int, int] | None:
        """See Store."""
        async with self._connections.for_read() as database:
            row = await fetch_one(database, SEQUENCE_RANGE, start, end, after)
        return None if row["first"] is None else (row["first"], row["last"])

    async def prune(self, before: datetime, limit: int) -> int:
        """See Store."""
        async with self._connections.for_engine() as database, database.transaction():
            if not await database.fetchval("SELECT pg_try_advisory_xact_lock($1)", PRUNING):
                return 0
            pruned = await fetch_one(database, PRUNE, before, limit)
            if pruned["count"]:
                # Last, because whoever appends to the log waits for this row until the commit.
                await database.execute("UPDATE event_log SET oldest_sequence = $1", pruned["newest"] + 1)
        count: int = pruned["count"]
        return count

    async def ping(self) -> None:
        """See Store."""
        async with self._connections.for_engine() as database:
            await database.fetchval("SELECT 1")


def _rule(error: Exception) -> str:
    """What a refusal may tell of itself: the name of a constraint, or the kind of error, and never a value."""
    constraint: str | None = getattr(error, "constraint_name", None)
    return f"it violates {constraint}" if constraint else type(error).__name__


def _owned(entries: Sequence[LogEntry], owner: UUID | None) -> tuple[UUID | None, list[int]]:
    """The owner that a commit names, and the buckets of its symbols."""
    return owner, [] if owner is None else list({bucket_of(entry.symbol) for entry in entries})


def _conditions(*pairs: tuple[str, Any]) -> tuple[str, list[Any]]:
    """WHERE of the conditions that have a value, with their parameters."""
    given = [(condition, value) for condition, value in pairs if value is not None]
    where = " AND ".join(f"{condition}${number}" for number, (condition, _) in enumerate(given, 1))
    return (f"WHERE {where}" if where else ""), [value for _, value in given]
