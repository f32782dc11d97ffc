from __future__ import annotations

import gzip
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradingsignals_server.adapters.feeds.files import (
    SkippedRow,
    UnreadableFile,
    count_rows,
    read_bars,
    stream_bars,
)
from tradingsignals_server.domain.bars import Bar

HEADER = "time,symbol,open,high,low,close,volume\n"
FIRST = "2024-01-02T13:00:00Z,USDCOP,3870,3871.5,3869,3870.25,0\n"
SECOND = "2024-01-02T13:05:00Z,USDCOP,3870.25,3872,3870,3871,12\n"
BARS = [
    Bar("USDCOP", datetime(2024, 1, 2, 13, 0, tzinfo=UTC), 3870.0, 3871.5, 3869.0, 3870.25, 0.0),
    Bar("USDCOP", datetime(2024, 1, 2, 13, 5, tzinfo=UTC), 3870.25, 3872.0, 3870.0, 3871.0, 12.0),
]
REAL = Path(__file__).parents[4].parent / "shared" / "data" / "usdcop_m5.csv.gz"


def write(folder: Path, text: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def bars_in(path: Path, **options: Any) -> list[Bar]:
    return list(chain.from_iterable(read_bars(path, **options)))


def test_csv(tmp_path: Path) -> None:
    assert bars_in(write(tmp_path, HEADER + FIRST + SECOND)) == BARS


def test_compressed_csv_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(gzip.compress((HEADER + FIRST + SECOND).encode()))
    assert bars_in(path) == BARS
    assert count_rows(path) == 2


def test_lists_have_the_size_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + FIRST + SECOND)
    assert list(read_bars(path, chunk_bars=1)) == [[BARS[0]], [BARS[1]]]


@pytest.mark.parametrize("name", ["Time", "TIMESTAMP", "datetime", "Date"])
def test_columns_in_any_order_and_case_with_others_between(tmp_path: Path, name: str) -> None:
    text = (
        f"\ufeffClose, {name},spread,LOW,High,Open,Symbol\n3870.25, 2024-01-02T13:00:00Z,1,3869,3871.5,3870,USD/COP\n"
    )
    assert bars_in(write(tmp_path, text)) == BARS[:1]


def test_a_symbol_for_rows_that_name_none(tmp_path: Path) -> None:
    columns = "time,open,high,low,close\n2024-01-02T13:00:00Z,3870,3871.5,3869,3870.25\n"
    assert bars_in(write(tmp_path, columns), symbol="USD/COP") == BARS[:1]
    cells = HEADER + FIRST.replace("USDCOP", "") + SECOND.replace("USDCOP", "EURCOP")
    assert [bar.symbol for bar in bars_in(write(tmp_path, cells), symbol="USDCOP")] == ["USDCOP", "EURCOP"]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02T13:00:00Z",
        "2024-01-02T13:00:00+00:00",
        "2024-01-02 13:00:00",
        "2024-01-02T08:00:00-05:00",
        "2024-01-02 13:00",
        "1704200400",
        "1704200400.0",
        "1704200400000",
    ],
)
def test_times(tmp_path: Path, text: str) -> None:
    (bar,) = bars_in(write(tmp_path, HEADER + FIRST.replace("2024-01-02T13:00:00Z", text)))
    assert bar.time == datetime(2024, 1, 2, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (FIRST.replace("3870.25", "abc"), "close: 'abc' is not a number"),
        (FIRST.replace("3870.25", ""), "close: is missing"),
        (FIRST.replace("3870.25", "nan"), "close: must be finite"),
        (FIRST.replace("3869", "-1"), "low: must be greater than 0"),
        (FIRST.replace("3871.5", "3000"), "high: must not be below low"),
        (FIRST.replace("2024-01-02T13:00:00Z", "yesterday"), "time: 'yesterday' is not a time"),
        (FIRST.replace("2024-01-02T13:00:00Z", "2024-13-02"), "time: '2024-13-02' is not a time"),
        (FIRST.replace("2024-01-02T13:00:00Z", "1e300"), "time: '1e300' is not a time"),
        (FIRST.replace("2024-01-02T13:00:00Z", ""), "time: is missing"),
        (FIRST.replace("13:00:00Z", "13:01:00Z"), "time: must be the open of the bar, on a whole five minutes"),
        (
            FIRST.replace("USDCOP", "usd cop"),
            "symbol: must be two to twenty of A-Z, 0-9, '.', '_', '-', such as USDCOP",
        ),
        (FIRST.replace("USDCOP", ""), "symbol: is missing, and no symbol was named for the file"),
        (FIRST.replace(",0\n", ",-1\n"), "volume: must not be negative"),
        (FIRST.replace(",0\n", ",many\n"), "volume: 'many' is not a number"),
        (FIRST.replace(",0\n", "\n"), "its cells are not as many as the header's"),
    ],
)
def test_a_row_that_is_no_bar_is_reported_and_skipped(tmp_path: Path, row: str, problem: str) -> None:
    skipped: list[SkippedRow] = []
    path = write(tmp_path, HEADER + SECOND + "\n" + row)
    assert bars_in(path, on_skipped=skipped.append) == BARS[1:]
    assert skipped == [SkippedRow(4, problem)]


