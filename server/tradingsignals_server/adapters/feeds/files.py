"""Files of bars: CSV, CSV.gz and Parquet, told apart by their first bytes.

Columns, in any order and case; others are ignored:

- `time` (or `timestamp`, `datetime`, `date`): open of the bar, as ISO 8601 / RFC 3339 with an offset, or in UTC
  without one; or as a number of seconds or milliseconds since 1970.
- `symbol`: "USDCOP" or "USD/COP". A symbol the caller names stands in for a missing column or an empty cell.
- `open`, `high`, `low`, `close`: prices.
- `volume`: may be missing or empty, which is 0.

A row that cannot be a bar is reported by its number and skipped: one broken line must not keep years of good ones from
being replayed. A file that is not one of bars (lacks such columns, or has no bar among its first rows) is refused.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

from ...domain.bars import Bar, parse_symbol
from ...domain.errors import InvalidRequest

CHUNK_BARS = 1000
"""Bars handed on at a time: read in a few milliseconds, and enough to make each step after it worth its while."""

_TIME_NAMES = ("time", "timestamp", "datetime", "date")
_PRICES = ("open", "high", "low", "close")
_TRIAL_ROWS = 100
_FIRST_MILLISECONDS = 1e11
"""From here on a number is milliseconds: as seconds it would lie in the year 5138, as milliseconds it lies in 1973."""
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_BLOCK_BYTES = 1 << 20

_Cells = Sequence[Any]
"""time, symbol, open, high, low, close and volume, as the file has them."""
_Row = tuple[int, _Cells]
"""Its number, and its cells; none if they are not as many as the header's."""


