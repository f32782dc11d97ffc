from __future__ import annotations

import gzip
import tracemalloc
from datetime import UTC, datetime
from itertools import chain, permutations
from pathlib import Path

import pytest
from tests.support.bar_files import BARS, FIRST, HEADER, SECOND, at, bars_in, refusal_of, write
from tests.support.bars import write_csv
from tests.support.builders import walk

from tradingsignals_server.adapters.feeds import files
from tradingsignals_server.adapters.feeds.files import BarFile, SkippedRow, load_bars, load_in_thread
from tradingsignals_server.domain.intervals import Intervals


def test_csv_is_read(tmp_path: Path) -> None:
    assert bars_in(write(tmp_path, HEADER + FIRST + SECOND)) == BARS


def test_compressed_csv_is_detected_by_content(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(gzip.compress((HEADER + FIRST + SECOND).encode()))
    assert bars_in(path) == BARS


def test_chunks_have_the_requested_size(tmp_path: Path) -> None:
    file = load_bars(write(tmp_path, HEADER + FIRST + SECOND))
    assert list(file.chunks(1)) == [[BARS[0]], [BARS[1]]]
    assert len(file) == 2


# ------------------------------------------------------------------------------------------------------------- order


def test_bars_are_sorted_by_time(tmp_path: Path) -> None:
    rows = [at(minutes, symbol) for minutes in (0, 5) for symbol in ("USDCOP", "EURCOP")]
    expected = bars_in(write(tmp_path, HEADER + "".join(rows)))
    by_symbol = sorted(expected, key=lambda bar: (bar.symbol, bar.time))
    for order in permutations(rows):
        found = bars_in(write(tmp_path, HEADER + "".join(order)))
        assert [bar.time for bar in found] == [bar.time for bar in expected]
        assert sorted(found, key=lambda bar: (bar.symbol, bar.time)) == by_symbol


def test_bars_of_one_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [at(5), at(0, price=1.0), at(0, price=3.0), at(0, price=2.0)]
    assert [bar.close for bar in bars_in(write(tmp_path, HEADER + "".join(rows)))] == [1.0, 3.0, 2.0, 3870.0]


def test_row_of_returns_the_row_of_a_bar(tmp_path: Path) -> None:
    file = load_bars(write(tmp_path, HEADER + "\n" + at(5) + "rubbish\n" + at(0, price=1.0) + at(0, price=2.0) + at(0)))
    (bars,) = file.chunks()
    assert [file.row_of(bar) for bar in bars] == [5, 6, 7, 3]


# ------------------------------------------------------------------------------------------------------------ spacing


@pytest.mark.parametrize(
    ("minutes", "found", "setting"),
    [
        (1, "1 minute", ", or BAR_INTERVAL=USDCOP=1m"),
        (0.5, "30 seconds", ""),
        (2, "2 minutes", ""),
        (15, "15 minutes", ", or BAR_INTERVAL=USDCOP=15m"),
        (60, "1 hour", ", or BAR_INTERVAL=USDCOP=1h"),
        (1440, "1 day", ", or BAR_INTERVAL=USDCOP=1d"),
    ],
)
def test_bars_of_another_interval_are_refused(tmp_path: Path, minutes: float, found: str, setting: str) -> None:
    path = write(tmp_path, HEADER + "".join(at(minutes * number) for number in range(250, 0, -1)))
    assert refusal_of(path) == f"bars of USDCOP are {found} apart; bars of 5m are needed{setting}"


def test_bars_are_read_with_the_interval_of_their_symbol(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "".join(at(60 * n, "BTCUSDT") + at(5 * n) + at(n, "EURUSD") for n in range(20)))
    intervals = Intervals.parse("BTCUSDT=1h,EURUSD=1m")
    (bars,) = load_bars(path, interval_of=intervals.of).chunks()
    assert {(bar.symbol, bar.interval) for bar in bars} == {
        (symbol, intervals.of(symbol)) for symbol in ("BTCUSDT", "USDCOP", "EURUSD")
    }
    assert len(bars) == 60
    assert refusal_of(path, interval_of=Intervals.parse("EURUSD=1m").of) == (
        "bars of BTCUSDT are 1 hour apart; bars of 5m are needed, or BAR_INTERVAL=BTCUSDT=1h"
    )


def test_row_outside_the_grid_of_its_interval_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + at(0) + at(60) + at(95) + at(120))
    file = load_bars(path, interval_of=Intervals.parse("1h").of)
    assert (len(file), str(file.skipped[0])) == (3, "row 4: time: must be the open of the bar, on a whole hour")


