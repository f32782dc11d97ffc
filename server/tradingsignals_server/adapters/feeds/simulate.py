"""FEED=simulate: a made-up market that goes by faster than the real one, every bar marked simulated."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby, islice, repeat
from operator import itemgetter
from typing import Protocol

from ...application.ports.clock import Clock, Sleep
from ...application.ports.feed import MarketDataSink
from ...domain.bars import BAR_INTERVAL, BAR_SECONDS, Bar
from ...domain.calendar import SessionCalendar, calendar_for
from ...domain.errors import ServiceError
from ...domain.events import Disposition, Receipt
from .delivery import Monotonic, Pace, deliver, newest_bar
from .kind import FeedContext, FeedKind
from .market import SimulatedMarket

WARM_SESSIONS = 5
"""Sessions that a new symbol is given at once, so that its indicators are warm when the first bar goes by."""

_CATCH_UP_BARS = 250

log = logging.getLogger(__name__)


class SimulatedFeed:
    """Makes the bars of several symbols, one time after the other, from where the stored bars end.

    Until it reaches the newest bar of any symbol, and the end of the first sessions, it delivers without waiting; from
    then on the bars of one time every 300 / speed seconds. Nights pass in no time. It never ends: once it has reached
    the present it goes on with it, since no bar is taken before it has ended.
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
        """`start`: day of the first session. `speed`: how many times faster than the market; 0 does not wait."""
        self._markets = {symbol: SimulatedMarket(seed, symbol, calendar_of(symbol)) for symbol in symbols}
        self._start = start
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._monotonic = monotonic

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver bars until cancelled."""
        pace = Pace(self._speed, self._sleep, self._monotonic)
        while True:
            newest = {symbol: await newest_bar(sink, symbol, self._sleep) for symbol in self._markets}
            await self._deliver_from(sink, newest, pace)

    async def _deliver_from(self, sink: MarketDataSink, newest: dict[str, Bar | None], pace: Pace) -> None:
        """Deliver the bars after the newest ones, until somebody else has published a newer bar still."""
        opening = max(
            self._warm_end(market.calendar) if (bar := newest[symbol]) is None else bar.time
            for symbol, market in self._markets.items()
        )
        opening = min(opening, self._clock() - BAR_INTERVAL)
        behind: list[Bar] = []
        for bar_time, symbols in self._schedule(newest):
            bars = [self._markets[symbol].next_bar(bar_time, newest[symbol]) for symbol in symbols]
            newest.update((bar.symbol, bar) for bar in bars)
            behind += bars
            if bar_time <= opening and len(behind) < _CATCH_UP_BARS:
                continue
            if bar_time > opening:
                if len(behind) > len(bars):
                    await self._deliver(sink, behind[: -len(bars)])
                await pace.wait(BAR_SECONDS)
                await self._until_ended(bar_time)
                behind = bars
            if await self._deliver(sink, behind):
                return
            behind = []

    async def _until_ended(self, bar_time: datetime) -> None:
        """Wait until the bar that opens at `bar_time` has ended by the wall clock."""
        ahead = bar_time + BAR_INTERVAL - self._clock()
        if ahead > timedelta():
            log.info("the simulated market has reached the present; its next bar ends in %s", ahead)
            await self._sleep(ahead.total_seconds())

    async def _deliver(self, sink: MarketDataSink, bars: Sequence[Bar]) -> bool:
        """Deliver bars; True if a newer bar of the same symbol had been processed before."""
        answers = await deliver(sink, bars, self._sleep)
        for answer in answers:
            if isinstance(answer, ServiceError):
                log.warning("a simulated bar was refused: %s", answer)
        return any(isinstance(answer, Receipt) and answer.disposition is Disposition.LATE for answer in answers)

    def _schedule(self, newest: dict[str, Bar | None]) -> Iterator[tuple[datetime, list[str]]]:
        """Every bar time after the newest bars, without end, with the symbols that have a bar then."""
        streams = [
            zip(_bar_times(market.calendar, self._start, newest[symbol]), repeat(symbol))
            for symbol, market in self._markets.items()
        ]
        for bar_time, group in groupby(heapq.merge(*streams), key=itemgetter(0)):
            yield bar_time, [symbol for _, symbol in group]

    def _warm_end(self, calendar: SessionCalendar) -> datetime:
        """Open of the last bar of the first sessions."""
        sessions = (bars for bars in map(calendar.bars_of, _days(self._start)) if bars)
        return next(islice(sessions, WARM_SESSIONS - 1, None))[-1]


def _bar_times(calendar: SessionCalendar, start: date, newest: Bar | None) -> Iterator[datetime]:
    """Opens of all bars after `newest` or, without it, from the session of `start`."""
    # A session's day may differ by one from the day in UTC.
    first_day = start if newest is None else newest.time.date() - timedelta(days=1)
    for day in _days(first_day):
        for bar_time in calendar.bars_of(day):
            if newest is None or bar_time > newest.time:
                yield bar_time


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


SIMULATE: FeedKind[SimulateSettings] = FeedKind(
    name="simulate",
    is_live=False,
    is_simulated=True,
    settings=("symbols", "simulate_seed", "simulate_speed", "simulate_start"),
    build=_feed,
    sets_market_time=lambda settings, symbol: symbol in settings.symbols,
    speed="simulate_speed",
)
