"""The tables of the store: each column declared once, with its type, its value, and whether it is read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, TypeVar

import asyncpg

from ...application.ports.event_log import LogEntry
from ...application.ports.idempotency import KeyUse
from ...application.ports.inputs import HeldAtDecision, SignalInputs
from ...application.ports.store import RecurrentCheckpoint
from ...domain.bars import Bar
from ...domain.events import EventKind, MarketUpdate
from ...domain.intervals import INTERVALS
from ...domain.plain_values import parsed, plain
from ...domain.positions import Exit, ExitReason, Position
from ...domain.protections import AccountAtDecision
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Action, Signal

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """A column and the getter of its value, from an item and the item's entry in the log.

    expression: SQL for the stored value, if it is not the value as sent. constant: an update keeps the first value.
    """

    name: str
    type: str
    value: Callable[[Item, LogEntry], object]
    expression: str = ""
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Field(Column[Item]):
    """A column that is read back as an attribute, by `parse` if it is not the value as received.

    attribute: its name, if it is not that of the column.
    """

    parse: Callable[[Any], object] | None = None
    attribute: str = ""


class Table(Generic[Item]):
    """A table. `on_conflict` ends its INSERT; {changes} in it stands for the columns that are not constant."""

    def __init__(self, name: str, columns: Iterable[Column[Item]], on_conflict: str = "") -> None:
        self.name = name
        self.columns = tuple(columns)
        self.on_conflict = on_conflict
        self._parsers = [
            (column.name, column.attribute or column.name, column.parse)
            for column in self.columns
            if isinstance(column, Field)
        ]
        self.read_back = ", ".join(name for name, _, _ in self._parsers)
        """The columns that `read` needs, for a SELECT."""

    def arrays(self, rows: Collection[tuple[Item, LogEntry]]) -> list[list[object]]:
        """Return the values of `rows`, one array per column; nothing if there are no rows."""
        if not rows:
            return []
        items, entries = zip(*rows, strict=True)
        return [list(map(column.value, items, entries)) for column in self.columns]

    def read(self, row: asyncpg.Record) -> dict[str, Any]:
        """Return the attributes that a row holds."""
        return {attribute: row[name] if parse is None else parse(row[name]) for name, attribute, parse in self._parsers}


_SECONDS = {interval: int(interval.total_seconds()) for interval in INTERVALS.values()}
_INTERVALS = {seconds: interval for interval, seconds in _SECONDS.items()}

BARS: Table[MarketUpdate] = Table(
    "bars",
    (
        Field("symbol", "text", lambda update, _: update.bar.symbol),
        Field("time", "timestamptz", lambda update, _: update.bar.time),
        Field("open", "float8", lambda update, _: update.bar.open),
        Field("high", "float8", lambda update, _: update.bar.high),
        Field("low", "float8", lambda update, _: update.bar.low),
        Field("close", "float8", lambda update, _: update.bar.close),
        Field("volume", "float8", lambda update, _: update.bar.volume),
        Field("simulated", "bool", lambda update, _: update.bar.simulated),
        Field(
            "interval_seconds",
            "int4",
            lambda update, _: _SECONDS[update.bar.interval],
            parse=_INTERVALS.__getitem__,
            attribute="interval",
        ),
        Column("disposition", "text", lambda update, _: update.disposition),
        Column("received_at", "timestamptz", lambda _, entry: entry.time),
    ),
)

POSSIBLE = "time < now() + interval '1 day'"
"""Older versions stored bars of the far future from files. They are kept, but never read as a symbol's newest bars: all
real bars would be late."""

_SPLIT = "string_to_array(reasoning, E'\\n')"

SIGNALS: Table[Signal] = Table(
    "signals",
    (
        Column("signal_id", "uuid", lambda signal, _: signal.signal_id),
        Column("sequence", "int8", lambda _, entry: entry.sequence),
        Column("symbol", "text", lambda signal, _: signal.symbol),
        Column('"timestamp"', "timestamptz", lambda signal, _: signal.timestamp),
        Column("bar_time", "timestamptz", lambda signal, _: signal.bar_time),
        Column("origin", "text", lambda signal, _: signal.origin),
        Column("action", "text", lambda signal, _: signal.decision.action),
        Column("confidence", "float8", lambda signal, _: signal.decision.confidence),
        Column("win_probability", "float8", lambda signal, _: signal.decision.win and signal.decision.win.probability),
        Column("win_probability_cases", "int4", lambda signal, _: signal.decision.win and signal.decision.win.cases),
        Column("entry_price", "float8", lambda signal, _: signal.entry_price),
        Column("stop_loss", "float8", lambda signal, _: signal.decision.stop_loss),
        Column("take_profit", "float8", lambda signal, _: signal.decision.take_profit),
        Column("risk_reward_ratio", "float8", lambda signal, _: signal.decision.risk_reward_ratio),
        Column("position_size", "float8", lambda signal, _: signal.decision.position_size),
        Column("hold_probability", "float8", lambda signal, _: signal.probabilities.hold),
        Column("buy_probability", "float8", lambda signal, _: signal.probabilities.buy),
        Column("sell_probability", "float8", lambda signal, _: signal.probabilities.sell),
        Column("model_version", "text", lambda signal, _: signal.model_version),
        Column("model_type", "text", lambda signal, _: signal.model_type),
        Column("simulated", "bool", lambda signal, _: signal.simulated),
        Column("market_regime", "text", lambda signal, _: signal.market_regime),
        Column("trend_direction", "text", lambda signal, _: signal.trend_direction),
        Column("rsi", "float8", lambda signal, _: signal.indicators.rsi),
        Column("macd", "float8", lambda signal, _: signal.indicators.macd),
        Column("macd_signal", "float8", lambda signal, _: signal.indicators.macd_signal),
        Column("macd_histogram", "float8", lambda signal, _: signal.indicators.macd_histogram),
        Column("bb_upper", "float8", lambda signal, _: signal.indicators.bb_upper),
        Column("bb_middle", "float8", lambda signal, _: signal.indicators.bb_middle),
        Column("bb_lower", "float8", lambda signal, _: signal.indicators.bb_lower),
        Column("ema_20", "float8", lambda signal, _: signal.indicators.ema_20),
        Column("ema_50", "float8", lambda signal, _: signal.indicators.ema_50),
        Column("atr", "float8", lambda signal, _: signal.indicators.atr),
        Column("volatility", "float8", lambda signal, _: signal.indicators.volatility),
        Column("latency_ms", "float8", lambda signal, _: signal.latency_ms),
        # Sent as one text, because unnest flattens an array of arrays.
        Column("reasoning", "text", lambda signal, _: "\n".join(signal.decision.reasoning), _SPLIT),
        Column("model_failed", "bool", lambda signal, _: signal.model_failed),
        Column("message", "bytea", lambda _, entry: entry.payload),
    ),
)

_POSITION: tuple[Column[Position], ...] = (
    Field("position_id", "uuid", lambda position, _: position.position_id, constant=True),
    Field("signal_id", "uuid", lambda position, _: position.signal_id, constant=True),
    Field("sequence", "int8", lambda _, entry: entry.sequence),
    Field("symbol", "text", lambda position, _: position.symbol, constant=True),
    Field("action", "text", lambda position, _: position.action, constant=True, parse=Action),
    Field("entry_time", "timestamptz", lambda position, _: position.entry_time, constant=True),
    Field("entry_price", "float8", lambda position, _: position.entry_price, constant=True),
    Field("stop_loss", "float8", lambda position, _: position.stop_loss),
    Field("take_profit", "float8", lambda position, _: position.take_profit),
    Field("initial_stop_loss", "float8", lambda position, _: position.initial_stop_loss, constant=True),
    Field("position_size", "float8", lambda position, _: position.position_size),
    Field("simulated", "bool", lambda position, _: position.simulated),
    Field("current_price", "float8", lambda position, _: position.current_price),
    Field("costs", "float8", lambda position, _: position.costs),
    Field("pnl", "float8", lambda position, _: position.pnl),
    Field("pnl_pct", "float8", lambda position, _: position.pnl_pct),
    Field("pnl_account", "float8", lambda position, _: position.pnl_account),
    Field("r_multiple", "float8", lambda position, _: position.r_multiple),
    Field("max_favorable_excursion", "float8", lambda position, _: position.max_favorable_excursion),
    Field("max_adverse_excursion", "float8", lambda position, _: position.max_adverse_excursion),
    Field("bars_held", "int4", lambda position, _: position.bars_held),
    Field("trail_distance", "float8", lambda position, _: position.trail_distance),
    Field("session_day", "date", lambda position, _: position.session_day),
    Column("status", "text", lambda position, _: "OPEN" if position.is_open else "CLOSED"),
    Column("exit_time", "timestamptz", lambda position, _: position.exit and position.exit.time),
    Column("exit_price", "float8", lambda position, _: position.exit and position.exit.price),
    Column("exit_reason", "text", lambda position, _: position.exit and position.exit.reason),
    Column("exit_signal_id", "uuid", lambda position, _: position.exit and position.exit.signal_id),
)

POSITIONS: Table[Position] = Table(
    "positions",
    (*_POSITION, Column("message", "bytea", lambda _, entry: entry.payload)),
    "ON CONFLICT (position_id) DO UPDATE SET {changes}",
)

SYMBOLS: Table[str] = Table("symbols", (Column("symbol", "text", lambda symbol, _: symbol),), "ON CONFLICT DO NOTHING")

CHECKPOINTS: Table[RecurrentCheckpoint] = Table(
    "recurrent_states",
    (
        Field("symbol", "text", lambda checkpoint, _: checkpoint.symbol, constant=True),
        Field("policy", "text", lambda checkpoint, _: checkpoint.policy, constant=True),
        Field("shadow", "bool", lambda checkpoint, _: checkpoint.shadow, constant=True),
        Field("bar_time", "timestamptz", lambda checkpoint, _: checkpoint.bar_time),
        Column("layers", "int4", lambda checkpoint, _: checkpoint.after.values.shape[1]),
        Column("size", "int4", lambda checkpoint, _: checkpoint.after.values.shape[2]),
        Column("before", "bytea", lambda checkpoint, _: checkpoint.before.to_bytes()),
        Column("after", "bytea", lambda checkpoint, _: checkpoint.after.to_bytes()),
    ),
    "ON CONFLICT (symbol, policy, shadow) DO UPDATE SET {changes}",
)

EVENTS: Table[LogEntry] = Table(
    "events",
    (
        Column("sequence", "int8", lambda entry, _: entry.sequence),
        Column("time", "timestamptz", lambda entry, _: entry.time),
        Column("kind", "text", lambda entry, _: entry.kind),
        Column("symbol", "text", lambda entry, _: entry.symbol),
        Column("action", "text", lambda entry, _: entry.action),
        Column("confidence", "float8", lambda entry, _: entry.confidence),
        Column("payload", "bytea", lambda entry, _: entry.payload),
        Column("market_time", "timestamptz", lambda entry, _: entry.market_time),
    ),
)


INPUTS: Table[SignalInputs] = Table(
    "signal_inputs",
    (
        Column("sequence", "int8", lambda _, entry: entry.sequence),
        Field("settings_id", "bytea", lambda inputs, _: inputs.settings_id),
        Field("window_bars", "int4", lambda inputs, _: inputs.window_bars),
        Field("indicator_bars", "int4", lambda inputs, _: inputs.indicator_bars),
        Field("first_bar", "int8", lambda inputs, _: inputs.first_bar),
        Field("window_hash", "bytea", lambda inputs, _: inputs.window_hash),
        Field("state", "bytea", lambda inputs, _: inputs.state),
        Field("state_hash", "bytea", lambda inputs, _: inputs.state_hash),
        Field("next_state_hash", "bytea", lambda inputs, _: inputs.next_state_hash),
        Column("held_action", "text", lambda inputs, _: inputs.held and inputs.held.action),
        Column("held_entry_time", "timestamptz", lambda inputs, _: inputs.held and inputs.held.entry_time),
        Column("held_pnl_pct", "float8", lambda inputs, _: inputs.held and inputs.held.pnl_pct),
        Column("held_r_multiple", "float8", lambda inputs, _: inputs.held and inputs.held.r_multiple),
        Column("held_bars", "int4", lambda inputs, _: inputs.held and inputs.held.bars_held),
        Field(
            "quote",
            "text",
            lambda inputs, _: None if inputs.quote is None else json.dumps(dict(inputs.quote)),
            parse=lambda text: None if text is None else json.loads(text),
        ),
        Field("awaits_market", "bool", lambda inputs, _: inputs.awaits_market),
        Field(
            "account",
            "text",
            lambda inputs, _: None if inputs.account is None else json.dumps(plain(inputs.account)),
            parse=lambda text: None if text is None else parsed(AccountAtDecision, json.loads(text)),
        ),
    ),
)

SETTINGS: Table[tuple[bytes, str]] = Table(
    "decision_settings",
    (
        Column("settings_id", "bytea", lambda settings, _: settings[0]),
        Column("content", "text", lambda settings, _: settings[1]),
    ),
    "ON CONFLICT DO NOTHING",
)


KEYS: Table[tuple[KeyUse, bytes]] = Table(
    "idempotency_keys",
    (
        Column("caller", "text", lambda used, _: used[0].request.caller),
        Column("key", "text", lambda used, _: used[0].request.key),
        Column("method", "text", lambda used, _: used[0].request.method),
        Column("request_hash", "bytea", lambda used, _: used[0].request.request_hash),
        Column("response", "bytea", lambda used, _: used[1]),
        Column("committed_at", "timestamptz", lambda _, entry: entry.time),
    ),
)
"""Each with its response."""


def _by_policy(columns: Sequence[Column[Item]]) -> tuple[Column[tuple[str, Item]], ...]:
    """Return the key of the policy as a column, and `columns` of what comes with it."""

    def of_item(column: Column[Item]) -> Column[tuple[str, Item]]:
        get = column.value
        return Column(column.name, column.type, lambda item, entry: get(item[1], entry), constant=column.constant)

    policy: Column[tuple[str, Item]] = Column("policy", "text", lambda item, _: item[0], constant=True)
    return (policy, *map(of_item, columns))


_OF_SHADOW_SIGNALS = frozenset(
    (
        *("symbol", "bar_time", "action", "confidence", "hold_probability", "buy_probability", "sell_probability"),
        *("win_probability", "win_probability_cases"),
        *("entry_price", "stop_loss", "take_profit", "position_size", "model_failed"),
    )
)

SHADOW_SIGNALS: Table[tuple[str, Signal]] = Table(
    "shadow_signals", _by_policy([column for column in SIGNALS.columns if column.name in _OF_SHADOW_SIGNALS])
)

SHADOW_POSITIONS: Table[tuple[str, Position]] = Table(
    "shadow_positions", _by_policy(_POSITION), "ON CONFLICT (policy, position_id) DO UPDATE SET {changes}"
)


def bar_of(row: asyncpg.Record) -> Bar:
    """Return the bar in a row of `bars`."""
    return Bar(**BARS.read(row))


def position_of(row: asyncpg.Record) -> Position:
    """Return the position in a row of `positions` or `shadow_positions`."""
    closed = None
    if row["exit_time"] is not None:
        closed = Exit(row["exit_time"], row["exit_price"], ExitReason(row["exit_reason"]), row["exit_signal_id"])
    return Position(**POSITIONS.read(row), exit=closed)


def inputs_of(row: asyncpg.Record) -> SignalInputs:
    """Return the inputs in a row of `signal_inputs`, with the signal's id and the `content` of the settings."""
    held = None
    if row["held_action"] is not None:
        action, since, bars = Action(row["held_action"]), row["held_entry_time"], row["held_bars"]
        held = HeldAtDecision(action, since, row["held_pnl_pct"], row["held_r_multiple"], bars)
    return SignalInputs(**INPUTS.read(row), signal_id=row["signal_id"], settings=row["content"] or "", held=held)


