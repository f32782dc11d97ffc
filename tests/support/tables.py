"""The whole content of a database, for comparison with another one.

The wall clock is left out: when a bar was received, when an entry was committed and with which others, how long a
decision took; and where the keeper's outcomes are among the entries of the log: sequences are those without them. All
else is a function of the bars.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import asyncpg
import asyncpg.pool

from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.signal_pb2 import Signal

_MESSAGES: dict[str, Any] = {"SIGNAL": Signal, "POSITION_UPDATE": Position}
_KIND_OF = {"signals": "SIGNAL", "positions": "POSITION_UPDATE"}

Database = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Rows = list[dict[str, Any]]
Tables = dict[str, Rows]

_ORDER = {
    "bars": "symbol, time",
    "signals": "sequence",
    "positions": "entry_time, position_id",
    "recurrent_states": "symbol, policy, shadow",
    "shadow_signals": "policy, symbol, bar_time",
    "shadow_positions": "policy, entry_time, position_id",
    "events": "sequence",
    "event_log": "only_row",
}
_BY_CHANCE: dict[str, tuple[str, ...]] = {
    "bars": ("received_at",),
    "signals": ("latency_ms",),
    "shadow_positions": ("sequence",),  # how far the log had come with the commit, whose size is a matter of time
    "events": ("time",),
    # The name of a log, which is no two databases' the same; how often a server has begun to work on a symbol; how long
    # decisions took; and sums, whose last bits follow from which summands shared a commit (assert_counted checks them).
    "event_log": ("epoch", "takeovers", "latency_ms", "pnl", "pnl_account"),
}
"""Columns that differ between two runs over the same bars."""


async def tables_of(database: Database) -> Tables:
    """Read every row of every table, in one snapshot."""
    async with database.transaction(isolation="repeatable_read", readonly=True):
        outcomes = await database.fetch("SELECT sequence FROM events WHERE kind = 'OUTCOME' ORDER BY sequence")
        left_out = [row["sequence"] for row in outcomes]
        return {table: await _rows(database, table, order, left_out) for table, order in _ORDER.items()}


async def _rows(database: Database, table: str, order: str, left_out: Sequence[int]) -> Rows:
    """Return the rows of a table, as if the log did not have the entries `left_out`."""
    found = await database.fetch(f"SELECT * FROM {table} ORDER BY {order}")
    rows = [dict(row) for row in found if row.get("kind") != "OUTCOME"]
    for row in rows:
        for column in _BY_CHANCE.get(table, ()):
            row.pop(column, None)
        for column in ("sequence", "last_sequence"):
            if column in row:
                row[column] -= bisect_right(left_out, row[column])
        kind = row.get("kind", _KIND_OF.get(table))
        for column in ("message", "payload"):
            if column in row and kind in _MESSAGES:
                row[column] = _as_if_alone(_MESSAGES[kind].FromString(row[column]), left_out)
    return rows


def _as_if_alone(message: Any, left_out: Sequence[int]) -> bytes:
    message.sequence -= bisect_right(left_out, message.sequence)
    if isinstance(message, Signal):
        message.ClearField("latency_ms")
    serialised: bytes = message.SerializeToString(deterministic=True)
    return serialised


def assert_same(found: Tables, expected: Tables) -> None:
    """Check that two databases are equal, row by row; a failure shows the first difference."""
    assert found.keys() == expected.keys()
    for table, rows in expected.items():
        for number, (here, there) in enumerate(zip(found[table], rows, strict=False), 1):
            differing = {name: (here.get(name), there[name]) for name in there if here.get(name) != there[name]}
            assert not differing, f"row {number} of {table}: (found, expected) is {differing}"
        assert len(found[table]) == len(rows), table


def by_symbol(tables: Tables) -> dict[str, Tables]:
    """Return the tables by symbol without sequences, which depend on the interleaving of symbols."""
    symbols = sorted({row["symbol"] for row in tables["bars"]})
    return {symbol: {table: _of_symbol(tables[table], symbol) for table in _BY_SYMBOL} for symbol in symbols}


_BY_SYMBOL = (
    *("bars", "signals", "positions", "events"),
    *("recurrent_states", "shadow_signals", "shadow_positions"),
)


def _of_symbol(rows: Rows, symbol: str) -> Rows:
    return [_without_sequence(row) for row in rows if row["symbol"] == symbol]


def _without_sequence(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name != "sequence"}
    column = "payload" if "payload" in kept else "message"
    kind = _MESSAGES.get(kept.get("kind", "SIGNAL" if "reasoning" in kept else "POSITION_UPDATE"))
    if kind is not None and column in kept:
        message = kind.FromString(kept[column])
        message.ClearField("sequence")
        kept[column] = message.SerializeToString(deterministic=True)
    return kept
