"""FEED=twelvedata against a fake of the API, with a clock that only sleeping advances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.support.twelvedata import (
    BROKEN,
    KEY,
    NO_CREDITS,
    FakeTwelveData,
    Response,
    error,
    value_at,
)
from tests.support.twelvedata_feed import BAR, TUESDAY, FeedMarket, at

from tradingsignals_server.adapters.feeds.twelvedata.api import MAXIMUM_VALUES
from tradingsignals_server.adapters.feeds.twelvedata.feed import REFUSED_PAUSE_S
from tradingsignals_server.adapters.feeds.twelvedata.progress import SETTLING
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar, CalendarChoice
from tradingsignals_server.domain.errors import BarConflict, ServiceError
from tradingsignals_server.domain.intervals import Intervals
from tradingsignals_server.domain.window import LOOKBACK_BARS


@pytest.fixture
def market(sink: Any, enough: type[Exception]) -> Callable[..., FeedMarket]:
    def build(now: datetime, stored: Sequence[datetime] = (), **changed: Any) -> FeedMarket:
        made = FeedMarket(sink, now, enough, **changed)
        for time in stored:
            sink.newest["USDCOP"] = Bar("USDCOP", time, 4000.0, 4000.0, 4000.0, 4000.0)
        return made

    return build


# ---------------------------------------------------------------------------------------------------- closed bars


async def test_first_start_gets_the_newest_sessions_and_no_bar_that_has_not_closed(market: Any) -> None:
    running = market(at("14:02:30"))
    await running.run(at("14:03"))
    sessions = sorted({time.date() for time in running.times})
    assert len(sessions) == 10
    assert sessions[-1] == TUESDAY.date()
    assert all(BogotaCalendar().session_of(time) for time in running.times)
    assert running.times == sorted(running.times)
    assert len(running.times) == 9 * 60 + 12
    assert running.times[-1] == at("13:55")
    assert not any(bar.simulated for bar in running.sink.bars)
    assert len(running.api.requests) == 1


async def test_bar_is_requested_once_shortly_after_its_close(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    await running.run(at("14:16"))
    assert running.times[-3:] == [at("14:00"), at("14:05"), at("14:10")]
    assert running.requested_at[1:] == [time + BAR + SETTLING for time in running.times[-3:]]
    newest = running.api.requests[-1].parameters
    assert newest == {
        "symbol": "USD/COP",
        "interval": "5min",
        "start_date": "2024-03-05 14:10:00",
        "end_date": "2024-03-05 14:15:00",
        "outputsize": "5000",
        "timezone": "UTC",
        "order": "ASC",
        "format": "JSON",
    }


async def test_bar_that_appears_late_is_requested_again(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.lag = timedelta(seconds=18)
    await running.run(at("14:06"))
    closed = at("14:05")
    first, second, third = [(when - closed).total_seconds() for when in running.requested_at[1:]]
    assert (first, second, third) == (5.0, 10.0, 20.0)
    assert running.times[-1] == at("14:00")


async def test_bar_that_does_not_come_is_given_up_and_the_next_one_is_taken(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.closed = {at("14:00")}
    await running.run(at("14:16"))
    assert running.times[-2:] == [at("14:05"), at("14:10")]
    for_it = [when for when in running.requested_at if at("14:05") <= when < at("14:10")]
    assert [(when - at("14:05")).total_seconds() for when in for_it] == [5, 10, 20, 40, 80, 160]
    assert len([when for when in running.requested_at if when >= at("14:10")]) == 2


async def test_silent_market_costs_one_request_a_bar(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.through = at("13:55")
    await running.run(at("15:04"))
    assert len([when for when in running.requested_at if when >= at("14:10")]) == 11


async def test_market_that_goes_on_after_a_silence_is_followed_closely_again(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.lag, running.api.closed = timedelta(seconds=18), {at("14:00"), at("14:05"), at("14:10")}
    await running.run(at("14:31"))
    asked = [when for when in running.requested_at if when >= at("14:10")]
    once = [at("14:10:05"), at("14:15:05"), at("14:20:05")]
    assert asked == [*once, *(at(f"14:{minute}:{second:02}") for minute in (25, 30) for second in (5, 10, 20))]
    assert running.times[-3:] == [at("14:15"), at("14:20"), at("14:25")]


async def test_market_that_is_silent_for_weeks_costs_no_more_than_a_quiet_hour(market: Any) -> None:
    month_ago = TUESDAY - timedelta(days=29)
    running = market(at("14:02:30"), [at("13:55", month_ago)])
    running.api.through = at("13:55", month_ago)
    await running.run(at("15:04"))
    assert len([when for when in running.requested_at if when >= at("14:10")]) == 11


async def test_daily_bar_that_appears_hours_after_its_close_is_taken_on_that_day(market: Any) -> None:
    running = market(at("00:00:01"), symbols=["EURUSD"], intervals="1d", calendar=CalendarChoice.ALWAYS)
    running.api = FakeTwelveData(lambda: running.now, "EUR/USD")
    running.api.lag = timedelta(hours=3)
    await running.run(at("23:59"))
    assert running.sink.bars[-1].close_time == TUESDAY
    assert len([when for when in running.requested_at if when > TUESDAY]) < 20


async def test_bar_that_appears_after_a_newer_one_is_made_up(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.closed = {at("14:00")}
    running.on_sleep = lambda: running.api.closed.clear() if running.now > at("14:12") else None
    await running.run(at("14:16"))
    assert running.times[-3:] == [at("14:05"), at("14:00"), at("14:10")]


async def test_nothing_is_requested_outside_sessions(market: Any) -> None:
    friday = datetime(2024, 3, 8, tzinfo=UTC)
    running = market(at("17:52", friday), [at("17:45", friday)])
    await running.run(at("13:06", friday + timedelta(days=3)))
    monday = friday + timedelta(days=3)
    assert running.requested_at[1:] == [at("17:55:05", friday), at("18:00:05", friday), at("13:05:05", monday)]
    assert running.times[-3:] == [at("17:50", friday), at("17:55", friday), at("13:00", monday)]


@pytest.mark.parametrize("name", ["1m", "5m", "15m", "30m", "1h", "4h", "1d"])
async def test_bars_of_every_interval_are_requested(market: Any, name: str) -> None:
    running = market(at("00:00:30"), intervals=name, symbols=["EURUSD"], calendar=CalendarChoice.ALWAYS)
    running.api = FakeTwelveData(lambda: running.now, "EUR/USD")
    await running.run(at("00:00:31"))
    assert {bar.interval for bar in running.sink.bars} == {Intervals.parse(name).of("EURUSD")}
    assert running.sink.bars[-1].close_time == TUESDAY
    assert len(running.sink.bars) >= 1.9 * LOOKBACK_BARS


# ------------------------------------------------------------------------------------------------------ made up


async def test_start_makes_up_what_is_missing_since_the_opening_of_the_newest_session(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:40")])
    await running.run(at("14:03"))
    assert running.times == [at("13:00") + BAR * index for index in range(12)]


async def test_long_gap_is_made_up_in_pages_in_the_order_of_time(market: Any) -> None:
    days = 60
    running = market(at("14:02:30"), [at("13:40") - timedelta(days=days)])
    await running.run(at("14:03"))
    pages = [
        [datetime.fromisoformat(request.parameters[name]) for name in ("start_date", "end_date")]
        for request in running.api.requests
    ]
    assert len(pages) == 4
    assert all(end - start < MAXIMUM_VALUES * BAR for start, end in pages)
    assert [start for start, _ in pages[1:]] == [end for _, end in pages[:-1]]
    assert running.times == sorted(set(running.times))
    days_with_bars = {time.date() for time in running.times}
    first = (TUESDAY - timedelta(days=days)).date()
    expected = {first + timedelta(days=n) for n in range(days + 1)}
    assert days_with_bars == {day for day in expected if BogotaCalendar().has_session(day)}
    assert running.times[-1] == at("13:55")


async def test_outage_is_reported_once_and_its_bars_are_made_up_in_order(
    market: Any, caplog: pytest.LogCaptureFixture
) -> None:
    running = market(at("14:02:30"), [at("13:55")])

    def outage() -> None:
        running.api.away = at("14:04") <= running.now < at("16:00")

    running.on_sleep = outage
    await running.run(at("16:06"))
    assert running.times == [at("13:00") + BAR * index for index in range(37)]
    problem = "Twelve Data cannot be reached: All connection attempts failed"
    assert running.problems == [("", problem), ("", None)]
    assert caplog.text.count(problem) == 1
    failed = [when for when in running.requested_at if at("14:05") <= when < at("16:00")]
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(failed)]
    assert pauses[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert set(pauses[7:]) == {60.0}


async def test_problems_end_with_the_feed(market: Any) -> None:
    running = market(at("14:02:30"))
    running.api.away = True
    await running.run(at("14:10"))
    assert [problem is None for _, problem in running.problems] == [False, True]


# ------------------------------------------------------------------------------------------------------- errors


async def test_next_request_waits_for_the_minute_in_which_there_are_credits_again(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.scripted.extend([error(429, NO_CREDITS, 429), error(429, NO_CREDITS), error(429, NO_CREDITS)])
    await running.run(at("14:12"))
    seconds = [(when - at("14:02:30")).total_seconds() for when in running.requested_at[:4]]
    assert seconds == [0.0, 31.0, 31.0 + 60.0 + 60.0, 31.0 + 120.0 + 60.0 + 180.0]
    assert running.times[-1] == at("14:05")
    assert running.problems == [("", f"Twelve Data allows no further requests for now: {NO_CREDITS[:-1]}"), ("", None)]


async def test_seconds_that_the_api_asks_to_wait_are_waited(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.scripted.append(error(429, NO_CREDITS, 429, retry_after="75"))
    await running.run(at("14:04"))
    assert running.requested_at == [at("14:02:30"), at("14:03:45")]


async def test_request_after_the_last_credit_waits_for_the_next_minute(market: Any) -> None:
    running = market(at("14:04:50"), [at("13:55") - timedelta(days=20)])
    whole = running.api.respond

    def last_credit(target: str, authorization: str) -> Response:
        found = whole(target, authorization)
        return Response(found.status, found.body, {"api-credits-left": "0"})

    running.api.respond = last_credit
    await running.run(at("14:05:04"))
    assert running.requested_at == [at("14:04:50"), at("14:05:01")]
    assert running.problems == []


async def test_wrong_key_is_reported_once_and_tried_again_slowly(market: Any, caplog: pytest.LogCaptureFixture) -> None:
    running = market(at("14:02:30"))
    echo = f"your key {KEY} is not valid"
    running.api.scripted.extend([error(401, echo, 401)] * 3)
    await running.run(at("14:40"))
    (_, problem), *others = running.problems
    assert problem == "Twelve Data refuses TWELVEDATA_API_KEY (401): your key *** is not valid"
    assert others == [("", None)]
    assert caplog.text.count("TWELVEDATA_API_KEY") == 1
    assert KEY not in caplog.text
    first, second = running.requested_at[:2]
    assert (second - first).total_seconds() == REFUSED_PAUSE_S


@pytest.mark.parametrize(("code", "status"), [(404, 200), (404, 404), (400, 200), (403, 403)])
async def test_refused_symbol_is_reported_and_the_others_go_on(market: Any, code: int, status: int) -> None:
    running = market(at("14:02:30"), symbols=["NOSUCH", "USDCOP"])
    whole = running.api.respond

    def refused(target: str, authorization: str) -> Response:
        found = whole(target, authorization)
        return error(code, "not available with your plan", status) if "NOS%2FUCH" in target else found

    running.api.respond = refused
    await running.run(at("15:00"))
    reported = f"NOSUCH: Twelve Data refuses requests for NOS/UCH ({code}): not available with your plan"
    assert running.problems == [("NOSUCH", reported), ("NOSUCH", None)]
    assert {bar.symbol for bar in running.sink.bars} == {"USDCOP"}


@pytest.mark.parametrize(
    "broken",
    [
        BROKEN,
        Response(200, b"<html>maintenance</html>"),
        Response(200, b'{"values": {"datetime": 1}, "status": "ok"}'),
        Response(200, b"[" * 100_000),
        Response(200, b'"' + b"x" * (9 << 20) + b'"'),
        Response(200, b"not gzip", {"content-encoding": "gzip"}),
        Response(302, b"", {"location": "https://elsewhere.test/"}),
        Response(503, b""),
        error(500, "internal"),
        Response(200, b'{"status": "error", "code": ["?"]}'),
    ],
)
async def test_response_that_is_no_series_is_tried_again(market: Any, broken: Response) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.scripted.append(broken)
    await running.run(at("14:03"))
    assert running.requested_at == [at("14:02:30"), at("14:02:31")]
    assert running.times[-1] == at("13:55")


# ---------------------------------------------------------------------------------------------------- bad values


async def test_values_of_any_order_are_taken_once_and_bad_ones_are_reported_once(
    market: Any, caplog: pytest.LogCaptureFixture
) -> None:
    running = market(at("14:02:30"), [at("13:55")])

    def spoilt(values: list[dict[str, Any]]) -> list[Any]:
        if not values[0]["datetime"].endswith("13:00:00"):
            return values
        bad = [
            {"open": "1"},
            "no value",
            {**value_at(at("13:07"))},
            {**value_at(at("13:10")), "high": "1"},
            {**value_at(at("13:15")), "close": "nan"},
            {**value_at(at("13:20")), "close": None},
            {**value_at(at("13:25")), "open": 10**400},
        ]
        good = [each for each in values if each["datetime"][11:16] not in {"13:10", "13:15", "13:20", "13:25"}]
        return [*reversed(good), *good, *bad, {**value_at(at("13:30")), "close": "4029"}]

    running.api.changed = spoilt
    running.api.closed = {at("14:00")}
    await running.run(at("14:30"))
    spoilt_times = {at("13:10"), at("13:15"), at("13:20"), at("13:25"), at("14:00")}
    expected = [at("13:00") + BAR * index for index in range(17)]
    assert running.times == [time for time in expected if time not in spoilt_times]
    reported = [line.partition("not taken")[::2] for line in caplog.messages if "not taken" in line]
    assert [problem for _, problem in reported] == [
        ": USDCOP: {'open': '1'} has no time",
        ": USDCOP: no value has no time",
        ": USDCOP: 2024-03-05T13:07:00Z: time: must be the open of the bar, on a whole five minutes",
        ": USDCOP: 2024-03-05T13:10:00Z: high: must not be below low",
        ": USDCOP: 2024-03-05T13:15:00Z: close: must be finite",
        "",
    ]
    assert reported[-1][0] == "3 further bars of USDCOP were "
    assert {bar.time: bar.close for bar in running.sink.bars}[at("13:30")] == 4031.0


async def test_volume_is_taken_if_there_is_one(market: Any) -> None:
    running = market(at("14:02:30"), [at("13:55")])
    running.api.changed = lambda values: [{**each, "volume": "1250"} for each in values]
    await running.run(at("14:03"))
    assert {bar.volume for bar in running.sink.bars} == {1250.0}


async def test_bar_that_the_service_refuses_is_reported_and_the_others_are_stored(
    market: Any, caplog: pytest.LogCaptureFixture
) -> None:
    running = market(at("14:02:30"), [at("13:55")])

    def refusal(_call: int, bar: Bar) -> ServiceError | None:
        return BarConflict(bar.symbol, bar.time) if bar.time == at("13:30") else None

    running.sink.refusal_of = refusal
    await running.run(at("14:16"))
    assert at("13:30") not in running.times
    assert len(running.times) == 14
    assert caplog.text.count("a different bar of USDCOP at 2024-03-05T13:30:00Z is stored") == 1
