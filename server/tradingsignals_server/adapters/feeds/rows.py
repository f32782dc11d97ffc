"""Reader of the rows of CSV, CSV.gz and Parquet files in bounded memory. The first bytes identify the format."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

from ...domain.wording import counted

LINE_BYTES = 1 << 16
"""Maximum length of a line of a CSV file. A longer one is skipped without keeping it in memory."""
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
"""time, symbol, open, high, low, close and volume, as they are in the file."""
Row = tuple[int, Cells | str]
"""The line in a CSV file (the header is 1) or the index in a Parquet file, from 1; and its cells or its problem."""


class UnreadableFile(Exception):
    """The file cannot be read, or does not contain bars. The message is one line and names the file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def rows_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a file.

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


def require_bars(path: Path) -> None:
    """Check that the file can be read and has the columns of bars.

    Raises:
        UnreadableFile: it cannot, or does not.
    """
    next(rows_of(path), None)


# ----------------------------------------------------------------------------------------------------------------- CSV


def _csv_rows(path: Path, magic: bytes) -> Iterator[Row]:
    if magic[:2] in _UTF_16_MARKS:
        raise UnreadableFile(path, "it is UTF-16 text; save it as UTF-8")
    compressed = magic[:2] == _GZIP_MAGIC
    with cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb") as binary:
        lines = _lines(binary)
        header, delimiter = _header(path, lines)
        width = len(header)
        # A missing column is read from the empty cell that is appended to each row.
        pick = itemgetter(*(width if column is None else column for column in _columns(path, header)))
        for number, line in lines:
            if line is None:
                yield number, f"it is longer than {LINE_BYTES:,} bytes"
                continue
            # An invalid byte is replaced, because it is harmless in a column that is ignored.
            text = line.decode("utf-8", "replace").strip("\r\n")
            cells = text.split(delimiter) if '"' not in text else _quoted(text, delimiter)
            if cells is None:
                yield number, "a quote in it is not closed or is misplaced"
            elif len(cells) == width:
                cells.append("")
                yield number, pick(cells)
            elif text.strip():
                yield number, f"it has {counted(len(cells), 'cell')}, and the header has {width}"


def _lines(binary: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield numbered lines, from 1. A line longer than LINE_BYTES is None, and is skipped in pieces."""
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
    """Return the column names in the first line that is not blank, and the delimiter."""
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
    """Split a line with quotes; None if it is malformed. An open quote affects this line only."""
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
        # With a buffer, pages are read as batches need them, even if a row group is large.
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            schema = file.schema_arrow
            columns = _columns(path, schema.names)
            _require_readable(path, schema, columns)
            names = [None if column is None else schema.names[column] for column in columns]
            for batch in file.iter_batches(_BATCH_ROWS, columns=[name for name in names if name is not None]):
                missing = [None] * batch.num_rows
                cells = [missing if name is None else _values(batch.column(name)) for name in names]
                yield from zip(*cells, strict=True)
    except (pa.ArrowException, KeyError) as error:
        raise UnreadableFile(path, f"it is damaged: {_first_line(error)}") from error


def _require_readable(path: Path, schema: Any, columns: Sequence[int | None]) -> None:
    """Check the types of the columns.

    Raises:
        UnreadableFile: a type cannot be converted.
    """
    import pyarrow as pa  # noqa: PLC0415

    is_ = pa.types
    for role, column in zip(("time", "symbol", *PRICES, "volume"), columns, strict=True):
        if column is None:
            continue
        name, type_ = schema.names[column], schema.field(column).type
        plain = type_.value_type if is_.is_dictionary(type_) else type_
        readable = is_.is_string(plain) or is_.is_large_string(plain) or is_.is_null(plain)
        if role != "symbol":
            readable = readable or is_.is_integer(plain) or is_.is_floating(plain) or is_.is_decimal(plain)
        if role == "time":
            readable = readable or is_.is_timestamp(plain) or is_.is_date(plain)
        if not readable:
            raise UnreadableFile(path, f"its column {name} has the type {type_}, which cannot be read as {role}")


def _values(column: Any) -> list[Any]:
    """Convert an Arrow column to Python values; times become seconds since 1970."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_temporal(column.type):
        microseconds = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        column = pc.divide(microseconds.cast(pa.float64(), safe=False), 1e6)
    return cast(list[Any], column.to_pylist())


# ---------------------------------------------------------------------------------------------------------------- both


def _columns(path: Path, header: Sequence[str]) -> list[int | None]:
    """Return the column indexes of time, symbol, the prices and volume; None for a missing symbol or volume.

    Raises:
        UnreadableFile: the time or a price has no column, or one of them more than one.
    """
    names = [name.strip().lower() for name in header]
    columns = {name: names.index(name) for name in names}
    time = next((columns[name] for name in _TIME_NAMES if name in columns), None)
    required = {"time": time, **{price: columns.get(price) for price in PRICES}}
    missing = [name for name, column in required.items() if column is None]
    if missing:
        present = repr(", ".join(header)[:_SHOWN_NAMES].strip())
        shown = present if len(present) <= 2 * _SHOWN_NAMES else present[:_SHOWN_NAMES] + "..."
        raise UnreadableFile(path, f"it does not contain bars: it has no column {', '.join(missing)}, only {shown}")
    found = [time, columns.get("symbol"), *(columns[price] for price in PRICES), columns.get("volume")]
    for column in found:
        if column is not None and names.count(names[column]) > 1:
            raise UnreadableFile(path, f"it has more than one column {names[column]}")
    return found


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
