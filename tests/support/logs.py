"""A log in memory whose entries are real messages, for streams without an engine."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.signals import Action

from .builders import NOW, bar, position, signal
from .memory_store import MemoryStore

_TURNS = (Action.BUY, Action.HOLD, Action.SELL)
SYMBOLS = ("USDCOP", "EURUSD")


class Log:
    """A log to which a test adds entries, and its followers."""

    def __init__(self, store: MemoryStore, log_tail: LogTail) -> None:
        self.store = store
        self.log_tail = log_tail

    @classmethod
    async def with_entries(cls, count: int) -> Log:
        """Return a log whose first entries are in the store only, because they precede every follower."""
        store = MemoryStore(encode)
        if count:
            store.put(events(0, count), NOW)
        return cls(store, LogTail(store, await store.log_head()))

    @property
    def newest(self) -> int:
        """Sequence of the newest entry."""
        return len(self.store.entries)

    def append(self, count: int = 1) -> None:
        """Commit entries and notify the followers."""
        self.log_tail.append(self.store.put(events(self.newest, count), NOW))


def events(first: int, count: int) -> list[Event]:
    """Bars, signals of every kind and positions, of two symbols."""
    found: list[Event] = []
    for n in range(first, first + count):
        symbol = SYMBOLS[n // 3 % 2]
        if n % 3 == 0:
            found.append(MarketUpdate(bar(n, 100.0 + n % 7, symbol=symbol), Disposition.ACCEPTED))
        elif n % 3 == 1:
            found.append(signal(_TURNS[n % 9 // 3], name=n, symbol=symbol))
        else:
            found.append(replace(position(), signal_id=UUID(int=n), symbol=symbol))
    return found
