"""Files of bars: CSV, CSV.gz and Parquet.

Columns, in any order and case; others are ignored. A CSV file has commas, semicolons or tabs between them.

- `time` (or `timestamp`, `datetime`, `date`): open of the bar, as ISO 8601 / RFC 3339 with an offset, or in UTC
  without one; or as a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
- `symbol`: "USDCOP" or "USD/COP". A symbol the caller names stands in for a missing column or an empty cell.
- `open`, `high`, `low`, `close`: prices.
- `volume`: may be missing, empty or NaN, which is 0.

Rows may come in any order; bars are given in the order of their times. For that a whole file is held in memory, in 64
bytes a row. A row that cannot be a bar is reported by its number and skipped: one broken line must not keep years of
good ones from being replayed. A file that is damaged from some point on (a compressed file that is cut, say) gives the
bars before it. A file that does not contain five-minute bars is refused.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...domain.bars import Bar, describe_spacing, foreign_spacing, parse_symbol
from ...domain.errors import InvalidRequest
from .rows import PRICES, Cells, UnreadableFile, rows_of

__all__ = ["CHUNK_BARS", "BarFile", "SkippedRow", "UnreadableFile", "load_bars", "load_in_thread"]

CHUNK_BARS = 1000
"""Bars handed on at a time: made in a few milliseconds, and enough to make each step after it worth its while."""
MAXIMUM_ROWS = 5_000_000
"""Rows of a file; while it is sorted they take about a gigabyte of memory."""
NAMED_REASONS = 5
"""Skipped rows, and refused bars, that are kept with their reasons; the rest is counted."""

_TRIAL_ROWS = 100
_STEP_ROWS = 10_000
_SHOWN_CHARACTERS = 40
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6))
"""Units of a time by its size: below the first figure so many are a second. 1e11 seconds lie in the year 5138, 1e11
milliseconds in 1973. The rest is nanoseconds."""
_WIDTH = 8
_SYMBOL, _TIME, _ROW = 0, 1, 7


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that is not a bar. `row` is its line in a CSV file (the header is 1), in Parquet its place, from 1."""

    row: int
    problem: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.problem}"


class BarFile:
    """The bars of a file, in the order of their times; those of one time in the order of the file.

    skipped_rows: rows that are not bars; `skipped` has the first of them. damage: what is wrong with the file behind
    its last bar, None if it was read to its end.
    """

    def __init__(self, loaded: _Loading) -> None:
        self.path = loaded.path
        self.skipped = tuple(loaded.skipped)
        self.skipped_rows = loaded.skipped_rows
        self.damage = loaded.damage
        self._symbols = list(loaded.symbols.places)
        self._table = np.frombuffer(loaded.values).reshape(-1, _WIDTH)
        self._order = np.argsort(self._table[:, _TIME], kind="stable")

    def __len__(self) -> int:
        return len(self._order)

    def chunks(self, size: int = CHUNK_BARS) -> Iterator[list[Bar]]:
        """The bars in lists of up to `size`."""
        for start in range(0, len(self), size):
            yield [self._bar(row) for row in self._table[self._order[start : start + size]].tolist()]

    async def stream(self, size: int = CHUNK_BARS) -> AsyncIterator[list[Bar]]:
        """`chunks`, made in a thread: the event loop does not wait for them."""
        chunks = self.chunks(size)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk

    def row_of(self, bar: Bar) -> int:
        """The number of the row that `bar` was read from; it takes a search through the file."""
        for row in self._table[self._table[:, _TIME] == bar.time.timestamp()].tolist():
            if self._bar(row) == bar:
                return int(row[_ROW])
        raise LookupError(f"no row of {self.path} is this bar")

    def _bar(self, row: list[float]) -> Bar:
        symbol, time, open_, high, low, close, volume, _ = row
        return Bar(self._symbols[int(symbol)], datetime.fromtimestamp(time, UTC), open_, high, low, close, volume)


def load_bars(path: Path, *, symbol: str | None = None) -> BarFile:
    """Read a file of bars. `symbol` is that of rows that name none.

    Raises:
        InvalidRequest: `symbol` cannot be one.
        UnreadableFile: the file cannot be read, or does not contain five-minute bars.
    """
    loading = _Loading(path, symbol)
    for _ in loading.steps():
        pass
    return BarFile(loading)


