"""The feed itself: when it requests which bars, and what it does about errors."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from ....application.ports.clock import Clock, Sleep
from ....application.ports.feed import MarketDataSink, ReportProblem
from ....domain.calendar import SessionCalendar
from ....domain.errors import ServiceError, time_text
from ....domain.window import LOOKBACK_BARS
from ..delivery import deliver, newest_bar, pauses, warm_sessions
from ..files import CHUNK_BARS, NAMED_REASONS
from .api import MAXIMUM_VALUES, TwelveDataApi
from .progress import Progress, bar_times, opening_before
from .series import OutOfCredits, RequestRefused, Series, SeriesError

REQUEST_AGAIN_S = 5.0
"""Pause before a due bar that the API does not have yet is requested again. It doubles until the next bar is due."""

SILENT_BELOW = timedelta(hours=1)
"""Only bars of shorter intervals are requested once each while a market is silent; there are few others."""

REFUSED_PAUSE_S = 600.0
"""Pause after a refusal of the key or the symbol, which ends when the account or the settings are changed."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_LONGEST_SLEEP_S = 60.0
"""The clock is looked at again after this, because it may be set, and a machine may be suspended."""

_ALL = ""
"""The subject of problems that concern all symbols."""

log = logging.getLogger(__name__)


class TwelveDataFeed:
    """Requests each bar of its symbols shortly after it is due, and all that was missed before, in the order of time.

    It never ends. Outside the sessions of a symbol there are no requests for it.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        open_api: Callable[[], AbstractAsyncContextManager[TwelveDataApi]],
        clock: Clock,
        calendar_of: Callable[[str], SessionCalendar],
        report_problem: ReportProblem = lambda _subject, _problem: None,
        history_bars: int = LOOKBACK_BARS,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare to request.

        Args:
            symbols: symbols in their normal form.
            open_api: opens the client, each time that the feed runs.
            clock: current time, in UTC.
            calendar_of: returns the calendar of a symbol.
            report_problem: is called with what keeps bars from coming, and when that is over.
            history_bars: bars that a decision depends on, for the first start.
            sleep: replaces asyncio.sleep in tests.
            jitter: returns a number from 0 to 1, at random.
        """
        self._symbols = symbols
        self._open_api = open_api
        self._api: TwelveDataApi
        self._clock = clock
        self._calendar_of = calendar_of
        self._report_problem = report_problem
        self._history_bars = history_bars
        self._sleep = sleep
        self._jitter = jitter
        self._problems: dict[str, str] = {}

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver bars until cancelled."""
        try:
            async with self._open_api() as self._api, asyncio.TaskGroup() as tasks:
                for symbol in self._symbols:
                    tasks.create_task(self._follow(symbol, sink))
        finally:
            for subject in list(self._problems):
                self._clear(subject)

    async def _follow(self, symbol: str, sink: MarketDataSink) -> None:
        calendar = self._calendar_of(symbol)
        progress = Progress(calendar, await self._start_of(symbol, calendar, sink))
        is_silent = False
        while True:
            newest, before = progress.newest_due(self._clock()), progress.newest
            if not progress.has(newest):
                await self._request(symbol, newest, progress, sink, is_silent=is_silent)
                is_silent = progress.newest == before and calendar.interval < SILENT_BELOW
            await self._until(progress.next_due(newest))

    async def _start_of(self, symbol: str, calendar: SessionCalendar, sink: MarketDataSink) -> datetime:
        """Return the open of the first bar to request: of the session of the newest stored bar, which may have gaps."""
        newest = await newest_bar(sink, symbol, self._sleep)
        if newest is None:
            # Twice as many, because sessions may be days on which the market is closed.
            sessions = 2 * warm_sessions(calendar, self._history_bars)
            return opening_before(calendar, self._clock(), sessions)
        return calendar.opening_of(newest.time.date()) or next(bar_times(calendar, newest.close_time))

    async def _request(
        self, symbol: str, newest: datetime, progress: Progress, sink: MarketDataSink, *, is_silent: bool
    ) -> None:
        """Deliver what is missing up to the bar that opens at `newest`.

        It is requested again for a while if the API does not have it yet, unless the market `is_silent`: no bar came
        when the one before it was due, and none comes now.
        """
        next_due, before = progress.next_due(newest), progress.newest
        for pause in pauses(REQUEST_AGAIN_S, math.inf):
            await self._catch_up(symbol, newest, progress, sink)
            if progress.has(newest) or (is_silent and progress.newest == before):
                return
            if self._clock() + timedelta(seconds=pause) >= next_due:
                log.info("Twelve Data has no bar of %s for %s", symbol, time_text(newest))
                return
            await self._sleep(pause)

    async def _catch_up(self, symbol: str, newest: datetime, progress: Progress, sink: MarketDataSink) -> None:
        """Request and deliver the missing bars up to `newest`, page by page."""
        interval = self._calendar_of(symbol).interval
        start, end = progress.missing_from(), newest + interval
        while start < end:
            now = self._clock()
            page_end = min(start + (MAXIMUM_VALUES - 1) * interval, end)
            series = await self._series(symbol, interval, start, page_end)
            await self._take(symbol, series, progress, now, sink)
            if page_end < end:
                progress.give_up_before(page_end)
            start = page_end

    async def _series(self, symbol: str, interval: timedelta, start: datetime, end: datetime) -> Series:
        """Request a series until there is one."""
        failed = pauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                series = await self._api.series(symbol, interval, start, end)
            except SeriesError as error:
                self._note(error)
                await self._sleep(self._pause_after(error, failed))
            else:
                self._clear(symbol)
                self._clear(_ALL)
                return series

    def _pause_after(self, error: SeriesError, failed: Iterator[float]) -> float:
        """Return the seconds before the next attempt; different ones, so that many clients do not come together."""
        spread = 0.5 + 0.5 * self._jitter()
        if isinstance(error, OutOfCredits):
            return spread  # the client waits for the credits
        return spread * (REFUSED_PAUSE_S if isinstance(error, RequestRefused) else next(failed))

    async def _take(self, symbol: str, series: Series, progress: Progress, now: datetime, sink: MarketDataSink) -> None:
        """Deliver the bars of a series that are new, closed at `now`, and in a session."""
        rejected = [each for each in series.rejected if each.time is None or progress.is_wanted(each.time, now)]
        problems = [f"{symbol}: {each}" for each in rejected]
        bars = [bar for bar in series.bars if progress.is_wanted(bar.time, now)]
        for start in range(0, len(bars), CHUNK_BARS):
            chunk = bars[start : start + CHUNK_BARS]
            results = await deliver(sink, chunk, self._sleep)
            problems += [f"{symbol}: {result.message}" for result in results if isinstance(result, ServiceError)]
        for time in (*(bar.time for bar in bars), *(each.time for each in rejected)):
            if time is not None:
                progress.add(time)
        if len(bars) > 1:
            first, last = time_text(bars[0].time), time_text(bars[-1].time)
            log.info("Twelve Data: %d bars of %s from %s to %s", len(bars), symbol, first, last)
        for problem in problems[:NAMED_REASONS]:
            log.warning("a bar of Twelve Data was not taken: %s", problem)
        if (further := len(problems) - NAMED_REASONS) > 0:
            log.warning("%d further bars of %s were not taken", further, symbol)

    async def _until(self, time: datetime) -> None:
        while (ahead := (time - self._clock()).total_seconds()) > 0:
            await self._sleep(min(ahead, _LONGEST_SLEEP_S))

    def _note(self, error: SeriesError) -> None:
        """Log and report a problem, once as long as it lasts."""
        subject, problem = error.concerns or _ALL, str(error)
        if self._problems.get(subject) == problem:
            return
        self._problems[subject] = problem
        log.warning("%s", problem)
        self._report_problem(subject, problem)

    def _clear(self, subject: str) -> None:
        if self._problems.pop(subject, None) is not None:
            log.info("Twelve Data returns %s again", f"bars of {subject}" if subject else "bars")
            self._report_problem(subject, None)