def test_error_names_the_symbol_with_another_interval(tmp_path: Path) -> None:
    rows = [at(5 * n) + at(60 * n, "EURCOP") + at(5 * n, "GBPCOP") for n in range(20)]
    reason = refusal_of(write(tmp_path, HEADER + "".join(rows)))
    assert reason == "bars of EURCOP are 1 hour apart; bars of 5m are needed, or BAR_INTERVAL=EURCOP=1h"


def test_ticks_are_refused_by_their_spacing(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "".join(at((number + 7) / 60) for number in range(250)))
    assert refusal_of(path) == "bars of USDCOP are 1 second apart; bars of 5m are needed"


def test_nights_weekends_and_missing_bars_are_accepted(tmp_path: Path) -> None:
    days = (0, 1, 4)
    minutes = [1440 * day + 5 * number for day in days for number in (0, 1, 2, 4, 5, 9)]
    assert len(bars_in(write(tmp_path, HEADER + "".join(map(at, minutes))))) == 18


@pytest.mark.parametrize("minutes", [(0,), (0, 1440), (0, 60, 120)])
def test_few_rows_are_accepted_with_any_spacing(tmp_path: Path, minutes: tuple[int, ...]) -> None:
    assert len(bars_in(write(tmp_path, HEADER + "".join(map(at, minutes))))) == len(minutes)


# --------------------------------------------------------------------------------------------------- columns and cells


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolon_and_tab_are_delimiters(tmp_path: Path, delimiter: str) -> None:
    assert bars_in(write(tmp_path, (HEADER + FIRST + SECOND).replace(",", delimiter))) == BARS


def test_windows_line_ends_quotes_and_blank_lines_are_accepted(tmp_path: Path) -> None:
    quoted = ",".join(f'"{cell}"' for cell in FIRST.strip().split(",")) + "\n"
    text = "\n" + '"Time","Symbol",Open,High,Low,Close,Volume\n' + quoted + "\n" + SECOND + "\n"
    assert bars_in(write(tmp_path, text.replace("\n", "\r\n"))) == BARS


@pytest.mark.parametrize("volume", ["", " ", "nan", "NaN"])
def test_missing_volume_is_0(tmp_path: Path, volume: str) -> None:
    assert bars_in(write(tmp_path, HEADER + FIRST.replace(",0\n", f",{volume}\n"))) == BARS[:1]


@pytest.mark.parametrize("name", ["Time", "TIMESTAMP", "datetime", "Date"])
def test_columns_have_any_order_and_case_and_unknown_ones_are_ignored(tmp_path: Path, name: str) -> None:
    text = (
        f"\ufeffClose, {name},spread,LOW,High,Open,Symbol\n3870.25, 2024-01-02T13:00:00Z,1,3869,3871.5,3870,USD/COP\n"
    )
    assert bars_in(write(tmp_path, text)) == BARS[:1]


def test_given_symbol_applies_to_rows_without_one(tmp_path: Path) -> None:
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
        "1704200400000000",
        "1704200400000000000",
    ],
)
def test_time_formats_are_parsed(tmp_path: Path, text: str) -> None:
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
            "symbol: must be one to twenty of A-Z, 0-9, '.', '_', '-', '/', such as USDCOP",
        ),
        (FIRST.replace("USDCOP", ""), "symbol: is missing, and no symbol was given for the file"),
        (FIRST.replace(",0\n", ",-1\n"), "volume: must not be negative"),
        (FIRST.replace(",0\n", ",many\n"), "volume: 'many' is not a number"),
        (FIRST.replace(",0\n", "\n"), "it has 6 cells, and the header has 7"),
        (FIRST.replace("3870.25", '"3870.25'), "a quote in it is not closed or is misplaced"),
        (FIRST.replace("3870.25", "3870\u00a025"), "close: '3870\\xa025' is not a number"),
        (FIRST.replace("3870.25", "9" * 60 + "x"), "close: '" + "9" * 39 + "... is not a number"),
        (FIRST.replace("3870.25", "9" * 70_000), "it is longer than 65,536 bytes"),
    ],
)
def test_invalid_row_is_reported_and_skipped(tmp_path: Path, row: str, problem: str) -> None:
    file = load_bars(write(tmp_path, HEADER + SECOND + "\n" + row + FIRST))
    assert list(file.chunks()) == [BARS]
    assert file.skipped == (SkippedRow(4, problem),)
    assert (file.skipped_rows, file.damage) == (1, None)


def test_first_invalid_rows_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    file = load_bars(write(tmp_path, HEADER + FIRST + "rubbish\n" * 250))
    assert [row.row for row in file.skipped] == list(range(3, 8))
    assert file.skipped_rows == 250