async def load_in_thread(
    path: Path, *, symbol: str | None = None, on_rows: Callable[[int], None] | None = None
) -> BarFile:
    """`load_bars` in a thread and in steps, so that the event loop goes on and a large file can be given up.

    `on_rows` is called now and then with the number of rows read.
    """
    loading = _Loading(path, symbol)
    steps = loading.steps()
    while (rows := await asyncio.to_thread(next, steps, None)) is not None:
        if on_rows is not None:
            on_rows(rows)
    return await asyncio.to_thread(BarFile, loading)


class _Loading:
    """A file that is being read: rows become numbers, in the order of the file."""

    def __init__(self, path: Path, symbol: str | None) -> None:
        self.path = path
        self.symbols = _Symbols(symbol)
        self.values = array("d")
        self.skipped: list[SkippedRow] = []
        self.skipped_rows = 0
        self.damage: str | None = None
        self._other_times = array("d")
        """Symbol and time of each row that has both and is no bar."""

    def steps(self) -> Iterator[int]:
        """Read the file; gives the number of rows read now and then.

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
        self._require_five_minutes()
        if not self.values:
            first = f"none of its first {self.skipped_rows} rows is a bar; {self.skipped[0]}" if self.skipped else None
            raise UnreadableFile(self.path, first or "it has no rows")

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
                self.symbols.places[bar.symbol],
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
        """Find why `_bar` failed by trying each cell again: slower, and only the rare bad row comes here."""
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
            self._other_times.extend((self.symbols.places[self.symbols[symbol]], seconds))
            _bar(cells, self.symbols)
        except InvalidRequest as error:
            return error.message
        raise AssertionError("the row is a bar after all")

    def _require_five_minutes(self) -> None:
        """Look at the times of all rows, also of those that do not lie on whole five minutes.

        Raises:
            UnreadableFile: the bars of a symbol have another interval.
        """
        of_bars = np.frombuffer(self.values).reshape(-1, _WIDTH)[:, (_SYMBOL, _TIME)]
        places, times = np.concatenate([of_bars, np.frombuffer(self._other_times).reshape(-1, 2)]).astype(np.int64).T
        order = np.argsort(places, kind="stable")
        names = list(self.symbols.places)
        bounds = np.searchsorted(places[order], np.arange(1, len(names)))
        for name, times_of_symbol in zip(names, np.split(times[order], bounds), strict=False):
            if (spacing := foreign_spacing(times_of_symbol)) is not None:
                of_symbol = f" of {name}" if len(names) > 1 else ""
                found = f"bars{of_symbol} are {describe_spacing(spacing)} apart"
                raise UnreadableFile(self.path, f"{found}; five-minute bars are needed")


class _TooLong(UnreadableFile):
    """The file has more rows than are taken."""


class _Symbols(dict[Any, str]):
    """The normal form of each symbol met so far, by the cell it stood in; an empty cell is the default."""

    def __init__(self, default: str | None) -> None:
        super().__init__()
        self._default = None if default is None else parse_symbol(default)
        self.places: dict[str, int] = {}

    def __missing__(self, cell: Any) -> str:
        text = "" if cell is None else str(cell).strip()
        if not text and self._default is None:
            raise InvalidRequest.field("symbol", "is missing, and no symbol was named for the file")
        self[cell] = symbol = parse_symbol(text) if text else cast(str, self._default)
        self.places.setdefault(symbol, len(self.places))
        return symbol


def _bar(cells: Cells, symbols: Mapping[Any, str]) -> Bar:
    time, name, open_, high, low, close, volume = cells
    prices = float(open_), float(high), float(low), float(close)
    return Bar(symbols[name], _time(time), *prices, _volume(volume))


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
    a_second = next((units for below, units in _UNITS if abs(number) < below), 1e9)
    return datetime.fromtimestamp(number / a_second, UTC)


def _shown(cell: Any) -> str:
    """A cell as it is quoted in a problem, however long it is."""
    text = repr(cell)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
