"""Rows and domain values: which column holds what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from ...application.ports.event_log import LogEntry
from ...application.ports.store import RecurrentCheckpoint
from ...domain.bars import Bar
from ...domain.events import Event, EventKind, MarketUpdate
from ...domain.positions import Exit, ExitReason, Position
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Action, Signal
from ...domain.statistics import PositionCounts, SignalCounts, Statistics

BAR_COLUMNS = {
    "symbol": "text",
    "time": "timestamptz",
    "open": "float8",
    "high": "float8",
    "low": "float8",
    "close": "float8",
    "volume": "float8",
    "simulated": "bool",
    "disposition": "text",
    "received_at": "timestamptz",
}

SIGNAL_COLUMNS = {
    "signal_id": "uuid",
    "sequence": "int8",
    "symbol": "text",
    '"timestamp"': "timestamptz",
    "bar_time": "timestamptz",
    "origin": "text",
    "action": "text",
    "confidence": "float8",
    "entry_price": "float8",
    "stop_loss": "float8",
    "take_profit": "float8",
    "risk_reward_ratio": "float8",
    "position_size": "float8",
    "hold_probability": "float8",
    "buy_probability": "float8",
    "sell_probability": "float8",
    "model_version": "text",
    "model_type": "text",
    "simulated": "bool",
    "market_regime": "text",
    "trend_direction": "text",
    "rsi": "float8",
    "macd": "float8",
    "macd_signal": "float8",
    "macd_histogram": "float8",
    "bb_upper": "float8",
    "bb_middle": "float8",
    "bb_lower": "float8",
    "ema_20": "float8",
    "ema_50": "float8",
    "atr": "float8",
    "volatility": "float8",
    "latency_ms": "float8",
    "reasoning": "text",
    "model_failed": "bool",
    "message": "bytea",
}

POSITION_COLUMNS = {
    "position_id": "uuid",
    "signal_id": "uuid",
    "sequence": "int8",
    "symbol": "text",
    "action": "text",
    "entry_time": "timestamptz",
    "entry_price": "float8",
    "stop_loss": "float8",
    "take_profit": "float8",
    "initial_stop_loss": "float8",
    "position_size": "float8",
    "simulated": "bool",
    "current_price": "float8",
    "costs": "float8",
    "pnl": "float8",
    "pnl_pct": "float8",
    "pnl_account": "float8",
    "r_multiple": "float8",
    "max_favorable_excursion": "float8",
    "max_adverse_excursion": "float8",
    "bars_held": "int4",
    "trail_distance": "float8",
    "session_day": "date",
    "status": "text",
    "exit_time": "timestamptz",
    "exit_price": "float8",
    "exit_reason": "text",
    "exit_signal_id": "uuid",
    "message": "bytea",
}

SHADOW_SIGNAL_COLUMNS = {
    "policy": "text",
    "symbol": "text",
    "bar_time": "timestamptz",
    "action": "text",
    "confidence": "float8",
    "hold_probability": "float8",
    "buy_probability": "float8",
    "sell_probability": "float8",
    "entry_price": "float8",
    "stop_loss": "float8",
    "take_profit": "float8",
    "position_size": "float8",
    "model_failed": "bool",
}

SHADOW_POSITION_COLUMNS = {"policy": "text"} | {
    name: type_ for name, type_ in POSITION_COLUMNS.items() if name != "message"
}

STATE_COLUMNS = {
    "symbol": "text",
    "policy": "text",
    "shadow": "bool",
    "bar_time": "timestamptz",
    "layers": "int4",
    "size": "int4",
    "before": "bytea",
    "after": "bytea",
}

EVENT_COLUMNS = {
    "sequence": "int8",
    "time": "timestamptz",
    "kind": "text",
    "symbol": "text",
    "action": "text",
    "confidence": "float8",
    "payload": "bytea",
    "market_time": "timestamptz",
}

LINE = "\n"
"""Separates the sentences of a reasoning on their way into a text[]; arrays of arrays cannot be unnested."""


def kind_of(event: Event) -> EventKind:
    """The kind under which `event` stands in the log."""
    if isinstance(event, Signal):
        return EventKind.SIGNAL
    return EventKind.MARKET_UPDATE if isinstance(event, MarketUpdate) else EventKind.POSITION_UPDATE


def bar_row(update: MarketUpdate, entry: LogEntry) -> tuple[Any, ...]:
    """Values in the order of BAR_COLUMNS."""
    bar = update.bar
    return (
        bar.symbol,
        bar.time,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.simulated,
        update.disposition,
        entry.time,
    )


def signal_row(signal: Signal, entry: LogEntry) -> tuple[Any, ...]:
    """Values in the order of SIGNAL_COLUMNS."""
    decision, found, probabilities = signal.decision, signal.indicators, signal.probabilities
    return (
        signal.signal_id,
        entry.sequence,
        signal.symbol,
        signal.timestamp,
        signal.bar_time,
        signal.origin,
        decision.action,
        decision.confidence,
        signal.entry_price,
        decision.stop_loss,
        decision.take_profit,
        decision.risk_reward_ratio,
        decision.position_size,
        probabilities.hold,
        probabilities.buy,
        probabilities.sell,
        signal.model_version,
        signal.model_type,
        signal.simulated,
        signal.market_regime,
        signal.trend_direction,
        found.rsi,
        found.macd,
        found.macd_signal,
        found.macd_histogram,
        found.bb_upper,
        found.bb_middle,
        found.bb_lower,
        found.ema_20,
        found.ema_50,
        found.atr,
        found.volatility,
        signal.latency_ms,
        LINE.join(decision.reasoning),
        signal.model_failed,
        entry.payload,
    )


def position_row(position: Position, entry: LogEntry) -> tuple[Any, ...]:
    """Values in the order of POSITION_COLUMNS."""
    return (*_position_values(position, entry.sequence), entry.payload)


def shadow_position_row(policy: str, position: Position, newest: int) -> tuple[Any, ...]:
    """Values in the order of SHADOW_POSITION_COLUMNS."""
    return (policy, *_position_values(position, newest))


def _position_values(position: Position, sequence: int) -> tuple[Any, ...]:
    """Values in the order of POSITION_COLUMNS, without the message."""
    ended = position.exit
    return (
        position.position_id,
        position.signal_id,
        sequence,
        position.symbol,
        position.action,
        position.entry_time,
        position.entry_price,
        position.stop_loss,
        position.take_profit,
        position.initial_stop_loss,
        position.position_size,
        position.simulated,
        position.current_price,
        position.costs,
        position.pnl,
        position.pnl_pct,
        position.pnl_account,
        position.r_multiple,
        position.max_favorable_excursion,
        position.max_adverse_excursion,
        position.bars_held,
        position.trail_distance,
        position.session_day,
        "OPEN" if ended is None else "CLOSED",
        None if ended is None else ended.time,
        None if ended is None else ended.price,
        None if ended is None else ended.reason,
        None if ended is None else ended.signal_id,
    )


def shadow_signal_row(policy: str, signal: Signal) -> tuple[Any, ...]:
    """Values in the order of SHADOW_SIGNAL_COLUMNS."""
    decision, probabilities = signal.decision, signal.probabilities
    return (
        policy,
        signal.symbol,
        signal.bar_time,
        decision.action,
        decision.confidence,
        probabilities.hold,
        probabilities.buy,
        probabilities.sell,
        signal.entry_price,
        decision.stop_loss,
        decision.take_profit,
        decision.position_size,
        signal.model_failed,
    )


def state_row(checkpoint: RecurrentCheckpoint) -> tuple[Any, ...]:
    """Values in the order of STATE_COLUMNS."""
    _, layers, size = checkpoint.after.values.shape
    before, after = checkpoint.before.to_bytes(), checkpoint.after.to_bytes()
    return checkpoint.symbol, checkpoint.policy, checkpoint.shadow, checkpoint.bar_time, layers, size, before, after


def state_of(row: asyncpg.Record) -> RecurrentCheckpoint:
    """The recurrent states in a row of `recurrent_states`."""
    before, after = (RecurrentState.from_bytes(row[name], row["layers"], row["size"]) for name in ("before", "after"))
    return RecurrentCheckpoint(row["symbol"], row["policy"], row["shadow"], row["bar_time"], before, after)


def event_row(entry: LogEntry) -> tuple[Any, ...]:
    """Values in the order of EVENT_COLUMNS."""
    action, confidence = entry.action, entry.confidence
    return entry.sequence, entry.time, entry.kind, entry.symbol, action, confidence, entry.payload, entry.market_time


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> Iterable[Sequence[Any]]:
    """`rows` turned on their side: an array a column, as unnest takes them."""
    return zip(*rows, strict=True) if rows else ((),) * width


def statistics_of(row: asyncpg.Record) -> Statistics:
    """The statistics in the totals of event_log, with the number of symbols."""
    signals: int = row["signals"]
    return Statistics(
        SignalCounts(
            total=signals,
            buy=row["buys"],
            sell=row["sells"],
            hold=signals - row["buys"] - row["sells"],
            simulated=row["simulated_signals"],
            avg_latency_ms=row["latency_ms"] / signals if signals else 0.0,
        ),
        PositionCounts(
            opened=row["positions_opened"],
            closed=row["positions_closed"],
            winning=row["positions_won"],
            losing=row["positions_lost"],
            total_pnl=row["pnl"],
            total_pnl_account=row["pnl_account"],
        ),
        row["bars"],
        row["symbols"],
    )


def bar_of(row: asyncpg.Record) -> Bar:
    """The bar in a row with symbol, time, open, high, low, close, volume and simulated."""
    return Bar(
        row["symbol"],
        row["time"],
        row["open"],
        row["high"],
        row["low"],
        row["close"],
        row["volume"],
        row["simulated"],
    )


def position_of(row: asyncpg.Record) -> Position:
    """The position in a row of `positions`."""
    ended = None
    if row["exit_time"] is not None:
        ended = Exit(row["exit_time"], row["exit_price"], ExitReason(row["exit_reason"]), row["exit_signal_id"])
    same = {
        name: row[name]
        for name in POSITION_COLUMNS
        if name not in {"action", "status", "exit_time", "exit_price", "exit_reason", "exit_signal_id", "message"}
    }
    return Position(action=Action(row["action"]), exit=ended, **same)


def entry_of(row: asyncpg.Record) -> LogEntry:
    """The log entry in a row of `events`."""
    action = None if row["action"] is None else Action(row["action"])
    return LogEntry(
        row["sequence"],
        row["time"],
        EventKind(row["kind"]),
        row["symbol"],
        action,
        row["confidence"],
        row["payload"],
        row["market_time"],
    )
