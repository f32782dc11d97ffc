"""The table of metrics keeps to the conventions of Prometheus."""

from __future__ import annotations

import re

import pytest

from tradingsignals_server.adapters.metrics.definitions import METRICS, MetricDefinition, MetricKind

ALL = [pytest.param(metric, id=name) for name, metric in METRICS.items()]
UNITS = ("seconds", "entries", "ratio", "info", "total")


@pytest.mark.parametrize("metric", ALL)
def test_name_is_in_the_form_of_prometheus(metric: MetricDefinition) -> None:
    assert re.fullmatch(r"tradingsignals_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
    assert not re.search(r"_(ms|millis|minutes|percent|pct|kb|mb)(_|$)", metric.name), "a unit that is no base unit"
    if metric.kind is MetricKind.HISTOGRAM:
        assert metric.name.endswith("_seconds")
        assert list(metric.buckets) == sorted(metric.buckets)


@pytest.mark.parametrize("metric", ALL)
def test_help_is_a_sentence(metric: MetricDefinition) -> None:
    assert re.match(r"[A-Z1]", metric.help)
    assert metric.help.endswith(".")
    assert "|" not in metric.help, "it would end the cell of the table"
    assert all(re.fullmatch(r"[a-z]+", label) for label in metric.labels)
