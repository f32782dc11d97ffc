"""The observation at every bar of a file, computed once, and the sessions of those bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Self, cast

import numpy as np
import numpy.typing as npt

from tradingsignals_server.adapters.feeds.files import load_bars
from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import SessionCalendar, calendar_for
from tradingsignals_server.domain.features import M5_V1, FeatureContext, Features, Observation
from tradingsignals_server.domain.indicators import WARM_BARS, Indicators, indicators_of
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.window import LOOKBACK_BARS, Window


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
    observations: of a policy, shape (bars, size), float32; zeros at a bar that decides nothing.
    sessions: those with at least one bar that decides, in order.
    """

    bars: tuple[Bar, ...]
    days: tuple[date | None, ...]
    last_of_session: tuple[bool, ...]
    indicators: tuple[Indicators | None, ...]
    observations: npt.NDArray[np.float32]
    sessions: tuple[Session, ...]

    @classmethod
    def of(cls, bars: Iterable[Bar], features: Features = M5_V1) -> Self:
        """The history of these bars, computed by the functions that the live pipeline calls.

        Raises:
            ValueError: the bars are not of one symbol, or not each newer than the one before.
            FeaturesFailed: the features cannot be computed at a bar.
        """
        kept = tuple(bars)
        if len({bar.symbol for bar in kept}) != 1:
            raise ValueError("a history has the bars of exactly one symbol")
        calendar = calendar_for(kept[0].symbol, interval=kept[0].interval)
        days, last_of_session = list[date | None](), list[bool]()
        indicators = list[Indicators | None]()
        observations = np.zeros((len(kept), features.size), dtype=np.float32)
        warm_bars = max(WARM_BARS, features.warm_bars)
        window, before = Window.empty(max(LOOKBACK_BARS, features.history_bars)), None
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
            if len(window) >= warm_bars:
                indicators[index], observations[index] = _known(window, calendar, features)
        sessions = tuple(_sessions(days, indicators))
        return cls(kept, tuple(days), tuple(last_of_session), tuple(indicators), observations, sessions)

    @classmethod
    def read(cls, path: Path, features: Features = M5_V1, interval: timedelta = DEFAULT_INTERVAL) -> Self:
        """The history in a file of bars of `interval`.

        Raises:
            UnreadableFile: see adapters.feeds.files.load_bars; also if the file is damaged further on.
            ValueError, FeaturesFailed: see `of`.
        """
        file = load_bars(path, interval_of=lambda _: interval)
        if file.damage is not None:
            raise UnreadableFile(path, file.damage)
        return cls.of((bar for chunk in file.chunks() for bar in chunk), features)

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


def bars_of(sessions: Sequence[Session]) -> npt.NDArray[np.intp]:
    """The indices of the bars at which a policy decides in `sessions`, in order."""
    return np.concatenate([np.arange(session.first, session.last + 1) for session in sessions])


def _known(window: Window, calendar: SessionCalendar, features: Features) -> tuple[Indicators, Observation]:
    """The indicators and the observation at the newest bar of a window, which is not empty."""
    recent = window.newest(LOOKBACK_BARS)
    indicators = indicators_of(recent)
    same = min(len(window), features.lookback_bars) == len(recent)
    context = FeatureContext(
        window.newest(features.history_bars),
        calendar,
        calendar.progress(cast(datetime, window.time)),
        indicators=indicators if same else None,
    )
    return indicators, features.observe(context)


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
