"""Outcomes and the place of the ledger in PostgreSQL. See application.ports.outcomes for what each method promises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

import asyncpg

from ...application.ports.outcomes import (
    LIVE,
    LedgerPlace,
    OutcomePage,
    OutcomeQuery,
    PolicyEvent,
    StoredLedger,
)
from ...domain.events import Disposition, MarketUpdate
from ...domain.ledger import FollowedSignal
from ...domain.outcomes import Fill, Outcome, Resolution
from ...domain.signals import Action, Origin, bar_signal_id
from .connection import Connections, Database, fetch_one
from .tables import BARS, bar_of, conditions, position_of

_COLUMNS = tuple(field.name for field in fields(Outcome))
_TYPES = {
    "outcome_id": "uuid",
    "signal_id": "uuid",
    **dict.fromkeys(("shadow", "acted", "simulated"), "bool"),
    **dict.fromkeys(("entry_time", "exit_time"), "timestamptz"),
    **dict.fromkeys(("bars_held", "rules_version"), "int4"),
    **dict.fromkeys(("symbol", "action", "model_version", "model_key", "origin", "fill", "resolution"), "text"),
}

_INSERT = f"""
INSERT INTO outcomes ({", ".join(_COLUMNS)})
SELECT * FROM unnest({", ".join(f"${n}::{_TYPES.get(name, 'float8')}[]" for n, name in enumerate(_COLUMNS, 1))})
ON CONFLICT (outcome_id) DO UPDATE SET
{", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "outcome_id")}
"""

_OF_BARS = "events WHERE kind = 'MARKET_UPDATE' AND events.sequence > $1 AND events.sequence <= $2"

_BARS = f"""
SELECT logged.sequence, disposition, {BARS.read_back} FROM (
    SELECT sequence, symbol, market_time AS time FROM {_OF_BARS}
) AS logged JOIN bars USING (symbol, time)
"""

_SIGNALS = """
SELECT signals.*, EXISTS (SELECT FROM positions WHERE positions.signal_id = signals.signal_id) AS acted
FROM signals WHERE sequence > $1 AND sequence <= $2 AND action <> 'HOLD'
"""

_SHADOWS = f"""
SELECT logged.sequence, shadow.*, live.atr FROM (
    SELECT sequence, symbol, market_time AS bar_time FROM {_OF_BARS}
) AS logged JOIN shadow_signals AS shadow USING (symbol, bar_time)
LEFT JOIN signals AS live ON live.symbol = shadow.symbol AND live.bar_time = shadow.bar_time AND live.origin = 'BAR'
    AND live.sequence > $1 - 8 AND live.sequence <= $2 + 8
WHERE shadow.action <> 'HOLD' ORDER BY shadow.policy
"""

_CLOSED = "SELECT * FROM positions WHERE status = 'CLOSED' AND sequence > $1 AND sequence <= $2"

_BAR, _SHADOW, _LIVE = range(3)
"""Order of what has one sequence: the decisions of shadow policies have that of their bar."""


class PostgresOutcomes:
    """Implements application.ports.outcomes.OutcomeStore."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def load_ledger(self) -> StoredLedger:
        """See OutcomeStore."""
        async with (
            self._connections.for_engine() as database,
            database.transaction(isolation="repeatable_read", readonly=True),
        ):
            place = await fetch_one(database, "SELECT sequence, version FROM ledger")
            rows = await database.fetch("SELECT policy, symbol, entries FROM open_entries")
        entries = {(row["policy"], row["symbol"]): json.loads(row["entries"]) for row in rows}
        return StoredLedger(LedgerPlace(**place), entries)

    async def ledger_events(self, after: int, through: int) -> Sequence[PolicyEvent]:
        """See OutcomeStore."""
        found: list[tuple[int, int, PolicyEvent]] = []
        async with self._connections.for_engine() as database:
            rows = {name: await database.fetch(name, after, through) for name in (_BARS, _SIGNALS, _SHADOWS, _CLOSED)}
        updates = {row["sequence"]: MarketUpdate(bar_of(row), Disposition(row["disposition"])) for row in rows[_BARS]}
        found += [(sequence, _BAR, PolicyEvent(None, update)) for sequence, update in updates.items()]
        found += [(row["sequence"], _LIVE, PolicyEvent(LIVE, _live_signal(row))) for row in rows[_SIGNALS]]
        found += [
            (row["sequence"], _SHADOW, PolicyEvent(row["policy"], _shadow_signal(row, updates[row["sequence"]])))
            for row in rows[_SHADOWS]
        ]
        found += [(row["sequence"], _LIVE, PolicyEvent(LIVE, position_of(row))) for row in rows[_CLOSED]]
        return [event for _, _, event in sorted(found, key=lambda each: each[:2])]

    async def commit_ledger(
        self,
        before: LedgerPlace,
        sequence: int,
        outcomes: Sequence[Outcome],
        entries: Mapping[tuple[str, str], Sequence[Any]],
    ) -> bool:
        """See OutcomeStore."""
        async with self._connections.for_engine() as database, database.transaction():
            moved = await database.fetchval(
                "UPDATE ledger SET sequence = $1 WHERE sequence = $2 AND version = $3 RETURNING true",
                *(sequence, before.sequence, before.version),
            )
            if not moved:
                return False
            if outcomes:
                columns = [[getattr(outcome, name) for outcome in outcomes] for name in _COLUMNS]
                await database.execute(_INSERT, *columns)
            await _keep_entries(database, entries)
        return True

    async def restart_ledger(self, version: int) -> int:
        """See OutcomeStore."""
        async with self._connections.for_engine() as database, database.transaction():
            await database.execute("SELECT FROM ledger FOR UPDATE")
            oldest: int = await database.fetchval("SELECT oldest_sequence FROM event_log")
            await database.execute(
                "DELETE FROM outcomes USING signals WHERE signals.signal_id = outcomes.signal_id AND sequence >= $1",
                oldest,
            )
            await database.execute(
                f"DELETE FROM outcomes WHERE shadow AND entry_time >= (SELECT min(market_time) FROM {_OF_BARS})",
                *(oldest - 1, 2**62),
            )
            await database.execute("DELETE FROM open_entries")
            await database.execute("UPDATE ledger SET sequence = $1, version = $2", oldest - 1, version)
        return oldest - 1

    async def list_outcomes(self, query: OutcomeQuery, before: int | None, limit: int) -> OutcomePage:
        """See OutcomeStore."""
        where, values = conditions(
            ("symbol = ", query.symbol),
            ("action = ", query.action),
            ("resolution = ", query.resolution),
            ("fill = ", query.fill),
            ("model_version = ", query.model_version),
            ("shadow = ", query.shadow),
            ("exit_time >= ", query.start),
            ("exit_time < ", query.end),
            ("number < ", before),
        )
        async with (
            self._connections.for_read() as database,
            database.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await database.fetch(
                f"SELECT * FROM outcomes {where} ORDER BY number DESC LIMIT {limit + 1:d}", *values
            )
            through = await database.fetchval("SELECT sequence FROM ledger")
        more = len(rows) > limit
        return OutcomePage(list(map(_outcome, rows[:limit])), rows[limit - 1]["number"] if more else None, through)


async def _keep_entries(database: Database, entries: Mapping[tuple[str, str], Sequence[Any]]) -> None:
    gone = [key for key, kept in entries.items() if not kept]
    kept = [(policy, symbol, json.dumps(state)) for (policy, symbol), state in entries.items() if state]
    if gone:
        await database.execute(
            "DELETE FROM open_entries USING unnest($1::text[], $2::text[]) AS gone (policy, symbol) "
            "WHERE open_entries.policy = gone.policy AND open_entries.symbol = gone.symbol",
            *map(list, zip(*gone, strict=True)),
        )
    if kept:
        await database.execute(
            "INSERT INTO open_entries (policy, symbol, entries) SELECT * FROM unnest($1::text[], $2::text[], "
            "$3::jsonb[]) ON CONFLICT (policy, symbol) DO UPDATE SET entries = excluded.entries",
            *map(list, zip(*kept, strict=True)),
        )


def _live_signal(row: asyncpg.Record) -> FollowedSignal:
    return FollowedSignal(
        **_decision(row),
        signal_id=_uuid(row["signal_id"]),
        origin=Origin(row["origin"]),
        timestamp=row["timestamp"],
        model_version=row["model_version"],
        simulated=row["simulated"],
        acted=row["acted"],
    )


def _shadow_signal(row: asyncpg.Record, update: MarketUpdate) -> FollowedSignal:
    """Return the decision of a shadow policy on a bar, which is made as the bar closes and never acted on."""
    policy: str = row["policy"]
    return FollowedSignal(
        **_decision(row),
        signal_id=bar_signal_id(row["symbol"], row["bar_time"], policy),
        origin=Origin.BAR,
        timestamp=update.bar.close_time,
        model_version=policy.rpartition("@")[0],
        simulated=update.bar.simulated,
    )


def _decision(row: asyncpg.Record) -> dict[str, Any]:
    names = ("symbol", "bar_time", "entry_price", "stop_loss", "take_profit", "position_size", "confidence", "atr")
    return {
        **{name: row[name] for name in names},
        "action": Action(row["action"]),
        "win_probability": row["win_probability"],
    }


def _outcome(row: asyncpg.Record) -> Outcome:
    values = {name: row[name] for name in _COLUMNS}
    values |= {name: _uuid(row[name]) for name in ("outcome_id", "signal_id")}
    values |= {"action": Action(row["action"]), "origin": Origin(row["origin"]), "fill": Fill(row["fill"])}
    return Outcome(**values | {"resolution": Resolution(row["resolution"])})


def _uuid(value: UUID) -> UUID:
    """Return a UUID of the standard library; asyncpg has a type of its own, which is not equal in every respect."""
    return UUID(bytes=value.bytes)