def test_invalid_utf_8_affects_its_row_at_most(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = [FIRST.replace("\n", ",cami\u00f3n\n"), FIRST.replace("USDCOP", "USD\u00d1OP").replace("\n", ",\n")]
    text = HEADER.replace("\n", ",Observaci\u00f3n\n") + "".join(rows) + SECOND.replace("\n", ",\n")
    path.write_bytes(text.encode("latin-1"))
    file = load_bars(path)
    assert list(file.chunks()) == [BARS]
    assert [row.row for row in file.skipped] == [3]


def test_endless_line_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    """The line has 40 MB, compressed to 40 KB."""
    path = tmp_path / "bars.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write((HEADER + FIRST).encode())
        for _ in range(40):
            file.write(b"7" * 1_000_000)
        file.write(b"\n" + SECOND.encode())
    tracemalloc.start()
    found = load_bars(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list(found.chunks()) == [BARS]
    assert [str(row) for row in found.skipped] == ["row 3: it is longer than 65,536 bytes"]
    assert peak < 10_000_000


def test_truncated_compressed_file_gives_the_bars_before_the_damage(tmp_path: Path) -> None:
    text = HEADER + "".join(at(5 * number, price=1000.0 + number * 7 % 1009) for number in range(5000))
    whole = gzip.compress(text.encode())
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    file = load_bars(path)
    bars = list(chain.from_iterable(file.chunks()))
    assert 1000 < len(bars) < 4000
    assert bars == bars_in(write(tmp_path, text))[: len(bars)]
    assert (
        file.damage
        == "the compressed file is damaged: Compressed file ended before the end-of-stream marker was reached"
    )
    assert file.skipped_rows == 0


def test_file_with_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAXIMUM_ROWS", 3)
    assert len(load_bars(write(tmp_path, HEADER + at(0) + at(5) + at(10)))) == 3
    assert refusal_of(write(tmp_path, HEADER + at(0) + at(5) + at(10) + at(15))) == "it has more than 3 rows; split it"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        (HEADER, "it has no rows"),
        ("7" * 1_000_000, "its first line is longer than 65,536 bytes"),
        (
            "time,symbol,price\n",
            "it does not contain bars: it has no column open, high, low, close, only 'time, symbol, price'",
        ),
        ("open,high,low,close\n", "it has no column time"),
        ("\x01" * 90 + "\n", "only '" + r"\x01" * 24 + r"\x0..."),
        (HEADER + "rubbish\n" * 500, "none of its first 100 rows is a bar; row 2: it has 1 cell"),
        (
            HEADER + FIRST.replace("3870.25", "x"),
            "its first row is no bar; row 2: close: 'x' is not a number",
        ),
    ],
)
def test_file_without_bars_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refusal_of(write(tmp_path, text))


@pytest.mark.parametrize("name", ["close", "Close", "symbol", "volume"])
def test_a_column_that_stands_twice_is_refused(tmp_path: Path, name: str) -> None:
    header = f"time,symbol,open,high,low,close,volume,{name}"
    path = write(tmp_path, f"{header}\n2024-01-02T13:00:00Z,USDCOP,1,1,1,1,0,2\n")
    assert refusal_of(path) == f"it has more than one column {name.lower()}"


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    contents = {
        "broken.csv.gz": gzip.compress((HEADER + FIRST).encode())[:20],
        "broken.parquet": b"PAR1 and no more",
        "bars.xlsx": bytes(range(256)),
        "excel.txt": (HEADER + FIRST).encode("utf-16"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reasons = [refusal_of(tmp_path / name) for name in (*contents, "absent.csv", ".")]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "the compressed file is damaged",
        "it is damaged",
        "it is neither text nor Parquet",
        "it is UTF-16 text; save it as UTF-8",
        "No such file or directory",
        "Is a directory",
    ]


async def test_load_in_thread_equals_load_bars_and_reports_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_STEP_ROWS", 1)
    path = write(tmp_path, HEADER + FIRST + SECOND)
    read: list[int] = []
    file: BarFile = await load_in_thread(path, on_rows=read.append)
    assert [bars async for bars in file.stream(1)] == [[BARS[0]], [BARS[1]]]
    assert read == [1, 2]


@pytest.mark.slow
def test_five_years_of_bars_are_read_completely(tmp_path: Path) -> None:
    bars = walk(5 * 250 * 60)
    path = write_csv(tmp_path / "bars.csv", bars)
    path.write_bytes(gzip.compress(path.read_bytes()))
    file = load_bars(path)
    read = list(chain.from_iterable(file.chunks()))
    assert (len(read), file.skipped_rows, file.damage) == (75_000, 0, None)
    assert read == bars