def checkpoint_of(row: asyncpg.Record) -> RecurrentCheckpoint:
    """Return the recurrent state in a row of `recurrent_states`."""
    before, after = (RecurrentState.from_bytes(row[name], row["layers"], row["size"]) for name in ("before", "after"))
    return RecurrentCheckpoint(**CHECKPOINTS.read(row), before=before, after=after)


ENTRY = ", ".join(f"timestamptz_send({c.name})" if c.type == "timestamptz" else c.name for c in EVENTS.columns)
"""The columns that `entry_of` needs, for a SELECT. Times come as bytes, because asyncpg takes ten times as long to make
one as to look it up, and the entries of one commit have the same."""

_KINDS = dict(EventKind.__members__)
_ACTIONS = dict(Action.__members__)
_TIME_ZERO = datetime(2000, 1, 1, tzinfo=UTC)


def entry_of(row: asyncpg.Record) -> LogEntry:
    """Return the entry in a row of `events`."""
    sequence, time, kind, symbol, action, confidence, payload, market_time = row
    return LogEntry(
        sequence, _time(time), _KINDS[kind], symbol, _ACTIONS.get(action), confidence, payload, _time(market_time)
    )


@lru_cache(256)
def _time(sent: bytes) -> datetime:
    """Return the time that PostgreSQL sends as microseconds since 2000."""
    return _TIME_ZERO + timedelta(microseconds=int.from_bytes(sent, signed=True))


def conditions(*pairs: tuple[str, Any]) -> tuple[str, list[Any]]:
    """Return a WHERE clause of the conditions that have a value, and its parameters."""
    given = [(condition, value) for condition, value in pairs if value is not None]
    where = " AND ".join(f"{condition}${number}" for number, (condition, _) in enumerate(given, 1))
    return (f"WHERE {where}" if where else ""), [value for _, value in given]
