"""The store port: durable storage of bars, signals, positions, recurrent states and the event log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ...domain.bars import Bar
from ...domain.events import Event
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Action, Signal
from ...domain.statistics import Statistics
from .event_log import LogEntry, LogHead


@dataclass(frozen=True, slots=True)
class CarriedState:
    """The recurrent state of one symbol under one policy, `before` and `after` the decision on the bar at `bar_time`.

    `policy` is the policy's key. `shadow` tells whose it is if the live policy and the shadow are the same.
    """

    symbol: str
    policy: str
    shadow: bool
    bar_time: datetime
    before: RecurrentState
    after: RecurrentState


@dataclass(frozen=True, slots=True)
class StoredBook:
    """What is stored of one policy's trading in one symbol.

    closed: when each of the last KELLY_WINDOW closed positions ended, and its profit and loss in percent; in the order
    of closing.
    carried: the recurrent state, None if there is none.
    """

    position: Position | None
    closed: Sequence[tuple[datetime, float]]
    carried: CarriedState | None


@dataclass(frozen=True, slots=True)
class StoredSymbol:
    """What is stored of one symbol, as the engine needs it to go on.

    session_bars: the newest bars that went into decisions, oldest first, at most the number asked for.
    last_bar: the newest bar processed, inside a session or outside.
    """

    session_bars: Sequence[Bar]
    last_bar: Bar | None
    live: StoredBook
    shadow: StoredBook | None


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a shadow policy, named by its key, decided, or a position it would hold, after its newest change."""

    policy: str
    outcome: Signal | Position


@dataclass(frozen=True, slots=True)
class ShadowScore:
    """What a shadow came to: its decisions, how many of them the live policy shared, and its closed positions."""

    decisions: int
    agreements: int
    closed: int
    winning: int
    total_pnl: float


@dataclass(frozen=True, slots=True)
class SignalTotals:
    """What /health tells of the signals stored."""

    count: int
    last_timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Encoded messages of one page, newest first, and the log's newest sequence in the same snapshot.

    `next_before` is the sequence before which the next page starts, None on the last page.
    """

    messages: Sequence[bytes]
    next_before: int | None
    through_sequence: int


@dataclass(frozen=True, slots=True)
class SignalQuery:
    """Which signals; None leaves a condition out. `start` is inclusive, `end` exclusive, both on the timestamp."""

    symbol: str | None = None
    action: Action | None = None
    start: datetime | None = None
    end: datetime | None = None


class Store(Protocol):
    """Durable storage. Every method raises StorageUnavailable when the database cannot be reached."""

    async def commit(
        self,
        events: Sequence[Event],
        at: datetime,
        *,
        shadowed: Sequence[Shadowed] = (),
        carried: Sequence[CarriedState] = (),
        owner: UUID | None = None,
    ) -> Sequence[LogEntry]:
        """Make `events` durable in one transaction: the rows they stand for and their entries in the log.

        With them what a shadow policy made of the same bars, and the recurrent states the bars led to. Returns the
        entries, with consecutive sequences, in the order given. `owner` is the session that works on their symbols (see
        application.engine.ownership); None if nobody else could.

        Raises:
            StaleState: something of it is stored already, or `owner` does not have all the symbols any more; what the
                caller knows is out of date.
            RefusedByStore: it breaks a rule of the store, now and at every further try. Nothing of it is stored.
        """
        ...

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """What is stored of `symbol` under the policies of these keys, with up to `session_bars` of its bars."""
        ...

    async def known_symbols(self, symbols: Collection[str]) -> Collection[str]:
        """Those of `symbols` of which a bar or a position is stored."""
        ...

    async def symbol_count(self) -> int:
        """Number of symbols of which the service has stored a bar or a position."""
        ...

    async def find_bars(self, keys: Sequence[tuple[str, datetime]]) -> Sequence[Bar]:
        """The stored bars with these (symbol, time); those that do not exist are left out."""
        ...

    async def session_bars(self, symbol: str, limit: int) -> Sequence[Bar]:
        """The newest `limit` bars of `symbol` that went into decisions, oldest first."""
        ...

    async def list_bars(self, symbol: str, start: datetime | None, end: datetime | None, limit: int) -> Sequence[Bar]:
        """Up to `limit` bars with start <= time < end, newest first."""
        ...

    async def symbol_of_position(self, position_id: UUID) -> tuple[str, bool] | None:
        """The symbol of a position and whether it is open, or None if there is none of that name."""
        ...

    async def latest_signal(self, symbol: str | None) -> bytes | None:
        """The newest signal in the order of the log, encoded."""
        ...

    async def list_signals(self, query: SignalQuery, before: int | None, limit: int) -> Page:
        """Signals with a sequence below `before`, newest first."""
        ...

    async def active_positions(self, symbol: str | None) -> Page:
        """Every open position, the newest first."""
        ...

    async def closed_positions(self, symbol: str | None, before: int | None, limit: int) -> Page:
        """Closed positions whose closing has a sequence below `before`, the last closed first."""
        ...

    async def statistics(self) -> Statistics:
        """Counts over all that is stored, in one snapshot."""
        ...

    async def signal_totals(self) -> SignalTotals:
        """Number of signals and the newest one's timestamp."""
        ...

    async def log_head(self) -> LogHead:
        """Where the log stands."""
        ...

    async def entries_after(self, sequence: int, limit: int) -> Sequence[LogEntry]:
        """Up to `limit` entries after `sequence`, in order."""
        ...

    async def stretch(self, start: datetime | None, end: datetime | None, after: int) -> tuple[int, int] | None:
        """Bounds of the entries after sequence `after` with start <= market time < end, or None if there are none.

        Whole days of the market count, so there may be fewer such entries than the bounds promise, but none outside.
        """
        ...

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget the oldest entries of the log that were committed before `before`, up to `limit` of them.

        Only the log: signals, positions and bars stay. Returns how many; 0 also if another server is at it.
        """
        ...

    async def symbols_with_open_positions(self) -> Sequence[str]:
        """Symbols that hold a position now."""
        ...

    async def shadow_score(self, policy: str) -> ShadowScore:
        """What the shadow policy of this key came to."""
        ...

    async def ping(self) -> None:
        """Return if the database answers."""
        ...


class StaleState(Exception):
    """The store holds something newer than the engine knew of."""


class RefusedByStore(Exception):
    """What was to be stored breaks a rule of the store. The message names the rule, and is public."""
