"""Trading sessions of a symbol. A bar outside every session is stored, but makes no signal."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import cache
from typing import ClassVar

import holidays

from .bars import BAR_INTERVAL, BAR_SECONDS

BOGOTA = timezone(timedelta(hours=-5), "America/Bogota")
"""Colombia has kept UTC-5 without daylight saving since 1993, so a fixed offset needs no time zone database."""


class CalendarChoice(StrEnum):
    """Values of SESSION_CALENDAR."""

    AUTO = "auto"
    BOGOTA = "bogota"
    ALWAYS = "always"


class SessionCalendar(ABC):
    """The sessions of a symbol, of `BARS` bars each. Times are bar opens, in UTC."""

    BARS: ClassVar[int]

    @abstractmethod
    def session_of(self, bar_time: datetime) -> date | None:
        """Return the day of the session that contains the bar, or None outside every session."""

    @abstractmethod
    def opening_of(self, day: date) -> datetime | None:
        """Return the open of the first bar of the session of `day`, or None if it has none."""

    @abstractmethod
    def _index(self, bar_time: datetime) -> int:
        """Return the number of bars between the opening of the day and the bar; outside sessions any number."""

    def is_last_bar(self, bar_time: datetime) -> bool:
        """Return whether the close of the bar is the end of its session."""
        return self._index(bar_time) == self.BARS - 1

    def progress(self, bar_time: datetime) -> float:
        """Return the fraction of its session before the bar, in [0, 1): 0 for the first bar."""
        return self._index(bar_time) / self.BARS

    def bars_of(self, day: date) -> list[datetime]:
        """Return the opens of all bars of the session of `day`; empty if it has none."""
        opening = self.opening_of(day)
        return [] if opening is None else [opening + BAR_INTERVAL * index for index in range(self.BARS)]

    def trading_time(self, start: datetime, end: datetime, enough: timedelta) -> timedelta:
        """Return how much of the time between `start` and `end` lies within sessions.

        Args:
            start: begin of the time span, in UTC.
            end: end of the time span, in UTC.
            enough: the count stops at the first session that exceeds it.
        """
        # The day of a session may differ by one from the day in UTC.
        total, day = timedelta(), start.date() - timedelta(days=1)
        while day <= end.date() + timedelta(days=1) and total <= enough:
            if (opening := self.opening_of(day)) is not None:
                total += max(timedelta(), min(end, opening + BAR_INTERVAL * self.BARS) - max(start, opening))
            day += timedelta(days=1)
        return total


class BogotaCalendar(SessionCalendar):
    """Monday to Friday, 08:00 to 12:55 in Bogota (the open of the last bar), Colombian holidays excepted."""

    FIRST_BAR = time(8, 0)
    BARS = 60

    def session_of(self, bar_time: datetime) -> date | None:
        """See SessionCalendar."""
        day = bar_time.astimezone(BOGOTA).date()
        return day if 0 <= self._index(bar_time) < self.BARS and _is_bogota_business_day(day) else None

    def opening_of(self, day: date) -> datetime | None:
        """See SessionCalendar."""
        if not _is_bogota_business_day(day):
            return None
        return datetime.combine(day, self.FIRST_BAR, tzinfo=BOGOTA).astimezone(UTC)

    def _index(self, bar_time: datetime) -> int:
        local = bar_time.astimezone(BOGOTA)
        return ((local.hour - self.FIRST_BAR.hour) * 3600 + local.minute * 60) // BAR_SECONDS


class AlwaysOpenCalendar(SessionCalendar):
    """Sessions without a break, one for each day in UTC."""

    BARS = 288

    def session_of(self, bar_time: datetime) -> date | None:
        """See SessionCalendar."""
        return bar_time.date()

    def opening_of(self, day: date) -> datetime | None:
        """See SessionCalendar."""
        return datetime.combine(day, time(0, 0), tzinfo=UTC)

    def _index(self, bar_time: datetime) -> int:
        return (bar_time.hour * 3600 + bar_time.minute * 60) // BAR_SECONDS


_PESO_PAIR = re.compile(r"[A-Z]{3}COP")

_BOGOTA = BogotaCalendar()
_ALWAYS = AlwaysOpenCalendar()


def calendar_for(symbol: str, choice: CalendarChoice = CalendarChoice.AUTO) -> SessionCalendar:
    """Return the calendar of `symbol`, which is in its normal form.

    AUTO selects BogotaCalendar for a pair quoted in the Colombian peso, and AlwaysOpenCalendar for any other symbol.
    """
    if choice is CalendarChoice.BOGOTA or (choice is CalendarChoice.AUTO and _PESO_PAIR.fullmatch(symbol)):
        return _BOGOTA
    return _ALWAYS


@cache
def _colombian_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("CO", years=year))


def _is_bogota_business_day(day: date) -> bool:
    return day.weekday() < 5 and day not in _colombian_holidays(day.year)
