"""Stored history, sent as if it happened now: which entries, and when each is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..ports.event_log import LogEntry

CLOSED_MARKET = timedelta(hours=1)
"""A longer gap between two entries is a night, a weekend or an outage, and is not waited for."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A range of market time, start <= time < end, at so many times the market's speed; 0: as fast as it goes.

    Without an end the live entries follow the stored ones.
    """

    start: datetime | None = None
    end: datetime | None = None
    speed: float = 0.0

    def has(self, entry: LogEntry) -> bool:
        """True if `entry` lies in the range."""
        return (self.start is None or self.start <= entry.market_time) and (
            self.end is None or entry.market_time < self.end
        )


class Pace:
    """When the entries of a replay are due, in seconds on the clock of whoever asks.

    What was done in between counts. Whoever is late goes on from now: lost time is never made up by a burst.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._market: datetime | None = None
        self._due = 0.0

    def due(self, market_time: datetime, now: float) -> float:
        """When the entry after the one asked for before is due; an older market time holds nothing up."""
        gap = timedelta() if self._market is None else market_time - self._market
        if self._speed and timedelta() < gap <= CLOSED_MARKET:
            self._due = max(self._due + gap.total_seconds() / self._speed, now)
        else:
            self._due = now
        self._market = market_time if self._market is None else max(market_time, self._market)
        return self._due
