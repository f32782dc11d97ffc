"""The statements of a commit: one round trip each, however many rows there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ...application.ports.event_log import LogEntry
from ...application.ports.store import RecurrentCheckpoint, ShadowEvent
from ...domain.bars import HIGHEST_PRICE
from ...domain.events import Event, MarketUpdate
from ...domain.positions import Position
from ...domain.signals import Action, Signal
from .rows import (
    BAR_COLUMNS,
    EVENT_COLUMNS,
    POSITION_COLUMNS,
    SHADOW_POSITION_COLUMNS,
    SHADOW_SIGNAL_COLUMNS,
    SIGNAL_COLUMNS,
    STATE_COLUMNS,
    bar_row,
    columns,
    event_row,
    position_row,
    shadow_position_row,
    shadow_signal_row,
    signal_row,
    state_row,
)

_NEVER_CHANGES = {
    *("policy", "shadow", "position_id", "signal_id", "symbol"),
    *("action", "entry_time", "entry_price", "initial_stop_loss"),
}


def _insert(table: str, types: Mapping[str, str], first_parameter: int, tail: str = "", source: str = "") -> str:
    """INSERT of any number of rows, one array a column from `first_parameter` on; none if `source` has no row."""
    parameters = ", ".join(f"${first_parameter + i}::{type_}[]" for i, type_ in enumerate(types.values()))
    values = ", ".join(f"string_to_array({c}, E'\\n')" if c == "reasoning" else c for c in types)
    names = ", ".join(types)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {source}unnest({parameters}) AS new({names}) {tail}"


@lru_cache
def commit_statement(tables: Sequence[str], *, at_once: bool) -> str:
    """One statement for all rows of a batch, of which there are some in `tables`.

    Parameters: an array a column of each of `tables`; the session that owns the symbols, or null; their buckets. The
    statement inserts the entries of the log only if the symbols are that session's.

    In steps, it comes behind APPEND in a transaction. At once, it is the whole transaction, and takes four parameters
    more: how many sequences to take, what they add to the totals (see totals_of), and the last sequence of the log,
    which is guessed. Then it inserts nothing if the guess was wrong.
    """
    owner = 1 + sum(len(_TABLES[table][0]) for table in tables)
    ours = _OURS.format(owner=f"${owner}", buckets=f"${owner + 1}")
    steps: dict[str, str] = {}
    if at_once:
        totals = _add_totals(owner + 3, owner + 4)
        steps["head"] = _TAKE_AT_ONCE.format(
            count=owner + 2, totals=totals, last=owner + 5, ours=ours, notify=_NOTIFY.format(owner=f"${owner}")
        )
    first = 1
    for table in tables:
        types, tail = _TABLES[table]
        if table == "events" and not at_once:
            tail = f"WHERE {ours}"
        steps[f"new_{table}"] = _insert(table, types, first, tail, "head, " if at_once else "")
        first += len(types)
    events = steps.pop("new_events")
    before = ", ".join(f"{name} AS ({step})" for name, step in steps.items())
    return f"WITH {before} {events}" if before else events


def _shadow_statement() -> str:
    """The same for what was shadow_events."""
    conflict = f"ON CONFLICT (policy, position_id) {_update(SHADOW_POSITION_COLUMNS)}"
    signals = _insert("shadow_signals", SHADOW_SIGNAL_COLUMNS, 1)
    positions = _insert("shadow_positions", SHADOW_POSITION_COLUMNS, 1 + len(SHADOW_SIGNAL_COLUMNS), conflict)
    return f"WITH new_signals AS ({signals}) {positions}"


def _update(types: Mapping[str, str]) -> str:
    """What changes in a row that is there already."""
    return "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in types if name not in _NEVER_CHANGES)


CHANNEL = "tradingsignals_log"
"""Where servers hear of each other's commits."""

