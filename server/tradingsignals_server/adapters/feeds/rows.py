"""Rows of CSV, CSV.gz and Parquet files, told apart by their first bytes and read in bounded memory."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

LINE_BYTES = 1 << 16
"""A longer line of a CSV file is not kept in memory, and is not a row of bars."""
PRICES = ("open", "high", "low", "close")

_TIME_NAMES = ("time", "timestamp", "datetime", "date")
_DELIMITERS = ",;\t"
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SKIP_BYTES = 1 << 20
_BATCH_ROWS = 10_000
_BUFFER_BYTES = 1 << 20
_SHOWN_NAMES = 100

Cells = Sequence[Any]
"""time, symbol, open, high, low, close and volume, as the file has them."""
Row = tuple[int, Cells | str]
"""The line in a CSV file (the header is 1) or the place in a Parquet file, from 1; and its cells or its problem."""


class UnreadableFile(Exception):
    """The file cannot be read, or does not contain bars. The message is one line and names the file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def rows_of(path: Path) -> Iterator[Row]:
    """Read the rows of a file one after the other.

    Raises:
        UnreadableFile: before the first row if the file does not contain bars, later if it is damaged further on.
    """
    with _errors_in_one_line(path):
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == _PARQUET_MAGIC:
            yield from enumerate(_parquet_rows(path), start=1)
        else:
            yield from _csv_rows(path, magic)


# ----------------------------------------------------------------------------------------------------------------- CSV


def _csv_rows(path: Path, magic: bytes) -> Iterator[Row]:
    if magic[:2] in _UTF_16_MARKS:
        raise UnreadableFile(path, "it is UTF-16 text; save it as UTF-8")
    compressed = magic[:2] == _GZIP_MAGIC
    with cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb") as binary:
        lines = _lines(binary)
        header, delimiter = _header(path, lines)
        width = len(header)
        # A column that is missing is the cell appended to each row.
        pick = itemgetter(*(width if place is None else place for place in _places(path, header)))
        for number, line in lines:
            if line is None:
                yield number, f"it is longer than {LINE_BYTES:,} bytes"
                continue
            # A byte that is not UTF-8 harms no row in which it stands in a column that is ignored.
            text = line.decode("utf-8", "replace").strip("\r\n")
            cells = text.split(delimiter) if '"' not in text else _quoted(text, delimiter)
            if cells is None:
                yield number, "a quote in it is not closed, or stands at a wrong place"
            elif len(cells) == width:
                cells.append("")
                yield number, pick(cells)
            elif text.strip():
                yield number, f"it has {len(cells)} cells, and the header has {width}"


def _lines(binary: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Number the lines, from 1; one that is too long is None, and is read past in pieces."""
    number = 0
    while line := binary.readline(LINE_BYTES):
        number += 1
        if len(line) < LINE_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := binary.readline(_SKIP_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def _header(path: Path, lines: Iterator[tuple[int, bytes | None]]) -> tuple[list[str], str]:
    """Find the names of the columns in the first line that is not blank, and what separates them."""
    first = next((line for _, line in lines if line is None or line.strip()), b"")
    if first is None:
        raise UnreadableFile(
            path, f"its first line is longer than {LINE_BYTES:,} bytes; the names of columns are needed"
        )
    if not first:
        raise UnreadableFile(path, "it is empty")
    if b"\0" in first:
        raise UnreadableFile(path, "it is neither text nor Parquet")
    text = first.decode("utf-8-sig", "replace").strip("\r\n")
    delimiter = max(_DELIMITERS, key=text.count)
    return _quoted(text, delimiter) or text.split(delimiter), delimiter


def _quoted(text: str, delimiter: str) -> list[str] | None:
    """Split a line that has quotes, by itself: a quote that is not closed costs this row and none after it."""
    try:
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None


# ------------------------------------------------------------------------------------------------------------- Parquet


def _parquet_rows(path: Path) -> Iterator[Cells]:
    # Imported on demand: it takes a third of a second to load.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # With a buffer, pages are read as batches need them, however large a row group is.
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            schema = file.schema_arrow
            places = _places(path, schema.names)
            _require_readable(path, schema, places)
            wanted = [schema.names[place] for place in places if place is not None]
            for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
                missing = [None] * batch.num_rows
                cells = [missing if place is None else _values(batch.column(schema.names[place])) for place in places]
                yield from zip(*cells, strict=True)
    except (pa.ArrowException, KeyError) as error:
        raise UnreadableFile(path, f"it is damaged: {_first_line(error)}") from error


def _require_readable(path: Path, schema: Any, places: Sequence[int | None]) -> None:
    """Refuse columns of types that cannot be times, symbols and numbers.

    Raises:
        UnreadableFile: naming the column and its type.
    """
    import pyarrow as pa  # noqa: PLC0415

    is_ = pa.types
    for role, place in zip(("time", "symbol", *PRICES, "volume"), places, strict=True):
        if place is None:
            continue
        name, type_ = schema.names[place], schema.field(place).type
        if schema.names.count(name) > 1:
            raise UnreadableFile(path, f"it has more than one column {name}")
        plain = type_.value_type if is_.is_dictionary(type_) else type_
        readable = is_.is_string(plain) or is_.is_large_string(plain) or is_.is_null(plain)
        if role != "symbol":
            readable = readable or is_.is_integer(plain) or is_.is_floating(plain) or is_.is_decimal(plain)
        if role == "time":
            readable = readable or is_.is_timestamp(plain) or is_.is_date(plain)
        if not readable:
            raise UnreadableFile(path, f"its column {name} has the type {type_}, which cannot be read as {role}")


def _values(column: Any) -> list[Any]:
    """Convert an Arrow column to Python's values; times become seconds since 1970."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_temporal(column.type):
        microseconds = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        column = pc.divide(microseconds.cast(pa.float64(), safe=False), 1e6)
    return cast(list[Any], column.to_pylist())


# ---------------------------------------------------------------------------------------------------------------- both


def _places(path: Path, header: Sequence[str]) -> list[int | None]:
    """Find where time, symbol, the prices and volume stand; None for a symbol or a volume that is missing."""
    names = [name.strip().lower() for name in header]
    places = {name: names.index(name) for name in names}
    time = next((places[name] for name in _TIME_NAMES if name in places), None)
    found = {"time": time, **{price: places.get(price) for price in PRICES}}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        there = ", ".join(header)[:_SHOWN_NAMES].strip()
        raise UnreadableFile(path, f"it does not contain bars: it has no column {', '.join(missing)}, only {there!r}")
    return [time, places.get("symbol"), *(places[price] for price in PRICES), places.get("volume")]


@contextmanager
def _errors_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(path, f"the compressed file is damaged: {_first_line(error)}") from error
    except OSError as error:
        raise UnreadableFile(path, error.strerror or _first_line(error)) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
