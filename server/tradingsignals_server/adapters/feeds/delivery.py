"""How bars reach a sink: at the market's pace, and again for as long as they cannot be stored."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

from ...application.ports.clock import Sleep
from ...application.ports.feed import MarketDataSink
from ...domain.bars import Bar
from ...domain.errors import Overloaded, ServiceError, ShuttingDown, StorageUnavailable
from ...domain.events import Receipt
from .files import CHUNK_BARS

CLOSED_MARKET = timedelta(hours=1)
"""A longer gap between two bars is a night, a weekend or an outage of the source, and is not waited for."""

_PASSING = (StorageUnavailable, ShuttingDown, Overloaded)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0

Monotonic = Callable[[], float]
"""Seconds of a clock that never goes back: time.monotonic, or a test's own."""
KnownThrough = Callable[[str], Awaitable[datetime | None]]
"""Time of the newest bar of a symbol that is stored already, or None."""

log = logging.getLogger(__name__)


def pauses() -> Iterator[float]:
    """Seconds to wait before each further try: 0.25, 0.5, 1, 2, 4, and 5 from then on."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def deliver(sink: MarketDataSink, bars: Sequence[Bar], sleep: Sleep) -> list[Receipt | ServiceError]:
    """Publish bars until each is stored or refused for good; one answer a bar, in their order."""
    answers: dict[int, Receipt | ServiceError] = {}
    waiting = list(range(len(bars)))
    pause = pauses()
    while True:
        answers.update(zip(waiting, await sink.publish([bars[index] for index in waiting]), strict=True))
        waiting = [index for index in waiting if isinstance(answers[index], _PASSING)]
        if not waiting:
            return [answers[index] for index in range(len(bars))]
        seconds = next(pause)
        log.warning("%d bars wait, next try in %s s: %s", len(waiting), seconds, answers[waiting[0]])
        await sleep(seconds)


async def newest_bar(sink: MarketDataSink, symbol: str, sleep: Sleep) -> Bar | None:
    """The newest bar of `symbol` that the sink has processed, asked for until it can tell."""
    for seconds in pauses():
        try:
            return await sink.last_bar(symbol)
        except _PASSING as error:
            log.warning("cannot tell where %s stands, next try in %s s: %s", symbol, seconds, error)
            await sleep(seconds)
    raise AssertionError("pauses never end")


class Pace:
    """Waits as the market does, `speed` times faster; not at all with a speed of 0."""

    def __init__(self, speed: float, sleep: Sleep, monotonic: Monotonic = time.monotonic) -> None:
        self._speed = speed
        self._sleep = sleep
        self._monotonic = monotonic
        self._due = monotonic()

    async def wait(self, market_seconds: float) -> None:
        """Wait until that much of the market's time has passed since the last wait was due.

        What was done in between counts. Whoever is late goes on from now: lost time is never made up by a burst.
        """
        now = self._monotonic()
        if self._speed:
            self._due = max(self._due + market_seconds / self._speed, now)
        await self._sleep(self._due - now if self._speed else 0.0)


async def at_pace(
    chunks: AsyncIterator[list[Bar]], pace: Pace, known_through: KnownThrough
) -> AsyncIterator[list[Bar]]:
    """The bars of a file when they are due, those of one time together.

    Nights and weekends are not waited for. Bars that are stored already pass without waiting, in lists of up to
    `CHUNK_BARS`, so that what was interrupted is soon where it was.
    """
    known: dict[str, datetime | None] = {}
    passing: list[Bar] = []
    previous: datetime | None = None
    async for bars in _by_time(chunks):
        for symbol in {bar.symbol for bar in bars} - known.keys():
            known[symbol] = await known_through(symbol)
        gap = timedelta() if previous is None else bars[0].time - previous
        previous = bars[0].time
        if all((through := known[bar.symbol]) is not None and bar.time <= through for bar in bars):
            passing += bars
            if len(passing) >= CHUNK_BARS:
                yield passing
                passing = []
            continue
        if passing:
            yield passing
            passing = []
        await pace.wait(gap.total_seconds() if timedelta() < gap <= CLOSED_MARKET else 0.0)
        yield bars
    if passing:
        yield passing


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
