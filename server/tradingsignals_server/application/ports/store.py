"""The store port: durable storage of bars, signals, positions, recurrent states and the event log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from ...domain.bars import Bar
from ...domain.events import Event
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Action, Signal
from ...domain.statistics import Statistics
from ...domain.values import dataclass
from .event_log import LogEntry, LogHead
from .idempotency import KeyUse, UsedKey
from .inputs import SignalInputs, StoredSignal


@dataclass(frozen=True, slots=True)
class RecurrentCheckpoint:
    """The recurrent state of one symbol under one policy, `before` and `after` the decision on the bar at `bar_time`.

    `policy` is the policy's key. `shadow` is True for the shadow policy, which may be the same policy as the live one.
    """

    symbol: str
    policy: str
    shadow: bool
    bar_time: datetime
    before: RecurrentState
    after: RecurrentState


@dataclass(frozen=True, slots=True)
class StoredTraderState:
    """The stored state of one policy's trading in one symbol.

    position: the open position.
    closed: exit time and profit and loss in percent of the last KELLY_WINDOW closed positions, in the order of closing.
    checkpoint: the recurrent state.
    """

    position: Position | None
    closed: Sequence[tuple[datetime, float]]
    checkpoint: RecurrentCheckpoint | None


@dataclass(frozen=True, slots=True)
class StoredSymbol:
    """The stored state of one symbol, from which the engine resumes.

    session_bars: the newest bars that were decision inputs, oldest first, at most the requested number.
    last_bar: the newest bar processed, inside a trading session or outside.
    """

    session_bars: Sequence[Bar]
    last_bar: Bar | None
    live: StoredTraderState
    shadow: StoredTraderState | None


@dataclass(frozen=True, slots=True)
class ShadowEvent:
    """A signal of a shadow policy, or a position that it would hold, after a change. `policy` is the policy's key."""

    policy: str
    event: Signal | Position


@dataclass(frozen=True, slots=True)
class ShadowScore:
    """Results of a shadow policy: its decisions, how many agree with the live policy's, and its closed positions."""

    decisions: int
    agreements: int
    closed: int
    winning: int
    total_pnl: float