class UnreadableFile(Exception):
    """The file cannot be read, or is not one of bars. The message is one line and names the file."""


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that is not a bar. `row` is its line in a CSV file (the header is 1), in Parquet its place, from 1."""

    row: int
    problem: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.problem}"


OnSkipped = Callable[[SkippedRow], None]


def read_bars(
    path: Path, *, symbol: str | None = None, on_skipped: OnSkipped | None = None, chunk_bars: int = CHUNK_BARS
) -> Iterator[list[Bar]]:
    """The bars of a file, in its order, in lists of up to `chunk_bars`; `on_skipped` hears of each row that is none.

    Raises:
        InvalidRequest: `symbol` is none.
        UnreadableFile: before the first list if the file is not one of bars, later if it is damaged further on.
    """
    symbols = _Symbols(symbol)
    chunk: list[Bar] = []
    skipped: list[SkippedRow] = []
    found = False
    with _errors_in_one_line(path):
        for number, cells in _rows(path, chunk_bars):
            try:
                chunk.append(_bar(cells, symbols))
            except (ArithmeticError, InvalidRequest, OSError, TypeError, ValueError):
                skipped.append(SkippedRow(number, _problem(cells, symbols)))
            if len(chunk) < chunk_bars and len(skipped) < _TRIAL_ROWS:
                continue
            found = found or bool(chunk)
            if not found:
                break
            _report(skipped, on_skipped)
            if chunk:
                yield chunk
            chunk, skipped = [], []
        if not (found or chunk):
            reason = f"none of its first {len(skipped)} rows is a bar; {skipped[0]}" if skipped else "it has no rows"
            raise UnreadableFile(f"{path}: {reason}")
        _report(skipped, on_skipped)
        if chunk:
            yield chunk


async def stream_bars(
    path: Path, *, symbol: str | None = None, on_skipped: OnSkipped | None = None, chunk_bars: int = CHUNK_BARS
) -> AsyncIterator[list[Bar]]:
    """`read_bars` in a thread, a list at a time, so that the event loop neither waits for a disk nor parses.

    Raises:
        UnreadableFile: see read_bars.
    """
    chunks = read_bars(path, symbol=symbol, on_skipped=on_skipped, chunk_bars=chunk_bars)
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def count_rows(path: Path) -> int:
    """How many rows the file has, bars or not; for a progress bar, so blank lines may count too.

    Raises:
        UnreadableFile: the file cannot be read.
    """
    with _errors_in_one_line(path):
        magic = _magic(path)
        if magic == _PARQUET_MAGIC:
            return cast(int, _parquet().read_metadata(path).num_rows)
        lines = 0
        last = b"\n"
        with _open_binary(path, magic) as file:
            while block := file.read(_BLOCK_BYTES):
                lines += block.count(b"\n")
                last = block[-1:]
        return max(0, lines - 1 + (last != b"\n"))


def _report(skipped: Sequence[SkippedRow], on_skipped: OnSkipped | None) -> None:
    if on_skipped is not None:
        for row in skipped:
            on_skipped(row)


# ------------------------------------------------------------------------------------------------------ rows to bars


class _Symbols(dict[Any, str]):
    """The normal form of each symbol met so far; an empty cell is the default."""

    def __init__(self, default: str | None) -> None:
        super().__init__()
        self._default = None if default is None else parse_symbol(default)

    def __missing__(self, cell: Any) -> str:
        text = "" if cell is None else str(cell).strip()
        if not text and self._default is None:
            raise InvalidRequest.field("symbol", "is missing, and no symbol was named for the file")
        self[cell] = symbol = parse_symbol(text) if text else cast(str, self._default)
        return symbol


def _bar(cells: _Cells, symbols: _Symbols) -> Bar:
    time, name, open_, high, low, close, volume = cells
    prices = float(open_), float(high), float(low), float(close)
    return Bar(symbols[name], _time(time), *prices, float(volume or 0.0))


def _time(cell: Any) -> datetime:
    if isinstance(cell, str) and cell[4:5] == "-":
        time = datetime.fromisoformat(cell)
        if time.tzinfo is UTC:
            return time
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    number = float(cell)
    return datetime.fromtimestamp(number if abs(number) < _FIRST_MILLISECONDS else number / 1000.0, UTC)


def _problem(cells: _Cells, symbols: _Symbols) -> str:
    """Why `_bar` failed, found by trying each cell again: slower, and only the rare bad row comes here."""
    if not cells:
        return "its cells are not as many as the header's"
    time, _, *prices, volume = cells
    try:
        _time(time)
    except (ArithmeticError, OSError, TypeError, ValueError):
        return f"time: {time!r} is not a time" if time else "time: is missing"
    for name, cell in zip((*_PRICES, "volume"), (*prices, volume or 0.0), strict=True):
        try:
            float(cell)
        except (TypeError, ValueError):
            return f"{name}: {cell!r} is not a number" if cell else f"{name}: is missing"
    try:
        _bar(cells, symbols)
    except InvalidRequest as error:
        return error.message
    raise AssertionError("the row is a bar after all")


# ------------------------------------------------------------------------------------------------------ files to rows


def _rows(path: Path, batch_rows: int) -> Iterator[_Row]:
    magic = _magic(path)
    if magic == _PARQUET_MAGIC:
        return enumerate(_parquet_rows(path, batch_rows), start=1)
    return _csv_rows(path, magic)


def _csv_rows(path: Path, magic: bytes) -> Iterator[_Row]:
    with _open_binary(path, magic) as binary:
        reader = csv.reader((str(line, "utf-8-sig") for line in binary), skipinitialspace=True)
        header = next(reader, None)
        if header is None:
            raise UnreadableFile(f"{path}: it is empty")
        width = len(header)
        # A column that is missing is the cell appended to each row.
        pick = itemgetter(*(width if name is None else header.index(name) for name in _columns(path, header)))
        for row in reader:
            if len(row) == width:
                row.append("")
                yield reader.line_num, pick(row)
            elif row:
                yield reader.line_num, ()


def _parquet_rows(path: Path, batch_rows: int) -> Iterator[_Cells]:
    with _parquet().ParquetFile(path) as file:
        columns = _columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(batch_rows, columns=[name for name in columns if name is not None]):
            missing = [None] * batch.num_rows
            cells = [missing if name is None else _values(batch.column(name)) for name in columns]
            yield from zip(*cells, strict=True)


def _parquet() -> Any:
    """pyarrow's Parquet module (it has no types), imported on demand: it takes a third of a second to load."""
    import pyarrow.parquet  # noqa: PLC0415

    return pyarrow.parquet


def _values(column: Any) -> list[Any]:
    """The cells of an Arrow column as Python's; times become seconds since 1970."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_temporal(column.type):
        microseconds = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        column = pc.divide(microseconds.cast(pa.float64(), safe=False), 1e6)
    return cast(list[Any], column.to_pylist())


def _columns(path: Path, names: Sequence[str]) -> list[str | None]:
    """The file's own names of time, symbol, the prices and volume; None for a symbol or a volume that is missing."""
    own = {name.strip().lower(): name for name in reversed(names)}
    time = next((own[name] for name in _TIME_NAMES if name in own), None)
    missing = [
        name for name, there in (("time", time), *((price, own.get(price)) for price in _PRICES)) if there is None
    ]
    if missing:
        there = ", ".join(names)[:100].strip()
        raise UnreadableFile(f"{path}: it is no file of bars: it has no column {', '.join(missing)}, only {there!r}")
    return [time, own.get("symbol"), *(own[price] for price in _PRICES), own.get("volume")]


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        magic = file.read(4)
    return _GZIP_MAGIC if magic[:2] == _GZIP_MAGIC else magic


def _open_binary(path: Path, magic: bytes) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if magic == _GZIP_MAGIC else path.open("rb")


@contextmanager
def _errors_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path}: it is neither UTF-8 text nor Parquet") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"{path}: the compressed file is damaged: {error}") from error
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:  # pyarrow's own errors are ValueErrors
        raise UnreadableFile(f"{path}: it is damaged: {str(error).splitlines()[0]}") from error
