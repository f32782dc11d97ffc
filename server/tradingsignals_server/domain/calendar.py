"""Trading sessions of a symbol. A bar outside every session is stored, but makes no signal."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import ClassVar

import holidays

from .intervals import DEFAULT_INTERVAL

DAY_SESSIONS = timedelta(hours=4)
"""From this interval on sessions are whole days: a bar of four hours lies across the opening of most markets."""

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


class CalendarChoice(StrEnum):
    """Values of SESSION_CALENDAR."""

    AUTO = "auto"
    BOGOTA = "bogota"
    ALWAYS = "always"


class SessionCalendar(ABC):
    """The sessions of a symbol with bars of `interval`, of `bars` bars each. Times are in UTC.

    From DAY_SESSIONS on a session is a whole day in UTC, which then has no end that trading would depend on.
    Otherwise it begins OPENING after midnight, takes LENGTH, and closes.
    """

    OPENING: ClassVar[timedelta]
    LENGTH: ClassVar[timedelta]

    def __init__(self, interval: timedelta = DEFAULT_INTERVAL) -> None:
        self.interval = interval
        self.closes = interval < DAY_SESSIONS
        self.length = self.LENGTH if self.closes else _DAY
        self.bars = self.length // interval
        self._opening = self.OPENING if self.closes else timedelta()
        self._opening_minute, self._bar_minutes = self._opening // _MINUTE, interval // _MINUTE

    @abstractmethod
    def has_session(self, day: date) -> bool:
        """Return whether there is a session on `day`."""

    def session_of(self, time: datetime) -> date | None:
        """Return the day of the session that contains the time, or None outside every session."""
        day = time.date()
        return day if 0 <= self.index(time) < self.bars and self.has_session(day) else None

    def closing_session_of(self, time: datetime) -> date | None:
        """Return the session with whose end a position that is opened at `time` is closed; None if there is none."""
        return self.closing_session(self.session_of(time))

    def closing_session(self, session: date | None) -> date | None:
        """Return the same as `closing_session_of`, of a time that is in the session of this day."""
        return session if self.closes else None

    def opening_of(self, day: date) -> datetime | None:
        """Return the open of the first bar of the session of `day`, or None if it has none."""
        if not self.has_session(day):
            return None
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + self._opening

    def index(self, time: datetime) -> int:
        """Return the number of bars between the opening of the day and the time; outside sessions any number."""
        return (time.hour * 60 + time.minute - self._opening_minute) // self._bar_minutes

    def is_last_bar(self, bar_time: datetime) -> bool:
        """Return whether the close of the bar is the end of its session."""
        return self.closes and self.index(bar_time) == self.bars - 1

    def progress(self, bar_time: datetime) -> float:
        """Return the fraction of its session before the bar, in [0, 1): 0 for the first bar."""
        return self.index(bar_time) / self.bars

    def next_close(self, time: datetime) -> datetime:
        """Return the first close of a bar of any session after `time`."""
        day = time.date()
        if self.session_of(time) is None:
            while (opening := self.opening_of(day)) is None or opening < time:
                day += _DAY
            return opening + self.interval
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return midnight + self._opening + (self.index(time) + 1) * self.interval

    def bars_of(self, day: date) -> list[datetime]:
        """Return the opens of all bars of the session of `day`; empty if it has none."""
        opening = self.opening_of(day)
        return [] if opening is None else [opening + self.interval * index for index in range(self.bars)]

    def trading_time(self, start: datetime, end: datetime, enough: timedelta) -> timedelta:
        """Return how much of the time between `start` and `end` lies within sessions.

        Args:
            start: begin of the time span, in UTC.
            end: end of the time span, in UTC.
            enough: the count stops at the first session that exceeds it.
        """
        total, day = timedelta(), start.date()
        while day <= end.date() and total <= enough:
            if (opening := self.opening_of(day)) is not None:
                total += max(timedelta(), min(end, opening + self.length) - max(start, opening))
            day += timedelta(days=1)
        return total


class BogotaCalendar(SessionCalendar):
    """Monday to Friday, 08:00 to 13:00 in Bogota, which is 13:00 to 18:00 UTC; Colombian holidays excepted.

    Colombia has kept UTC-5 without daylight saving since 1993, so no time zone database is needed.
    """

    OPENING = timedelta(hours=13)
    LENGTH = timedelta(hours=5)

    def has_session(self, day: date) -> bool:
        """See SessionCalendar."""
        return _is_bogota_business_day(day)


class AlwaysOpenCalendar(SessionCalendar):
    """Sessions without a break, one for each day in UTC."""

    OPENING = timedelta(0)
    LENGTH = timedelta(days=1)

    def has_session(self, day: date) -> bool:  # noqa: ARG002 - every day has one
        """See SessionCalendar."""
        return True


_PESO_PAIR = re.compile(r"[A-Z]{3}COP")

_bogota, _always = cache(BogotaCalendar), cache(AlwaysOpenCalendar)


@lru_cache(4096)
def calendar_for(
    symbol: str, choice: CalendarChoice = CalendarChoice.AUTO, interval: timedelta = DEFAULT_INTERVAL
) -> SessionCalendar:
    """Return the calendar of `symbol`, which is in its normal form, for bars of `interval`.

    AUTO selects BogotaCalendar for a pair quoted in the Colombian peso, and AlwaysOpenCalendar for any other symbol.
    """
    if choice is CalendarChoice.BOGOTA or (choice is CalendarChoice.AUTO and _PESO_PAIR.fullmatch(symbol)):
        return _bogota(interval)
    return _always(interval)


@cache
def _colombian_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("CO", years=year))


def _is_bogota_business_day(day: date) -> bool:
    return day.weekday() < 5 and day not in _colombian_holidays(day.year)
