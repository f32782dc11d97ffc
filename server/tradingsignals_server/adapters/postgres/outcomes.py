"""Outcomes, account and equity in PostgreSQL. See application.ports.outcomes for what each method promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from ...application.ports.event_log import Encode, LogDecoders, LogEntry
from ...application.ports.outcomes import (
    LIVE,
    LedgerCommit,
    LedgerPlace,
    OutcomePage,
    OutcomeQuery,
    PolicyEvent,
    StoredAccount,
    StoredLedger,
)
from ...domain.account import Account
from ...domain.equity import EquityPoint
from ...domain.events import Disposition, MarketUpdate
from ...domain.ledger import FollowedSignal, LedgerEvent
from ...domain.outcomes import Fill, Outcome, Resolution
from ...domain.positions import revalued
from ...domain.signals import Action, Origin, bar_signal_id
from .commit import append_to_log
from .connection import Connections, Database, fetch_one
from .partitions import is_beyond_the_last, make_room
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

_EQUITY_COLUMNS = tuple(field.name for field in fields(EquityPoint))
_EQUITY_TYPES = {"time": "timestamptz", "session_day": "date", "open_positions": "int4"}

_PUT_EQUITY = f"""
INSERT INTO equity ({", ".join(_EQUITY_COLUMNS)})
SELECT * FROM unnest({", ".join(f"${n}::{_EQUITY_TYPES.get(c, 'float8')}[]" for n, c in enumerate(_EQUITY_COLUMNS, 1))})
ON CONFLICT (time) DO UPDATE SET session_day = coalesce(equity.session_day, excluded.session_day),
{", ".join(f"{name} = excluded.{name}" for name in _EQUITY_COLUMNS if name not in {"time", "session_day"})}
"""

_BARS = f"""
SELECT logged.sequence, logged.time AS market_time, disposition, {BARS.read_back} FROM (
    SELECT sequence, symbol, market_time AS time FROM {_OF_BARS}
) AS logged JOIN bars USING (symbol, time)
"""

_SIGNALS = """
SELECT signals.*, coalesce(bar_time, "timestamp") AS market_time, coalesce(content::json ->> 'policy', '') AS policy,
    EXISTS (SELECT FROM positions WHERE positions.signal_id = signals.signal_id) AS acted
FROM signals LEFT JOIN signal_inputs USING (sequence) LEFT JOIN decision_settings USING (settings_id)
WHERE sequence > $1 AND sequence <= $2 AND action <> 'HOLD'
"""

_SHADOWS = f"""
SELECT logged.sequence, logged.bar_time AS market_time, shadow.*, live.atr FROM (
    SELECT sequence, symbol, market_time AS bar_time FROM {_OF_BARS}
) AS logged JOIN shadow_signals AS shadow USING (symbol, bar_time)
LEFT JOIN signals AS live ON live.symbol = shadow.symbol AND live.bar_time = shadow.bar_time AND live.origin = 'BAR'
    AND live.sequence > $1 - 8 AND live.sequence <= $2 + 8
