"""Session calendars: the session of a bar, the last bar of a session, the progress within a session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import MONDAY, OPENING, feed_bars

from tradingsignals_server.domain.calendar import (
    DAY_SESSIONS,
    AlwaysOpenCalendar,
    BogotaCalendar,
    CalendarChoice,
    SessionCalendar,
    calendar_for,
)
from tradingsignals_server.domain.intervals import INTERVALS

BOGOTA_CALENDAR = BogotaCalendar()
BOGOTA = timezone(timedelta(hours=-5))
CALENDARS: list[SessionCalendar] = [
    kind(interval) for kind in (BogotaCalendar, AlwaysOpenCalendar) for interval in INTERVALS.values()
]
days = st.dates(date(1994, 1, 1), date(2040, 12, 31))
calendars = pytest.mark.parametrize(
    "calendar", CALENDARS, ids=[f"{kind} {name}" for kind in ("bogota", "always") for name in INTERVALS]
)


def at(hour: int, minute: int, day: date = MONDAY) -> datetime:
    """Return a time of day in Bogota, in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=BOGOTA).astimezone(UTC)


@pytest.mark.parametrize(
    ("hour", "minute", "inside"),
    [(0, 0, False), (7, 55, False), (8, 0, True), (10, 30, True), (12, 55, True), (13, 0, False), (23, 55, False)],
)
def test_bogota_session_lasts_from_eight_to_one(hour: int, minute: int, inside: bool) -> None:
    assert BOGOTA_CALENDAR.session_of(at(hour, minute)) == (MONDAY if inside else None)


def test_bogota_is_five_hours_behind_utc() -> None:
    assert BOGOTA_CALENDAR.bars_of(MONDAY)[0] == OPENING
    assert BOGOTA_CALENDAR.bars_of(MONDAY)[-1] == datetime(2024, 3, 4, 17, 55, tzinfo=UTC)


def test_session_day_is_the_day_in_bogota() -> None:
    late = datetime(2024, 3, 5, 3, 0, tzinfo=UTC)  # Monday 22:00 in Bogota
    assert BOGOTA_CALENDAR.session_of(late) is None


@pytest.mark.parametrize(
    "day",
    [
        date(2024, 3, 9),  # a Saturday
        date(2024, 3, 10),  # a Sunday
        date(2024, 1, 1),  # New Year
        date(2024, 1, 8),  # Epiphany, moved to the Monday after it
        date(2024, 3, 29),  # Good Friday
        date(2024, 5, 1),  # Labour Day
        date(2025, 6, 30),  # Saints Peter and Paul, moved
        date(2025, 12, 25),  # Christmas
    ],
)
def test_bogota_has_no_session_on_weekends_and_holidays(day: date) -> None:
    assert BOGOTA_CALENDAR.bars_of(day) == []
    assert BOGOTA_CALENDAR.session_of(at(9, 0, day)) is None


@pytest.mark.parametrize("day", [date(2024, 7, 4), date(2024, 11, 28), date(2024, 12, 26), date(2024, 1, 2)])
def test_bogota_trades_on_holidays_of_other_countries(day: date) -> None:
    assert len(BOGOTA_CALENDAR.bars_of(day)) == 60


@pytest.mark.untraced
@calendars
@given(day=days)
def test_bars_of_a_session_are_those_of_the_grid_within_it(calendar: SessionCalendar, day: date) -> None:
    grid = 3 * timedelta(days=1) // calendar.interval
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    around = [midnight + number * calendar.interval for number in range(grid)]
    bars = calendar.bars_of(day)
    assert bars == [time for time in around if calendar.session_of(time) == day]
    assert len(bars) in {0, calendar.bars}


@pytest.mark.untraced
@calendars
@given(day=days)
def test_progress_grows_from_0_to_below_1_within_a_session(calendar: SessionCalendar, day: date) -> None:
    bars = calendar.bars_of(day)
    assert [calendar.index(time) for time in bars] == list(range(len(bars)))
    progress = [calendar.progress(time) for time in bars]
    assert progress == sorted(set(progress))
    if bars:
        assert progress[0] == 0.0
        assert progress[-1] == (len(bars) - 1) / len(bars) < 1.0


