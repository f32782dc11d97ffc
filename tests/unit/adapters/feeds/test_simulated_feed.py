from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.support.builders import now

from tradingsignals_server.adapters.feeds.simulate import SimulatedFeed
from tradingsignals_server.application.ports.clock import Clock
from tradingsignals_server.application.ports.feed import Feed
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar, calendar_for
from tradingsignals_server.domain.errors import BarConflict, ServiceError, StorageUnavailable
from tradingsignals_server.domain.intervals import INTERVALS, Intervals

WARM_BARS = 5 * 60
MIXED = "USDCOP=5m,EURCOP=1h,GBPCOP=1m,BTCUSDT=4h,ETHUSDT=1d"


def feed(fake_time: Any, *symbols: str, speed: float = 300.0, clock: Clock = now, intervals: str = "5m") -> Feed:
    interval_of = Intervals.parse(intervals).of
    return SimulatedFeed(
        symbols or ("USDCOP",),
        seed=7,
        start=date(2020, 1, 1),
        speed=speed,
        clock=clock,
        calendar_of=lambda symbol: calendar_for(symbol, interval=interval_of(symbol)),
        sleep=fake_time.sleep,
        monotonic=fake_time.monotonic,
    )


async def run(feed: Feed, sink: Any, enough: type[Exception], bars: int) -> None:
    sink.enough = bars
    with pytest.raises(enough):
        await feed.run(sink)


async def test_new_symbol_gets_warm_sessions_at_once_and_then_single_bars(
    sink: Any, fake_time: Any, enough: type[Exception]
) -> None:
    await run(feed(fake_time), sink, enough, WARM_BARS + 3)
    assert sink.bars[0].time == datetime(2020, 1, 2, 13, 0, tzinfo=UTC)  # New Year's Day has no session
    assert len({bar.time.date() for bar in sink.bars[:WARM_BARS]}) == 5
    assert [len(bars) for bars in sink.calls[-3:]] == [1, 1, 1]
    assert sum(len(bars) for bars in sink.calls[:-3]) == WARM_BARS
    assert fake_time.slept == [1.0, 1.0, 1.0]
    assert all(bar.simulated for bar in sink.bars)


async def test_night_takes_one_bar_interval(sink: Any, fake_time: Any, enough: type[Exception]) -> None:
    await run(feed(fake_time, speed=150.0), sink, enough, WARM_BARS + 61)
    assert sink.bars[-1].time.date() > sink.bars[-2].time.date()
    assert set(fake_time.slept) == {2.0}


async def test_restart_continues_with_the_same_bars(sink: Any, fake_time: Any, enough: type[Exception]) -> None:
    undisturbed = type(sink)()
    await run(feed(fake_time, "USDCOP", "EURUSD"), undisturbed, enough, 3000)
    for stop in (1, 40, 299, 420, 1500, 3000):  # in the middle of the first sessions, and later
        await run(feed(fake_time, "USDCOP", "EURUSD"), sink, enough, stop)
    for symbol in ("USDCOP", "EURUSD"):
        of_symbol = [bar for bar in sink.bars if bar.symbol == symbol]
        expected = [bar for bar in undisturbed.bars if bar.symbol == symbol]
        shared = min(len(of_symbol), len(expected))
        assert shared >= WARM_BARS
        assert of_symbol[:shared] == expected[:shared]


async def test_bars_of_one_time_are_delivered_together(sink: Any, fake_time: Any, enough: type[Exception]) -> None:
    await run(feed(fake_time, "USDCOP", "EURCOP"), sink, enough, 2 * WARM_BARS + 6)
    last = sink.calls[-3:]
    assert [[bar.symbol for bar in bars] for bars in last] == [["EURCOP", "USDCOP"]] * 3
    assert all(len({bar.time for bar in bars}) == 1 for bars in last)


async def test_symbol_that_lags_catches_up_without_a_pause(sink: Any, fake_time: Any, enough: type[Exception]) -> None:
    await run(feed(fake_time), sink, enough, WARM_BARS + 100)
    fake_time.slept.clear()
    await run(feed(fake_time, "USDCOP", "EURCOP"), sink, enough, 2 * (WARM_BARS + 100) + 2)
    assert {bar.symbol for bar in sink.calls[-1]} == {"USDCOP", "EURCOP"}
    assert fake_time.slept == [1.0]


async def test_each_symbol_follows_its_calendar(sink: Any, fake_time: Any, enough: type[Exception]) -> None:
    await run(feed(fake_time, "USDCOP", "EURUSD"), sink, enough, 3000)
    assert {bar.time.weekday() for bar in sink.bars if bar.symbol == "EURUSD"} == set(range(7))
    assert all(bar.time.weekday() < 5 and 13 <= bar.time.hour < 18 for bar in sink.bars if bar.symbol == "USDCOP")
    for symbol in ("USDCOP", "EURUSD"):
        times = [bar.time for bar in sink.bars if bar.symbol == symbol]
        assert times == sorted(set(times))