_NOTIFY = "CASE WHEN EXISTS (SELECT FROM servers WHERE server_id <> {owner}) THEN pg_notify('" + CHANNEL + "', '') END"
"""At the commit the other servers, if there are any, are woken."""

_COUNTS = (
    *("signals", "buys", "sells", "simulated_signals", "bars"),
    *("positions_opened", "positions_closed", "positions_won", "positions_lost"),
)
_SUMS = ("latency_ms", "pnl", "pnl_account")


def totals_of(events: Sequence[Event]) -> tuple[list[int], list[float]]:
    """What a commit of `events` adds to the totals of event_log, in the order of _COUNTS and of _SUMS.

    A position is opened in the commit of its signal, and closed once.
    """
    signals = [event for event in events if isinstance(event, Signal)]
    positions = {event.position_id: event for event in events if isinstance(event, Position)}
    made = {signal.signal_id for signal in signals}
    closed = [held for held in positions.values() if not held.is_open]
    # Of a database in which a position was opened at a price that had no bound once; such sums may be no number.
    summed = [held for held in closed if held.current_price <= HIGHEST_PRICE]
    counts = [
        len(signals),
        sum(signal.action is Action.BUY for signal in signals),
        sum(signal.action is Action.SELL for signal in signals),
        sum(signal.simulated for signal in signals),
        sum(isinstance(event, MarketUpdate) for event in events),
        sum(held.signal_id in made for held in positions.values()),
        len(closed),
        sum(held.pnl > 0 for held in closed),
        sum(held.pnl < 0 for held in closed),
    ]
    sums = [
        sum(signal.latency_ms for signal in signals),
        sum(held.pnl for held in summed),
        sum(held.pnl_account for held in summed),
    ]
    return counts, sums


def _add_totals(counts: int, sums: int) -> str:
    """SET clauses that add two arrays, the parameters of these numbers, to the totals."""
    added = [f"{name} = {name} + (${counts}::int8[])[{place}]" for place, name in enumerate(_COUNTS, 1)]
    added += [f"{name} = {name} + (${sums}::float8[])[{place}]" for place, name in enumerate(_SUMS, 1)]
    return ", ".join(added)


APPEND = (
    f"UPDATE event_log SET last_sequence = last_sequence + $1, {_add_totals(2, 3)} "
    f"RETURNING last_sequence, {_NOTIFY.format(owner='$4')}"
)
"""Takes the sequences of a batch, and locks the head of the log to the end of the transaction."""

# In steps, this is asked behind the lock on the head of the log, and who takes a symbol over writes so under that lock:
# what is seen holds until the commit. At once, it is asked of a snapshot that may be older than the lock.
_OURS = (
    "({owner}::uuid IS NULL OR (SELECT count(*) FROM bucket_owners "
    "WHERE bucket = ANY ({buckets}::int4[]) AND server_id = {owner}) = cardinality({buckets}::int4[]))"
)
# The row that is updated is the newest, looked at again when its lock is there; the one that is selected is that of the
# snapshot. If they agree on the takeovers, the snapshot has seen all of them.
_TAKE_AT_ONCE = (
    "UPDATE event_log SET last_sequence = last_sequence + ${count}::int8, {totals} "
    "WHERE last_sequence = ${last}::int8 AND takeovers = (SELECT takeovers FROM event_log) AND {ours} "
    "RETURNING {notify} AS notified"
)

_TABLES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "bars": (BAR_COLUMNS, ""),
    "signals": (SIGNAL_COLUMNS, ""),
    "positions": (POSITION_COLUMNS, f"ON CONFLICT (position_id) {_update(POSITION_COLUMNS)}"),
    "symbols": ({"symbol": "text"}, "ON CONFLICT DO NOTHING"),
    "recurrent_states": (STATE_COLUMNS, f"ON CONFLICT (symbol, policy, shadow) {_update(STATE_COLUMNS)}"),
    "events": (EVENT_COLUMNS, ""),
}
"""What a commit writes: columns, and what becomes of a row that is there already."""