@pytest.mark.untraced
@calendars
@given(day=days)
def test_last_bar_ends_with_the_session_if_it_closes(calendar: SessionCalendar, day: date) -> None:
    """Sessions of bars of four hours and more are days without an end."""
    bars = calendar.bars_of(day)
    last = bars[-1:] if calendar.interval < DAY_SESSIONS else []
    assert [time for time in bars if calendar.is_last_bar(time)] == last
    closing = {calendar.closing_session_of(time) for time in bars}
    assert closing == (set() if not bars else {day} if calendar.closes else {None})
    opening = calendar.opening_of(day)
    assert bars == [] or (opening is not None and bars[-1] + calendar.interval == opening + calendar.length)


@calendars
@given(day=days, offset=st.timedeltas(timedelta(0), timedelta(days=1) - timedelta(microseconds=1)))
def test_time_within_a_bar_is_of_the_session_of_the_bar(
    calendar: SessionCalendar, day: date, offset: timedelta
) -> None:
    time = datetime(day.year, day.month, day.day, tzinfo=UTC) + offset
    open_of_bar = time - offset % calendar.interval
    assert calendar.session_of(time) == calendar.session_of(open_of_bar)
    assert calendar.index(time) == calendar.index(open_of_bar)


@calendars
@given(day=days)
def test_trading_time_over_a_week_is_the_length_of_its_sessions(calendar: SessionCalendar, day: date) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    sessions = sum(bool(calendar.bars_of(day + timedelta(days=n))) for n in range(7))
    week = timedelta(days=7)
    assert calendar.trading_time(start, start + week, enough=week) == sessions * calendar.bars * calendar.interval


@pytest.mark.parametrize(
    ("name", "bars", "first"),
    [("1m", 300, 13), ("15m", 20, 13), ("30m", 10, 13), ("1h", 5, 13), ("4h", 6, 0), ("1d", 1, 0)],
)
def test_bogota_session_has_the_bars_of_its_interval(name: str, bars: int, first: int) -> None:
    opens = BogotaCalendar(INTERVALS[name]).bars_of(MONDAY)
    assert (len(opens), opens[0].hour) == (bars, first)


def test_always_open_calendar_has_a_session_every_day() -> None:
    for days_later in range(7):
        assert len(AlwaysOpenCalendar().bars_of(MONDAY + timedelta(days=days_later))) == 288


@pytest.mark.parametrize(
    ("symbol", "choice", "expected"),
    [
        ("USDCOP", CalendarChoice.AUTO, BogotaCalendar),
        ("EURCOP", CalendarChoice.AUTO, BogotaCalendar),
        ("EURUSD", CalendarChoice.AUTO, AlwaysOpenCalendar),
        ("COPUSD", CalendarChoice.AUTO, AlwaysOpenCalendar),
        ("COP", CalendarChoice.AUTO, AlwaysOpenCalendar),
        ("SCOP", CalendarChoice.AUTO, AlwaysOpenCalendar),
        ("BTCUSDCOP", CalendarChoice.AUTO, AlwaysOpenCalendar),
        ("EURUSD", CalendarChoice.BOGOTA, BogotaCalendar),
        ("USDCOP", CalendarChoice.ALWAYS, AlwaysOpenCalendar),
    ],
)
def test_calendar_for_selects_by_symbol_and_choice(symbol: str, choice: CalendarChoice, expected: type) -> None:
    assert isinstance(calendar_for(symbol, choice), expected)
    hourly = calendar_for(symbol, choice, timedelta(hours=1))
    assert isinstance(hourly, expected)
    assert hourly.interval == timedelta(hours=1)
    assert hourly is calendar_for(symbol, choice, timedelta(hours=1))


HOLIDAYS_OF_2024 = {
    1: (1, 8), 3: (25, 28, 29), 5: (1, 13), 6: (3, 10), 7: (1,), 8: (7, 19), 10: (14,), 11: (4, 11), 12: (25,)
}  # fmt: skip
"""Days of each month that are weekdays and holidays in Colombia, from the law."""


