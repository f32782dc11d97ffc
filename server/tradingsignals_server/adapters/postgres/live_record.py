"""What a service has stored: its bars, how it took them, and what came of them, of one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

import asyncpg

from ...application.backtest.columns import BarColumns
from ...application.backtest.live_record import BarKey, LiveRecord, LogExtent, TakenBar
from ...application.ports.outcomes import StoredAccount
from ...domain.equity import EquityPoint
from ...domain.events import Disposition, TradingControl
from ...domain.positions import ExitReason
from ...domain.signals import Action, Origin
from .bar_history import reading, stored_bars
from .outcomes import outcome_of, stored_account
from .tables import POSITIONS, position_of

_OF_SYMBOLS = "(cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))"

_BARS = f"""
SELECT symbol, time, disposition, received_at, logged.sequence, made.sequence AS decided FROM bars LEFT JOIN (
    SELECT sequence, symbol, market_time AS time FROM events WHERE kind = 'MARKET_UPDATE'
) AS logged USING (symbol, time) LEFT JOIN (
    SELECT sequence, symbol, bar_time AS time FROM signals WHERE origin = 'BAR'
) AS made USING (symbol, time)
WHERE {_OF_SYMBOLS} AND ($2::timestamptz IS NULL OR time < $2)
"""
_MISSING = f"""
SELECT symbol, time FROM (
    SELECT symbol, market_time AS time FROM events WHERE kind = 'MARKET_UPDATE' AND {_OF_SYMBOLS}
) AS logged LEFT JOIN bars USING (symbol, time) WHERE bars.disposition IS NULL
"""
_SIGNALS = f"""
SELECT sequence, symbol, bar_time, origin, action, message FROM signals
WHERE {_OF_SYMBOLS} AND ($2::timestamptz IS NULL OR bar_time < $2)
"""
_POSITIONS = f"""
SELECT {POSITIONS.read_back}, sequence, exit_time, exit_price, exit_reason, exit_signal_id FROM positions
WHERE {_OF_SYMBOLS}
"""
_OUTCOMES = f"""
SELECT outcomes.*, made.sequence AS made_at FROM outcomes LEFT JOIN (SELECT signal_id, sequence FROM signals) AS made
USING (signal_id) WHERE NOT shadow AND origin = 'BAR' AND {_OF_SYMBOLS}
"""
_EQUITY = f"SELECT {', '.join(field.name for field in fields(EquityPoint))} FROM equity"
_CONTROLS = "SELECT sequence, payload FROM events WHERE kind = 'TRADING_CONTROL' ORDER BY sequence"
_LEDGER = "SELECT sequence, account, currency FROM ledger"
_LOG = """
SELECT oldest_sequence AS oldest, coalesce((
    SELECT max(sequence) FROM events WHERE kind <> 'OUTCOME'
), 0) AS newest FROM event_log
"""
_OTHERS = "SELECT EXISTS (SELECT FROM bars WHERE cardinality($1::text[]) > 0 AND symbol <> ALL($1::text[]))"

_STATES = """
SELECT DISTINCT ON (symbol) symbol, state FROM signals JOIN signal_inputs USING (sequence)
WHERE origin = 'BAR' AND sequence >= $1 ORDER BY symbol, sequence
"""

_LOGGED_BARS = """
SELECT payload FROM events WHERE kind = 'MARKET_UPDATE' AND symbol = $1 AND market_time <= $2
ORDER BY market_time DESC LIMIT $3
"""

_SETTINGS = """
SELECT content FROM signals JOIN signal_inputs USING (sequence) JOIN decision_settings USING (settings_id)
WHERE symbol = $1 AND bar_time = $2 AND origin = 'BAR'
"""

_PREFETCH = 5000


@dataclass(frozen=True, slots=True)
class BarEvidence:
    """What the log says of a bar: the settings of its decision, None if not known, and the newest bars up to it."""

    settings: str | None
    bars: Sequence[bytes]


async def live_record(
    dsn: str, symbols: Sequence[str], end: datetime | None, control_of: Callable[[bytes], TradingControl]
) -> LiveRecord:
    """Read the bars of `symbols`, of all if there are none, with time < end, and what was made of them.

    `control_of` reads the message of a halt or resume.

    Raises:
        StorageUnavailable: the database is unreachable, or becomes so meanwhile.
        DatabaseRefused: it refuses the connection or the query.
    """
    named = list(symbols)
    async with reading(dsn) as connection:
        columns = await BarColumns.read(stored_bars(connection, named, None, end))
        log, account = await _followed(connection)
        others = await connection.fetchval(_OTHERS, named)
        found = LiveRecord(columns, log, account, other_symbols=others)
        async for row in connection.cursor(_BARS, named, end, prefetch=_PREFETCH):
            places = row["sequence"], row["decided"]
            taken = TakenBar(Disposition(row["disposition"]), row["received_at"], *places)
            found.bars[row["symbol"], row["time"]] = taken
        found.missing.extend([(row["symbol"], row["time"]) for row in await connection.fetch(_MISSING, named)])
        await _read_decisions(connection, found, named, end)
        controls = await connection.fetch(_CONTROLS)
        found.controls.extend([(row["sequence"], control_of(row["payload"])) for row in controls])
        async for row in connection.cursor(_OUTCOMES, named, prefetch=_PREFETCH):
            outcome = outcome_of(row)
            found.outcomes[outcome.outcome_id] = outcome
            if row["made_at"] is None or row["made_at"] < log.oldest:
                found.of_pruned_signals.add(outcome.outcome_id)
        async for row in connection.cursor(_EQUITY, prefetch=_PREFETCH):
            found.equity[row["time"]] = EquityPoint(*row.values())
    return found


async def recurrent_states(dsn: str, sequence: int) -> dict[str, bytes]:
    """Return the recurrent state before the first decision on a bar from a place in the log on, by symbol.

    Raises:
        StorageUnavailable, DatabaseRefused: see live_record.
    """
    async with reading(dsn) as connection:
        return {row["symbol"]: row["state"] for row in await connection.fetch(_STATES, sequence)}


async def bar_evidence(dsn: str, key: BarKey, bars: int) -> BarEvidence:
    """Return what the log has of a bar: its settings, and the messages of up to `bars` bars, the newest first.

    Raises:
        StorageUnavailable, DatabaseRefused: see live_record.
    """
    async with reading(dsn) as connection:
        settings = await connection.fetchval(_SETTINGS, *key)
        logged = await connection.fetch(_LOGGED_BARS, *key, bars)
    return BarEvidence(settings, [row["payload"] for row in logged])


async def _followed(connection: asyncpg.Connection) -> tuple[LogExtent, StoredAccount | None]:
    (log,), (ledger,) = await connection.fetch(_LOG), await connection.fetch(_LEDGER)
    return LogExtent(log["oldest"], log["newest"], ledger["sequence"]), stored_account(ledger)


async def _read_decisions(
    connection: asyncpg.Connection, found: LiveRecord, symbols: Sequence[str], end: datetime | None
) -> None:
    """Read signals and positions, and where something other than a bar changed a position."""
    async for row in connection.cursor(_SIGNALS, symbols, end, prefetch=_PREFETCH):
        if row["origin"] == Origin.BAR:
            found.signals[row["symbol"], row["bar_time"]] = row["message"]
        elif row["action"] != Action.HOLD:
            found.interventions.setdefault(row["symbol"], []).append(row["sequence"])
    async for row in connection.cursor(_POSITIONS, symbols, prefetch=_PREFETCH):
        position = replace(position_of(row), sequence=row["sequence"])
        found.positions[position.position_id] = position
        if position.exit is not None and position.exit.reason is ExitReason.MANUAL:
            found.interventions.setdefault(position.symbol, []).append(position.sequence)
