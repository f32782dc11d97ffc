"""Bars and symbols."""

from __future__ import annotations

from collections.abc import Sequence

from tradingsignals.v1 import market_data_service_pb2
from tradingsignals.v1.bar_pb2 import Bar, BarReceipt
from tradingsignals.v1.market_data_service_pb2 import PublishBarsResponse
from tradingsignals.v1.symbol_pb2 import SymbolSummary

from ..requests import BARS_A_MESSAGE, When, when
from .caller import AsyncCaller
from .calls import Bars, send_bars
from .pages import AsyncPages


class AsyncMarketDataMethods(AsyncCaller):
    """The methods about bars and symbols."""

    async def publish_bar(self, bar: Bar) -> BarReceipt:
        """Send one closed bar; returns once it is stored. Raises InvalidRequest, AlreadyExists."""
        request = market_data_service_pb2.PublishBarRequest(bar=bar)
        response = await self._unary(self._market_data.PublishBar, request)
        return response.receipt

    async def publish_bars(
        self,
        bars: Bars,
        *,
        batch_size: int = BARS_A_MESSAGE,
        timeout: float | None = None,  # noqa: ASYNC109 (the deadline travels to the service)
    ) -> PublishBarsResponse:
        """Send any number of closed bars, in messages of `batch_size`; returns once all of them are stored.

        `bars` is any iterable, with asyncio an async one too. Sending the same bars again is harmless, so do that after
        an error. Bars that are refused stand in the response by their index. An exception of `bars` itself ends the
        call; bars before it may have been stored. For bars that come minutes apart use `publish_bar`: here a message
        is sent when it is full.

        Args:
            bars: each valid by itself, of any symbols.
            batch_size: bars in one message.
            timeout: seconds for the whole call; None for no deadline.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is 1 or more, not {batch_size}")
        return await send_bars(self._market_data.PublishBars, bars, batch_size, timeout)

    def bars(
        self, symbol: str | None = None, *, start_date: When = None, end_date: When = None, page_size: int = 100
    ) -> AsyncPages[Bar]:
        """List stored bars, the newest first, from `start_date` (inclusive) to `end_date` (exclusive)."""

        async def fetch(page_token: str) -> market_data_service_pb2.ListBarsResponse:
            request = market_data_service_pb2.ListBarsRequest(
                symbol=symbol,
                limit=page_size,
                start_date=when(start_date),
                end_date=when(end_date),
                page_token=page_token,
            )
            return await self._unary(self._market_data.ListBars, request)

        return AsyncPages(fetch, lambda page: page.bars)

    def symbols(
        self, symbols: Sequence[str] = (), *, closes: int | None = None, page_size: int = 100
    ) -> AsyncPages[SymbolSummary]:
        """List the symbols of the service by name, each with its newest bar, newest signal and open position.

        To go on with a stream that misses nothing, resume it after the `through_sequence` of the first page.

        Args:
            symbols: only these; none for all.
            closes: closes of the newest bars of each to return, none if absent.
            page_size: symbols fetched at a time.
        """

        async def fetch(page_token: str) -> market_data_service_pb2.ListSymbolsResponse:
            request = market_data_service_pb2.ListSymbolsRequest(
                limit=page_size, page_token=page_token, symbols=symbols, closes=closes
            )
            return await self._unary(self._market_data.ListSymbols, request)

        return AsyncPages(fetch, lambda page: page.symbols)
