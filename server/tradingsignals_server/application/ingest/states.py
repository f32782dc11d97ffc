"""The states of symbols in memory, and how they are restored: as if every stored bar had been processed just now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ...domain.calendar import SessionCalendar
from ...domain.errors import IntervalStored, ServiceError, TooManySymbols
from ...domain.intervals import interval_name
from ..decision.pipeline import Pipeline
from ..decision.symbol_state import Book, SymbolState
from ..decision.trader import Trader
from ..ports.store import Store, StoredSymbol, StoredTraderState
from .batch import Batch

MAX_SYMBOLS = 10_000
"""Symbols that may be in use, unless it is set otherwise: each keeps some 15 KB of memory."""

LONGEST_SESSION = 300
"""Bars of the longest session at most, of five minutes and more: 288 round the clock."""

_NO_BOOK = StoredTraderState(None, (), None)
_NOTHING_STORED = StoredSymbol((), None, _NO_BOOK, _NO_BOOK)


class SymbolStates:
    """The committed state of each symbol, the most recently used last; read from the store when it is missing."""

    def __init__(self, store: Store, pipeline: Pipeline, max_symbols: int = MAX_SYMBOLS) -> None:
        self._store = store
        self._pipeline = pipeline
        self._max_symbols = max_symbols
        self._states: dict[str, SymbolState] = {}

    def restore_bars(self, symbol: str) -> int:
        """Return the number of bars that the state of `symbol` is computed from."""
        return restore_bars(self._pipeline, symbol)

    def get(self, symbol: str) -> SymbolState | None:
        """Return the state of `symbol` if it is in memory."""
        return self._states.get(symbol)

    def all(self) -> Sequence[SymbolState]:
        """Return every state in memory."""
        return list(self._states.values())

    def keep(self, states: Mapping[str, SymbolState]) -> None:
        """Keep what a commit made true, within the limit. Of a symbol without bar and position nothing is kept."""
        for symbol, state in states.items():
            self._states.pop(symbol, None)
            if not state.is_blank:
                self._states[symbol] = state
        while len(self._states) > self._max_symbols:
            del self._states[next(iter(self._states))]

    def forget(self, symbols: Iterable[str]) -> None:
        """Drop the states of `symbols`, so that they are read again when they are next needed."""
        for symbol in symbols:
            self._states.pop(symbol, None)

    def clear(self) -> None:
        """Drop all states."""
        self._states = {}

    async def load(self, symbols: Collection[str], batch: Batch, under_way: Batch | None) -> None:
        """Give `batch` the states of `symbols`: those that the commit `under_way` leads to, else the committed ones.

        Raises:
            OwnerUnavailable: the lease of the batch ended meanwhile.
        """
        ahead = {} if under_way is None else under_way.states
        found = {symbol: ahead.get(symbol) or self._states.get(symbol) for symbol in symbols - batch.states.keys()}
        missing = [symbol for symbol, state in found.items() if state is None]
        known = await self._store.known_symbols(missing) if missing else ()
        if len(known) < len(missing):
            await self._admit(set(missing).difference(known), batch, under_way)
        for symbol, state in found.items():
            current = state or await self._read(symbol, is_stored=symbol in known)
            batch.before[symbol] = batch.states[symbol] = current
            if (refusal := _refusal_of(current)) is not None:
                batch.refused[symbol] = refusal

    async def _admit(self, unknown: Collection[str], batch: Batch, under_way: Batch | None) -> None:
        """Refuse those `unknown` symbols that exceed the limit; symbols of commits under way count as well."""
        # The commit may have ended meanwhile: the store counts its symbols then.
        uncommitted = set() if under_way is None else under_way.new_symbols - self._states.keys()
        new = batch.new_symbols | uncommitted
        room = self._max_symbols - len(new.difference(unknown)) - await self._store.symbol_count()
        for number, symbol in enumerate(sorted(unknown)):
            if number < room:
                batch.new_symbols.add(symbol)
            else:
                batch.refused[symbol] = TooManySymbols(symbol, self._max_symbols)

    async def _read(self, symbol: str, *, is_stored: bool) -> SymbolState:
        if is_stored:
            return await restored(self._store, self._pipeline, symbol)
        return state_of(_NOTHING_STORED, self._pipeline, symbol)


def restore_bars(pipeline: Pipeline, symbol: str) -> int:
    """Return the number of bars to read: the longest session, and the bars before it that features rest on."""
    return max(LONGEST_SESSION, pipeline.calendar_of(symbol).bars) + pipeline.history_bars


async def restored(store: Store, pipeline: Pipeline, symbol: str) -> SymbolState:
    """Read the state of `symbol` under the policies that `pipeline` has now."""
    shadow_key = None if pipeline.shadow is None else pipeline.shadow.policy.description.key
    bars = restore_bars(pipeline, symbol)
    stored = await store.load_symbol(symbol, bars, pipeline.live.policy.description.key, shadow_key)
    return state_of(stored, pipeline, symbol)


def _refusal_of(state: SymbolState) -> ServiceError | None:
    """Return the error if the stored bars have another interval: a server with another setting took the symbol over."""
    stored, interval = state.last_bar, state.calendar.interval
    if stored is None or stored.interval == interval:
        return None
    return IntervalStored(state.symbol, interval_name(stored.interval), interval_name(interval))


def nothing_stored() -> StoredSymbol:
    """Return what is stored of a new symbol."""
    return _NOTHING_STORED


def state_of(stored: StoredSymbol, pipeline: Pipeline, symbol: str) -> SymbolState:
    """Compute the state of `symbol` from what is stored, as if its bars had been processed one by one."""
    calendar = pipeline.calendar_of(symbol)
    live = _book(stored, stored.live, pipeline.live, calendar)
    shadow = None
    if pipeline.shadow is not None and stored.shadow is not None:
        shadow = _book(stored, stored.shadow, pipeline.shadow, calendar)
    return SymbolState.restored(symbol, calendar, stored, live, shadow, history_bars=pipeline.history_bars)


def _book(stored: StoredSymbol, book: StoredTraderState, trader: Trader, calendar: SessionCalendar) -> Book:
    """Return the book with the committed recurrent state, or one computed if this policy has not seen every bar."""
    checkpoint = book.checkpoint
    if checkpoint is not None and stored.session_bars and checkpoint.bar_time == stored.session_bars[-1].time:
        before, after = checkpoint.before, checkpoint.after
    else:
        before, after = trader.recurrent_around_newest(stored.session_bars, calendar)
    return Book.restored(book, before, after)
