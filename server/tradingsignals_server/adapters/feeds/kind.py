"""What a feed declares: the registry collects it, and all that depends on the feed is derived from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from ...application.ports.clock import Clock
from ...application.ports.feed import Feed, ReportProblem
from ...domain.calendar import SessionCalendar
from ...domain.window import LOOKBACK_BARS
from .tally import Tally

OnProgress = Callable[[Tally], None]
"""Called with the progress of a file."""

Settings_contra = TypeVar("Settings_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class FeedContext:
    """What feeds are given beside their settings.

    history_bars: bars that a decision of the policy depends on. report_problem: see ReportProblem; health shows it.
    """

    clock: Clock
    calendar_of: Callable[[str], SessionCalendar]
    on_progress: OnProgress | None = None
    history_bars: int = LOOKBACK_BARS
    report_problem: ReportProblem = lambda _subject, _problem: None

    def interval_of(self, symbol: str) -> timedelta:
        """Return the interval of the bars of `symbol`."""
        return self.calendar_of(symbol).interval


@dataclass(frozen=True, slots=True)
class FeedKind(Generic[Settings_contra]):
    """A kind of feed.

    name: value of FEED that selects it.
    is_live: bar times follow the wall clock, so a symbol without new bars is stale while its session is open.
    is_simulated: its bars are made up, so they are kept in a database of their own.
    settings: names of the settings that it reads.
    build: makes the feed; returns None if bars come by PublishBars alone.
    sets_market_time: returns True for a symbol whose bars it brings faster than the market: the symbol has the time of
        its bars and not the clock's.
    problem: returns what is wrong with its settings together, or None.
    speed: the setting of how many times faster than the market it is; None if it has none.
    file: returns the file that it reads, or None.
    check: tries whether its source can be used, and returns what is wrong with it; None if there is nothing to try.
    """

    name: str
    is_live: bool
    is_simulated: bool
    settings: tuple[str, ...]
    build: Callable[[Settings_contra, FeedContext], Feed | None]
    sets_market_time: Callable[[Settings_contra, str], bool]
    problem: Callable[[Settings_contra], str | None] = lambda _: None
    speed: str | None = None
    file: Callable[[Settings_contra], Path | None] = lambda _: None
    check: Callable[[Settings_contra, FeedContext], Awaitable[list[str]]] | None = None

    def __str__(self) -> str:
        return self.name
