"""The newest session bars of a symbol, as arrays for the indicators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self

import numpy as np
import numpy.typing as npt

from .bars import Bar
from .values import dataclass

FloatArray = npt.NDArray[np.float64]

LOOKBACK_BARS = 100
"""Bars that a live decision uses. The decision is a pure function of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive session bars of one symbol, the oldest first. Immutable.

    `prices` has shape (4, n), float64, C-contiguous: open, high, low and close, so that TA-Lib can use each row without
    a copy. `time` is the open of the newest bar (UTC), None if there is no bar.
    """

    prices: FloatArray
    time: datetime | None

    @classmethod
    def empty(cls) -> Self:
        """Return a window without bars."""
        return cls(np.empty((4, 0)), None)

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> Self:
        """Return a window of exactly `bars`, which are ordered oldest first."""
        if not bars:
            return cls.empty()
        rows = np.array([(b.open, b.high, b.low, b.close) for b in bars], dtype=np.float64)
        return cls(np.ascontiguousarray(rows.T), bars[-1].time)

    def append(self, bar: Bar, limit: int = LOOKBACK_BARS) -> Self:
        """Return this window with `bar` appended, cut to the newest `limit` bars."""
        return type(self)(self._extended((bar.open, bar.high, bar.low, bar.close), limit), bar.time)

    def with_unfinished(self, prices: tuple[float, float, float, float], limit: int = LOOKBACK_BARS) -> Self:
        """Return this window with the (open, high, low, close) of a bar that has not closed, cut to `limit` bars.

        `time` remains the open of the newest closed bar.
        """
        return type(self)(self._extended(prices, limit), self.time)

    def newest(self, bars: int) -> Self:
        """Return a window of the newest `bars` bars, or of all of them if there are fewer."""
        if bars >= len(self):
            return self
        return type(self)(np.ascontiguousarray(self.prices[:, -bars:]), self.time)

    def _extended(self, prices: tuple[float, float, float, float], limit: int) -> FloatArray:
        keep = min(len(self), limit - 1)
        extended = np.empty((4, keep + 1))
        if keep:
            extended[:, :keep] = self.prices[:, -keep:]
        extended[:, keep] = prices
        return extended

    def __len__(self) -> int:
        return int(self.prices.shape[1])

    @property
    def high(self) -> FloatArray:
        """Highs, oldest first, shape (n,)."""
        row: FloatArray = self.prices[1]
        return row

    @property
    def low(self) -> FloatArray:
        """Lows, oldest first, shape (n,)."""
        row: FloatArray = self.prices[2]
        return row

    @property
    def close(self) -> FloatArray:
        """Closes, oldest first, shape (n,)."""
        row: FloatArray = self.prices[3]
        return row
