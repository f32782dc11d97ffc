"""A store in memory, as far as the engine, its followers and the queries need one, that fails when it is told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from tradingsignals_server.application.ports.event_log import LogEntry, LogHead
from tradingsignals_server.application.ports.store import (
    Page,
    RecurrentCheckpoint,
    RefusedByStore,
    ShadowEvent,
    ShadowScore,
    SignalQuery,
    SignalTotals,
    StaleState,
    StoredSymbol,
    StoredTraderState,
)
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, EventKind, MarketUpdate, market_times
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.signals import Signal
from tradingsignals_server.domain.statistics import Statistics

DECIDED_ON = (Disposition.ACCEPTED, Disposition.WARMING_UP)


class Fault(Enum):
    """What goes wrong with a commit."""

    NOTHING = auto()
    BEFORE = auto()
    """The database is gone before anything was stored."""
    AFTER = auto()
    """The answer is lost after everything was stored."""
    STRANGE = auto()
    """Something that no store says."""


class MemoryStore:
    """Implements application.ports.Store.

    `faults` are taken one a commit. While `gate` is not set, a commit waits for it; `committing` is set as long as one
    waits. `down` makes every read fail. `refuses` tells what no commit may contain. `commits` counts the events of each
    commit that stored something.
    """

    def __init__(self) -> None:
        self.epoch = UUID(int=4)
        self.events: list[Event] = []
        self.entries: list[LogEntry] = []
        self.commits: list[int] = []
        self.shadow_events: list[ShadowEvent] = []
        self.checkpoints: dict[tuple[str, str, bool], RecurrentCheckpoint] = {}
        self.faults: deque[Fault] = deque()
        self.gate = asyncio.Event()
        self.gate.set()
        self.committing = asyncio.Event()
        self.down = False
        self.refuses: Callable[[Event], bool] = lambda _: False
        self.oldest = 1
        self.pages_read = 0

    # --------------------------------------------------------------------------------------------------- writing

    async def commit(
        self,
        events: Sequence[Event],
        at: datetime,
        *,
        shadow_events: Sequence[ShadowEvent] = (),
        checkpoints: Sequence[RecurrentCheckpoint] = (),
        owner: UUID | None = None,
    ) -> Sequence[LogEntry]:
        """See Store."""
        self.committing.set()
        await self.gate.wait()
        self.committing.clear()
        fault = self.faults.popleft() if self.faults else Fault.NOTHING
        if fault is Fault.STRANGE:
            raise RuntimeError("something strange")
        if fault is Fault.BEFORE:
            raise StorageUnavailable
        if any(map(self.refuses, events)):
            raise RefusedByStore("it violates a rule")
        entries = self.put(events, at)
        self.shadow_events.extend(shadow_events)
        self.checkpoints.update({(one.symbol, one.policy, one.shadow): one for one in checkpoints})
        if fault is Fault.AFTER:
            raise StorageUnavailable
        return entries

    def put(self, events: Sequence[Event], at: datetime) -> list[LogEntry]:
        """Store events, as another server would."""
        self._require_new(events)
        first = len(self.events) + 1
        entries = [
            _entry(event, sequence, at, market_time)
            for sequence, (event, market_time) in enumerate(zip(events, market_times(events), strict=True), first)
        ]
        self.events.extend(events)
        self.entries.extend(entries)
        self.commits.append(len(events))
        return entries

    def _require_new(self, events: Sequence[Event]) -> None:
        stored = [_key(event) for event in (*self.events, *events) if not isinstance(event, Position)]
        if len(stored) != len(set(stored)):
            raise StaleState

    # --------------------------------------------------------------------------------------------------- reading

    def market_updates(self, symbol: str | None = None) -> list[MarketUpdate]:
        """Bars stored, in the order of the log."""
        found = [event for event in self.events if isinstance(event, MarketUpdate)]
        return [update for update in found if symbol is None or update.bar.symbol == symbol]

    def signals(self) -> list[Signal]:
        """Signals stored, in the order of the log."""
        return [event for event in self.events if isinstance(event, Signal)]

    def position_changes(self) -> list[Position]:
        """Changes of positions, in the order of the log."""
        return [event for event in self.events if isinstance(event, Position)]

    def positions(self) -> list[Position]:
        """The newest state of every position, with the sequence of its change."""
        changes = [(n, event) for n, event in enumerate(self.events, 1) if isinstance(event, Position)]
        return list({event.position_id: replace(event, sequence=n) for n, event in changes}.values())

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """See Store."""
        await self._reached()
        bars = sorted((update.bar for update in self.market_updates(symbol)), key=lambda bar: bar.time)
        return StoredSymbol(
            session_bars=await self.session_bars(symbol, session_bars),
            last_bar=bars[-1] if bars else None,
            live=self._book(symbol, live, self.positions(), shadow=False),
            shadow=None if shadow is None else self._book(symbol, shadow, self._shadow_positions(shadow), shadow=True),
        )

    def _book(self, symbol: str, policy: str, positions: Sequence[Position], *, shadow: bool) -> StoredTraderState:
        mine = [held for held in positions if held.symbol == symbol]
        closed = sorted((held for held in mine if not held.is_open), key=lambda held: held.sequence)
        return StoredTraderState(
            position=next((held for held in mine if held.is_open), None),
            closed=[(held.exit.time, held.pnl_pct) for held in closed if held.exit is not None],
            checkpoint=self.checkpoints.get((symbol, policy, shadow)),
        )

    def _shadow_positions(self, policy: str) -> list[Position]:
        events = [one.event for one in self.shadow_events if one.policy == policy]
        changes = [(n, event) for n, event in enumerate(events) if isinstance(event, Position)]
        return list({held.position_id: replace(held, sequence=n) for n, held in changes}.values())

    async def shadow_score(self, policy: str) -> ShadowScore:
        """See Store."""
        raise AssertionError("nobody asks for it here")

    async def known_symbols(self, symbols: Collection[str]) -> Collection[str]:
        """See Store."""
        await self._reached()
        return self._symbols().intersection(symbols)

    async def symbol_count(self) -> int:
        """See Store."""
        await self._reached()
        return len(self._symbols())

    def _symbols(self) -> set[str]:
        return {update.bar.symbol for update in self.market_updates()} | {held.symbol for held in self.positions()}

    async def find_bars(self, keys: Sequence[tuple[str, datetime]]) -> Sequence[Bar]:
        """See Store."""
        await self._reached()
        wanted = set(keys)
        return [update.bar for update in self.market_updates() if (update.bar.symbol, update.bar.time) in wanted]

    async def session_bars(self, symbol: str, limit: int) -> Sequence[Bar]:
        """See Store."""
        await self._reached()
        bars = [update.bar for update in self.market_updates(symbol) if update.disposition in DECIDED_ON]
        return sorted(bars, key=lambda bar: bar.time)[-limit:]

    async def list_bars(self, symbol: str, start: datetime | None, end: datetime | None, limit: int) -> Sequence[Bar]:
        """See Store."""
        await self._reached()
        bars = [
            update.bar
            for update in self.market_updates(symbol)
            if (start is None or start <= update.bar.time) and (end is None or update.bar.time < end)
        ]
        return sorted(bars, key=lambda bar: bar.time, reverse=True)[:limit]

    async def symbol_of_position(self, position_id: UUID) -> tuple[str, bool] | None:
        """See Store."""
        await self._reached()
        return next(((p.symbol, p.is_open) for p in self.positions() if p.position_id == position_id), None)

    async def symbols_with_open_positions(self) -> Sequence[str]:
        """See Store."""
        await self._reached()
        return sorted({held.symbol for held in self.positions() if held.is_open})

    async def latest_signal(self, symbol: str | None) -> bytes | None:
        """See Store."""
        page = await self.list_signals(SignalQuery(symbol=symbol), None, 1)
        return page.messages[0] if page.messages else None

    async def list_signals(self, query: SignalQuery, before: int | None, limit: int) -> Page:
        """See Store. Of the query only symbol and action are looked at."""
        await self._reached()
        found = [
            entry
            for entry in self.entries
            if entry.kind is EventKind.SIGNAL
            and query.symbol in {None, entry.symbol}
            and query.action in {None, entry.action}
        ]
        return self._page(found, before, limit)

    async def active_positions(self, symbol: str | None) -> Page:
        """See Store."""
        raise AssertionError("no test asks for this")

    async def closed_positions(self, symbol: str | None, before: int | None, limit: int) -> Page:
        """See Store."""
        await self._reached()
        ends = [n for n, event in enumerate(self.events) if isinstance(event, Position) and not event.is_open]
        found = [self.entries[n] for n in ends if symbol in {None, self.entries[n].symbol}]
        return self._page(found, before, limit)

    def _page(self, found: Sequence[LogEntry], before: int | None, limit: int) -> Page:
        newest_first = [entry for entry in reversed(found) if before is None or entry.sequence < before]
        page = newest_first[:limit]
        more = len(newest_first) > limit
        return Page([entry.payload for entry in page], page[-1].sequence if more else None, len(self.entries))

    async def statistics(self) -> Statistics:
        """See Store."""
        raise AssertionError("no test asks for this")

    async def signal_totals(self) -> SignalTotals:
        """See Store."""
        await self._reached()
        signals = self.signals()
        return SignalTotals(len(signals), signals[-1].timestamp if signals else None)

    async def log_head(self) -> LogHead:
        """See Store."""
        await self._reached()
        return LogHead(self.epoch, self.oldest, len(self.entries))

    async def entries_after(self, sequence: int, limit: int) -> Sequence[LogEntry]:
        """See Store."""
        await self._reached()
        self.pages_read += 1
        first = max(sequence, self.oldest - 1)
        return self.entries[first : first + limit]

    async def sequence_range(self, start: datetime | None, end: datetime | None, after: int) -> tuple[int, int] | None:
        """See Store."""
        await self._reached()
        found = [
            entry.sequence
            for entry in self.entries[max(after, self.oldest - 1) :]
            if (start is None or start.date() <= entry.market_time.date())
            and (end is None or entry.market_time.date() <= end.date())
        ]
        return (found[0], found[-1]) if found else None

    async def prune(self, before: datetime, limit: int) -> int:
        """See Store."""
        await self._reached()
        count = 0
        while count < limit and self.oldest <= len(self.entries) and self.entries[self.oldest - 1].time < before:
            self.oldest += 1
            count += 1
        return count

    async def ping(self) -> None:
        """See Store."""
        await self._reached()

    async def _reached(self) -> None:
        """Every read gives others their turn, as a real one does, and fails while the database is down."""
        await asyncio.sleep(0)
        if self.down:
            raise StorageUnavailable


def _key(event: Event) -> tuple[str, object]:
    if isinstance(event, MarketUpdate):
        return event.bar.symbol, event.bar.time
    return "id", event.signal_id


def _entry(event: Event, sequence: int, at: datetime, market_time: datetime) -> LogEntry:
    payload = str(sequence).encode()
    if isinstance(event, Signal):
        action, confidence = event.action, event.decision.confidence
        return LogEntry(sequence, at, EventKind.SIGNAL, event.symbol, action, confidence, payload, market_time)
    if isinstance(event, Position):
        return LogEntry(sequence, at, EventKind.POSITION_UPDATE, event.symbol, None, None, payload, market_time)
    return LogEntry(sequence, at, EventKind.MARKET_UPDATE, event.bar.symbol, None, None, payload, market_time)