WHERE shadow.action <> 'HOLD' ORDER BY shadow.policy
"""

_CHANGES = """
SELECT sequence, market_time, kind, payload FROM events
WHERE kind IN ('POSITION_UPDATE', 'TRADING_CONTROL') AND sequence > $1 AND sequence <= $2
"""

_EARLIER_POSITIONS = "SELECT * FROM positions WHERE sequence < $1 ORDER BY sequence"

_HAS_CONTROL = "SELECT EXISTS (SELECT FROM events WHERE kind = 'TRADING_CONTROL')"

_FIRST_CLOSE = """
SELECT bars.time + make_interval(secs => interval_seconds) FROM (
    SELECT symbol, market_time AS time, sequence FROM events WHERE kind = 'MARKET_UPDATE'
) AS logged JOIN bars USING (symbol, time) WHERE disposition <> 'LATE' ORDER BY logged.sequence LIMIT 1
"""

_SCALE_EQUITY = """
UPDATE equity SET equity = equity * $1, realised = realised * $1, unrealised = unrealised * $1, drawdown = drawdown * $1
"""

_BAR, _SHADOW, _LIVE = range(3)
"""Order of what has one sequence: the decisions of shadow policies have that of their bar."""


class PostgresOutcomes:
    """Implements application.ports.outcomes.OutcomeStore."""

    def __init__(self, connections: Connections, encode: Encode, decoders: LogDecoders) -> None:
        """Args:
        connections: to the database.
        encode: makes the messages of the log.
        decoders: read them.
        """
        self._connections = connections
        self._encode = encode
        self._read: Mapping[str, Callable[[bytes], LedgerEvent]] = {
            "POSITION_UPDATE": decoders.position,
            "TRADING_CONTROL": decoders.trading_control,
        }

    async def load_ledger(self) -> StoredLedger:
        """See OutcomeStore."""
        async with (
            self._connections.for_engine() as database,
            database.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await fetch_one(database, "SELECT sequence, version, reported, account, currency FROM ledger")
            rows = await database.fetch("SELECT policy, symbol, entries FROM open_entries")
        entries = {(row["policy"], row["symbol"]): json.loads(row["entries"]) for row in rows}
        return StoredLedger(LedgerPlace(row["sequence"], row["version"]), entries, row["reported"], stored_account(row))

    async def load_account(self) -> StoredAccount | None:
        """See OutcomeStore."""
        async with self._connections.for_engine() as database:
            return stored_account(await fetch_one(database, "SELECT sequence, account, currency FROM ledger"))

    async def ledger_events(self, after: int, through: int) -> Sequence[PolicyEvent]:
        """See OutcomeStore."""
        found: list[tuple[int, PolicyEvent]] = []
        async with self._connections.for_engine() as database:
            rows = {name: await database.fetch(name, after, through) for name in (_BARS, _SIGNALS, _SHADOWS, _CHANGES)}
        updates = {row["sequence"]: MarketUpdate(bar_of(row), Disposition(row["disposition"])) for row in rows[_BARS]}
        found += [(_BAR, _logged(None, updates[row["sequence"]], row)) for row in rows[_BARS]]
        found += [(_LIVE, _logged(LIVE, _live_signal(row), row)) for row in rows[_SIGNALS]]
        found += [
            (_SHADOW, _logged(row["policy"], _shadow_signal(row, updates[row["sequence"]]), row))
            for row in rows[_SHADOWS]
        ]
        found += [(_LIVE, _logged(LIVE, self._read[row["kind"]](row["payload"]), row)) for row in rows[_CHANGES]]
        return [event for _, event in sorted(found, key=lambda each: (each[1].sequence, each[0]))]

    async def commit_ledger(self, commit: LedgerCommit) -> Sequence[LogEntry] | None:
        """See OutcomeStore."""
        try:
            return await self._commit_ledger(commit)
        except asyncpg.CheckViolationError as error:
            if not is_beyond_the_last(error):
                raise
        async with self._connections.for_engine() as database:
            await make_room(database, len(commit.reported_events))
        return await self._commit_ledger(commit)

    async def _commit_ledger(self, commit: LedgerCommit) -> Sequence[LogEntry] | None:
        before, outcomes = commit.before, [one.outcome for one in commit.resolved]
        async with self._connections.for_engine() as database, database.transaction():
            moved = await database.fetchval(
                "UPDATE ledger SET sequence = $1, reported = greatest(reported, $1), account = $4 "
                "WHERE sequence = $2 AND version = $3 RETURNING true",
                *(commit.sequence, before.sequence, before.version, json.dumps(commit.account.to_json())),
            )
            if not moved:
                return None
            if outcomes:
                columns = [[getattr(outcome, name) for outcome in outcomes] for name in _COLUMNS]
                await database.execute(_INSERT, *columns)
            if commit.equity:
                columns = [[getattr(point, name) for point in commit.equity] for name in _EQUITY_COLUMNS]
                await database.execute(_PUT_EQUITY, *columns)
            await _keep_entries(database, commit.entries)
            return await append_to_log(database, commit.reported_events, commit.at, self._encode)

    async def restart_ledger(self, version: int, opening: Account, currency: str) -> int:
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
            account = await _account_before(database, oldest, opening, currency)
            await database.execute(
                "UPDATE ledger SET sequence = $1, version = $2, account = $3, currency = $4",
                *(oldest - 1, version, json.dumps(account.to_json()), currency),
            )
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
        return OutcomePage(list(map(outcome_of, rows[:limit])), rows[limit - 1]["number"] if more else None, through)


async def _account_before(database: Database, oldest: int, opening: Account, currency: str) -> Account:
    """Delete the equity from the first bar of the log on; return the account of what happened before its first entry.

    Of the time before, the log has nothing more. The rows of positions have what they came to, those of the equity its
    peak, and the stored account whether trading was halted then. If the account began with another equity or currency,
    all amounts of that time are those of the same sizes in the new one.
    """
    stored = stored_account(await fetch_one(database, "SELECT sequence, account, currency FROM ledger"))
    first_close: datetime | None = await database.fetchval(_FIRST_CLOSE)
    await database.execute("DELETE FROM equity WHERE time >= $1", first_close)
    for row in await database.fetch(_EARLIER_POSITIONS, oldest):
        opening = opening.after(revalued(position_of(row), opening.initial_equity, currency))
    if stored is not None:
        scale = opening.initial_equity / stored.account.initial_equity
        if scale != 1.0:
            await database.execute(_SCALE_EQUITY, scale)
            await database.execute("UPDATE outcomes SET pnl_account = pnl_account * $1", scale)
    peak: float | None = await database.fetchval("SELECT max(equity) FROM equity")
    opening = opening if peak is None else replace(opening, peak=max(opening.peak, peak))
    if oldest == 1 or stored is None or await database.fetchval(_HAS_CONTROL):
        return opening
    return opening.controlled_as(replace(stored.account, protected_peak=scale * stored.account.protected_peak))


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


def _logged(policy: str | None, event: LedgerEvent, row: asyncpg.Record) -> PolicyEvent:
    return PolicyEvent(policy, event, row["sequence"], row["market_time"])


def stored_account(row: asyncpg.Record) -> StoredAccount | None:
    """Return the account of a row of the ledger; None if it has not been followed yet."""
    if row["account"] is None:
        return None
    return StoredAccount(row["sequence"], Account.of_json(json.loads(row["account"])), row["currency"])


def _live_signal(row: asyncpg.Record) -> FollowedSignal:
    return FollowedSignal(
        **_decision(row),
        signal_id=_uuid(row["signal_id"]),
        origin=Origin(row["origin"]),
        timestamp=row["timestamp"],
        model_version=row["model_version"],
        simulated=row["simulated"],
        acted=row["acted"],
        model_key=row["policy"],
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


def outcome_of(row: asyncpg.Record) -> Outcome:
    """Return the outcome that a row of `outcomes` holds."""
    values = {name: row[name] for name in _COLUMNS}
    values |= {name: _uuid(row[name]) for name in ("outcome_id", "signal_id")}
    values |= {"action": Action(row["action"]), "origin": Origin(row["origin"]), "fill": Fill(row["fill"])}
    return Outcome(**values | {"resolution": Resolution(row["resolution"])})


def _uuid(value: UUID) -> UUID:
    """Return a UUID of the standard library; asyncpg has a type of its own, which is not equal in every respect."""
    return UUID(bytes=value.bytes)
