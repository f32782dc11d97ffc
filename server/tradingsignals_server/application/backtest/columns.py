"""Bars in memory as columns of numbers: 64 bytes each, in the order of their times."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np

from ...domain.bars import Bar
from ...domain.values import dataclass
from ...domain.window import FloatArray
from .engine import CHUNK_BARS

_WIDTH = 8
_TIME = 1


class TooManyBars(Exception):
    """There are more bars than a backtest may have. The message is one line."""


@dataclass(frozen=True, slots=True, eq=False)
class BarColumns:
    """Bars in the order of their times; bars of the same time in the order in which they came.

    symbols: symbol and interval of each index. rows: shape (bars, 8), float64: index of the symbol, time of the open in
    seconds since 1970, open, high, low, close, volume, 1 if simulated.
    """

    symbols: tuple[tuple[str, timedelta], ...]
    rows: FloatArray

    @classmethod
    def of(cls, chunks: Iterable[Sequence[Bar]]) -> Self:
        """Return the columns of bars in any order."""
        building = _Building()
        for chunk in chunks:
            building.add(chunk)
        return cls(*building.result())

    @classmethod
    async def read(cls, chunks: AsyncIterable[Sequence[Bar]], limit: int | None = None) -> Self:
        """Return the columns of bars in any order.

        Raises:
            TooManyBars: there are more than `limit`.
        """
        building, bars = _Building(), 0
        async for chunk in chunks:
            bars += len(chunk)
            if limit is not None and bars > limit:
                raise TooManyBars(f"there are more than {limit:,} bars; choose a shorter period, or fewer symbols")
            building.add(chunk)
        return cls(*building.result())

    def __len__(self) -> int:
        return len(self.rows)

    def bars(self, start: int, stop: int) -> list[Bar]:
        """Return the bars from index `start` to `stop`, which is exclusive."""
        return [self._bar(row) for row in self.rows[start:stop].tolist()]

    def chunks(self, size: int = CHUNK_BARS) -> Iterator[list[Bar]]:
        """Yield the bars in lists of up to `size`."""
        for start in range(0, len(self), size):
            yield self.bars(start, start + size)

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Return the bars with start <= time < end."""
        times = self.rows[:, _TIME]
        first = 0 if start is None else int(np.searchsorted(times, start.timestamp()))
        stop = len(self) if end is None else int(np.searchsorted(times, end.timestamp()))
        return type(self)(self.symbols, self.rows[first:stop])

    def of_symbols(self, symbols: Sequence[str]) -> Self:
        """Return the bars of these symbols; all of them if none is given."""
        if not symbols:
            return self
        wanted = [float(index) for index, (symbol, _) in enumerate(self.symbols) if symbol in symbols]
        return type(self)(self.symbols, self.rows[np.isin(self.rows[:, 0], wanted)])

    def where(self, is_kept: Callable[[Bar], bool]) -> Self:
        """Return the bars that `is_kept` is true for."""
        kept = np.fromiter((is_kept(bar) for chunk in self.chunks() for bar in chunk), np.bool_, len(self))
        return type(self)(self.symbols, self.rows[kept])

    def ordered(self, keys: Sequence[tuple[int, datetime, str]]) -> Self:
        """Return the bars in the order of their `keys`."""
        return type(self)(self.symbols, self.rows[sorted(range(len(self)), key=keys.__getitem__)])

    def _bar(self, row: list[float]) -> Bar:
        index, time, open_, high, low, close, volume, simulated = row
        symbol, interval = self.symbols[int(index)]
        at = datetime.fromtimestamp(time, UTC)
        return Bar(symbol, at, open_, high, low, close, volume, simulated=bool(simulated), interval=interval)


class _Building:
    def __init__(self) -> None:
        self._indexes: dict[tuple[str, timedelta], int] = {}
        self._values = array("d")

    def add(self, bars: Iterable[Bar]) -> None:
        for bar in bars:
            index = self._indexes.setdefault((bar.symbol, bar.interval), len(self._indexes))
            prices = bar.open, bar.high, bar.low, bar.close
            self._values.extend((index, bar.time.timestamp(), *prices, bar.volume, bar.simulated))

    def result(self) -> tuple[tuple[tuple[str, timedelta], ...], FloatArray]:
        rows = np.frombuffer(self._values).reshape(-1, _WIDTH)
        if len(rows) and (np.diff(rows[:, _TIME]) < 0.0).any():
            rows = rows[np.argsort(rows[:, _TIME], kind="stable")]
        return tuple(self._indexes), rows
