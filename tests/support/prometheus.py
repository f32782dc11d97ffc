"""Prometheus as Debian packages it, where it is installed: its checker, and a server that scrapes a service."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tradingsignals_server.adapters.processes.children import die_with_parent

from .deadlines import DEADLINE, within
from .ports import free_ports

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus"
)
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs prometheus: apt-get install prometheus"
)


async def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Run promtool, and return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        "promtool", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await within(process.communicate(), 4 * DEADLINE)
    assert process.returncode is not None
    return process.returncode, output.decode()


class RunningPrometheus:
    """A server that scrapes every second, with the rules that are shipped."""

    def __init__(self, port: int, caller: httpx.AsyncClient) -> None:
        self.port = port
        self._caller = caller

    async def query(self, expression: str) -> Sequence[Mapping[str, Any]]:
        """Return the series of an expression now; AssertionError if it is none."""
        response = await self._caller.get("/api/v1/query", params={"query": expression})
        assert response.status_code == 200, response.text
        found: Sequence[Mapping[str, Any]] = response.json()["data"]["result"]
        return found

    async def until_firing(self, *alerts: str, **labels: str) -> None:
        """Wait until each alert fires, with these labels."""
        for alert in alerts:
            await self.until(_alerts(alertname=alert, alertstate="firing", **labels))

    async def until_clear(self, *alerts: str, **labels: str) -> None:
        """Wait until no alert of these names is active, with these labels."""
        for alert in alerts:
            await self.until(_alerts(alertname=alert, **labels), has_series=False)

    async def until(self, expression: str, *, has_series: bool = True) -> None:
        """Wait until an expression has a series, or has none; it polls, as Prometheus does."""
        found: object = "nothing was asked"
        try:
            async with asyncio.timeout(2 * DEADLINE):
                while bool(found := await self.query(expression)) != has_series:  # noqa: ASYNC110 - no notification
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise AssertionError(f"{expression} is {found}") from error


def _alerts(**labels: str) -> str:
    wanted = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"ALERTS{{{wanted}}}"


@asynccontextmanager
async def running_prometheus(folder: Path, targets: Mapping[str, int]) -> AsyncIterator[RunningPrometheus]:
    """Run a server with its data in `folder`; `targets` are the ports of its jobs.

    Configuration and rules are the shipped ones, with these ports, an interval of a second, and windows of seconds: an
    alert fires once its condition has held for a second, and a rate is that of the last 10.
    """
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    rules = re.sub(r"\bfor: \w+", "for: 1s", re.sub(r"\[\d+[smh]\]", "[10s]", RULES.read_text()))
    (folder / "alerts.yaml").write_text(rules)
    config["rule_files"] = [str(folder / "alerts.yaml")]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    async with prometheus(folder, config) as running:
        yield running


@asynccontextmanager
async def prometheus(folder: Path, config: Mapping[str, object]) -> AsyncIterator[RunningPrometheus]:
    """Run a server by a configuration, with its data in `folder`."""
    (port,) = free_ports(1)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
    base = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=base, timeout=DEADLINE, verify=False) as caller:  # noqa: S501 - no TLS
            await within(_ready(caller, process))
            yield RunningPrometheus(port, caller)
    finally:
        if process.returncode is None:
            process.terminate()
        await within(process.wait())


async def _ready(caller: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    while True:
        assert process.returncode is None, "prometheus ended instead of starting"
        try:
            if (await caller.get("/-/ready")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
