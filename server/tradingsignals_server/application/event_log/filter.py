"""Which entries of the log a follower receives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ...domain.events import EventKind
from ...domain.signals import Action
from ..ports.event_log import LogEntry


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on an entry; an empty set leaves its condition out.

    `min_confidence` and `actions` concern signals only; entries of other kinds pass them. `since` is a market time.
    """

    kinds: frozenset[EventKind] = frozenset()
    symbols: frozenset[str] = frozenset()
    min_confidence: float | None = None
    actions: frozenset[Action] = frozenset()
    since: datetime | None = None

    def passes(self, entry: LogEntry) -> bool:
        """True if `entry` meets every condition."""
        if self.kinds and entry.kind not in self.kinds:
            return False
        if self.symbols and entry.symbol not in self.symbols:
            return False
        if self.actions and entry.action is not None and entry.action not in self.actions:
            return False
        if self.since is not None and entry.market_time < self.since:
            return False
        return self.min_confidence is None or entry.confidence is None or entry.confidence >= self.min_confidence
