"""Replay of stored history over a stream: which entries, and when each is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..ports.event_log import LogEntry
from .filter import Filter

CLOSED_MARKET = timedelta(hours=1)
"""A longer gap between two entries is a night, a weekend or an outage, and is not waited for."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A range of market time, start <= time < end, at `speed` times the market's pace; 0: without pauses.

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
    """When the entries of a replay are due, in seconds on the caller's clock.

    The time that sending takes counts. A late follower goes on from now: lost time is never made up by a burst.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._market: datetime | None = None
        self._due = 0.0

    def due(self, market_time: datetime, now: float) -> float:
        """When the next entry is due; one with an older market time than the last is due at once."""
        gap = timedelta() if self._market is None else market_time - self._market
        if self._speed and timedelta() < gap <= CLOSED_MARKET:
            self._due = max(self._due + gap.total_seconds() / self._speed, now)
        else:
            self._due = now
        self._market = market_time if self._market is None else max(market_time, self._market)
        return self._due


class Playback:
    """The state of a replay: the entries of the current page that are not sent yet, and when the next is due."""

    def __init__(self, replay: Replay, last: int) -> None:
        """`last` is the sequence up to which stored entries are replayed."""
        self.replay = replay
        self.last = last
        self.due_at = 0.0
        """When the next pending entry is due."""
        self.page_end = 0
        """The sequence that the current page is complete through."""
        self._pace = Pace(replay.speed)
        self._pending: list[LogEntry] = []  # the next one is the last

    @property
    def has_pending(self) -> bool:
        """True while entries of the current page are not sent."""
        return bool(self._pending)

    def turn_page(self, entries: Sequence[LogEntry], filter_: Filter, now: float) -> bool:
        """Take the next entries of the log; returns False if none of them is in the range."""
        in_range = [entry for entry in entries if entry.sequence <= self.last and self.replay.has(entry)]
        self.page_end = min(entries[-1].sequence, self.last)
        self._pending = [entry for entry in reversed(in_range) if filter_.passes(entry)]
        self._schedule(now)
        return bool(in_range)

    def take_due(self, now: float, limit: int, limit_bytes: int) -> tuple[list[LogEntry], int]:
        """Remove the entries that are due; returns them and the sequence that the follower is then complete through."""
        taken: list[LogEntry] = []
        size = 0
        while self._pending and self.due_at <= now and len(taken) < limit:
            size += len(self._pending[-1].payload)
            if taken and size > limit_bytes:
                break
            taken.append(self._pending.pop())
            self._schedule(now)
        return taken, taken[-1].sequence if self._pending else self.page_end

    def _schedule(self, now: float) -> None:
        if self._pending:
            self.due_at = self._pace.due(self._pending[-1].market_time, now)
