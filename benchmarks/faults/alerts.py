"""A Prometheus with the alerts that are shipped, if one is installed: which of them a fault sets off."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.support.prometheus import RULES, RunningPrometheus, prometheus

from .setups import Setup

_FIRED = 'count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1h]))'


class Alerts:
    """The alerts of a service; none ever fires where Prometheus is not installed."""

    def __init__(self, prometheus: RunningPrometheus | None) -> None:
        self._prometheus = prometheus

    async def fired(self) -> Sequence[str]:
        """Return the names of the alerts that have fired."""
        if self._prometheus is None:
            return []
        return sorted(series["metric"]["alertname"] for series in await self._prometheus.query(_FIRED))


@asynccontextmanager
async def watching_alerts(setup: Setup) -> AsyncIterator[Alerts]:
    """Run a Prometheus that scrapes the service every second, and judges its alerts as often."""
    if shutil.which("prometheus") is None:
        yield Alerts(None)
        return
    place = setup.folder / "prometheus"
    place.mkdir()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "tradingsignals", "static_configs": [{"targets": list(setup.metrics)}]},
            {
                "job_name": "tradingsignals-edge",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [setup.edge_metrics]}],
            },
        ],
    }
    async with prometheus(place, config) as running:
        yield Alerts(running)
