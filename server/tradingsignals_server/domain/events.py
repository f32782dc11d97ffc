"""What happened: the entries of the event log, and the answer to a published bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from .bars import Bar
from .positions import Position
from .signals import Signal


class Disposition(StrEnum):
    """What became of a well-formed bar. Names are those of tradingsignals.v1.BarReceipt.Disposition."""

    ACCEPTED = "ACCEPTED"
    """Stored, and a signal was made from it."""
    WARMING_UP = "WARMING_UP"
    """Stored; too few bars for every indicator, so no signal."""
    OUTSIDE_SESSION = "OUTSIDE_SESSION"
    """Stored; outside the trading session, so no signal. Open positions were checked against it."""
    LATE = "LATE"
    """Stored; a newer bar was processed before, so no signal."""
    DUPLICATE = "DUPLICATE"
    """The same bar was stored before; nothing changed."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one bar. `sequence`: the log is durable up to here, this bar's events included."""

    symbol: str
    time: datetime
    disposition: Disposition
    signal_id: UUID | None
    sequence: int


@dataclass(frozen=True, slots=True)
class MarketUpdate:
    """A bar was stored. Its disposition is never DUPLICATE."""

    bar: Bar
    disposition: Disposition


Event = MarketUpdate | Signal | Position
"""An entry of the log: a bar stored, a signal made, or a position as it is after a change."""


def market_times(events: Sequence[Event]) -> list[datetime]:
    """The market time of each event of one commit: that of the newest bar it came from; without one, of the call."""
    newest: dict[str, datetime] = {}
    times = []
    for event in events:
        match event:
            case MarketUpdate():
                symbol, time = event.bar.symbol, event.bar.time
            case Signal():
                symbol, time = event.symbol, event.bar_time or event.timestamp
            case Position():
                symbol, time = event.symbol, event.entry_time if event.exit is None else event.exit.time
        if isinstance(event, Position):
            time = newest.get(symbol, time)
        else:
            newest[symbol] = max(time, newest.get(symbol, time))
        times.append(time)
    return times


class EventKind(StrEnum):
    """Kinds of entry. Names are those of tradingsignals.v1.Event.Kind."""

    SIGNAL = "SIGNAL"
    MARKET_UPDATE = "MARKET_UPDATE"
    POSITION_UPDATE = "POSITION_UPDATE"
