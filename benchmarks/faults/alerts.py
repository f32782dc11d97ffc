"""A Prometheus with the alerts that are shipped, if one is installed: which of them a fault sets off."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx

from tradingsignals_server.adapters.processes.children import die_with_parent

from ..processes import ROOT, free_port
from .setups import Setup

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
_FIRED = 'count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1h]))'
_READY_S = 30.0


class Alerts:
    """The alerts of a service; none ever fires where Prometheus is not installed."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    async def fired(self) -> Sequence[str]:
        """Return the names of the alerts that have fired."""
        if self._url is None:
            return []
        async with httpx.AsyncClient(timeout=10.0) as rest:
            found = (await rest.get(f"{self._url}/api/v1/query", params={"query": _FIRED})).json()
        return sorted(series["metric"]["alertname"] for series in found["data"]["result"])


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
    (place / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address={address}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    try:
        async with asyncio.timeout(_READY_S), httpx.AsyncClient(base_url=f"http://{address}") as rest:
            while not await _is_ready(rest):  # noqa: ASYNC110 - it gives no sign
                await asyncio.sleep(0.1)
        yield Alerts(f"http://{address}")
    finally:
        process.kill()
        await process.wait()


async def _is_ready(rest: httpx.AsyncClient) -> bool:
    with suppress(httpx.HTTPError):
        return (await rest.get("/-/ready")).status_code == httpx.codes.OK
    return False
