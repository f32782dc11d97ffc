from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.deadlines import DEADLINE

import tradingsignals
from tradingsignals_server.adapters.feeds import files
from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.commands.replay import INCOMPLETE, ReplayFailed, replay

START = datetime(2024, 1, 2, 13, 0, tzinfo=UTC)
BARS = 2300
NOWHERE = "127.0.0.1:1"


def write(path: Path, count: int = BARS, symbol: str = "USDCOP") -> Path:
    rows = [
        f"{(START + timedelta(minutes=5 * number)).isoformat()},{symbol},4000,4001,3999,{4000 + number % 2}"
        for number in range(count)
    ]
    path.write_text("time,symbol,open,high,low,close\n" + "\n".join(rows))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "bars.csv")


async def test_every_bar_is_published_in_calls_of_1000(script: Any, file: Path, screen: Any, fake_time: Any) -> None:
    code = await replay(file, address=script.address, console=screen.console, monotonic=fake_time.monotonic)
    assert code == 0
    assert len(script.stored) == BARS
    assert script.publishes == [[250] * 4, [250] * 4, [250, 50]]
    assert screen.lines == [
        "bars.csv: done; 2,300 bars in 0.0 s (2,300,000 bars/s)",
        "  accepted             2,300",
        "  warming up               0",
        "  outside session          0",
        "  other interval           0",
        "  late                     0",
        "  duplicates               0",
        "  rejected                 0",
        "  rows skipped             0",
    ]


async def test_second_replay_finds_duplicates_only(script: Any, file: Path, screen: Any) -> None:
    for _ in range(2):
        assert await replay(file, address=script.address, console=screen.console) == 0
    assert "  duplicates           2,300" in screen.lines


async def test_late_bars_give_a_warning_and_exit_code_3(script: Any, tmp_path: Path, screen: Any) -> None:
    """Bars older than the newest processed bar are stored this way; sent again they are duplicates, not a failure."""
    file = write(tmp_path / "bars.csv", 20)
    script.late_before = int((START + timedelta(minutes=35)).timestamp())
    assert await replay(file, address=script.address, console=screen.console) == INCOMPLETE == 3
    assert "  late                     7" in screen.lines
    assert screen.lines[-1] == (
        "WARNING: 7 of 20 bars are LATE: they are stored, but made no signal, because newer bars of their symbols had "
        "been processed before"
    )
    assert await replay(file, address=script.address, console=screen.console) == 0


async def test_bars_are_published_in_the_order_of_time(script: Any, tmp_path: Path, screen: Any) -> None:
    file = write(tmp_path / "bars.csv", 20)
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *reversed(rows)]))
    assert await replay(file, address=script.address, console=screen.console) == 0
    assert list(script.stored) == sorted(script.stored)


async def test_damaged_file_is_published_up_to_the_damage(script: Any, tmp_path: Path, screen: Any) -> None:
    file = write(tmp_path / "bars.csv")
    whole = gzip.compress(file.read_bytes())
    cut = tmp_path / "bars.csv.gz"
    cut.write_bytes(whole[:-100])
    assert await replay(cut, address=script.address, console=screen.console) == INCOMPLETE
    assert 0 < len(script.stored) < BARS
    assert screen.lines[-1].startswith(
        f"WARNING: only the {len(script.stored):,} bars before the damage were read: the compressed file is damaged"
    )


