"""The observation at every bar of a file, computed once, and the sessions of those bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tradingsignals_server.adapters.feeds.files import load_bars
from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import M5_V1, FeatureContext
from tradingsignals_server.domain.indicators import WARM_BARS, Indicators
from tradingsignals_server.domain.window import Window


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a history: a policy decides at the bars `first` to `last` (both included)."""

    day: date
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class History:
    """The bars of one symbol in the order of time, with the observation that the live service would compute at each.

    bars: every bar of the file, inside and outside sessions; those outside decide nothing but can end a position.
    days: for each bar the day of its session, None outside.
    last_of_session: True for the bar whose close ends its session by the calendar, whether or not others are missing.
    indicators: over the last LOOKBACK_BARS session bars, None at a bar that decides nothing.
    observations: shape (bars, 16), float32; zeros at a bar that decides nothing.
    sessions: those with at least one bar that decides, in order.
    """

    bars: tuple[Bar, ...]
    days: tuple[date | None, ...]
    last_of_session: tuple[bool, ...]
    indicators: tuple[Indicators | None, ...]
    observations: npt.NDArray[np.float32]
    sessions: tuple[Session, ...]

    @classmethod
    def of(cls, bars: Iterable[Bar]) -> Self:
        """The history of these bars, computed by the functions that the live pipeline calls.

        Raises:
            ValueError: the bars are not of one symbol, or not each newer than the one before.
        """
        kept = tuple(bars)
        if len({bar.symbol for bar in kept}) != 1:
            raise ValueError("a history has the bars of exactly one symbol")
        calendar = calendar_for(kept[0].symbol)
        days, last_of_session = list[date | None](), list[bool]()
        indicators = list[Indicators | None]()
        observations = np.zeros((len(kept), len(M5_V1.names)), dtype=np.float32)
        window, before = Window.empty(), None
        for index, bar in enumerate(kept):
            if before is not None and bar.time <= before:
                raise ValueError(f"the bar of {bar.time.isoformat()} is not newer than the one before it")
            before = bar.time
            day = calendar.session_of(bar.time)
            days.append(day)
            last_of_session.append(day is not None and calendar.is_last_bar(bar.time))
            indicators.append(None)
            if day is None:
                continue
            window = window.append(bar)
            if len(window) >= WARM_BARS:
                context = FeatureContext(window, calendar, calendar.progress(bar.time))
                indicators[index] = context.indicators
                observations[index] = M5_V1.observe(context)
        sessions = tuple(_sessions(days, indicators))
        return cls(kept, tuple(days), tuple(last_of_session), tuple(indicators), observations, sessions)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The history in a file of bars.

        Raises:
            UnreadableFile: see adapters.feeds.files.load_bars; also if the file is damaged further on.
            ValueError: see `of`.
        """
        file = load_bars(path)
        if file.damage is not None:
            raise UnreadableFile(path, file.damage)
        return cls.of(bar for chunk in file.chunks() for bar in chunk)

    @property
    def symbol(self) -> str:
        """The symbol of all its bars."""
        return self.bars[0].symbol

    def between(self, start: date, end: date) -> tuple[Session, ...]:
        """The sessions of the days from `start` to `end`, both included."""
        return tuple(session for session in self.sessions if start <= session.day <= end)

    def span(self, sessions: tuple[Session, ...]) -> tuple[datetime, datetime]:
        """The range from the open of the first bar of these sessions to the close of the last."""
        return self.bars[sessions[0].first].time, self.bars[sessions[-1].last].close_time


def _sessions(days: list[date | None], indicators: list[Indicators | None]) -> Iterator[Session]:
    """Runs of deciding bars of one day. No other bar can be between those of a session."""
    day, first = None, 0
    for index, (this, seen) in enumerate(zip(days, indicators, strict=True)):
        here = this if seen is not None else None
        if here != day:
            if day is not None:
                yield Session(day, first, index - 1)
            day, first = here, index
    if day is not None:
        yield Session(day, first, len(days) - 1)