async def test_feed_retries_until_stored_and_skips_a_refused_bar(
    sink: Any, fake_time: Any, enough: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def refusal(call: int, bar: Bar) -> ServiceError | None:
        if call in (1, 2):
            return StorageUnavailable()
        return BarConflict(bar.symbol, bar.time) if bar.time.minute == 30 and bar.time.hour == 13 else None

    sink.unreadable = 1
    sink.refusal_of = refusal
    await run(feed(fake_time), sink, enough, WARM_BARS)
    assert fake_time.slept[:3] == [0.25, 0.25, 0.5]
    assert "13:30" not in {bar.time.strftime("%H:%M") for bar in sink.bars}
    assert sink.bars[0].time == datetime(2020, 1, 2, 13, 0, tzinfo=UTC)
    assert "a different bar of USDCOP at 2020-01-02T13:30:00Z is stored" in caplog.text


async def test_speed_of_0_does_not_pause(sink: Any, fake_time: Any, enough: type[Exception]) -> None:
    await run(feed(fake_time, speed=0.0), sink, enough, WARM_BARS + 10)
    assert set(fake_time.slept) == {0.0}


@pytest.mark.parametrize("start", [datetime(2020, 1, 2, 14, 2, tzinfo=UTC), datetime(2020, 1, 20, 14, 2, tzinfo=UTC)])
async def test_bar_of_the_present_is_delivered_once_it_has_closed(
    sink: Any, fake_time: Any, enough: type[Exception], start: datetime
) -> None:
    """This holds too if the present is earlier than the end of the first sessions."""

    def clock() -> datetime:
        return start + timedelta(seconds=fake_time.now)

    def in_the_past(_call: int, bar: Bar) -> None:
        assert bar.close_time <= clock()

    sink.refusal_of = in_the_past
    await run(feed(fake_time, speed=0.0, clock=clock), sink, enough, 900)
    assert sink.bars[-1].close_time == clock()
    times = [bar.time for bar in sink.bars]
    assert times == sorted(set(times))


async def test_feed_continues_from_a_newer_bar_of_another_publisher(
    sink: Any, fake_time: Any, enough: type[Exception], bar_at: Any
) -> None:
    published = bar_at("2021-03-01 14:00")

    def publish_in_between(call: int, _: Bar) -> None:
        if len(sink.bars) == WARM_BARS + 2:
            sink.newest["USDCOP"] = published

    sink.refusal_of = publish_in_between
    await run(feed(fake_time), sink, enough, WARM_BARS + 5)
    times = [bar.time for bar in sink.bars[-3:]]
    assert times[0] < published.time  # this bar was in delivery already, and is late
    assert times[1:] == [datetime(2021, 3, 1, 14, 5, tzinfo=UTC), datetime(2021, 3, 1, 14, 10, tzinfo=UTC)]


@pytest.mark.slow
async def test_bars_of_mixed_intervals_come_in_the_order_in_which_they_close(
    sink: Any, fake_time: Any, enough: type[Exception]
) -> None:
    symbols = [item.partition("=")[0] for item in MIXED.split(",")]
    await run(feed(fake_time, *symbols, intervals=MIXED), sink, enough, 60_000)
    closes = [bar.close_time for bar in sink.bars]
    assert closes == sorted(closes)
    assert {bar.symbol for bar in sink.bars} == set(symbols)
    assert {bar.interval for bar in sink.bars if bar.symbol == "BTCUSDT"} == {timedelta(hours=4)}


async def test_restart_with_mixed_intervals_continues_with_the_same_bars(
    sink: Any, fake_time: Any, enough: type[Exception]
) -> None:
    symbols = [item.partition("=")[0] for item in MIXED.split(",")]
    undisturbed = type(sink)()
    await run(feed(fake_time, *symbols, intervals=MIXED), undisturbed, enough, 6000)
    for stop in (1, 700, 2500, 6000):
        await run(feed(fake_time, *symbols, intervals=MIXED), sink, enough, stop)
    for symbol in symbols:
        of_symbol, expected = ([bar for bar in one.bars if bar.symbol == symbol] for one in (sink, undisturbed))
        shared = min(len(of_symbol), len(expected))
        assert shared
        assert of_symbol[:shared] == expected[:shared]


@pytest.mark.parametrize("name", INTERVALS)
async def test_indicators_are_warm_when_single_bars_begin(
    sink: Any, fake_time: Any, enough: type[Exception], name: str
) -> None:
    interval, bars = INTERVALS[name], BogotaCalendar(INTERVALS[name]).bars
    at_once = max(5, -(-100 // bars)) * bars
    await run(feed(fake_time, intervals=name), sink, enough, at_once + 3)
    assert sum(len(bars) for bars in sink.calls[:-3]) >= 100
    assert [len(bars) for bars in sink.calls[-3:]] == [1, 1, 1]
    assert fake_time.slept == pytest.approx([interval.total_seconds() / 300.0] * 3)
