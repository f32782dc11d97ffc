"""Drawdowns of the equity from its peak, with their dates."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from ..values import dataclass
from .equity import EquityCurve
from .figures import Figure


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A time in which the equity was below its peak.

    peak_time: when it last was at the peak. trough_time: when it was lowest, the first time of equals.
    recovery_time: when it was at the peak again, None if it has not been. last_time: that, or the end of the curve.
    peak, trough: equity at these times, in account currency.
    """

    peak_time: datetime
    trough_time: datetime
    recovery_time: datetime | None
    last_time: datetime
    peak: float
    trough: float

    @property
    def depth(self) -> float:
        """Loss from peak to trough in account currency, > 0."""
        return self.peak - self.trough

    @property
    def depth_pct(self) -> float:
        """Loss from peak to trough, in percent of the peak, > 0."""
        return 100.0 * self.depth / self.peak

    @property
    def duration(self) -> timedelta:
        """Calendar time from the peak to the recovery; to the end of the curve if it has not recovered."""
        return self.last_time - self.peak_time

    @property
    def recovery(self) -> timedelta | None:
        """Calendar time from the trough to the recovery; None if it has not recovered."""
        return None if self.recovery_time is None else self.recovery_time - self.trough_time


def drawdowns_of(curve: EquityCurve) -> tuple[Drawdown, ...]:
    """Return all drawdowns of the curve by bar, in the order of time. The initial equity is the first peak."""
    times = (curve.started, *curve.times)
    equity = np.array((curve.initial_equity, *curve.equity))
    peaks = np.maximum.accumulate(equity)
    below = np.concatenate(([0], (equity < peaks).astype(np.int8), [0]))
    changes = np.diff(below)
    found = []
    for first, end in zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True):
        trough = int(first + equity[first:end].argmin())
        recovered = times[end] if end < len(times) else None
        found.append(
            Drawdown(
                peak_time=times[first - 1],
                trough_time=times[trough],
                recovery_time=recovered,
                last_time=recovered or times[-1],
                peak=float(peaks[first]),
                trough=float(equity[trough]),
            )
        )
    return tuple(found)


def deepest(drawdowns: tuple[Drawdown, ...]) -> Drawdown | None:
    """Return the drawdown of the largest share of its peak, the earlier of equals; None if there is none."""
    return max(drawdowns, key=lambda drawdown: drawdown.depth_pct, default=None)


def drawdown_figures(curve: EquityCurve, drawdowns: tuple[Drawdown, ...]) -> dict[str, Figure]:
    """Return depth and duration of the drawdowns by bar: 0 without a drawdown, undefined without a bar."""
    bars = len(curve.times)
    if not bars:
        return {name: Figure(None, 0) for name in _NAMES}
    worst = deepest(drawdowns)
    levels = np.array((curve.initial_equity, *curve.equity))
    below = int((levels < np.maximum.accumulate(levels)).sum())
    longest = max((drawdown.duration for drawdown in drawdowns), default=timedelta())
    recovery = timedelta() if worst is None else worst.recovery
    values = (
        0.0 if worst is None else worst.depth_pct,
        max((drawdown.depth for drawdown in drawdowns), default=0.0),
        longest / timedelta(days=1),
        None if recovery is None else recovery / timedelta(days=1),
        100.0 * below / bars,
    )
    return {name: Figure(value, bars) for name, value in zip(_NAMES, values, strict=True)}


_NAMES = (
    "max_drawdown_pct",
    "max_drawdown",
    "longest_drawdown_days",
    "max_drawdown_recovery_days",
    "time_under_water_pct",
)
