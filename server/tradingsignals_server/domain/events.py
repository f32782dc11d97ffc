"""Entries of the event log, and the receipt of a published bar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from .bars import Bar
from .outcomes import Outcome
from .positions import Position
from .signals import Signal
from .values import dataclass


class Disposition(StrEnum):
    """Result for a valid bar. Names are those of tradingsignals.v1.BarReceipt.Disposition."""

    ACCEPTED = "ACCEPTED"
    """Stored, and a signal was made from it."""
    WARMING_UP = "WARMING_UP"
    """Stored; no signal, because there are too few bars for some indicator."""
    OUTSIDE_SESSION = "OUTSIDE_SESSION"
    """Stored; no signal, because the bar lies outside the trading session. Open positions were checked against it."""
    OTHER_INTERVAL = "OTHER_INTERVAL"
    """Stored; no signal, because the model is for bars of another interval. Open positions were checked against it."""
    LATE = "LATE"
    """Stored; no signal, because a newer bar had been processed."""
    DUPLICATE = "DUPLICATE"
    """The same bar was already stored; nothing changed."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Result for one bar. The log is durable up to `sequence`, which includes the events of this bar."""

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


@dataclass(frozen=True, slots=True)
class TradingControl:
    """Trading was halted or resumed by hand, for all symbols. See domain.protections.

    reason, by: why and who, as the caller says; "" if it does not. at: time of the call, UTC.
    """

    halted: bool
    reason: str
    by: str
    at: datetime


SymbolEvent = MarketUpdate | Signal | Position
"""An entry of the log about one symbol: a stored bar, a signal, or a position after a change."""

Event = SymbolEvent | Outcome | TradingControl
"""An entry of the log."""


def market_times(events: Sequence[Event]) -> list[datetime]:
    """Return the market time of each event of one commit, in the order of `events`.

    It is the time of the newest bar that led to the event, or the time of the call if no bar did.
    """
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
            case TradingControl():
                times.append(event.at)
                continue
            case Outcome():
                symbol, time = event.symbol, event.exit_time
        if isinstance(event, Position | Outcome):
            time = newest.get(symbol, time)
        else:
            newest[symbol] = max(time, newest.get(symbol, time))
        times.append(time)
    return times


class EventKind(StrEnum):
    """Kinds of log entry. Names are those of tradingsignals.v1.Event.Kind."""

    SIGNAL = "SIGNAL"
    MARKET_UPDATE = "MARKET_UPDATE"
    POSITION_UPDATE = "POSITION_UPDATE"
    OUTCOME = "OUTCOME"
    TRADING_CONTROL = "TRADING_CONTROL"
