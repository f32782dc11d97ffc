"""The statements of a commit: one round trip each, however many rows there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2s
from typing import Any

from ...application.ports import CarriedState, LogEntry, Shadowed
from ...domain.events import Event, MarketUpdate
from ...domain.positions import Position
from ...domain.signals import Signal
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


def _insert(table: str, types: Mapping[str, str], first_parameter: int, tail: str = "") -> str:
    """INSERT of any number of rows, given as one array a column from `first_parameter` on."""
    parameters = ", ".join(f"${first_parameter + i}::{type_}[]" for i, type_ in enumerate(types.values()))
    values = ", ".join(f"string_to_array({c}, E'\\n')" if c == "reasoning" else c for c in types)
    names = ", ".join(types)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM unnest({parameters}) AS new({names}) {tail}"


def _commit_statement() -> str:
    """One statement, so one round trip, for all rows of a batch."""
    position, state = "ON CONFLICT (position_id)", "ON CONFLICT (symbol, policy, shadow)"
    steps, first = [], 1
    for table, types, tail in (
        ("bars", BAR_COLUMNS, ""),
        ("signals", SIGNAL_COLUMNS, ""),
        ("positions", POSITION_COLUMNS, f"{position} {_update(POSITION_COLUMNS)}"),
        ("recurrent_states", STATE_COLUMNS, f"{state} {_update(STATE_COLUMNS)}"),
    ):
        steps.append(f"new_{table} AS ({_insert(table, types, first, tail)})")
        first += len(types)
    owner = first + len(EVENT_COLUMNS)
    # This statement's snapshot was taken after the head of the log was locked, and who takes a symbol over writes so
    # under that lock: what is seen here holds until the commit. Without its entries the caller takes all of it back.
    still_ours = (
        f"WHERE ${owner}::uuid IS NULL OR (SELECT count(*) FROM symbol_owners "
        f"WHERE lock_key = ANY (${owner + 1}::int4[]) AND server_id = ${owner}) = cardinality(${owner + 1}::int4[])"
    )
    return f"WITH {', '.join(steps)} {_insert('events', EVENT_COLUMNS, first, still_ours)}"


def _shadow_statement() -> str:
    """The same for what was shadowed."""
    conflict = f"ON CONFLICT (policy, position_id) {_update(SHADOW_POSITION_COLUMNS)}"
    signals = _insert("shadow_signals", SHADOW_SIGNAL_COLUMNS, 1)
    positions = _insert("shadow_positions", SHADOW_POSITION_COLUMNS, 1 + len(SHADOW_SIGNAL_COLUMNS), conflict)
    return f"WITH new_signals AS ({signals}) {positions}"


def _update(types: Mapping[str, str]) -> str:
    """What changes in a row that is there already."""
    return "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in types if name not in _NEVER_CHANGES)


CHANNEL = "tradingsignals_log"
"""Where servers hear of each other's commits."""

APPEND = (
    "UPDATE event_log SET last_sequence = last_sequence + $1, signals = signals + $2 RETURNING last_sequence, "
    f"CASE WHEN EXISTS (SELECT FROM servers WHERE server_id <> $3) THEN pg_notify('{CHANNEL}', '') END"
)
"""Takes the sequences of a batch and locks the head of the log; at the commit the other servers, if any, are woken."""

COMMIT = _commit_statement()
"""The rows of a batch. After its arrays come the session that owns its symbols, or null, and their lock keys."""

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
STRETCH = f"""
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


def commit_parameters(
    events: Sequence[Event], entries: Sequence[LogEntry], carried: Sequence[CarriedState]
) -> list[Sequence[Any]]:
    """The arrays that the commit statement takes, for all tables."""
    pairs = list(zip(events, entries, strict=True))
    bars = [bar_row(event, entry) for event, entry in pairs if isinstance(event, MarketUpdate)]
    signals = [signal_row(event, entry) for event, entry in pairs if isinstance(event, Signal)]
    # Only the newest state of a position is a row; the log has every change.
    positions = {event.position_id: position_row(event, entry) for event, entry in pairs if isinstance(event, Position)}
    return [
        *columns(bars, len(BAR_COLUMNS)),
        *columns(signals, len(SIGNAL_COLUMNS)),
        *columns(list(positions.values()), len(POSITION_COLUMNS)),
        *columns([state_row(state) for state in carried], len(STATE_COLUMNS)),
        *columns([event_row(entry) for entry in entries], len(EVENT_COLUMNS)),
    ]


@lru_cache(maxsize=16_384)
def lock_key(symbol: str) -> int:
    """The key of a symbol's advisory lock: 32 bits, signed. Several symbols may share one."""
    return int.from_bytes(blake2s(symbol.encode(), digest_size=4).digest(), "big", signed=True)


def shadow_parameters(shadowed: Sequence[Shadowed], newest: int) -> list[Sequence[Any]]:
    """The arrays that the shadow statement takes."""
    signals = [shadow_signal_row(s.policy, s.outcome) for s in shadowed if isinstance(s.outcome, Signal)]
    positions = {
        (s.policy, s.outcome.position_id): shadow_position_row(s.policy, s.outcome, newest)
        for s in shadowed
        if isinstance(s.outcome, Position)
    }
    return [
        *columns(signals, len(SHADOW_SIGNAL_COLUMNS)),
        *columns(list(positions.values()), len(SHADOW_POSITION_COLUMNS)),
    ]
