"""A symbol's state, read from the store: exactly what processing its bars without a break would have led to."""

from __future__ import annotations

from ...domain.calendar import SessionCalendar
from ..decision.pipeline import Pipeline
from ..decision.symbol_state import Book, SymbolState
from ..decision.trader import Trader
from ..ports.store import Store, StoredSymbol, StoredTraderState

RESTORE_BARS = 400
"""Bars read: the longest session (288 bars round the clock) and LOOKBACK_BARS before it."""


async def restored(store: Store, pipeline: Pipeline, symbol: str) -> SymbolState:
    """The state of `symbol` under the policies that `pipeline` has now."""
    shadow_key = None if pipeline.shadow is None else pipeline.shadow.policy.description.key
    stored = await store.load_symbol(symbol, RESTORE_BARS, pipeline.live.policy.description.key, shadow_key)
    return _state_of(stored, pipeline, symbol)


def blank(pipeline: Pipeline, symbol: str) -> SymbolState:
    """The state of a symbol of which nothing is stored."""
    return _state_of(_NOTHING_STORED, pipeline, symbol)


_NO_BOOK = StoredTraderState(None, (), None)
_NOTHING_STORED = StoredSymbol((), None, _NO_BOOK, _NO_BOOK)


def _state_of(stored: StoredSymbol, pipeline: Pipeline, symbol: str) -> SymbolState:
    calendar = pipeline.calendar_of(symbol)
    live = _book(stored, stored.live, pipeline.live, calendar)
    shadow = None
    if pipeline.shadow is not None and stored.shadow is not None:
        shadow = _book(stored, stored.shadow, pipeline.shadow, calendar)
    return SymbolState.restored(symbol, calendar, stored, live, shadow)


def _book(stored: StoredSymbol, book: StoredTraderState, trader: Trader, calendar: SessionCalendar) -> Book:
    """The book with its recurrent state as it was committed, or computed where this policy has not seen every bar."""
    checkpoint = book.checkpoint
    if checkpoint is not None and stored.session_bars and checkpoint.bar_time == stored.session_bars[-1].time:
        before, after = checkpoint.before, checkpoint.after
    else:
        before, after = trader.recurrent_around_newest(stored.session_bars, calendar)
    return Book.restored(book, before, after)
