from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradingsignals_server.adapters.feeds.replay import ReplayFeed
from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.adapters.feeds.tally import Tally
from tradingsignals_server.application.ports.feed import Feed, MarketDataSink
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import BarConflict, ServiceError, StorageUnavailable

ROWS = [f"2024-01-02T{hour:02}:{minute:02}:00Z,4000,4001,3999,4000" for hour in (13, 16) for minute in (0, 5, 10)]


def write(folder: Path, rows: list[str]) -> Path:
    path = folder / "bars.csv"
    path.write_text("time,open,high,low,close\n" + "\n".join(rows))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, [*ROWS[:4], "rubbish", *ROWS[4:]])


async def test_whole_file_is_delivered(file: Path, sink: MarketDataSink, fake_time: Any) -> None:
    progress: list[int] = []
    feed: Feed = ReplayFeed(
        file, symbol="USDCOP", sleep=fake_time.sleep, on_progress=lambda tally: progress.append(tally.bars)
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
    assert progress == [0, 6]


async def test_results_are_counted_and_refusals_logged_with_rows(
    file: Path, sink: Any, fake_time: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def refusal(call: int, bar: Bar) -> ServiceError | None:
        if bar.time.hour == 16 and bar.time.minute == 5:
            return BarConflict(bar.symbol, bar.time)
        return StorageUnavailable() if call == 1 else None

    sink.refusal_of = refusal
    tallies: list[Tally] = []
    feed = ReplayFeed(file, symbol="USDCOP", sleep=fake_time.sleep, on_progress=tallies.append)
    with caplog.at_level("INFO"):
        await feed.run(sink)
    assert len(sink.bars) == 5
    tally = tallies[-1]
    assert (tally.bars, tally.through, tally.rejected) == (6, sink.bars[-1].time, 1)
    assert tally.dispositions == {"ACCEPTED": 5}
    assert [record.message.removeprefix(str(file)) for record in caplog.records if str(file) in record.message] == [
        f"reading {file}",
        ", row 6: it has 1 cell, and the header has 5",
        ", row 7: USDCOP 2024-01-02 16:05: a different bar of USDCOP at 2024-01-02T16:05:00Z is stored; "
        "bars never change",
        ": replay finished, 6 bars (accepted 5, rejected 1, rows skipped 1)",
        ": 1 of 6 bars is refused: it is not stored",
    ]


async def test_late_bars_are_logged_as_an_error(
    tmp_path: Path, sink: Any, bar_at: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sink.newest["USDCOP"] = bar_at("2024-01-02 16:00")
    await ReplayFeed(write(tmp_path, ROWS), symbol="USDCOP").run(sink)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "3 of 6 bars are LATE: they are stored, but made no signal" in record.message


async def test_progress_is_logged_every_few_seconds(
    tmp_path: Path, sink: Any, fake_time: Any, caplog: pytest.LogCaptureFixture
) -> None:
    feed = ReplayFeed(
        write(tmp_path, ROWS), speed=100.0, symbol="USDCOP", sleep=fake_time.sleep, monotonic=fake_time.monotonic
    )
    with caplog.at_level("INFO"):
        await feed.run(sink)
    lines = [record.message for record in caplog.records if " of 6 bars, at " in record.message]
    assert [line.partition(": ")[2] for line in lines] == [
        "3 of 6 bars, at 2024-01-02 13:10",
        "6 of 6 bars, at 2024-01-02 16:10",
    ]


async def test_bars_are_delivered_in_the_order_of_time(tmp_path: Path, sink: Any) -> None:
    """The file is sorted newest first, as brokers export it, one symbol after the other."""
    rows = [f"{symbol},{row}" for symbol in ("USDCOP", "EURCOP") for row in reversed(ROWS)]
    path = tmp_path / "bars.csv"
    path.write_text("symbol,time,open,high,low,close\n" + "\n".join(rows))
    await ReplayFeed(path).run(sink)
    assert [(bar.time, bar.symbol) for bar in sink.bars] == [
        (time, symbol) for time in sorted({bar.time for bar in sink.bars}) for symbol in ("USDCOP", "EURCOP")
    ]


async def test_speed_paces_the_gaps_but_skips_the_closed_market(file: Path, sink: Any, fake_time: Any) -> None:
    feed = ReplayFeed(file, speed=100.0, symbol="USDCOP", sleep=fake_time.sleep, monotonic=fake_time.monotonic)
    await feed.run(sink)
    assert len(sink.calls) == 6
    assert fake_time.slept == [0.0, 3.0, 3.0, 0.0, 3.0, 3.0]
    assert len(sink.bars) == 6


async def test_stored_bars_pass_without_a_pause_after_a_restart(file: Path, sink: Any, fake_time: Any) -> None:
    feed = ReplayFeed(file, speed=100.0, symbol="USDCOP", sleep=fake_time.sleep, monotonic=fake_time.monotonic)
    await feed.run(sink)
    slept = len(fake_time.slept)
    await feed.run(sink)
    assert len(fake_time.slept) == slept
    assert [len(bars) for bars in sink.calls] == [1, 1, 1, 1, 1, 1, 6]


async def test_file_without_bars_raises(tmp_path: Path, sink: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy low\nsell high\n")
    with pytest.raises(UnreadableFile, match="it has no column time"):
        await ReplayFeed(path).run(sink)
