"""Writes `docs/metrics.md` from the table of metrics; see `docs.generate`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tradingsignals_server.adapters.metrics.definitions import METRICS, MetricDefinition

METRICS_PAGE = Path(__file__).resolve().parent / "metrics.md"


def metrics_page() -> str:
    """Return the page as Markdown: a table for each group."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "Written by `make generate` from `adapters/metrics/definitions.py`. How to scrape them, and what to watch:"
    yield "[observability.md](observability.md). Beside them there are those of prometheus_client about the process"
    yield "(`process_*`, `python_*`)."
    yield ""
    for group, metrics in groupby(METRICS.values(), key=lambda metric: metric.group):
        yield f"## {group.value}\n"
        yield "| metric | type | labels | meaning |"
        yield "|---|---|---|---|"
        yield from map(_row, metrics)
        yield ""


def _row(metric: MetricDefinition) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    meaning = metric.help
    if metric.buckets:
        meaning += f" Buckets up to {', '.join(f'{bucket:g}' for bucket in metric.buckets)} s."
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {meaning} |"
