"""Committer: one statement that appends to the log and writes the rows of all tables. See docs/adr/0015."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ...application.ports.event_log import Encode, LogEntry
from ...application.ports.idempotency import KeyUse
from ...application.ports.inputs import SignalInputs
from ...application.ports.store import KeyTaken, RecurrentCheckpoint, RefusedByStore, ShadowEvent, StaleState
from ...domain.bars import HIGHEST_PRICE
from ...domain.buckets import bucket_of
from ...domain.errors import StorageUnavailable
from ...domain.events import Event, MarketUpdate, market_times
from ...domain.positions import Position
from ...domain.signals import Action, Signal
from .connection import REFUSALS, Connections, Database, fetch_one
from .partitions import is_beyond_the_last, make_room
from .schema import ProgramTooOld, program_version
from .tables import (
    BARS,
    CHECKPOINTS,
    EVENTS,
    INPUTS,
    KEYS,
    POSITIONS,
    SETTINGS,
    SHADOW_POSITIONS,
    SHADOW_SIGNALS,
    SIGNALS,
    SYMBOLS,
    Table,
)

CHANNEL = "tradingsignals_log"
"""The channel on which servers are notified of the commits of others."""

_KEY_RULE = "it violates idempotency_keys_pkey"

_ATTEMPTS = 3
"""For a commit that PostgreSQL has rolled back in favour of another transaction (40001, 40P01)."""

# The UPDATE locks the head of the log. If it has to wait, it sees the newest row, but the rest of the statement sees
# the snapshot from before. `takeovers` is the same in both if no bucket has changed hands in between (membership.py).
_COMMIT = f"""
WITH head AS (
    UPDATE event_log SET last_sequence = last_sequence + $1, {{totals}}
    WHERE last_sequence = $2
    AND takeovers = (SELECT takeovers FROM event_log)
    AND oldest_program <= {{program}}
    AND ($3::uuid IS NULL OR cardinality($4::int4[]) =
        (SELECT count(*) FROM bucket_owners WHERE bucket = ANY ($4::int4[]) AND server_id = $3))
    RETURNING CASE WHEN EXISTS (SELECT FROM servers WHERE server_id <> $3) THEN pg_notify('{CHANNEL}', '') END
),
{{inserts}}
SELECT count(*) FROM head
"""
"""Parameters: number of sequences to append, the current end of the log, the owner's lease or null, the buckets of the
symbols, the additions to the totals, then for each table its columns: values if it has one row, else arrays. Returns 1,
or 0 if nothing was written, because the log ends elsewhere, the lease does not hold all buckets, or this program is too
old for the database."""

_INSERT = """
new_{table} AS (
    INSERT INTO {table} ({columns})
    SELECT {values} FROM head, {rows} AS new ({columns})
    {on_conflict}
)
"""

_LOCK_HEAD = "SELECT last_sequence, oldest_program FROM event_log FOR UPDATE"


_APPEND = f"""
INSERT INTO events ({", ".join(column.name for column in EVENTS.columns)})
SELECT * FROM unnest({", ".join(f"${n}::{column.type}[]" for n, column in enumerate(EVENTS.columns, 1))})
"""

_MOVE_HEAD = f"UPDATE event_log SET last_sequence = $1 RETURNING pg_notify('{CHANNEL}', '')"


class Totals(NamedTuple):
    """Additions to the totals in `event_log`, whose columns have these names."""

    signals: int
    buys: int
    sells: int
    simulated_signals: int
    bars: int
    positions_opened: int
    positions_closed: int
    positions_won: int
    positions_lost: int
    latency_ms: float
    pnl: float
    pnl_account: float


_ONE_ROW, _ROWS = ("(SELECT {})", "${}::{}"), ("unnest({})", "${}::{}[]")
"""How the rows of a table, and a value of them, are written. With arrays for one row too, a commit of a signal costs
the server 1.2 times as much, and PostgreSQL 1.25."""


@lru_cache
def _statement(tables: tuple[tuple[Table[Any], bool], ...]) -> str:
    """Return the statement of a commit with rows for tables; for each table, True if it has one row."""
    first_total = 5
    first_column = first_total + len(Totals._fields)
    totals = ", ".join(f"{name} = {name} + ${number}" for number, name in enumerate(Totals._fields, first_total))
    inserts = []
    for table, has_one_row in tables:
        rows, value = _ONE_ROW if has_one_row else _ROWS
        parameters = [value.format(n, column.type) for n, column in enumerate(table.columns, first_column)]
        inserts.append(
            _INSERT.format(
                table=table.name,
                columns=", ".join(column.name for column in table.columns),
                values=", ".join(column.expression or column.name for column in table.columns),
                rows=rows.format(", ".join(parameters)),
                on_conflict=table.on_conflict.format(
                    changes=", ".join(f"{c.name} = excluded.{c.name}" for c in table.columns if not c.constant)
                ),
            ).strip()
        )
        first_column += len(table.columns)
    return _COMMIT.format(totals=totals, program=program_version(), inserts=",\n".join(inserts))


@dataclass(frozen=True, slots=True)
class _Commit:
    """The arguments of Store.commit."""

    events: Sequence[Event]
    at: datetime
    shadow_events: Sequence[ShadowEvent]
    checkpoints: Sequence[RecurrentCheckpoint]
    inputs: Sequence[SignalInputs]
    keys: Sequence[KeyUse]
    owner: UUID | None

    @property
    def symbols(self) -> set[str]:
        """The symbols that have a bar or a position by this commit."""
        bars = {event.bar.symbol for event in self.events if isinstance(event, MarketUpdate)}
        return bars | {event.symbol for event in self.events if isinstance(event, Position)}

    @property
    def settings(self) -> dict[bytes, str]:
        """The settings in force at the decisions, by their id."""
        return {inputs.settings_id: inputs.settings for inputs in self.inputs}

    @property
    def totals(self) -> Totals:
        """The additions to the totals. A position is opened in the commit of its signal, and closed once."""
        signals = [event for event in self.events if isinstance(event, Signal)]
        positions = {event.position_id: event for event in self.events if isinstance(event, Position)}.values()
        signal_ids = {signal.signal_id for signal in signals}
        closed = [position for position in positions if not position.is_open]
        # Older versions opened positions at prices without a bound, of which the sums may not be finite.
        summed = [position for position in closed if position.current_price <= HIGHEST_PRICE]
        return Totals(
            signals=len(signals),
            buys=sum(signal.action is Action.BUY for signal in signals),
            sells=sum(signal.action is Action.SELL for signal in signals),
            simulated_signals=sum(signal.simulated for signal in signals),
            bars=sum(isinstance(event, MarketUpdate) for event in self.events),
            positions_opened=sum(position.signal_id in signal_ids for position in positions),
            positions_closed=len(closed),
            positions_won=sum(position.pnl > 0 for position in closed),
            positions_lost=sum(position.pnl < 0 for position in closed),
            latency_ms=sum(signal.latency_ms for signal in signals),
            pnl=sum(position.pnl for position in summed),
            pnl_account=sum(position.pnl_account for position in summed),
        )

    def entries(self, first: int, encode: Encode) -> list[LogEntry]:
        """Return the log entries of the events, with sequences from `first` on."""
        times = market_times(self.events)
        return [
            LogEntry.of(event, sequence, self.at, encode(event, sequence), time)
            for sequence, (event, time) in enumerate(zip(self.events, times, strict=True), first)
        ]

    def arrays(
        self, entries: Sequence[LogEntry], new_symbols: Collection[str], new_settings: Collection[bytes]
    ) -> dict[Table[Any], list[list[object]]]:
        """Return the arrays of all tables that the commit has rows for."""
        logged, newest = list(zip(self.events, entries, strict=True)), entries[-1]
        by_signal = {event.signal_id: entry for event, entry in logged if isinstance(event, Signal)}
        shadow = [(event.policy, event.event) for event in self.shadow_events]
        # The newest state of a position is its row; the log has every change.
        positions = {event.position_id: (event, entry) for event, entry in logged if isinstance(event, Position)}
        shadow_positions = {
            (policy, event.position_id): ((policy, event), newest)
            for policy, event in shadow
            if isinstance(event, Position)
        }
        arrays: dict[Table[Any], list[list[object]]] = {
            BARS: BARS.arrays([(event, entry) for event, entry in logged if isinstance(event, MarketUpdate)]),
            SIGNALS: SIGNALS.arrays([(event, entry) for event, entry in logged if isinstance(event, Signal)]),
            POSITIONS: POSITIONS.arrays(positions.values()),
            SYMBOLS: SYMBOLS.arrays([(symbol, newest) for symbol in new_symbols]),
            INPUTS: INPUTS.arrays([(inputs, by_signal[inputs.signal_id]) for inputs in self.inputs]),
            SETTINGS: SETTINGS.arrays([((known, self.settings[known]), newest) for known in new_settings]),
            CHECKPOINTS: CHECKPOINTS.arrays([(checkpoint, newest) for checkpoint in self.checkpoints]),
            SHADOW_SIGNALS: SHADOW_SIGNALS.arrays(
                [((policy, event), newest) for policy, event in shadow if isinstance(event, Signal)]
            ),
            SHADOW_POSITIONS: SHADOW_POSITIONS.arrays(shadow_positions.values()),
            KEYS: KEYS.arrays([((use, use.response(entries)), newest) for use in self.keys]),
            EVENTS: EVENTS.arrays([(entry, entry) for entry in entries]),
        }
        return {table: columns for table, columns in arrays.items() if columns}


class Committer:
    """Implements Store.commit. `encode` makes the messages."""

    def __init__(self, connections: Connections, encode: Encode) -> None:
        self._connections = connections
        self._encode = encode
        self._stored_symbols: set[str] = set()
        """Symbols known to be in the table of symbols."""
        self._stored_settings: set[bytes] = set()
        """Settings known to be in their table."""
        self._head: int | None = None
        """The end of the log after the last commit, which only another server's commit moves; None if unknown."""

    async def commit(
        self,
        events: Sequence[Event],
        at: datetime,
        *,
        shadow_events: Sequence[ShadowEvent] = (),
        checkpoints: Sequence[RecurrentCheckpoint] = (),
        inputs: Sequence[SignalInputs] = (),
        keys: Sequence[KeyUse] = (),
        owner: UUID | None = None,
    ) -> Sequence[LogEntry]:
        """See Store."""
        commit = _Commit(events, at, shadow_events, checkpoints, inputs, keys, owner)
        head, self._head = self._head, None
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                entries = await self._attempt(commit, head)
                break
            except StorageUnavailable as error:
                if not attempts_left or not isinstance(error.__cause__, asyncpg.TransactionRollbackError):
                    raise
            except asyncpg.CheckViolationError as error:
                if not is_beyond_the_last(error) or not attempts_left:
                    raise RefusedByStore(_rule(error)) from error
                async with self._connections.for_engine() as database:
                    await make_room(database, len(events))
            except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError) as error:
                if _rule(error) == _KEY_RULE:
                    raise KeyTaken(_rule(error)) from error
                raise StaleState from error
            except REFUSALS as error:
                raise RefusedByStore(_rule(error)) from error
        self._head = entries[-1].sequence
        self._stored_symbols |= commit.symbols
        self._stored_settings |= commit.settings.keys()
        return entries

    async def _attempt(self, commit: _Commit, head: int | None) -> Sequence[LogEntry]:
        """Commit in one round trip if the log ends at `head`, else under the lock of the head.

        Raises:
            StaleState: the owner's lease does not hold all symbols any more.
            StorageUnavailable: this program is too old for the database.
        """
        async with self._connections.for_engine() as database:
            if head is not None and (entries := await self._append(database, commit, head)):
                return entries
            async with database.transaction():
                head = await _lock_head(database)
                entries = await self._append(database, commit, head)
                if not entries:
                    raise StaleState("another server has taken over a symbol of this commit")
        return entries

    async def _append(self, database: Database, commit: _Commit, head: int) -> Sequence[LogEntry]:
        """Write the commit if the log ends at `head` and the lease holds the symbols; return its entries, or none."""
        entries = commit.entries(head + 1, self._encode)
        new_settings = commit.settings.keys() - self._stored_settings
        arrays = commit.arrays(entries, commit.symbols - self._stored_symbols, new_settings)
        buckets = [] if commit.owner is None else list({bucket_of(e.symbol) for e in entries if e.symbol})
        tables = tuple((table, len(columns[0]) == 1) for table, columns in arrays.items())
        written = await database.fetchval(
            _statement(tables),
            *(len(entries), head, commit.owner, buckets, *commit.totals),
            *(column[0] if has_one_row else column for table, has_one_row in tables for column in arrays[table]),
        )
        return entries if written else ()