SHADOW = _shadow_statement()

PRUNE = """
WITH oldest AS (SELECT sequence, time FROM events ORDER BY sequence LIMIT $2),
pruned AS (
    DELETE FROM events WHERE sequence <= (SELECT max(sequence) FROM oldest)
    AND sequence < coalesce((SELECT min(sequence) FROM oldest WHERE time >= $1), 9223372036854775807)
    RETURNING sequence
)
SELECT count(*) AS count, max(sequence) AS newest FROM pruned
"""
"""Deletes the oldest entries up to the first one that is to stay: what is left is without gaps."""

PRUNING = 0x7472_6164_6570_7275
"""Advisory lock that one pruning server holds; the number spells "tradepru"."""

_DAY = "(market_time AT TIME ZONE 'UTC')::date"

# Day by day, so that each bound is one step in the index on day and sequence.
SEQUENCE_RANGE = f"""
WITH bounds AS (
    SELECT
    greatest(($1::timestamptz AT TIME ZONE 'UTC')::date,
        (SELECT {_DAY} FROM events ORDER BY 1 LIMIT 1)) AS first,
    least((($2::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date,
        (SELECT {_DAY} FROM events ORDER BY 1 DESC LIMIT 1)) AS last
)
SELECT min(found.first) AS first, max(found.last) AS last
FROM bounds, generate_series(0, bounds.last - bounds.first) AS n, LATERAL (SELECT
    (SELECT sequence FROM events WHERE {_DAY} = bounds.first + n AND sequence > $3 ORDER BY {_DAY}, sequence LIMIT 1)
        AS first,
    (SELECT sequence FROM events WHERE {_DAY} = bounds.first + n AND sequence > $3
        ORDER BY {_DAY} DESC, sequence DESC LIMIT 1) AS last
) AS found
"""


def commit_rows(
    events: Sequence[Event],
    entries: Sequence[LogEntry],
    checkpoints: Sequence[RecurrentCheckpoint],
    new_symbols: Collection[str],
) -> tuple[tuple[str, ...], list[Sequence[Any]]]:
    """The tables that a commit writes to, and the arrays of all their columns."""
    pairs = list(zip(events, entries, strict=True))
    rows: dict[str, Sequence[tuple[Any, ...]]] = {
        "bars": [bar_row(event, entry) for event, entry in pairs if isinstance(event, MarketUpdate)],
        "signals": [signal_row(event, entry) for event, entry in pairs if isinstance(event, Signal)],
        # Only the newest state of a position is a row; the log has every change.
        "positions": list(
            {
                event.position_id: position_row(event, entry) for event, entry in pairs if isinstance(event, Position)
            }.values()
        ),
        "symbols": [(symbol,) for symbol in new_symbols],
        "recurrent_states": [state_row(state) for state in checkpoints],
        "events": [event_row(entry) for entry in entries],
    }
    tables = tuple(table for table in _TABLES if rows[table])
    return tables, [column for table in tables for column in zip(*rows[table], strict=True)]


def shadow_parameters(shadow_events: Sequence[ShadowEvent], newest: int) -> list[Sequence[Any]]:
    """The arrays that the shadow statement takes."""
    signals = [shadow_signal_row(s.policy, s.event) for s in shadow_events if isinstance(s.event, Signal)]
    positions = {
        (s.policy, s.event.position_id): shadow_position_row(s.policy, s.event, newest)
        for s in shadow_events
        if isinstance(s.event, Position)
    }
    return [
        *columns(signals, len(SHADOW_SIGNAL_COLUMNS)),
        *columns(list(positions.values()), len(SHADOW_POSITION_COLUMNS)),
    ]


def symbols_of(events: Sequence[Event]) -> set[str]:
    """The symbols that have a bar or a position by these events."""
    bars = {event.bar.symbol for event in events if isinstance(event, MarketUpdate)}
    return bars | {event.symbol for event in events if isinstance(event, Position)}