@dataclass(frozen=True, slots=True)
class SignalTotals:
    """Number of signals stored and the timestamp of the newest one, for /health."""

    count: int
    last_timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Encoded messages of one page, newest first, and the newest sequence of the log in the same snapshot.

    `next_before` is the sequence before which the next page starts, None on the last page.
    """

    messages: Sequence[bytes]
    next_before: int | None
    through_sequence: int


@dataclass(frozen=True, slots=True)
class SignalQuery:
    """Conditions on signals; None omits one. `start` is inclusive, `end` exclusive, both on the timestamp."""

    symbol: str | None = None
    action: Action | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """What a list of symbols shows of a signal; see Signal."""

    signal_id: UUID
    sequence: int
    action: Action
    confidence: float
    timestamp: datetime
    bar_time: datetime | None


@dataclass(frozen=True, slots=True)
class PositionSummary:
    """What a list of symbols shows of an open position; see Position."""

    position_id: UUID
    action: Action
    pnl_pct: float


@dataclass(frozen=True, slots=True)
class SymbolSummary:
    """A symbol with the newest of what is stored of it.

    interval, last_bar_time: of its newest bar, None if there is none.
    closes: of its newest bars, the oldest first.
    simulated: its newest bar or its newest signal is.
    """

    symbol: str
    interval: timedelta | None
    last_bar_time: datetime | None
    closes: Sequence[float]
    signal: SignalSummary | None
    position: PositionSummary | None
    simulated: bool


@dataclass(frozen=True, slots=True)
class SymbolPage:
    """Symbols of one page, in the order of their names, and the newest sequence of the log in the same snapshot.

    `next_after` is the name after which the next page starts, None on the last page.
    """

    symbols: Sequence[SymbolSummary]
    next_after: str | None
    through_sequence: int


class Store(Protocol):
    """Durable storage. Every method raises StorageUnavailable if the database cannot be reached."""

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
        """Make `events` durable in one transaction: their rows and their entries in the log.

        Args:
            events: in the order in which they get their sequences.
            at: time of the commit.
            shadow_events: results of a shadow policy on the same bars. They are not in the log.
            checkpoints: the recurrent states after these bars; each replaces the one of its symbol and policy.
            inputs: what the signals among the events were made from.
            keys: the idempotency keys of calls that led to some of the events.
            owner: id of the lease under which the symbols are held (see Ownership.lease_id), None for a single server.

        Returns:
            The entries of `events`, with consecutive sequences.

        Raises:
            StaleState: part of it is stored already, or `owner` does not hold all of the symbols any more; the state
                from which the events were computed is out of date. Nothing is stored.
            RefusedByStore: it violates a rule of the store, now and at every further attempt. Nothing is stored.
            KeyTaken: one of the keys is stored already. Nothing is stored.
        """
        ...

    async def used_key(self, caller: str, key: str) -> UsedKey | None:
        """Return the first request of a caller with an idempotency key; None if none is stored."""
        ...

    async def prune_keys(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` idempotency keys that were committed before `before`; return how many were deleted."""
        ...

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """Read the state of `symbol` under the policies with these keys, with up to `session_bars` of its bars."""
        ...

    async def known_symbols(self, symbols: Collection[str]) -> Collection[str]:
        """Return those of `symbols` that have a stored bar or position."""
        ...

    async def symbol_count(self) -> int:
        """Return the number of symbols with a bar or a position that the service has stored."""
        ...

    async def list_symbols(self, symbols: Collection[str], after: str, limit: int, closes: int) -> SymbolPage:
        """Return symbols of which a bar, a signal or a position is stored.

        Args:
            symbols: only these; empty for all.
            after: the name after which the page starts, "" for the first page.
            limit: maximum number of symbols.
            closes: maximum number of closes of each, 1 or more.
        """
        ...

    async def find_bars(self, keys: Sequence[tuple[str, datetime]]) -> Sequence[Bar]:
        """Return the stored bars with these (symbol, time), in any order; those that do not exist are omitted."""
        ...

    async def session_bars(self, symbol: str, limit: int) -> Sequence[Bar]:
        """Return the newest `limit` bars of `symbol` that were decision inputs, oldest first."""
        ...

    async def bars_until(self, symbol: str, newest: datetime, limit: int) -> Sequence[Bar]:
        """Return the newest `limit` bars of `symbol` that were decision inputs, none after `newest`, oldest first."""
        ...

    async def logged_bars(self, symbol: str, start: datetime, end: datetime) -> Sequence[bytes]:
        """Return the messages in the log of the bars of `symbol` with start <= time <= end, in the order of the log."""
        ...

    async def signal(self, signal_id: UUID) -> StoredSignal | None:
        """Return the signal with this id and its inputs."""
        ...

    async def closed_trades(self, symbol: str, before: int) -> Sequence[tuple[datetime, float]]:
        """Return what StoredTraderState.closed has, of positions whose closing has a sequence below `before`."""
        ...

    async def list_bars(self, symbol: str, start: datetime | None, end: datetime | None, limit: int) -> Sequence[Bar]:
        """Return up to `limit` bars with start <= time < end, newest first."""
        ...

    async def symbol_of_position(self, position_id: UUID) -> tuple[str, bool] | None:
        """Return the symbol of a position and whether it is open, None if there is no position with this id."""
        ...

    async def latest_signal(self, symbol: str | None) -> bytes | None:
        """Return the newest signal in the order of the log, encoded."""
        ...

    async def list_signals(self, query: SignalQuery, before: int | None, limit: int) -> Page:
        """Return signals with a sequence below `before`, newest first."""
        ...

    async def active_positions(self, symbol: str | None) -> Page:
        """Return all open positions, the newest first."""
        ...

    async def closed_positions(self, symbol: str | None, before: int | None, limit: int) -> Page:
        """Return positions whose closing has a sequence below `before`, the last closed first."""
        ...

    async def statistics(self) -> Statistics:
        """Return counts over all that is stored, in one snapshot."""
        ...

    async def signal_totals(self) -> SignalTotals:
        """Return the number of signals and the timestamp of the newest one in the order of the log."""
        ...

    async def warnings(self) -> Sequence[str]:
        """Return what health reports of the store, in sentences: that something which it reads cannot be read."""
        ...

    async def log_head(self) -> LogHead:
        """Return the epoch of the log and its oldest and newest sequence."""
        ...

    async def entries_after(self, sequence: int, limit: int) -> Sequence[LogEntry]:
        """Return up to `limit` entries after `sequence`, in order."""
        ...

    async def sequence_range(self, start: datetime | None, end: datetime | None, after: int) -> tuple[int, int] | None:
        """Return the first and last sequence after `after` of entries with start <= market time < end, None if none.

        The resolution is a day (UTC): all such entries are within the bounds, and entries at other times may be too.
        """
        ...

    async def prune(self, before: datetime, limit: int) -> int:
        """Delete the oldest entries of the log that were committed before `before`, up to `limit` of them.

        A store that keeps the log in parts may delete the oldest part as a whole instead, of any number of entries, and
        only once all of it is that old. Signals, positions and bars stay; the inputs of signals go with their entries.
        Returns the number deleted; 0 also if another server is pruning.
        """
        ...

    async def symbols_with_open_positions(self) -> Sequence[str]:
        """Return the symbols with an open position, sorted."""
        ...

    async def symbols_with_bars_since(self, start: datetime, limit: int) -> Sequence[str]:
        """Return symbols with a bar that opened at `start` or later, those with the newest bars first."""
        ...

    async def shadow_score(self, policy: str) -> ShadowScore:
        """Return the results of the shadow policy with this key."""
        ...

    async def ping(self) -> None:
        """Return if the database responds."""
        ...


class StaleState(Exception):
    """The store holds newer data than the state from which a commit was computed."""


class RefusedByStore(Exception):
    """The data violates a rule of the store. The message names the rule, and is public."""


class KeyTaken(RefusedByStore):
    """An idempotency key of the commit is stored already."""
