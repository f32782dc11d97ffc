from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from tradingsignals_server.adapters.feeds.delivery import MarketPace, at_pace, deliver, newest_bar, pauses
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import BarConflict, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import Receipt

BarAt = Callable[..., Bar]


def test_pauses_grow_to_a_limit() -> None:
    assert list(islice(pauses(), 7)) == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


async def test_bars_that_were_not_stored_are_published_again_in_order(sink: Any, fake_time: Any, bar_at: BarAt) -> None:
    bars = [bar_at("2024-01-02T13:00"), bar_at("2024-01-02T13:05"), bar_at("2024-01-02T13:10")]

    def refusal(call: int, bar: Bar) -> Exception | None:
        if bar is bars[1]:
            return BarConflict(bar.symbol, bar.time)
        if call == 1 and bar is bars[2]:
            return StorageUnavailable()
        return ShuttingDown(7) if call == 2 else None

    sink.refusal_of = refusal
    results = await deliver(sink, bars, fake_time.sleep)
    assert sink.calls == [bars, [bars[2]], [bars[2]]]
    assert fake_time.slept == [0.25, 0.5]
    assert [type(result) for result in results] == [Receipt, BarConflict, Receipt]
    assert sink.bars == [bars[0], bars[2]]


async def test_newest_bar_is_read_again_until_the_store_is_available(sink: Any, fake_time: Any, bar_at: BarAt) -> None:
    sink.newest["USDCOP"] = bar_at("2024-01-02T13:00")
    sink.unreadable = 3
    assert await newest_bar(sink, "USDCOP", fake_time.sleep) == sink.newest["USDCOP"]
    assert fake_time.slept == [0.25, 0.5, 1.0]


async def test_pace_counts_elapsed_time_and_never_catches_up(fake_time: Any) -> None:
    pace = MarketPace(10.0, fake_time.sleep, fake_time.monotonic)
    await pace.wait(300.0)
    fake_time.now += 10.0
    await pace.wait(300.0)
    fake_time.now += 100.0  # late by 70 seconds
    await pace.wait(300.0)
    await pace.wait(300.0)
    assert fake_time.slept == [30.0, 20.0, 0.0, 30.0]


async def test_speed_of_0_never_pauses(fake_time: Any) -> None:
    pace = MarketPace(0.0, fake_time.sleep, fake_time.monotonic)
    await pace.wait(300.0)
    assert fake_time.slept == [0.0]


async def in_lists(*lists: list[Bar]) -> AsyncIterator[list[Bar]]:
    for bars in lists:
        yield bars


async def test_bars_of_one_time_are_yielded_together_when_due(fake_time: Any, bar_at: BarAt) -> None:
    first, other = bar_at("2024-01-02T17:50"), bar_at("2024-01-02T17:50", "EURCOP")
    second, next_day = bar_at("2024-01-02T17:55"), bar_at("2024-01-03T13:00")
    after_a_hole = bar_at("2024-01-03T13:20")
    earlier_again = bar_at("2024-01-02T17:55", "EURCOP")

    async def nothing_known(_symbol: str) -> datetime | None:
        return None

    pace = MarketPace(60.0, fake_time.sleep, fake_time.monotonic)
    chunks = in_lists([first], [other, second], [next_day, after_a_hole, earlier_again])
    due = [(fake_time.now, bars) async for bars in at_pace(chunks, pace, nothing_known)]
    assert due == [
        (0.0, [first, other]),
        (5.0, [second]),
        (5.0, [next_day]),
        (25.0, [after_a_hole]),
        (25.0, [earlier_again]),
    ]


async def test_stored_bars_pass_without_a_pause(fake_time: Any, bar_at: BarAt) -> None:
    bars = [bar_at(f"2024-01-02T13:{minute:02}") for minute in range(0, 30, 5)]

    async def four_are_known(_symbol: str) -> datetime | None:
        return bars[3].time

    pace = MarketPace(300.0, fake_time.sleep, fake_time.monotonic)
    due = [(fake_time.now, some) async for some in at_pace(in_lists(bars[:3], bars[3:]), pace, four_are_known)]
    assert due == [(0.0, bars[:4]), (1.0, [bars[4]]), (2.0, [bars[5]])]


async def test_fully_stored_file_passes_without_a_pause(fake_time: Any, bar_at: BarAt) -> None:
    bars = [bar_at("2024-01-02T13:00"), bar_at("2024-01-02T13:05")]

    async def all_are_known(_symbol: str) -> datetime | None:
        return bars[-1].time

    pace = MarketPace(300.0, fake_time.sleep, fake_time.monotonic)
    assert [some async for some in at_pace(in_lists(bars), pace, all_are_known)] == [bars]
    assert fake_time.slept == []


async def test_gap_of_one_bar_is_paced_however_long_the_bar_is(fake_time: Any) -> None:
    times = [datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 1, 6, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC)]
    bars = [Bar("BTCUSDT", time, 1.0, 1.0, 1.0, 1.0, interval=timedelta(days=1)) for time in times]

    async def nothing_known(_symbol: str) -> datetime | None:
        return None

    pace = MarketPace(86_400.0, fake_time.sleep, fake_time.monotonic)
    due = [fake_time.now async for _ in at_pace(in_lists(bars), pace, nothing_known)]
    assert due == [0.0, 1.0, 1.0]
