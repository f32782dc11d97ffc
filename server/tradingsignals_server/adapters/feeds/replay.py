"""FEED=replay: the file feed, which delivers the bars of a file as a market would."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ...application.ports.clock import Sleep
from ...application.ports.feed import MarketDataSink
from ...domain.errors import ServiceError
from ...domain.intervals import IntervalOf, default_interval
from ...domain.wording import counted
from .delivery import MarketPace, Monotonic, at_pace, deliver, newest_bar
from .files import load_in_thread
from .kind import FeedContext, FeedKind, OnProgress
from .rows import UnreadableFile
from .tally import Tally

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
"""Interval of the progress lines in the log."""


class ReplayFeed:
    """Delivers a file once, in the order of time. After a restart, bars that are already stored are not paced."""

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 0.0,
        symbol: str | None = None,
        interval_of: IntervalOf = default_interval,
        sleep: Sleep = asyncio.sleep,
        monotonic: Monotonic = time.monotonic,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Prepare to deliver the file at `path`.

        Args:
            path: CSV, CSV.gz or Parquet.
            speed: factor by which the replay is faster than the market; 0 does not pause.
            symbol: symbol of rows without one.
            interval_of: returns the interval of the bars of a symbol.
            sleep: replaces asyncio.sleep in tests.
            monotonic: clock of the pace and of the progress lines.
            on_progress: called once the file is read and after each delivery. By default progress is logged every
                PROGRESS_SECONDS.
        """
        self._path = path
        self._speed = speed
        self._symbol = symbol
        self._interval_of = interval_of
        self._sleep = sleep
        self._monotonic = monotonic
        self._on_progress = on_progress or self._log_progress
        self._logged_at = monotonic()

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver the whole file.

        Raises:
            UnreadableFile: it cannot be read, or contains bars of another interval.
        """

        async def newest_bar_time(symbol: str) -> datetime | None:
            bar = await newest_bar(sink, symbol, self._sleep)
            return None if bar is None else bar.time

        log.info("reading %s", self._path)
        tally = Tally(await load_in_thread(self._path, symbol=self._symbol, interval_of=self._interval_of))
        self._on_progress(tally)
        logged = 0
        batches = tally.file.stream()
        if self._speed:
            batches = at_pace(batches, MarketPace(self._speed, self._sleep, self._monotonic), newest_bar_time)
        async for bars in batches:
            for bar, result in zip(bars, await deliver(sink, bars, self._sleep), strict=True):
                if isinstance(result, ServiceError):
                    tally.reject(bar, result.message)
                else:
                    tally.dispositions[result.disposition] += 1
            tally.bars += len(bars)
            tally.through = bars[-1].time
            for reason in tally.reasons[logged:]:
                log.warning("%s, %s", self._path, reason)
            logged = len(tally.reasons)
            self._on_progress(tally)
        counts = ", ".join(f"{what} {count}" for what, count in tally.counts() if count)
        log.info("%s: replay finished, %s (%s)", self._path, counted(tally.bars, "bar"), counts)
        for failure in tally.failures():
            log.error("%s: %s", self._path, failure)

    def _log_progress(self, tally: Tally) -> None:
        now = self._monotonic()
        if now - self._logged_at >= PROGRESS_SECONDS:
            self._logged_at = now
            log.info("%s: %d of %d bars, at %s", self._path, tally.bars, len(tally.file), tally.reached)


class ReplaySettings(Protocol):
    """The settings that this feed reads."""

    @property
    def replay_file(self) -> Path | None:
        """The file of bars."""
        ...

    @property
    def replay_speed(self) -> float:
        """How many times faster than the market; 0 does not wait."""
        ...


def _feed(settings: ReplaySettings, context: FeedContext) -> ReplayFeed | None:
    if settings.replay_file is None:
        return None
    return ReplayFeed(
        settings.replay_file,
        speed=settings.replay_speed,
        interval_of=context.interval_of,
        on_progress=context.on_progress,
    )


async def _check(settings: ReplaySettings, context: FeedContext) -> list[str]:
    if settings.replay_file is not None:
        try:
            await load_in_thread(settings.replay_file, interval_of=context.interval_of)
        except UnreadableFile as error:
            return [f"REPLAY_FILE={error}"]
    return []


REPLAY: FeedKind[ReplaySettings] = FeedKind(
    name="replay",
    is_live=False,
    is_simulated=False,
    settings=("replay_file", "replay_speed"),
    build=_feed,
    check=_check,
    sets_market_time=lambda _settings, _symbol: True,
    problem=lambda settings: (
        "FEED=replay needs REPLAY_FILE, the file to replay" if settings.replay_file is None else None
    ),
    speed="replay_speed",
    file=lambda settings: settings.replay_file,
)
