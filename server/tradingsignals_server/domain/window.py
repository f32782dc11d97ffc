"""The newest session bars of a symbol, as arrays for the indicators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

import numpy as np
import numpy.typing as npt

from .bars import Bar
from .intervals import DEFAULT_INTERVAL
from .values import dataclass

FloatArray = npt.NDArray[np.float64]

LOOKBACK_BARS = 100
"""Bars that the indicators of a live decision use. They are a pure function of these bars."""

Quoted = tuple[float, float, float, float, float]
"""Open, high, low, close and volume of a bar that has not closed."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive session bars of one symbol, the oldest first. Immutable.

    `rows` has shape (6, n), float64, C-contiguous: open, high, low, close, volume, and the time of the open in seconds
    since 1970, so that TA-Lib can use each row without a copy. `time` is the open of the newest bar (UTC), None without
    a bar. `limit` is the number of bars that `append` keeps.
    """

    rows: FloatArray
    time: datetime | None
    limit: int = LOOKBACK_BARS

    @classmethod
    def empty(cls, limit: int = LOOKBACK_BARS) -> Self:
        """Return a window without bars."""
        return cls(np.empty((6, 0)), None, limit)

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> Self:
        """Return a window of exactly `bars`, which are ordered oldest first."""
        if not bars:
            return cls.empty()
        rows = np.array([(b.open, b.high, b.low, b.close, b.volume, b.time.timestamp()) for b in bars])
        return cls(np.ascontiguousarray(rows.T), bars[-1].time, len(bars))

    def append(self, bar: Bar) -> Self:
        """Return this window with `bar` appended, cut to the newest `limit` bars."""
        added = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.time.timestamp())
        return type(self)(self._extended(added), bar.time, self.limit)

    def with_unfinished(self, quoted: Quoted, interval: timedelta = DEFAULT_INTERVAL) -> Self:
        """Return this window with a bar of `interval` that has not closed, cut to `limit` bars.

        `time` remains the open of the newest closed bar; the row of times has the one after it, 0 without a closed bar.
        """
        opened = float(self.rows[5, -1]) + interval.total_seconds() if len(self) else 0.0
        return type(self)(self._extended((*quoted, opened)), self.time, self.limit)

    def newest(self, bars: int) -> Self:
        """Return a window of the newest `bars` bars, or of all of them if there are fewer."""
        if bars >= len(self):
            return self
        return type(self)(np.ascontiguousarray(self.rows[:, -bars:]), self.time, self.limit)

    def _extended(self, added: tuple[float, ...]) -> FloatArray:
        keep = min(len(self), self.limit - 1)
        extended = np.empty((6, keep + 1))
        if keep:
            extended[:, :keep] = self.rows[:, -keep:]
        extended[:, keep] = added
        return extended

    def __len__(self) -> int:
        return int(self.rows.shape[1])

    @property
    def open(self) -> FloatArray:
        """Opens, oldest first, shape (n,)."""
        row: FloatArray = self.rows[0]
        return row

    @property
    def high(self) -> FloatArray:
        """Highs, oldest first, shape (n,)."""
        row: FloatArray = self.rows[1]
        return row

    @property
    def low(self) -> FloatArray:
        """Lows, oldest first, shape (n,)."""
        row: FloatArray = self.rows[2]
        return row

    @property
    def close(self) -> FloatArray:
        """Closes, oldest first, shape (n,)."""
        row: FloatArray = self.rows[3]
        return row

    @property
    def volume(self) -> FloatArray:
        """Volumes, oldest first, shape (n,)."""
        row: FloatArray = self.rows[4]
        return row

    @property
    def times(self) -> FloatArray:
        """Opens in seconds since 1970, oldest first, shape (n,)."""
        row: FloatArray = self.rows[5]
        return row
