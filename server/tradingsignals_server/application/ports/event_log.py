"""Entries of the event log, and how events are encoded for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ...domain.events import Event, EventKind
from ...domain.signals import Action

Encode = Callable[[Event, int], bytes]
"""An event at its sequence as the message followers read: a serialised Signal, MarketUpdate or Position."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One committed event. `payload` is its encoded message; action and confidence are set for signals only.

    `time` is that of the commit, `market_time` that of the newest bar it came from (domain.events.market_times).
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
    """Where the event log stands. `oldest` is the oldest sequence kept, `newest` + 1 if none is."""

    epoch: UUID
    oldest: int
    newest: int
