from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.bar_files import BARS, bars_in, refusal_of

from tradingsignals_server.adapters.feeds import rows
from tradingsignals_server.adapters.feeds.files import SkippedRow, load_bars


@pytest.mark.parametrize(
    "times",
    [
        pa.array([bar.time for bar in BARS], pa.timestamp("ns", "UTC")),
        pa.array([bar.time for bar in BARS], pa.timestamp("ms", "America/Bogota")),
        pa.array([bar.time.replace(tzinfo=None) for bar in BARS], pa.timestamp("us")),
        pa.array([int(bar.time.timestamp()) for bar in BARS]),
        pa.array([int(bar.time.timestamp()) * 1_000_000_000 for bar in BARS]),
        pa.array([bar.time.isoformat() for bar in BARS]),
    ],
)
def test_parquet_is_read(tmp_path: Path, times: Any) -> None:
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


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("time", pa.array([0, 1], pa.time64("us")), "has the type time64[us], which cannot be read as time"),
        ("time", pa.array([0, 1], pa.duration("s")), "has the type duration[s], which cannot be read as time"),
        ("time", pa.array([True, False]), "has the type bool, which cannot be read as time"),
        ("close", pa.array([0, 1], pa.duration("s")), "has the type duration[s], which cannot be read as close"),
        ("close", pa.array([[1.0], [2.0]]), "has the type list<element: double>, which cannot be read as close"),
        ("symbol", pa.array([b"USDCOP", b"\xff"]), "has the type binary, which cannot be read as symbol"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_error_names_the_parquet_column_of_a_wrong_type(tmp_path: Path, column: str, values: Any, problem: str) -> None:
    columns = {name: pa.array([4000.0, 4000.0]) for name in ("open", "high", "low", "close")}
    columns |= {"time": pa.array([bar.time for bar in BARS]), "symbol": pa.array(["USDCOP", "USDCOP"]), column: values}
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table(columns), path)
    assert refusal_of(path) == f"its column {column} {problem}"


def test_parquet_days_decimals_and_dictionaries_are_read(tmp_path: Path) -> None:
    days = pa.array([date(2024, 1, 2), date(2024, 1, 3)])
    prices = {name: pa.array([Decimal("4000.5"), Decimal("nan")][:1] * 2) for name in ("open", "high", "low", "close")}
    symbols = pa.array(["USDCOP", "USDCOP"]).dictionary_encode()
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table({"Date": days, "symbol": symbols, **prices, "volume": pa.array([math.nan, None])}), path)
    assert [(bar.time.day, bar.close, bar.volume) for bar in bars_in(path)] == [(2, 4000.5, 0.0), (3, 4000.5, 0.0)]


def test_error_names_a_duplicate_parquet_column(tmp_path: Path) -> None:
    names = ["time", "symbol", "open", "high", "low", "close", "close"]
    columns = [pa.array([BARS[0].time]), pa.array(["USDCOP"]), *[pa.array([4000.0])] * 5]
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table(columns, names=names), path)
    assert refusal_of(path) == "it has more than one column close"


def test_parquet_rows_are_counted_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BATCH_ROWS", 2)
    prices = {name: [4000.0] * 3 for name in ("open", "high", "low")}
    table = pa.table({"time": [BARS[0].time] * 3, **prices, "close": [4000.0, 4000.0, None]})
    path = tmp_path / "bars.parquet"
    pq.write_table(table, path)
    file = load_bars(path, symbol="USDCOP")
    assert len(file) == 2
    assert file.skipped == (SkippedRow(3, "close: is missing"),)
