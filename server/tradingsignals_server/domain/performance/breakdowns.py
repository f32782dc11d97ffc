"""Figures of trades in groups: by symbol, model version, action, origin, resolution, confidence, and time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC
from enum import StrEnum

import numpy as np

from ..values import dataclass
from .bootstrap import MIN_SESSIONS
from .figures import Figure
from .results import result_figures, session_sums, trade_terms
from .trades import FloatArray, Trade, TradeColumns

CONFIDENCE_BINS = 20
"""Bins of equal width over 0..1; a bound belongs to the bin above it, 1 to the last."""

GroupKey = tuple[int, str]
"""The place of a group in the order of groups, and its name."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Dimension(StrEnum):
    """What trades are grouped by.

    HOUR is that of the entry, in UTC; WEEKDAY and MONTH are those of the session's day; CONFIDENCE has bins of 0.05.
    """

    SYMBOL = "SYMBOL"
    MODEL_VERSION = "MODEL_VERSION"
    ACTION = "ACTION"
    ORIGIN = "ORIGIN"
    RESOLUTION = "RESOLUTION"
    CONFIDENCE = "CONFIDENCE"
    HOUR = "HOUR"
    WEEKDAY = "WEEKDAY"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The figures of the trades of one group, by name: those of `results.result_figures`.

    key: the group, such as USDCOP, 0.65-0.70, 14 (hour), Monday or 2025-06.
    """

    dimension: Dimension
    key: str
    figures: dict[str, Figure]


def breakdowns_of(
    trades: tuple[Trade, ...],
    columns: TradeColumns,
    weights: FloatArray,
    dimensions: Sequence[Dimension] = tuple(Dimension),
    most_groups: int | None = None,
) -> tuple[Breakdown, ...]:
    """Return the groups that have trades, dimension by dimension, each in the order of its keys.

    Args:
        trades: in any order.
        columns: the same trades in the same order.
        weights: how often each resample drew each session, shape (resamples, sessions).
        dimensions: what to group by.
        most_groups: of one dimension; of more groups those with the most trades are returned. None: all.
    """
    terms, sessions = trade_terms(columns), len(columns.session_days)
    found = []
    for dimension in dimensions:
        for (_, key), members in _groups(trades, dimension, most_groups):
            chosen = np.array(members)
            session = columns.session[chosen]
            enough = len(np.unique(session)) >= MIN_SESSIONS
            sums = session_sums(terms[chosen], session, sessions)
            found.append(Breakdown(dimension, key, result_figures(sums, weights if enough else weights[:0])))
    return tuple(found)


def _groups(
    trades: tuple[Trade, ...], dimension: Dimension, most_groups: int | None
) -> list[tuple[GroupKey, list[int]]]:
    """Return the indices of the trades of each group, in the order of the keys."""
    groups: defaultdict[GroupKey, list[int]] = defaultdict(list)
    key_of = _KEYS[dimension]
    for at, trade in enumerate(trades):
        groups[key_of(trade)].append(at)
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return sorted(largest[:most_groups])


def _by_confidence(trade: Trade) -> GroupKey:
    at = confidence_bin(trade.confidence)
    return at, f"{at / CONFIDENCE_BINS:.2f}-{(at + 1) / CONFIDENCE_BINS:.2f}"


def _by_hour(trade: Trade) -> GroupKey:
    hour = trade.entry_time.astimezone(UTC).hour
    return hour, f"{hour:02d}"


def _by_weekday(trade: Trade) -> GroupKey:
    day = trade.session_day.weekday()
    return day, _WEEKDAYS[day]


def confidence_bin(confidence: float) -> int:
    """Return the bin of a confidence: a bound that rounding moves a little belongs to the bin above all the same."""
    return min(int(confidence * CONFIDENCE_BINS + 1e-9), CONFIDENCE_BINS - 1)


_KEYS: dict[Dimension, Callable[[Trade], GroupKey]] = {
    Dimension.SYMBOL: lambda trade: (0, trade.symbol),
    Dimension.MODEL_VERSION: lambda trade: (0, trade.model_version),
    Dimension.ACTION: lambda trade: (0, str(trade.action)),
    Dimension.ORIGIN: lambda trade: (0, str(trade.origin)),
    Dimension.RESOLUTION: lambda trade: (0, trade.resolution),
    Dimension.CONFIDENCE: _by_confidence,
    Dimension.HOUR: _by_hour,
    Dimension.WEEKDAY: _by_weekday,
    Dimension.MONTH: lambda trade: (0, trade.session_day.isoformat()[:7]),
}
