"""A figure: a value that may be undefined, the number of cases it is of, and the interval of an estimate."""

from __future__ import annotations

import math

from ..values import dataclass


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """Bounds that hold the true value in 95% of samples, by bootstrap over sessions."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One statistic.

    value: None if it is undefined; never 0 for unknown. n: the number of cases that its denominator counts.
    interval: None if the figure is no estimate, or the sessions do not give one.
    """

    value: float | None
    n: int
    interval: ConfidenceInterval | None = None


def defined(value: float) -> float | None:
    """Return the value as a float, None if it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None
