"""FEED=simulate: a simulated market, faster than a real one. Every bar is marked simulated."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice, repeat
from operator import itemgetter
from typing import Protocol

from ...application.ports.clock import Clock, Sleep
from ...application.ports.feed import MarketDataSink
from ...domain.bars import EARLIEST_TIME, Bar
from ...domain.calendar import SessionCalendar, calendar_for
from ...domain.errors import ServiceError
from ...domain.events import Disposition, Receipt
from .delivery import MarketPace, Monotonic, deliver, newest_bar, warm_sessions
from .kind import FeedContext, FeedKind
from .market import SimulatedMarket

_CATCH_UP_BARS = 250

log = logging.getLogger(__name__)


class SimulatedFeed:
    """Generates the bars of its symbols in the order in which they close, from the end of the stored bars.

    Up to the newest bar of any symbol, and to the end of the first sessions (`warm_sessions`), it delivers without
    pauses; then it delivers the bars that close at one time together, `speed` times faster than the market. Nights take
    no time. It never ends: once it has reached the present it continues in real time, because a bar cannot be published
    before it has closed.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int,
        start: date,
        speed: float,
        clock: Clock,
        calendar_of: Callable[[str], SessionCalendar] = calendar_for,
        sleep: Sleep = asyncio.sleep,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        """Prepare to deliver.

        Args:
            symbols: symbols in their normal form.
            seed: seed of the simulated market.
            start: day of the first session.
            speed: factor by which the market is faster than a real one; 0 does not pause.
            clock: current time, in UTC.
            calendar_of: returns the calendar of a symbol.
            sleep: replaces asyncio.sleep in tests.
            monotonic: clock of the pace.
        """
        self._markets = {symbol: SimulatedMarket(seed, symbol, calendar_of(symbol)) for symbol in symbols}
        self._start = start
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._monotonic = monotonic

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver bars until cancelled."""
        pace = MarketPace(self._speed, self._sleep, self._monotonic)
        while True:
            newest = {symbol: await newest_bar(sink, symbol, self._sleep) for symbol in self._markets}
            await self._deliver_from(sink, newest, pace)

    async def _deliver_from(self, sink: MarketDataSink, newest: dict[str, Bar | None], pace: MarketPace) -> None:
        """Deliver the bars after the newest ones, until another publisher has published a newer bar."""
        caught_up = max(
            self._warm_end(market.calendar) if (bar := newest[symbol]) is None else bar.close_time
            for symbol, market in self._markets.items()
        )
        previous = caught_up = min(caught_up, self._clock())
        shortest = min(market.calendar.interval for market in self._markets.values())
        pending: list[Bar] = []
        for close_time, symbols in self._schedule(newest):
            bars = [self._next_bar(symbol, close_time, newest[symbol]) for symbol in symbols]
            newest.update((bar.symbol, bar) for bar in bars)
            pending += bars
            if close_time <= caught_up and len(pending) < _CATCH_UP_BARS:
                continue
            if close_time > caught_up:
                if len(pending) > len(bars):
                    await self._deliver(sink, pending[: -len(bars)])
                # A gap that is longer than the shortest interval is a night, in which no symbol has a bar.
                await pace.wait(min(close_time - previous, shortest).total_seconds())
                previous = close_time
                await self._until_closed(close_time)
                pending = bars
            if await self._deliver(sink, pending):
                return
            pending = []

    def _next_bar(self, symbol: str, close_time: datetime, newest: Bar | None) -> Bar:
        market = self._markets[symbol]
        return market.next_bar(close_time - market.calendar.interval, newest)

    async def _until_closed(self, close_time: datetime) -> None:
        """Wait until it is `close_time` by the wall clock."""
        ahead = close_time - self._clock()
        if ahead > timedelta():
            log.info("the simulated market has reached the present; its next bar closes in %s", ahead)
            await self._sleep(ahead.total_seconds())

    async def _deliver(self, sink: MarketDataSink, bars: Sequence[Bar]) -> bool:
        """Deliver bars, and return whether one was late: a newer bar of its symbol had been processed before."""
        results = await deliver(sink, bars, self._sleep)
        for result in results:
            if isinstance(result, ServiceError):
                log.warning("a simulated bar was refused: %s", result)
        return any(isinstance(result, Receipt) and result.disposition is Disposition.LATE for result in results)

    def _schedule(self, newest: dict[str, Bar | None]) -> Iterator[tuple[datetime, list[str]]]:
        """Yield every close of a bar after the newest bars, without end, and the symbols that have one then."""
        streams = [
            zip(_close_times(market.calendar, self._start, newest[symbol]), repeat(symbol))
            for symbol, market in self._markets.items()
        ]
        for close_time, group in groupby(heapq.merge(*streams), key=itemgetter(0)):
            yield close_time, [symbol for _, symbol in group]

    def _warm_end(self, calendar: SessionCalendar) -> datetime:
        """Return the close of the last bar of the sessions that a new symbol gets at once."""
        sessions = (bars for bars in map(calendar.bars_of, _days(self._start)) if bars)
        return next(islice(sessions, warm_sessions(calendar) - 1, None))[-1] + calendar.interval


def _close_times(calendar: SessionCalendar, start: date, newest: Bar | None) -> Iterator[datetime]:
    """Yield the closes of all bars after `newest` or, without it, from the session of `start` on."""
    for day in _days(start if newest is None else newest.time.date()):
        for bar_time in calendar.bars_of(day):
            if newest is None or bar_time > newest.time:
                yield bar_time + calendar.interval


def _days(first: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((date.max - first).days))


class SimulateSettings(Protocol):
    """The settings that this feed reads."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that it makes bars of."""
        ...

    @property
    def simulate_seed(self) -> int:
        """The seed of the market."""
        ...

    @property
    def simulate_speed(self) -> float:
        """How many times faster than the market; 0 does not wait."""
        ...

    @property
    def simulate_start(self) -> date:
        """The day of the first session."""
        ...


def _feed(settings: SimulateSettings, context: FeedContext) -> SimulatedFeed:
    return SimulatedFeed(
        symbols=settings.symbols,
        seed=settings.simulate_seed,
        speed=settings.simulate_speed,
        start=settings.simulate_start,
        clock=context.clock,
        calendar_of=context.calendar_of,
    )


def _problem(settings: SimulateSettings) -> str | None:
    first, today = EARLIEST_TIME.date(), datetime.now(UTC).date()
    if first <= settings.simulate_start <= today:
        return None
    return (
        f"SIMULATE_START={settings.simulate_start}: must be from {first}, the first day of any bar, to today, because "
        "no bar is published before it has closed"
    )


SIMULATE: FeedKind[SimulateSettings] = FeedKind(
    name="simulate",
    is_live=False,
    is_simulated=True,
    settings=("symbols", "simulate_seed", "simulate_speed", "simulate_start"),
    build=_feed,
    sets_market_time=lambda settings, symbol: symbol in settings.symbols,
    problem=_problem,
    speed="simulate_speed",
)
