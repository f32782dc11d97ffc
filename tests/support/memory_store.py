"""A store in memory that fulfils the contract of the port, and fails on demand."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from uuid import UUID

from tradingsignals_server.application.ports.event_log import Encode, LogEntry, LogHead
from tradingsignals_server.application.ports.idempotency import KeyUse, UsedKey
from tradingsignals_server.application.ports.inputs import SignalInputs, StoredSignal
from tradingsignals_server.application.ports.store import (
    KeyTaken,
    Page,
    PositionSummary,
    RecurrentCheckpoint,
    RefusedByStore,
    ShadowEvent,
    ShadowScore,
    SignalQuery,
    SignalSummary,
    SignalTotals,
    StaleState,
    StoredSymbol,
    StoredTraderState,
    SymbolPage,
    SymbolSummary,
)
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate, TradingControl, market_times
from tradingsignals_server.domain.outcomes import Outcome
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.risk import KELLY_WINDOW
from tradingsignals_server.domain.signals import Action, Origin, Signal
from tradingsignals_server.domain.statistics import PositionCounts, SignalCounts, Statistics

DECIDED_ON = (Disposition.ACCEPTED, Disposition.WARMING_UP, Disposition.OTHER_INTERVAL)


class Fault(Enum):
    """A failure of a commit."""

    NOTHING = auto()
    BEFORE = auto()
    """The database is lost before anything is stored."""
    AFTER = auto()
    """The response is lost after everything was stored."""
    STRANGE = auto()
    """An error that no store raises."""


def sequence_only(_: Event, sequence: int) -> bytes:
    """Encode an event as its sequence, for tests that read no messages."""
    return str(sequence).encode()


class MemoryStore:
    """Implements application.ports.Store. `encode` makes the messages.

    `faults` are taken one per commit. While `gate` is not set, a commit waits for it; `committing` is set as long as a
    commit waits. `down` makes every read fail. `refuses` is True for an event that no commit may contain. `commits` has
    the number of events of each commit that stored something.
    """

    def __init__(self, encode: Encode = sequence_only) -> None:
        self._encode = encode
        self.epoch = UUID(int=4)
        self.events: list[Event] = []
        self.entries: list[LogEntry] = []
        self.commits: list[int] = []
        self.shadow_events: list[ShadowEvent] = []
        self.checkpoints: dict[tuple[str, str, bool], RecurrentCheckpoint] = {}
        self.inputs: dict[UUID, SignalInputs] = {}
        self.keys: dict[tuple[str, str], tuple[datetime, UsedKey]] = {}
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
        inputs: Sequence[SignalInputs] = (),
        keys: Sequence[KeyUse] = (),
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
        self._check(events)
        places = [(use.request.caller, use.request.key) for use in keys]
        if len({*self.keys, *places}) < len(self.keys) + len(places):
            raise KeyTaken("it violates idempotency_keys_pkey")
        entries = self.put(events, at)
        for place, use in zip(places, keys, strict=True):
            self.keys[place] = at, UsedKey(use.request.method, use.request.request_hash, use.response(entries))
        self.shadow_events.extend(shadow_events)
        self.inputs.update({one.signal_id: one for one in inputs})
        self.checkpoints.update({(one.symbol, one.policy, one.shadow): one for one in checkpoints})
        if fault is Fault.AFTER:
            raise StorageUnavailable
        return entries

    def put(self, events: Sequence[Event], at: datetime) -> list[LogEntry]:
        """Store events as another server's commit, with positions that need no signal."""
        others = Position | TradingControl | Outcome
        keys = [_key(event) for event in (*self.events, *events) if not isinstance(event, others)]
        if len(keys) != len(set(keys)):
            raise StaleState
        first = len(self.events) + 1
        entries = [
            LogEntry.of(event, sequence, at, self._encode(event, sequence), market_time)
            for sequence, (event, market_time) in enumerate(zip(events, market_times(events), strict=True), first)
        ]
        self.events.extend(events)
        self.entries.extend(entries)
        self.commits.append(len(events))
        return entries

    def append(self, events: Sequence[tuple[Event, datetime]], at: datetime) -> list[LogEntry]:
        """Append events with their market times to the log, as the keeper of the ledger does."""
        entries = [
            LogEntry.of(event, sequence, at, self._encode(event, sequence), market_time)
            for sequence, (event, market_time) in enumerate(events, len(self.events) + 1)
        ]
        self.events.extend(event for event, _ in events)
        self.entries.extend(entries)
        return entries

    def _check(self, events: Sequence[Event]) -> None:
        """Refuse positions that have no price, and those that contradict what is stored."""
        changes = [event for event in events if isinstance(event, Position)]
        if not changes:
            return
        if any(change.current_price <= 0 for change in changes):
            raise RefusedByStore("it violates positions_check")
        signal_ids = {event.signal_id for event in (*self.events, *events) if isinstance(event, Signal)}
        symbols = [held.symbol for held in _newest([*self.events, *events]) if held.is_open]
        if len(symbols) != len(set(symbols)) or any(change.signal_id not in signal_ids for change in changes):
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
        return _newest(self.events)

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """See Store."""
        newest = await self.list_bars(symbol, None, None, 1)
        return StoredSymbol(
            session_bars=await self.session_bars(symbol, session_bars),
            last_bar=newest[0] if newest else None,
            live=self._trader_state(symbol, live, self.positions(), shadow=False),
            shadow=None
            if shadow is None
            else self._trader_state(symbol, shadow, self._shadow_positions(shadow), shadow=True),
        )

    def _trader_state(
        self, symbol: str, policy: str, positions: Sequence[Position], *, shadow: bool
    ) -> StoredTraderState:
        mine = [held for held in positions if held.symbol == symbol]
        closed = sorted((held for held in mine if not held.is_open), key=lambda held: held.sequence)
        return StoredTraderState(
            position=next((held for held in mine if held.is_open), None),
            closed=[(held.exit.time, held.pnl_pct) for held in closed[-KELLY_WINDOW:] if held.exit is not None],
            checkpoint=self.checkpoints.get((symbol, policy, shadow)),
        )

    def _shadow_positions(self, policy: str) -> list[Position]:
        return _newest([shadow.event for shadow in self.shadow_events if shadow.policy == policy])

    async def shadow_score(self, policy: str) -> ShadowScore:
        """See Store."""
        await self._reached()
        decisions = [one.event for one in self.shadow_events if one.policy == policy and isinstance(one.event, Signal)]
        live = {(made.symbol, made.bar_time): made.action for made in self.signals() if made.origin is Origin.BAR}
        closed = [held for held in self._shadow_positions(policy) if not held.is_open]
        return ShadowScore(
            decisions=len(decisions),
            agreements=sum(live.get((made.symbol, made.bar_time)) is made.action for made in decisions),
            closed=len(closed),
            winning=sum(held.pnl > 0 for held in closed),
            total_pnl=sum((held.pnl for held in closed), 0.0),
        )

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

    async def list_symbols(self, symbols: Collection[str], after: str, limit: int, closes: int) -> SymbolPage:
        """See Store."""
        await self._reached()
        known = self._symbols() | {made.symbol for made in self.signals()}
        names = sorted(name for name in known if name > after and (not symbols or name in symbols))
        found = [self._summary(name, closes) for name in names[:limit]]
        return SymbolPage(found, names[limit - 1] if len(names) > limit else None, len(self.entries))

    def _summary(self, symbol: str, closes: int) -> SymbolSummary:
        bars = [update.bar for update in self.market_updates(symbol)]
        bars = sorted(filter(_is_possible, bars), key=lambda bar: bar.time)[-closes:]
        made = [(place, one) for place, one in enumerate(self.events, 1) if isinstance(one, Signal)]
        signals = [
            SignalSummary(
                one.signal_id, place, one.decision.action, one.decision.confidence, one.timestamp, one.bar_time
            )
            for place, one in made
            if one.symbol == symbol
        ]
        held = [
            PositionSummary(one.position_id, one.action, one.pnl_pct)
            for one in self.positions()
            if one.symbol == symbol and one.is_open
        ]
        newest = [bars[-1].simulated] if bars else []
        newest += [one.simulated for _, one in made if one.symbol == symbol][-1:]
        return SymbolSummary(
            symbol=symbol,
            interval=bars[-1].interval if bars else None,
            last_bar_time=bars[-1].time if bars else None,
            closes=[bar.close for bar in bars],
            signal=signals[-1] if signals else None,
            position=held[0] if held else None,
            simulated=any(newest),
        )

    async def find_bars(self, keys: Sequence[tuple[str, datetime]]) -> Sequence[Bar]:
        """See Store."""
        await self._reached()
        sought = set(keys)
        return [update.bar for update in self.market_updates() if (update.bar.symbol, update.bar.time) in sought]

    async def session_bars(self, symbol: str, limit: int) -> Sequence[Bar]:
        """See Store."""
        await self._reached()
        bars = [update.bar for update in self.market_updates(symbol) if update.disposition in DECIDED_ON]
        return sorted(filter(_is_possible, bars), key=lambda bar: bar.time)[-limit:]

    async def bars_until(self, symbol: str, newest: datetime, limit: int) -> Sequence[Bar]:
        """See Store."""
        bars = await self.session_bars(symbol, len(self.events))
        return [one for one in bars if one.time <= newest][-limit:]

    async def logged_bars(self, symbol: str, start: datetime, end: datetime) -> Sequence[bytes]:
        """See Store."""
        await self._reached()
        logged = zip(self.events[self.oldest - 1 :], self.entries[self.oldest - 1 :], strict=True)
        return [
            entry.payload
            for event, entry in logged
            if isinstance(event, MarketUpdate) and event.bar.symbol == symbol and start <= event.bar.time <= end
        ]

    async def signal(self, signal_id: UUID) -> StoredSignal | None:
        """See Store."""
        await self._reached()
        for event, entry in zip(self.events, self.entries, strict=True):
            if isinstance(event, Signal) and event.signal_id == signal_id:
                inputs = self.inputs.get(signal_id) if entry.sequence >= self.oldest else None
                return StoredSignal(entry.payload, entry.sequence, inputs)
        return None

    async def closed_trades(self, symbol: str, before: int) -> Sequence[tuple[datetime, float]]:
        """See Store."""
        await self._reached()
        closed = [held for held in self.positions() if held.symbol == symbol and not held.is_open]
        closed = sorted((held for held in closed if held.sequence < before), key=lambda held: held.sequence)
        return [(held.exit.time, held.pnl_pct) for held in closed[-KELLY_WINDOW:] if held.exit is not None]

    async def list_bars(self, symbol: str, start: datetime | None, end: datetime | None, limit: int) -> Sequence[Bar]:
        """See Store."""
        await self._reached()
        bars = [
            update.bar
            for update in self.market_updates(symbol)
            if (start is None or start <= update.bar.time) and (end is None or update.bar.time < end)
        ]
        return sorted(filter(_is_possible, bars), key=lambda bar: bar.time, reverse=True)[:limit]

    async def symbol_of_position(self, position_id: UUID) -> tuple[str, bool] | None:
        """See Store."""
        await self._reached()
        return next(((p.symbol, p.is_open) for p in self.positions() if p.position_id == position_id), None)

    async def symbols_with_open_positions(self) -> Sequence[str]:
        """See Store."""
        await self._reached()
        return sorted({held.symbol for held in self.positions() if held.is_open})

    async def symbols_with_bars_since(self, start: datetime, limit: int) -> Sequence[str]:
        """See Store."""
        await self._reached()
        times = sorted((update.bar.time, update.bar.symbol) for update in self.market_updates())
        newest = {symbol: time for time, symbol in times}
        found = [symbol for symbol, time in newest.items() if time >= start]
        return sorted(found, key=lambda symbol: newest[symbol], reverse=True)[:limit]

    async def latest_signal(self, symbol: str | None) -> bytes | None:
        """See Store."""
        page = await self.list_signals(SignalQuery(symbol=symbol), None, 1)
        return page.messages[0] if page.messages else None

    async def list_signals(self, query: SignalQuery, before: int | None, limit: int) -> Page:
        """See Store."""
        await self._reached()
        found = [
            entry
            for event, entry in zip(self.events, self.entries, strict=True)
            if isinstance(event, Signal)
            and query.symbol in {None, event.symbol}
            and query.action in {None, event.action}
            and (query.start is None or query.start <= event.timestamp)
            and (query.end is None or event.timestamp < query.end)
        ]
        return self._page(found, before, limit)

    async def active_positions(self, symbol: str | None) -> Page:
        """See Store."""
        await self._reached()
        found = [held for held in self.positions() if held.is_open and symbol in {None, held.symbol}]
        found.sort(key=lambda held: (held.entry_time, held.sequence), reverse=True)
        return Page([self.entries[held.sequence - 1].payload for held in found], None, len(self.entries))

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
        await self._reached()
        signals, positions = self.signals(), self.positions()
        actions = [made.action for made in signals]
        closed = [held for held in positions if not held.is_open]
        signal_counts = SignalCounts(
            total=len(signals),
            buy=actions.count(Action.BUY),
            sell=actions.count(Action.SELL),
            hold=actions.count(Action.HOLD),
            simulated=sum(made.simulated for made in signals),
            avg_latency_ms=sum(made.latency_ms for made in signals) / max(len(signals), 1),
        )
        position_counts = PositionCounts(
            opened=len(positions),
            closed=len(closed),
            winning=sum(held.pnl > 0 for held in closed),
            losing=sum(held.pnl < 0 for held in closed),
            total_pnl=sum((held.pnl for held in closed), 0.0),
            total_pnl_account=sum((held.pnl_account for held in closed), 0.0),
        )
        return Statistics(signal_counts, position_counts, len(self.market_updates()), len(self._symbols()))

    async def signal_totals(self) -> SignalTotals:
        """See Store."""
        await self._reached()
        signals = self.signals()
        return SignalTotals(len(signals), signals[-1].timestamp if signals else None)

    async def warnings(self) -> Sequence[str]:
        """See Store."""
        return ()

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
            and (end is None or entry.market_time.replace(hour=0, minute=0, second=0, microsecond=0) < end)
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

    async def used_key(self, caller: str, key: str) -> UsedKey | None:
        """See Store."""
        await self._reached()
        _, used = self.keys.get((caller, key), (None, None))
        return used

    async def prune_keys(self, before: datetime, limit: int) -> int:
        """See Store."""
        await self._reached()
        old = [place for place, (at, _) in self.keys.items() if at < before][:limit]
        for place in old:
            del self.keys[place]
        return len(old)

    async def ping(self) -> None:
        """See Store."""
        await self._reached()

    async def _reached(self) -> None:
        """Let other tasks run, as a read from a database does, and fail while the database is down."""
        await asyncio.sleep(0)
        if self.down:
            raise StorageUnavailable


def _newest(events: Sequence[Event]) -> list[Position]:
    """Return the newest state of each position, with the sequence of its change."""
    changes = [(number, event) for number, event in enumerate(events, 1) if isinstance(event, Position)]
    return list({event.position_id: replace(event, sequence=number) for number, event in changes}.values())


def _is_possible(bar: Bar) -> bool:
    """Return False for a bar of the far future, which an older version may have stored."""
    return bar.time < datetime.now(UTC) + timedelta(days=1)


def _key(event: MarketUpdate | Signal) -> tuple[str, object]:
    if isinstance(event, MarketUpdate):
        return event.bar.symbol, event.bar.time
    return "id", event.signal_id
