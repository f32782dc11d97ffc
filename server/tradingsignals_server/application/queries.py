"""Read-only queries of callers: signals, closed positions, bars and symbols, in pages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..domain.bars import Bar
from ..domain.events import EventKind
from ..domain.signal_errors import SignalNotFound
from .event_log.filter import Filter
from .event_log.tail import LogTail
from .paging import name_token, page_start, page_start_name, page_start_time, page_token
from .ports.outcomes import OutcomePage, OutcomeQuery, OutcomeStore
from .ports.store import Page, SignalQuery, Store, SymbolPage

_SIGNALS = frozenset((EventKind.SIGNAL,))
_ALL: frozenset[Any] = frozenset()


@dataclass(frozen=True, slots=True)
class BarPage:
    """Bars of one page, newest first; `next_page_token` is empty on the last page."""

    bars: tuple[Bar, ...]
    next_page_token: str


class Queries:
    """Queries for the servicers. Signals and positions are returned as encoded messages, as in the event log."""

    def __init__(self, store: Store, log_tail: LogTail, outcomes: OutcomeStore) -> None:
        self.store = store
        self._outcomes = outcomes
        self._log_tail = log_tail

    async def latest_signal(self, symbol: str | None) -> bytes:
        """Return the newest signal, of all symbols if `symbol` is None.

        Raises:
            SignalNotFound: there is none.
        """
        found = await self.store.latest_signal(symbol)
        if found is None:
            raise SignalNotFound(symbol)
        return found

    async def signals(self, query: SignalQuery, token: str, limit: int) -> tuple[Page, str]:
        """Return a page of signals, newest first, and the token of the next page, "" for the last page."""
        scope = f"signals|{query}"
        before = page_start(token, scope)
        page = await self._newest_signals(query, limit) if before is None else None
        if page is None:
            page = await self.store.list_signals(query, before, limit)
        return page, page_token(page.next_before, scope)

    async def _newest_signals(self, query: SignalQuery, limit: int) -> Page | None:
        """Return the first page from the log tail in memory; None if it must be read from the store.

        The tail is complete if it ends where the log ends, so only the head of the log is read from the store.
        """
        if query.start is not None or query.end is not None:
            return None
        selection = Filter(
            kinds=_SIGNALS,
            symbols=_ALL if query.symbol is None else frozenset((query.symbol,)),
            actions=_ALL if query.action is None else frozenset((query.action,)),
        )
        if self._log_tail.newest_matching(selection, limit + 1) is None:
            return None
        head = await self.store.log_head()
        found = self._log_tail.newest_matching(selection, limit + 1)
        if found is None or head.newest != self._log_tail.newest:
            return None
        return Page([entry.payload for entry in found[:limit]], found[limit - 1].sequence, head.newest)

    async def closed_positions(self, symbol: str | None, token: str, limit: int) -> tuple[Page, str]:
        """Return a page of closed positions, newest first, and the token of the next page, "" for the last page."""
        scope = f"closed|{symbol}"
        page = await self.store.closed_positions(symbol, page_start(token, scope), limit)
        return page, page_token(page.next_before, scope)

    async def outcomes(self, query: OutcomeQuery, token: str, limit: int) -> tuple[OutcomePage, str]:
        """Return a page of outcomes, newest first, and the token of the next page, "" for the last page."""
        scope = f"outcomes|{query}"
        page = await self._outcomes.list_outcomes(query, page_start(token, scope), limit)
        return page, page_token(page.next_before, scope)

    async def symbols(self, symbols: Collection[str], token: str, limit: int, closes: int) -> tuple[SymbolPage, str]:
        """Return a page of symbols by name, and the token of the next page, "" for the last page.

        Args:
            symbols: only these, in their normal form; empty for all.
            token: token of the page, "" for the first page.
            limit: maximum number of symbols.
            closes: maximum number of closes of each, 1 or more.

        Raises:
            InvalidPageToken: the token belongs to another query.
        """
        scope = f"symbols|{sorted(symbols)}"
        page = await self.store.list_symbols(symbols, page_start_name(token, scope), limit, closes)
        return page, name_token(page.next_after, scope)

    async def bars(self, symbol: str, start: datetime | None, end: datetime | None, token: str, limit: int) -> BarPage:
        """Return a page of bars, newest first.

        Args:
            symbol: in its normal form.
            start: earliest open, inclusive; None for no limit.
            end: latest open, exclusive; None for no limit.
            token: token of the page, "" for the first page.
            limit: maximum number of bars.

        Raises:
            InvalidPageToken: the token belongs to another query.
        """
        scope = f"bars|{symbol}|{start}|{end}"
        end = page_start_time(token, scope) or end
        bars = tuple(await self.store.list_bars(symbol, start, end, limit + 1))
        more = len(bars) > limit
        bars = bars[:limit]
        return BarPage(bars, page_token(int(bars[-1].time.timestamp()) if more else None, scope))