async def test_progress_of_reading_is_shown_before_the_first_bar(
    script: Any, file: Path, screen: Any, fake_time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_STEP_ROWS", 1000)

    def monotonic() -> float:
        fake_time.now += 3.0
        return float(fake_time.now)

    assert await replay(file, address=script.address, console=screen.console, monotonic=monotonic) == 0
    assert screen.lines[0] == "bars.csv: 2,000 rows are read"


async def test_summary_lists_the_first_reasons(script: Any, tmp_path: Path, screen: Any) -> None:
    file = write(tmp_path / "bars.csv", 20)
    file.write_text(file.read_text() + "\nrubbish\n")
    script.refused_closes = frozenset({4001.0})
    assert await replay(file, address=script.address, console=screen.console) == INCOMPLETE
    assert "  rejected                10" in screen.lines
    assert "  rows skipped             1" in screen.lines
    assert "    row 22: it has 1 cell, and the header has 6" in screen.lines
    assert "    row 3: USDCOP 2024-01-02 13:05: it differs" in screen.lines
    assert screen.lines[-2:] == ["    and 6 more", "WARNING: 10 of 20 bars are refused: they are not stored"]


@pytest.mark.parametrize(
    "how",
    [
        (grpc.StatusCode.UNAVAILABLE, ""),
        (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE"),
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
        (grpc.StatusCode.INTERNAL, ""),
        (grpc.StatusCode.UNKNOWN, ""),
    ],
)
async def test_bars_without_acknowledgement_are_sent_again(
    script: Any,
    file: Path,
    screen: Any,
    fake_time: Any,
    how: tuple[grpc.StatusCode, str],
) -> None:
    code, reason = how
    script.publishing = [script.broken(code, reason)] * 3
    done = await replay(
        file, address=script.address, console=screen.console, sleep=fake_time.sleep, monotonic=fake_time.monotonic
    )
    assert done == 0
    assert [sum(sizes) for sizes in script.publishes] == [1000, 1000, 1000, 1000, 1000, 300]
    assert fake_time.slept == [0.25, 0.5, 1.0]
    assert len(script.stored) == BARS
    lines = screen.lines
    assert [line for line in lines if "does not respond" in line] == [
        f"{script.address} does not respond ({reason or code.name}: it broke); trying again for 60 s"
    ]
    assert f"{script.address} responds again" in lines
    assert "  duplicates           1,000" in lines


async def test_replay_fails_after_the_retry_time(script: Any, file: Path, screen: Any, fake_time: Any) -> None:
    script.publishing = [script.fine] + [script.broken()] * 100
    with pytest.raises(ReplayFailed, match=r"no response from .* for 6\d s \(UNAVAILABLE: it broke\)"):
        await replay(
            file, address=script.address, console=screen.console, sleep=fake_time.sleep, monotonic=fake_time.monotonic
        )
    assert 60.0 <= sum(fake_time.slept) < 70.0
    assert any(
        line.startswith("bars.csv: aborted, continues from here when started again; 1,000") for line in screen.lines
    )


async def test_permanent_error_is_not_retried(script: Any, file: Path, screen: Any, fake_time: Any) -> None:
    script.publishing = [script.broken(grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")]
    with pytest.raises(tradingsignals.InternalError):
        await replay(file, address=script.address, console=screen.console, sleep=fake_time.sleep)
    assert fake_time.slept == []


async def test_bars_of_a_symbol_that_the_service_simulates_are_refused(script: Any, file: Path, screen: Any) -> None:
    script.feed, script.simulated = "simulate", ("USDCOP",)
    with pytest.raises(ReplayFailed, match=r"its own bars of USDCOP \(FEED=simulate\); start it with FEED=push"):
        await replay(file, address=script.address, console=screen.console)
    assert (script.publishes, screen.lines) == ([], [])
    assert await replay(file, address=script.address, console=screen.console, force=True) == 0
    assert len(script.stored) == BARS


async def test_bars_of_other_symbols_are_published_to_a_simulating_service(
    script: Any, file: Path, screen: Any
) -> None:
    script.feed, script.simulated = "simulate", ("EURCOP",)
    assert await replay(file, address=script.address, console=screen.console) == 0


async def test_unreachable_service_fails_in_one_line(file: Path, screen: Any) -> None:
    with pytest.raises(ReplayFailed, match=r"no service responds at 127.0.0.1:1; `tradingsignals up` starts one"):
        await replay(file, address=NOWHERE, console=screen.console)
    assert screen.lines == []


async def test_file_without_bars_fails(script: Any, tmp_path: Path, screen: Any) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("buy low\n")
    with pytest.raises(UnreadableFile):
        await replay(notes, address=script.address, console=screen.console)
    assert screen.lines == []


async def test_speed_paces_the_bars(script: Any, tmp_path: Path, screen: Any, fake_time: Any) -> None:
    file = write(tmp_path / "bars.csv", 5)
    options: dict[str, Any] = {
        "address": script.address,
        "speed": 100.0,
        "console": screen.console,
        "sleep": fake_time.sleep,
        "monotonic": fake_time.monotonic,
    }
    assert await replay(file, **options) == 0
    assert fake_time.slept == [0.0, 3.0, 3.0, 3.0, 3.0]
    # Bars that the service has pass at once; only the two new ones are waited for.
    assert await replay(write(tmp_path / "bars.csv", 7), **options) == 0
    assert fake_time.slept[5:] == [3.0, 3.0]
    assert script.publishes == [[1]] * 5 + [[5], [1], [1]]


async def test_progress_without_a_terminal_is_a_line_every_few_seconds(
    script: Any, file: Path, screen: Any, fake_time: Any
) -> None:
    def three_seconds_later(_context: Any) -> Any:
        fake_time.now += 3.0
        return asyncio.sleep(0)

    script.publishing = [three_seconds_later] * 3
    assert await replay(file, address=script.address, console=screen.console, monotonic=fake_time.monotonic) == 0
    assert [line for line in screen.lines if " of " in line] == ["2,000 of 2,300 bars, 333 bars/s, at 2024-01-09 11:35"]


async def test_progress_on_a_terminal_is_a_bar(script: Any, file: Path, terminal: Any) -> None:
    screen = terminal(160)
    assert await replay(file, address=script.address, console=screen.console) == 0
    assert "2,300 of 2,300" in screen.text
    assert "bars.csv: done; 2,300 bars" in screen.text


async def test_interruption_has_a_summary_and_its_exit_code(script: Any, file: Path, screen: Any) -> None:
    reached = asyncio.Event()

    async def hold(_context: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    script.publishing = [script.fine, hold]
    task = asyncio.create_task(replay(file, address=script.address, console=screen.console))
    async with asyncio.timeout(DEADLINE):
        await reached.wait()
        task.cancel()
        assert await task == 130
    assert screen.lines[0].startswith("bars.csv: stopped, continues from here when started again; 1,000 bars")
