"""A log in memory whose entries are real messages, for streams without an engine."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tradingsignals_server.api.mapping.convert import encode
from tradingsignals_server.application.event_log.tail import Broadcast
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.signals import Action

from .builders import NOW, bar, position, signal
from .memory_store import MemoryStore

_TURNS = (Action.BUY, Action.HOLD, Action.SELL)
SYMBOLS = ("USDCOP", "EURUSD")


class Log:
    """A log that grows when it is told to, and who follows it."""

    def __init__(self, store: MemoryStore, broadcast: Broadcast) -> None:
        self.store = store
        self.broadcast = broadcast

    @classmethod
    async def with_entries(cls, count: int) -> Log:
        """A log that had so many entries before anybody followed it, so that they are in the store alone."""
        store = MemoryStore(encode)
        if count:
            store.put(events(0, count), NOW)
        return cls(store, Broadcast(store, await store.log_head()))

    @property
    def newest(self) -> int:
        """How far it goes."""
        return len(self.store.entries)

    def append(self, count: int = 1) -> None:
        """Commit so many entries, and tell."""
        self.broadcast.append(self.store.put(events(self.newest, count), NOW))


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
