"""How far the bars of a symbol have come, and when its next one is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import count, islice

from ....domain.calendar import SessionCalendar

SETTLING = timedelta(seconds=5)
"""Time after its close at which a bar is final at its source, and is due. It allows for clocks that differ, too."""


class Progress:
    """The bars of one symbol that the feed has seen, of those that open at `start` or later; `newest` is the last.

    Bars before the newest session that has one are given up, so that they are not requested for ever: a market does not
    trade in every bar.
    """

    def __init__(self, calendar: SessionCalendar, start: datetime) -> None:
        self._calendar = calendar
        self._start = start
        self._seen: set[datetime] = set()
        self.newest: datetime | None = None

    def missing_from(self) -> datetime:
        """Return the open of the first bar that has not been seen."""
        return next(time for time in bar_times(self._calendar, self._start) if time not in self._seen)

    def has(self, time: datetime) -> bool:
        """Return whether the bar that opens at `time` has been seen, or is older than any that is requested."""
        return time < self._start or time in self._seen

    def is_wanted(self, time: datetime, now: datetime) -> bool:
        """Return whether a bar is new, in a session, and due at `now`."""
        is_due = time + self._calendar.interval + SETTLING <= now
        return is_due and not self.has(time) and self._calendar.session_of(time) is not None

    def add(self, time: datetime) -> None:
        """Note that the bar that opens at `time` has been seen."""
        self._seen.add(time)
        self.newest = time if self.newest is None else max(time, self.newest)
        opening = self._calendar.opening_of(time.date())
        if opening is not None and opening > self._start:
            self._start = opening
            self._seen = {each for each in self._seen if each >= opening}

    def give_up_before(self, time: datetime) -> None:
        """Request no bar again that opens before `time`, so that requests for a market that is silent do not grow."""
        self._start = max(self._start, time)

    def newest_due(self, now: datetime) -> datetime:
        """Return the open of the newest session bar that is due at `now`."""
        for day in _days(now.date(), -1):
            due = [time for time in self._calendar.bars_of(day) if time + self._calendar.interval + SETTLING <= now]
            if due:
                return due[-1]
        raise AssertionError("every calendar has sessions")

    def next_due(self, time: datetime) -> datetime:
        """Return when the session bar after the one that opens at `time` is due."""
        following = next(bar_times(self._calendar, time + self._calendar.interval))
        return following + self._calendar.interval + SETTLING


def bar_times(calendar: SessionCalendar, since: datetime) -> Iterator[datetime]:
    """Yield the opens of the bars of all sessions from `since` on, without end."""
    return (time for day in _days(since.date(), 1) for time in calendar.bars_of(day) if time >= since)


def opening_before(calendar: SessionCalendar, now: datetime, sessions: int) -> datetime:
    """Return the opening of the last session but `sessions` - 1 that has begun at `now`."""
    openings = (opening for day in _days(now.date(), -1) if (opening := calendar.opening_of(day)) and opening <= now)
    return next(islice(openings, sessions - 1, None))


def _days(first: date, step: int) -> Iterator[date]:
    return (first + timedelta(days=number * step) for number in count())
