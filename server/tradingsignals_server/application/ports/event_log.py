"""Entries of the event log, and how events are encoded for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ...domain.events import Event, EventKind
from ...domain.signals import Action
from ...domain.values import dataclass

Encode = Callable[[Event, int], bytes]
"""Serialises an event at its sequence as the message that followers receive: a Signal, MarketUpdate, Position
or TradingControl."""


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


@dataclass(frozen=True, slots=True)
class LogHead:
    """Bounds of the event log. `oldest` is the oldest sequence kept, `newest` + 1 if none is kept."""

    epoch: UUID
    oldest: int
    newest: int
