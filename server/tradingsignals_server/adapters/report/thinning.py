"""Thin long series without hiding their extremes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

import numpy as np

from ...application.report import PriceBars


def kept_points(values: Sequence[float], limit: int) -> list[int]:
    """Return the indexes of at most `limit` points, ascending: first, last, lowest and highest of equal stretches.

    limit: 4 or more. All indexes if there are no more than that.
    """
    count = len(values)
    if count <= limit:
        return list(range(count))
    kept: set[int] = set()
    first = 0
    for stretch in np.array_split(np.asarray(values), limit // 4):
        kept |= {first, first + len(stretch) - 1, first + int(stretch.argmin()), first + int(stretch.argmax())}
        first += len(stretch)
    return sorted(kept)


def coarser(bars: PriceBars, factor: int) -> PriceBars:
    """Return bars of `factor` times the interval: first open, highest high, lowest low, last close of each.

    They begin at multiples of the new interval since 1970.
    """
    if factor == 1:
        return bars
    width = int(bars.interval.total_seconds()) * factor
    groups = [list(group) for _, group in groupby(range(len(bars.times)), key=lambda at: bars.times[at] // width)]
    return PriceBars(
        bars.symbol,
        timedelta(seconds=width),
        tuple(bars.times[group[0]] // width * width for group in groups),
        tuple(bars.open[group[0]] for group in groups),
        tuple(max(bars.high[at] for at in group) for group in groups),
        tuple(min(bars.low[at] for at in group) for group in groups),
        tuple(bars.close[group[-1]] for group in groups),
    )
