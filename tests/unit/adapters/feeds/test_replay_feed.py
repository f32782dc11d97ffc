from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradingsignals_server.adapters.feeds.files import UnreadableFile
from tradingsignals_server.adapters.feeds.replay import ReplayFeed, ReplayProgress
from tradingsignals_server.application.ports import Feed, MarketDataSink
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import BarConflict, ServiceError, StorageUnavailable

ROWS = [f"2024-01-02T{hour:02}:{minute:02}:00Z,4000,4001,3999,4000" for hour in (13, 16) for minute in (0, 5, 10)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text("time,open,high,low,close\n" + "\n".join([*ROWS[:4], "rubbish", *ROWS[4:]]))
    return path


async def test_a_file_is_delivered_from_end_to_end(file: Path, sink: MarketDataSink, fake_time: Any) -> None:
    told: list[int] = []
    feed: Feed = ReplayFeed(
        file, symbol="USDCOP", sleep=fake_time.sleep, on_progress=lambda progress: told.append(progress.bars)
    )
    await feed.run(sink)
    recorded: Any = sink
    assert [bar.time.strftime("%H:%M") for bar in recorded.bars] == [
        "13:00",
        "13:05",
        "13:10",
        "16:00",
        "16:05",
        "16:10",
    ]
    assert fake_time.slept == []
    assert told == [6]


async def test_what_became_of_the_bars_is_counted(file: Path, sink: Any, fake_time: Any) -> None:
    def refusal(call: int, bar: Bar) -> ServiceError | None:
        if bar.time.hour == 16 and bar.time.minute == 5:
            return BarConflict(bar.symbol, bar.time)
        return StorageUnavailable() if call == 1 else None

    sink.refusal_of = refusal
    feed = ReplayFeed(file, symbol="USDCOP", sleep=fake_time.sleep)
    await feed.run(sink)
    assert len(sink.bars) == 5
    assert feed.progress == ReplayProgress(
        bars=6, through=sink.bars[-1].time, dispositions=feed.progress.dispositions, refused=1, skipped_rows=1
    )
    assert feed.progress.dispositions == {"ACCEPTED": 5}


async def test_at_a_speed_the_gaps_are_waited_for_but_not_the_closed_market(
    file: Path, sink: Any, fake_time: Any
) -> None:
    feed = ReplayFeed(file, speed=100.0, symbol="USDCOP", sleep=fake_time.sleep, monotonic=fake_time.monotonic)
    await feed.run(sink)
    assert len(sink.calls) == 6
    assert fake_time.slept == [0.0, 3.0, 3.0, 0.0, 3.0, 3.0]
    assert feed.progress.bars == 6


async def test_after_a_restart_stored_bars_pass_without_waiting(file: Path, sink: Any, fake_time: Any) -> None:
    feed = ReplayFeed(file, speed=100.0, symbol="USDCOP", sleep=fake_time.sleep, monotonic=fake_time.monotonic)
    await feed.run(sink)
    slept = len(fake_time.slept)
    await feed.run(sink)
    assert len(fake_time.slept) == slept
    assert [len(bars) for bars in sink.calls] == [1, 1, 1, 1, 1, 1, 6]


async def test_a_file_that_is_not_one_of_bars(tmp_path: Path, sink: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy low\nsell high\n")
    with pytest.raises(UnreadableFile, match="it has no column time"):
        await ReplayFeed(path).run(sink)