async def append_to_log(
    database: Database, events: Sequence[tuple[Event, datetime]], at: datetime, encode: Encode
) -> Sequence[LogEntry]:
    """Append events with their market times to the log in a transaction, as its last statements; return the entries.

    The log is locked until the end of the transaction.
    """
    if not events:
        return ()
    head = await _lock_head(database)
    entries = [
        LogEntry.of(event, sequence, at, encode(event, sequence), time)
        for sequence, (event, time) in enumerate(events, head + 1)
    ]
    await database.execute(_APPEND, *EVENTS.arrays([(entry, entry) for entry in entries]))
    await database.execute(_MOVE_HEAD, entries[-1].sequence)
    return entries


async def _lock_head(database: Database) -> int:
    """Lock the head of the log until the end of the transaction; return the newest sequence.

    Raises:
        StorageUnavailable: this program is too old for the database.
    """
    head = await fetch_one(database, _LOCK_HEAD)
    if head["oldest_program"] > program_version():
        raise StorageUnavailable from ProgramTooOld(head["oldest_program"])
    last_sequence: int = head["last_sequence"]
    return last_sequence


def _rule(error: Exception) -> str:
    """Return the name of the violated constraint, or the type of the error, which contains no value."""
    constraint: str | None = getattr(error, "constraint_name", None)
    return f"it violates {constraint}" if constraint else type(error).__name__
