"""Files of bars: CSV, CSV.gz and Parquet.

Columns may have any order and case; unknown columns are ignored. The delimiter in CSV is comma, semicolon or tab.

- `time` (or `timestamp`, `datetime`, `date`): open of the bar, as ISO 8601 / RFC 3339 with an offset, or in UTC
  without one; or as a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
- `symbol`: "USDCOP" or "USD/COP". The caller may give a symbol for rows without one.
- `open`, `high`, `low`, `close`: prices.
- `volume`: a missing, empty or NaN volume is 0.

Rows may have any order; bars are returned in the order of their times. Therefore the whole file is kept in memory, with
64 bytes for each row. An invalid row is reported with its number and skipped, so that one broken line does not prevent
the replay of years of valid ones. If a file is damaged from some point on, as a truncated compressed file is, the bars
before the damage are returned. A file whose bars have another interval than that of their symbol is refused.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...domain.bars import Bar, foreign_spacing, spacing_problem
from ...domain.errors import InvalidRequest
from ...domain.intervals import IntervalOf, default_interval
from ...domain.symbols import parse_symbol
from .rows import PRICES, Cells, UnreadableFile, rows_of

CHUNK_BARS = 1000
"""Number of bars in a list: built within a few milliseconds, and enough to amortize the overhead of each list."""
MAXIMUM_ROWS = 5_000_000
"""Maximum number of rows; sorting that many takes about a gigabyte of memory."""
NAMED_REASONS = 5
"""Number of skipped rows and refused bars that are kept with their reasons; all others are only counted."""

_TRIAL_ROWS = 100
_STEP_ROWS = 10_000
_SHOWN_CHARACTERS = 40
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6))
"""Unit of a numeric time by its magnitude: (upper bound, units in a second). Larger numbers are nanoseconds.

As seconds, 1e11 is in the year 5138; as milliseconds, it is in 1973.
"""
_WIDTH = 8
_SYMBOL, _TIME, _ROW = 0, 1, 7


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that is not a bar. `row` is the line in a CSV file (the header is 1), or the index in Parquet, from 1."""

    row: int
    problem: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.problem}"


class BarFile:
    """The bars of a file in the order of their times; bars of the same time in the order of the file.

    skipped_rows: number of rows that are not bars; `skipped` contains the first of them. damage: the error behind the
    last bar, None if the file was read to its end.
    """

    def __init__(self, loaded: _Loading) -> None:
        self.path = loaded.path
        self.skipped = tuple(loaded.skipped)
        self.skipped_rows = loaded.skipped_rows
        self.damage = loaded.damage
        self._symbols = [(symbol, loaded.symbols.interval_of(symbol)) for symbol in loaded.symbols.indexes]
        self._table = np.frombuffer(loaded.values).reshape(-1, _WIDTH)
        self._order = np.argsort(self._table[:, _TIME], kind="stable")

    def __len__(self) -> int:
        return len(self._order)

    def chunks(self, size: int = CHUNK_BARS) -> Iterator[list[Bar]]:
        """Yield the bars in lists of up to `size`."""
        for start in range(0, len(self), size):
            yield [self._bar(row) for row in self._table[self._order[start : start + size]].tolist()]

    async def stream(self, size: int = CHUNK_BARS) -> AsyncIterator[list[Bar]]:
        """Yield `chunks`, built in a thread so that the event loop is not blocked."""
        chunks = self.chunks(size)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk

    def row_of(self, bar: Bar) -> int:
        """Return the row of the file that contains `bar`, by a search through all rows.

        Raises:
            LookupError: no row does.
        """
        for row in self._table[self._table[:, _TIME] == bar.time.timestamp()].tolist():
            if self._bar(row) == bar:
                return int(row[_ROW])
        raise LookupError(f"no row of {self.path} is this bar")

    def _bar(self, row: list[float]) -> Bar:
        index, time, open_, high, low, close, volume, _ = row
        symbol, interval = self._symbols[int(index)]
        return Bar(symbol, datetime.fromtimestamp(time, UTC), open_, high, low, close, volume, interval=interval)


def load_bars(path: Path, *, symbol: str | None = None, interval_of: IntervalOf = default_interval) -> BarFile:
    """Read a file of bars. `symbol` applies to rows without one; `interval_of` returns the interval of a symbol's bars.

    Raises:
        InvalidRequest: `symbol` is not a valid symbol.
        UnreadableFile: the file cannot be read, or contains bars of another interval.
    """
    loading = _Loading(path, _Symbols(symbol, interval_of))
    for _ in loading.steps():
        pass
    return BarFile(loading)


async def load_in_thread(
    path: Path,
    *,
    symbol: str | None = None,
    interval_of: IntervalOf = default_interval,
    on_rows: Callable[[int], None] | None = None,
) -> BarFile:
    """Run `load_bars` in a thread and in steps, so that the event loop is not blocked and the load can be cancelled.

    `on_rows` is called after every step with the number of rows read.
    """
    loading = _Loading(path, _Symbols(symbol, interval_of))
    steps = loading.steps()
    while (rows := await asyncio.to_thread(next, steps, None)) is not None:
        if on_rows is not None:
            on_rows(rows)
    return await asyncio.to_thread(BarFile, loading)


