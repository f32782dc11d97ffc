"""tradingsignals.v1.MarketDataService."""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from operator import itemgetter

from tradingsignals.v1 import bar_pb2
from tradingsignals.v1 import market_data_service_pb2 as pb

from ...application.ingest.commands import BarPublisher, Publication, PublishStream
from ...application.queries import Queries
from ...domain.bars import Bar
from ...domain.errors import (
    InvalidBar,
    InvalidRequest,
    MalformedMessage,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
)
from ...domain.events import Disposition
from ...domain.intervals import IntervalOf
from ..mapping import from_proto, to_proto
from ..mapping.bounds import DEFAULT_SYMBOL
from ..mapping.symbols_to_proto import symbols_answer
from ..mapping.validation import Checks

MAXIMUM_BARS_A_MESSAGE = 1000
MAXIMUM_REJECTIONS = 1000
MESSAGES_IN_FLIGHT = 4
"""Messages of one stream that are in the engine at a time: while one is committed, the next is decided."""


class MarketDataServicer:
    """Publishes closed bars, lists stored ones, and lists symbols."""

    def __init__(self, bars: BarPublisher, queries: Queries, interval_of: IntervalOf) -> None:
        self._bars = bars
        self._interval_of = interval_of
        self._queries = queries

    async def publish_bar(self, request: pb.PublishBarRequest) -> pb.PublishBarResponse:
        """Publish one bar."""
        if not request.HasField("bar"):
            raise InvalidRequest.field("bar", "is required")
        try:
            (result,) = await self._bars.publish((from_proto.bar_of(request.bar, self._interval_of),))
            if isinstance(result, ServiceError):
                raise result
        except InvalidBar as error:
            raise error.under("bar") from error
        return pb.PublishBarResponse(receipt=to_proto.receipt_message(result))

    async def publish_bars(self, requests: AsyncIterator[pb.PublishBarsRequest]) -> pb.PublishBarsResponse:
        """Publish any number of bars. A refused bar is reported by its index and does not affect the others.

        A malformed message ends the stream, since the number of its bars is unknown. All bars before it are stored by
        then; if they cannot be, that error is returned instead, since it can be tried again.
        """
        counts, stream = _Counts(), PublishStream()
        in_flight: deque[tuple[_Sent, Publication]] = deque()
        refusal: ServiceError | None = None
        try:
            async for request in requests:
                sent = self._sent(request.bars, counts)
                in_flight.append((sent, await self._bars.enqueue([bar for _, bar in sent], stream)))
                if len(in_flight) >= MESSAGES_IN_FLIGHT:
                    await counts.count(*in_flight.popleft())
        except (MalformedMessage, InvalidRequest) as error:
            refusal = error
        while in_flight:
            await counts.count(*in_flight.popleft())
        if refusal is not None:
            raise refusal
        return counts.response()

    async def list_bars(self, request: pb.ListBarsRequest) -> pb.ListBarsResponse:
        """List a page of bars."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            symbol = checks.symbol(request.symbol, default=DEFAULT_SYMBOL) or DEFAULT_SYMBOL
            start, end = checks.period(request.start_date, request.end_date)
        page = await self._queries.bars(symbol, start, end, request.page_token, limit)
        return to_proto.bars_answer(page.bars, page.next_page_token)

    async def list_symbols(self, request: pb.ListSymbolsRequest) -> pb.ListSymbolsResponse:
        """List a page of symbols, each with the newest of what is stored of it."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            symbols = checks.symbols(request.symbols)
            closes = checks.number(request, "closes")
        page, token = await self._queries.symbols(symbols, request.page_token, limit, max(closes, 1))
        return symbols_answer(page, token, closes, self._interval_of)

    def _sent(self, messages: Sequence[bar_pb2.Bar], counts: _Counts) -> _Sent:
        """Convert the bars of a message, each with its index in the stream; invalid ones are refused here."""
        if len(messages) > MAXIMUM_BARS_A_MESSAGE:
            raise InvalidRequest.field("bars", f"must be at most {MAXIMUM_BARS_A_MESSAGE} a message")
        sent: _Sent = []
        for message in messages:
            index = counts.received
            counts.received += 1
            try:
                sent.append(((index, message), from_proto.bar_of(message, self._interval_of)))
            except InvalidBar as error:
                counts.refuse(index, message, error)
        return sent


_Sent = list[tuple[tuple[int, bar_pb2.Bar], Bar]]


class _Counts:
    """Counts over the bars of a stream so far."""

    def __init__(self) -> None:
        self.received = 0
        self._counts: Counter[Disposition] = Counter()
        self._rejected = 0
        self._rejections: list[tuple[int, bar_pb2.BarRejection]] = []
        self._through = 0

    def refuse(self, index: int, message: bar_pb2.Bar, error: ServiceError) -> None:
        """Count a bar that was not stored. Those with the lowest indexes are kept: conflicts are found late."""
        self._rejected += 1
        if len(self._rejections) < MAXIMUM_REJECTIONS or index < self._rejections[-1][0]:
            insort(self._rejections, (index, to_proto.rejection_message(index, message, error)), key=itemgetter(0))
            del self._rejections[MAXIMUM_REJECTIONS:]

    async def count(self, sent: _Sent, publication: Publication) -> None:
        """Count the results of the bars of one message, once they are known.

        Raises:
            StorageUnavailable, ShuttingDown: a bar may be sent again; the whole stream is then worth repeating.
        """
        for ((index, message), _), result in zip(sent, await publication.results(), strict=True):
            if isinstance(result, StorageUnavailable | ShuttingDown):
                raise result
            if isinstance(result, ServiceError):
                self.refuse(index, message, result)
            else:
                self._counts[result.disposition] += 1
                self._through = max(self._through, result.sequence)

    def response(self) -> pb.PublishBarsResponse:
        """Return the response to the stream."""
        return pb.PublishBarsResponse(
            received=self.received,
            accepted=self._counts[Disposition.ACCEPTED],
            warming_up=self._counts[Disposition.WARMING_UP],
            outside_session=self._counts[Disposition.OUTSIDE_SESSION],
            other_interval=self._counts[Disposition.OTHER_INTERVAL],
            late=self._counts[Disposition.LATE],
            duplicates=self._counts[Disposition.DUPLICATE],
            rejected=self._rejected,
            rejections=[rejection for _, rejection in self._rejections],
            through_sequence=self._through,
        )