def test_business_days_without_a_session_are_the_holidays_of_the_year() -> None:
    year = [date(2024, 1, 1) + timedelta(days=n) for n in range(366)]
    closed = {day for day in year if day.weekday() < 5 and not BOGOTA_CALENDAR.bars_of(day)}
    assert closed == {date(2024, month, day) for month, days in HOLIDAYS_OF_2024.items() for day in days}


@pytest.mark.untraced
def test_bars_of_a_feed_lie_outside_sessions_on_holidays_only() -> None:
    bars = feed_bars(date(2024, 1, 1), date(2024, 12, 31))
    closed_days = {bar.time.date() for bar in bars if not BOGOTA_CALENDAR.bars_of(bar.time.date())}
    assert len(closed_days) == 16
    assert {bar.time.date() for bar in bars if BOGOTA_CALENDAR.session_of(bar.time) is None} == closed_days


# ------------------------------------------------------------------------------------------------------ next close

times = st.builds(
    lambda day, of_day: datetime(day.year, day.month, day.day, tzinfo=UTC) + of_day,
    days,
    st.timedeltas(timedelta(0), timedelta(days=1) - timedelta(microseconds=1)),
)


@pytest.mark.untraced
@calendars
@given(time=times)
def test_next_close_is_the_first_close_of_a_bar_of_a_session_after_the_time(
    calendar: SessionCalendar, time: datetime
) -> None:
    found = calendar.next_close(time)
    days_around = [time.date() + timedelta(days=n) for n in range(-1, (found - time).days + 2)]
    closes = [opened + calendar.interval for day in days_around for opened in calendar.bars_of(day)]
    assert found == min(close for close in closes if close > time)
    assert found - time <= timedelta(days=6)


@calendars
@given(day=days)
def test_next_close_after_the_close_of_a_bar_is_that_of_the_bar_after_it(calendar: SessionCalendar, day: date) -> None:
    closes = [opened + calendar.interval for opened in calendar.bars_of(day)]
    assert [calendar.next_close(close) for close in closes[:-1]] == closes[1:]


@pytest.mark.parametrize(
    ("name", "time", "expected"),
    [
        ("5m", at(8, 0), at(8, 5)),
        ("5m", at(8, 4), at(8, 5)),
        ("5m", at(8, 5), at(8, 10)),
        ("5m", at(12, 59), at(13, 0)),
        ("5m", at(13, 0), at(8, 5, date(2024, 3, 5))),
        ("1m", at(13, 0, date(2024, 3, 8)), at(8, 1, date(2024, 3, 11))),  # over a weekend
        ("1h", at(13, 0, date(2024, 3, 22)), at(9, 0, date(2024, 3, 26))),  # over a weekend and a holiday
        ("30m", at(13, 0, date(2024, 3, 27)), at(8, 30, date(2024, 4, 1))),  # over Easter
        ("4h", datetime(2024, 3, 9, tzinfo=UTC), datetime(2024, 3, 11, 4, tzinfo=UTC)),
        ("1d", datetime(2024, 3, 9, tzinfo=UTC), datetime(2024, 3, 12, tzinfo=UTC)),  # Friday's bar, then Monday's
        ("1d", datetime(2024, 3, 6, 10, tzinfo=UTC), datetime(2024, 3, 7, tzinfo=UTC)),
    ],
)
def test_next_close_in_bogota(name: str, time: datetime, expected: datetime) -> None:
    assert BogotaCalendar(INTERVALS[name]).next_close(time) == expected


@pytest.mark.parametrize("day", [date(2024, 3, 8), date(2024, 3, 11), date(2024, 11, 1), date(2024, 11, 5)])
def test_next_close_in_bogota_keeps_its_time_where_others_change_their_clocks(day: date) -> None:
    """The United States change on 10 March and 3 November 2024."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert BOGOTA_CALENDAR.next_close(midnight) == midnight + timedelta(hours=13, minutes=5)
