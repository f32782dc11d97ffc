"""Delivery of bars to a sink: at the pace of the market, with retries while bars cannot be stored."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

from ...application.ports.clock import Sleep
from ...application.ports.feed import MarketDataSink
from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.errors import Overloaded, ServiceError, ShuttingDown, StorageUnavailable
from ...domain.events import Receipt
from ...domain.window import LOOKBACK_BARS
from .files import CHUNK_BARS

CLOSED_MARKET = timedelta(hours=1)
"""A longer gap between two bars is a night, a weekend or an outage of the source, and is skipped, unless it is only as
long as the interval of the bars."""

WARM_SESSIONS = 5
"""Sessions that a new symbol gets without a pause, so that its indicators are warm at the first bar that is paced."""

_TEMPORARY = (StorageUnavailable, ShuttingDown, Overloaded)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0

Monotonic = Callable[[], float]
"""A monotonic clock, in seconds, such as time.monotonic."""
NewestBarTime = Callable[[str], Awaitable[datetime | None]]
"""Returns the open of the newest stored bar of a symbol, or None."""

log = logging.getLogger(__name__)


def warm_sessions(calendar: SessionCalendar, history_bars: int = LOOKBACK_BARS) -> int:
    """Return the number of sessions that a new symbol gets at once: at least WARM_SESSIONS, and `history_bars` bars."""
    return max(WARM_SESSIONS, -(-history_bars // calendar.bars))


def pauses(first: float = _FIRST_PAUSE_SECONDS, longest: float = _LONGEST_PAUSE_SECONDS) -> Iterator[float]:
    """Yield the pauses in seconds before each retry, without end: 0.25, 0.5, 1, 2, 4, 5, 5, ... by default."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)


async def deliver(sink: MarketDataSink, bars: Sequence[Bar], sleep: Sleep) -> list[Receipt | ServiceError]:
    """Publish bars until each is stored or permanently refused; return one result for each bar, in their order."""
    results: dict[int, Receipt | ServiceError] = {}
    pending = list(range(len(bars)))
    pause = pauses()
    while True:
        results.update(zip(pending, await sink.publish([bars[index] for index in pending]), strict=True))
        pending = [index for index in pending if isinstance(results[index], _TEMPORARY)]
        if not pending:
            return [results[index] for index in range(len(bars))]
        seconds = next(pause)
        log.warning("%d bars are pending, next attempt in %s s: %s", len(pending), seconds, results[pending[0]])
        await sleep(seconds)


async def newest_bar(sink: MarketDataSink, symbol: str, sleep: Sleep) -> Bar | None:
    """Return the newest bar of `symbol` that the sink has processed, with retries until the sink is available."""
    for seconds in pauses():
        try:
            return await sink.last_bar(symbol)
        except _TEMPORARY as error:
            log.warning("cannot read the newest bar of %s, next attempt in %s s: %s", symbol, seconds, error)
            await sleep(seconds)
    raise AssertionError("pauses never end")


class MarketPace:
    """Pauses between bars as in the market, `speed` times shorter; a speed of 0 never pauses."""

    def __init__(self, speed: float, sleep: Sleep, monotonic: Monotonic = time.monotonic) -> None:
        self._speed = speed
        self._sleep = sleep
        self._monotonic = monotonic
        self._due = monotonic()

    async def wait(self, market_seconds: float) -> None:
        """Wait until `market_seconds` of market time have passed since the previous wait was due.

        The time that the caller needed in between counts. A caller that is late continues from now, without a burst.
        """
        now = self._monotonic()
        if self._speed:
            self._due = max(self._due + market_seconds / self._speed, now)
        await self._sleep(self._due - now if self._speed else 0.0)


async def at_pace(
    chunks: AsyncIterator[list[Bar]], pace: MarketPace, newest_bar_time: NewestBarTime
) -> AsyncIterator[list[Bar]]:
    """Yield the bars of a file when they are due, all bars of one time together.

    Nights and weekends are skipped. Bars that are already stored are yielded without a pause, in lists of up to about
    `CHUNK_BARS`, so that an interrupted replay is soon where it stopped.
    """
    newest: dict[str, datetime | None] = {}
    stored: list[Bar] = []
    previous: datetime | None = None
    async for bars in _by_time(chunks):
        for symbol in {bar.symbol for bar in bars} - newest.keys():
            newest[symbol] = await newest_bar_time(symbol)
        gap = timedelta() if previous is None else bars[0].time - previous
        previous = bars[0].time
        if all((time := newest[bar.symbol]) is not None and bar.time <= time for bar in bars):
            stored += bars
            if len(stored) >= CHUNK_BARS:
                yield stored
                stored = []
            continue
        if stored:
            yield stored
            stored = []
        longest = max(CLOSED_MARKET, *(bar.interval for bar in bars))
        await pace.wait(gap.total_seconds() if timedelta() < gap <= longest else 0.0)
        yield bars
    if stored:
        yield stored


async def _by_time(chunks: AsyncIterator[list[Bar]]) -> AsyncIterator[list[Bar]]:
    together: list[Bar] = []
    async for chunk in chunks:
        for bar in chunk:
            if together and together[0].time != bar.time:
                yield together
                together = []
            together.append(bar)
    if together:
        yield together
