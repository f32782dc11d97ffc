"""Entries of the event log, and how events are encoded for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

from ...domain.events import Event, EventKind, MarketUpdate, TradingControl
from ...domain.outcomes import Outcome
from ...domain.positions import Position
from ...domain.signals import Action, Signal
from ...domain.values import dataclass

Encode = Callable[[Event, int], bytes]
"""Serialises an event at its sequence as the message that followers receive: a Signal, MarketUpdate, Position, Outcome
or TradingControl."""


@dataclass(frozen=True, slots=True)
class LogDecoders:
    """Read messages of the log back. A position comes without its session and trailing distance."""

    market_update: Callable[[bytes], MarketUpdate]
    position: Callable[[bytes], Position]
    trading_control: Callable[[bytes], TradingControl]


class LogEntry(NamedTuple):
    """One committed event. `payload` is its encoded message; `action` and `confidence` are set for signals only.

    `time` is the time of the commit, `market_time` that of the newest bar behind the event (see market_times).
    """

    sequence: int
    time: datetime
    kind: EventKind
    symbol: str
    action: Action | None
    confidence: float | None
    payload: bytes
    market_time: datetime

    @classmethod
    def of(cls, event: Event, sequence: int, at: datetime, payload: bytes, market_time: datetime) -> Self:
        """Return the entry of an event that is committed at this time; `payload` is its message."""
        action = confidence = None
        match event:
            case MarketUpdate():
                kind, symbol = EventKind.MARKET_UPDATE, event.bar.symbol
            case Signal():
                kind, symbol = EventKind.SIGNAL, event.symbol
                action, confidence = event.action, event.decision.confidence
            case Position():
                kind, symbol = EventKind.POSITION_UPDATE, event.symbol
            case Outcome():
                kind, symbol = EventKind.OUTCOME, event.symbol
            case TradingControl():
                kind, symbol = EventKind.TRADING_CONTROL, ""
        return cls(sequence, at, kind, symbol, action, confidence, payload, market_time)


@dataclass(frozen=True, slots=True)
class LogHead:
    """Bounds of the event log. `oldest` is the oldest sequence kept, `newest` + 1 if none is kept."""

    epoch: UUID
    oldest: int
    newest: int