def test_bad_rows_after_the_last_list_are_reported(tmp_path: Path) -> None:
    skipped: list[SkippedRow] = []
    path = write(tmp_path, HEADER + FIRST + "rubbish\n" * 250)
    assert bars_in(path, chunk_bars=1, on_skipped=skipped.append) == BARS[:1]
    assert [row.row for row in skipped] == list(range(3, 253))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        (HEADER, "it has no rows"),
        ("time,symbol,price\n", "it has no column open, high, low, close, only 'time, symbol, price'"),
        ("open,high,low,close\n", "it has no column time"),
        (HEADER + "rubbish\n" * 500, "none of its first 100 rows is a bar; row 2: its cells are not as many"),
        (
            HEADER + FIRST.replace("3870.25", "x"),
            "none of its first 1 rows is a bar; row 2: close: 'x' is not a number",
        ),
    ],
)
def test_a_file_that_is_not_one_of_bars_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    skipped: list[SkippedRow] = []
    path = write(tmp_path, text)
    with pytest.raises(UnreadableFile) as refused:
        bars_in(path, on_skipped=skipped.append)
    assert problem in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert skipped == []


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress((HEADER + FIRST * 1000).encode())[:-40])
    parquet = tmp_path / "broken.parquet"
    parquet.write_bytes(b"PAR1 and no more")
    binary = tmp_path / "bars.xlsx"
    binary.write_bytes(bytes(range(256)))
    for path in (tmp_path / "absent.csv", tmp_path, broken, parquet, binary):
        with pytest.raises(UnreadableFile) as refused:
            bars_in(path)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([bar.time for bar in BARS], pa.timestamp("ns", "UTC")),
        pa.array([bar.time for bar in BARS], pa.timestamp("ms", "America/Bogota")),
        pa.array([bar.time.replace(tzinfo=None) for bar in BARS], pa.timestamp("us")),
        pa.array([int(bar.time.timestamp()) for bar in BARS]),
        pa.array([bar.time.isoformat() for bar in BARS]),
    ],
)
def test_parquet(tmp_path: Path, times: Any) -> None:
    table = pa.table(
        {
            "Timestamp": times,
            "symbol": ["USD/COP", "USDCOP"],
            **{name: [getattr(bar, name) for bar in BARS] for name in ("open", "high", "low", "close")},
            "volume": pa.array([None, 12]),
        }
    )
    path = tmp_path / "bars.parquet"
    pq.write_table(table, path)
    assert bars_in(path) == BARS
    assert count_rows(path) == 2


def test_parquet_rows_are_counted_across_batches(tmp_path: Path) -> None:
    prices = {name: [4000.0] * 3 for name in ("open", "high", "low")}
    table = pa.table({"time": [BARS[0].time] * 3, **prices, "close": [4000.0, 4000.0, None]})
    path = tmp_path / "bars.parquet"
    pq.write_table(table, path)
    skipped: list[SkippedRow] = []
    assert len(bars_in(path, symbol="USDCOP", chunk_bars=2, on_skipped=skipped.append)) == 2
    assert skipped == [SkippedRow(3, "close: is missing")]


def test_rows_are_counted_without_a_newline_at_the_end(tmp_path: Path) -> None:
    assert count_rows(write(tmp_path, HEADER + FIRST + SECOND.strip())) == 2
    assert count_rows(write(tmp_path, "")) == 0


async def test_reading_in_a_thread_gives_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + FIRST + SECOND)
    assert [bars async for bars in stream_bars(path, chunk_bars=1)] == [[BARS[0]], [BARS[1]]]


@pytest.mark.skipif(not REAL.exists(), reason="the real bars, ../shared/data/usdcop_m5.csv.gz, are not on this machine")
def test_five_years_of_real_bars() -> None:
    skipped: list[SkippedRow] = []
    bars = bars_in(REAL, on_skipped=skipped.append)
    assert (len(bars), count_rows(REAL), skipped) == (81_275, 81_275, [])
    assert bars[0].time == datetime(2020, 1, 2, 13, 0, tzinfo=UTC)
    assert bars[-1].time == datetime(2025, 6, 30, 17, 50, tzinfo=UTC)