class _Loading:
    """Parser of a file: it converts rows to numbers, in the order of the file."""

    def __init__(self, path: Path, symbols: _Symbols) -> None:
        self.path = path
        self.symbols = symbols
        self.values = array("d")
        self.skipped: list[SkippedRow] = []
        self.skipped_rows = 0
        self.damage: str | None = None
        self._other_times = array("d")
        """Symbol and time of each row that has both and is not a bar."""

    def steps(self) -> Iterator[int]:
        """Read the file; yield the number of rows read after every `_STEP_ROWS`.

        Raises:
            UnreadableFile: see load_bars.
        """
        try:
            for count, (number, cells) in enumerate(rows_of(self.path), start=1):
                self._take(number, cells)
                if count == _TRIAL_ROWS and not self.values:
                    break
                if count > MAXIMUM_ROWS:
                    raise _TooLong(self.path, f"it has more than {MAXIMUM_ROWS:,} rows; split it")
                if count % _STEP_ROWS == 0:
                    yield count
        except _TooLong:
            raise
        except UnreadableFile as error:
            if not self.values:
                raise
            self.damage = error.reason
        self._require_interval()
        if not self.values:
            if not self.skipped:
                raise UnreadableFile(self.path, "it has no rows")
            skipped = self.skipped_rows
            first = "its first row is no bar" if skipped == 1 else f"none of its first {skipped:,} rows is a bar"
            raise UnreadableFile(self.path, f"{first}; {self.skipped[0]}")

    def _take(self, number: int, cells: Cells | str) -> None:
        if isinstance(cells, str):
            self._skip(number, cells)
            return
        try:
            bar = _bar(cells, self.symbols)
        except (ArithmeticError, InvalidRequest, OSError, TypeError, ValueError):
            self._skip(number, self._problem(cells))
            return
        self.values.extend(
            (
                self.symbols.indexes[bar.symbol],
                bar.time.timestamp(),
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
                number,
            )
        )

    def _skip(self, number: int, problem: str) -> None:
        self.skipped_rows += 1
        if len(self.skipped) < NAMED_REASONS:
            self.skipped.append(SkippedRow(number, problem))

    def _problem(self, cells: Cells) -> str:
        """Return why `_bar` failed, by parsing each cell again. This is slow, but invalid rows are rare."""
        time, symbol, *prices, volume = cells
        try:
            seconds = _time(time).timestamp()
        except (ArithmeticError, OSError, TypeError, ValueError):
            return f"time: {_shown(time)} is not a time" if time else "time: is missing"
        for name, cell in zip((*PRICES, "volume"), (*prices, volume), strict=True):
            try:
                (_volume if name == "volume" else float)(cell)
            except (TypeError, ValueError):
                return f"{name}: {_shown(cell)} is not a number" if cell else f"{name}: is missing"
        try:
            self._other_times.extend((self.symbols.indexes[self.symbols[symbol]], seconds))
            _bar(cells, self.symbols)
        except InvalidRequest as error:
            return error.message
        raise AssertionError("the row is a valid bar")

    def _require_interval(self) -> None:
        """Check the interval of the bars of each symbol, including rows whose time cannot be the open of one.

        Raises:
            UnreadableFile: the bars of a symbol have another interval.
        """
        of_bars = np.frombuffer(self.values).reshape(-1, _WIDTH)[:, (_SYMBOL, _TIME)]
        symbols, times = np.concatenate([of_bars, np.frombuffer(self._other_times).reshape(-1, 2)]).astype(np.int64).T
        order = np.argsort(symbols, kind="stable")
        names = list(self.symbols.indexes)
        bounds = np.searchsorted(symbols[order], np.arange(1, len(names)))
        for name, times_of_symbol in zip(names, np.split(times[order], bounds), strict=False):
            interval = self.symbols.interval_of(name)
            if (spacing := foreign_spacing(times_of_symbol, interval)) is not None:
                raise UnreadableFile(self.path, spacing_problem(name, spacing, interval))


class _TooLong(UnreadableFile):
    """The file has more than MAXIMUM_ROWS rows."""


class _Symbols(dict[Any, str]):
    """Cache of the normal form of each symbol, by the content of its cell; an empty cell is the default symbol.

    indexes: index of each distinct symbol, in order of first occurrence.
    interval_of: returns the interval of a symbol's bars.
    """

    def __init__(self, default: str | None, interval_of: IntervalOf) -> None:
        super().__init__()
        self.interval_of = cache(interval_of)
        self._default = None if default is None else parse_symbol(default)
        self.indexes: dict[str, int] = {}

    def __missing__(self, cell: Any) -> str:
        text = "" if cell is None else str(cell).strip()
        if not text and self._default is None:
            raise InvalidRequest.field("symbol", "is missing, and no symbol was given for the file")
        self[cell] = symbol = parse_symbol(text) if text else cast(str, self._default)
        self.indexes.setdefault(symbol, len(self.indexes))
        return symbol


def _bar(cells: Cells, symbols: _Symbols) -> Bar:
    time, name, open_, high, low, close, volume = cells
    prices = float(open_), float(high), float(low), float(close)
    symbol = symbols[name]
    return Bar(symbol, _time(time), *prices, _volume(volume), interval=symbols.interval_of(symbol))


def _volume(cell: Any) -> float:
    volume = float((cell.strip() if isinstance(cell, str) else cell) or 0.0)
    return 0.0 if math.isnan(volume) else volume


def _time(cell: Any) -> datetime:
    if isinstance(cell, str):
        cell = cell.strip()
        if cell[4:5] == "-":
            time = datetime.fromisoformat(cell)
            if time.tzinfo is UTC:
                return time
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    number = float(cell)
    units_per_second = next((units for bound, units in _UNITS if abs(number) < bound), 1e9)
    return datetime.fromtimestamp(number / units_per_second, UTC)


def _shown(cell: Any) -> str:
    """Return a cell as an error message quotes it, cut to _SHOWN_CHARACTERS."""
    text = repr(cell)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
