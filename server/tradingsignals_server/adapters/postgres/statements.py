"""The statements of a commit: one round trip each, however many rows there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    return f"WITH {', '.join(steps)} {_insert('events', EVENT_COLUMNS, first)}"


def _shadow_statement() -> str:
    """The same for what was shadowed."""
    conflict = f"ON CONFLICT (policy, position_id) {_update(SHADOW_POSITION_COLUMNS)}"
    signals = _insert("shadow_signals", SHADOW_SIGNAL_COLUMNS, 1)
    positions = _insert("shadow_positions", SHADOW_POSITION_COLUMNS, 1 + len(SHADOW_SIGNAL_COLUMNS), conflict)
    return f"WITH new_signals AS ({signals}) {positions}"


def _update(types: Mapping[str, str]) -> str:
    """What changes in a row that is there already."""
    return "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in types if name not in _NEVER_CHANGES)


COMMIT = _commit_statement()
SHADOW = _shadow_statement()


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
