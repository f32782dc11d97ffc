"""Counters and histograms of prometheus_client, and the families that gauges are read into, by their definitions."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from .definitions import MetricDefinition, MetricKind

# The time at which each counter began would double the series.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it lacks annotations

Family = CounterMetricFamily | GaugeMetricFamily


def counter(of: MetricDefinition, registry: CollectorRegistry) -> Counter:
    """Make a counter."""
    return Counter(of.name, of.help, of.labels, registry=registry)


def histogram(of: MetricDefinition, registry: CollectorRegistry) -> Histogram:
    """Make a histogram."""
    return Histogram(of.name, of.help, of.labels, buckets=of.buckets, registry=registry)


def family(of: MetricDefinition, *values: float | None) -> Family:
    """Make a family with the value of a metric without labels; without a sample if the value is None."""
    return labelled(of, (((), value) for value in values if value is not None))


def labelled(of: MetricDefinition, values: Iterable[tuple[Iterable[str], float]]) -> Family:
    """Make a family with a value for each combination of labels."""
    kind = CounterMetricFamily if of.kind is MetricKind.COUNTER else GaugeMetricFamily
    made = kind(of.name, of.help, labels=of.labels)
    for labels, value in values:
        made.add_metric(list(labels), value)
    return made
