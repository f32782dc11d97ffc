"""The whole content of a database, for comparison with another one.

The wall clock is left out: when a bar was received, when an entry was committed and with which others, how long a
decision took. All else is a function of the bars.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import asyncpg.pool

from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.signal_pb2 import Signal

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
        return {table: await _rows(database, table, order) for table, order in _ORDER.items()}


async def _rows(database: Database, table: str, order: str) -> Rows:
    found = await database.fetch(f"SELECT * FROM {table} ORDER BY {order}")
    rows = [dict(row) for row in found]
    for row in rows:
        for column in _BY_CHANCE.get(table, ()):
            row.pop(column, None)
        if table == "signals":
            row["message"] = _without_latency(row["message"])
        elif row.get("kind") == "SIGNAL":
            row["payload"] = _without_latency(row["payload"])
    return rows


def _without_latency(message: bytes) -> bytes:
    signal = Signal.FromString(message)
    signal.ClearField("latency_ms")
    return signal.SerializeToString(deterministic=True)


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
_MESSAGES: dict[str, Any] = {"SIGNAL": Signal, "POSITION_UPDATE": Position}


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
