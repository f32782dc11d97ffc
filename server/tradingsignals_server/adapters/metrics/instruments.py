"""Counters and histograms, and the families of prometheus_client that they and gauges are read into.

All of them are changed and read on the event loop only. So they need no locks, which would cost several times as much
as the addition itself, for every bar and call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from .definitions import MetricDefinition, MetricKind

Labels = tuple[str, ...]


class LoopCounter:
    """A counter, by the values of its labels."""

    def __init__(self, of: MetricDefinition, known: Iterable[Labels] = ()) -> None:
        """Begin at zero for labels that are `known`, and for a counter without labels."""
        self._of = of
        self._values: dict[Labels, float] = dict.fromkeys(known if of.labels else [()], 0.0)

    def add(self, amount: float = 1.0, *labels: str) -> None:
        """Add an amount."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def read(self) -> Metric:
        """Return the present values."""
        return labelled(self._of, self._values.items())


class _Observations:
    """The observations of one combination of labels."""

    __slots__ = ("counts", "sum")

    def __init__(self, bounds: int) -> None:
        self.counts = [0] * (bounds + 1)
        self.sum = 0.0


class LoopHistogram:
    """A histogram, by the values of its labels."""

    def __init__(self, of: MetricDefinition) -> None:
        self._of = of
        self._bounds = of.buckets
        self._observed: dict[Labels, _Observations] = {} if of.labels else {(): _Observations(len(of.buckets))}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        observed = self._observed.get(labels)
        if observed is None:
            observed = self._observed[labels] = _Observations(len(self._bounds))
        observed.counts[bisect_left(self._bounds, value)] += 1
        observed.sum += value

    def read(self) -> Metric:
        """Return the present values."""
        family = HistogramMetricFamily(self._of.name, self._of.help, labels=self._of.labels)
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        for labels, observed in self._observed.items():
            buckets = list(zip(bounds, accumulate(observed.counts), strict=True))
            family.add_metric(labels, buckets, observed.sum)
        return family


def family(of: MetricDefinition, *values: float | None) -> Metric:
    """Make a family with the value of a metric without labels; without a sample if the value is None."""
    return labelled(of, (((), value) for value in values if value is not None))


def labelled(of: MetricDefinition, values: Iterable[tuple[Iterable[str], float]]) -> Metric:
    """Make a family with a value for each combination of labels."""
    kind = CounterMetricFamily if of.kind is MetricKind.COUNTER else GaugeMetricFamily
    made = kind(of.name, of.help, labels=of.labels)
    for labels, value in values:
        made.add_metric(list(labels), value)
    return made
