"""FEED=replay: the bars of a file, delivered as if the market sent them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ...application.ports import MarketDataSink, Sleep
from ...domain.errors import ServiceError
from .delivery import Monotonic, Pace, at_pace, deliver, newest_bar
from .files import SkippedRow, stream_bars

log = logging.getLogger(__name__)

_REPORTED_BARS = 5
"""Refused bars and skipped rows that are named in the log one by one; the rest is only counted."""


@dataclass(slots=True)
class ReplayProgress:
    """How far a replay has come."""

    bars: int = 0
    """Bars delivered: stored now, stored before, or refused."""
    through: datetime | None = None
    """Time of the last bar delivered."""
    dispositions: Counter[str] = field(default_factory=Counter)
    """Bars by Disposition."""
    refused: int = 0
    """Bars refused for good."""
    skipped_rows: int = 0
    """Rows of the file that are no bars."""


class ReplayFeed:
    """Delivers a file once, from its first bar to its last. After a restart, what is stored already passes quickly."""

    name = "replay"

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 0.0,
        symbol: str | None = None,
        sleep: Sleep = asyncio.sleep,
        monotonic: Monotonic = time.monotonic,
        on_progress: Callable[[ReplayProgress], None] | None = None,
    ) -> None:
        """`speed`: how many times faster than the market; 0 does not wait. `symbol`: of rows that name none."""
        self._path = path
        self._speed = speed
        self._symbol = symbol
        self._sleep = sleep
        self._monotonic = monotonic
        self._on_progress = on_progress
        self.progress = ReplayProgress()

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver the file, in its order, until it ends.

        Raises:
            UnreadableFile: it cannot be read, or is not one of bars.
        """

        async def known_through(symbol: str) -> datetime | None:
            bar = await newest_bar(sink, symbol, self._sleep)
            return None if bar is None else bar.time

        self.progress = progress = ReplayProgress()
        batches = stream_bars(self._path, symbol=self._symbol, on_skipped=self._note_skipped)
        if self._speed:
            batches = at_pace(batches, Pace(self._speed, self._sleep, self._monotonic), known_through)
        async for bars in batches:
            for answer in await deliver(sink, bars, self._sleep):
                if isinstance(answer, ServiceError):
                    self._note_refused(answer)
                else:
                    progress.dispositions[answer.disposition] += 1
            progress.bars += len(bars)
            progress.through = bars[-1].time
            if self._on_progress is not None:
                self._on_progress(progress)
        counts = ", ".join(f"{count} {name}" for name, count in progress.dispositions.items())
        log.info(
            "%s is replayed: %d bars (%s), %d refused, %d rows skipped",
            self._path,
            progress.bars,
            counts,
            progress.refused,
            progress.skipped_rows,
        )

    def _note_refused(self, error: ServiceError) -> None:
        self.progress.refused += 1
        if self.progress.refused <= _REPORTED_BARS:
            log.warning("a bar of %s was refused: %s", self._path, error)

    def _note_skipped(self, row: SkippedRow) -> None:
        self.progress.skipped_rows += 1
        if self.progress.skipped_rows <= _REPORTED_BARS:
            log.warning("%s, %s", self._path, row)
