"""Start-up: from the command to the first response of /health.

Measured: seconds from the start of the process `tradingsignals up`, with all settings at their defaults (embedded
PostgreSQL, Envoy, simulated market), until GET /health on the public port returns 200: the first time, when the
database has to be created, and the second, with the data of the first.

How: a new folder for each pair; the port is polled every 5 ms, which is the resolution of the figure. The files of
Python, PostgreSQL and Envoy are in the machine's cache after the first run, unlike on a machine that has just booted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from time import perf_counter

from .measure import Effort, Figure, at_most, in_turn
from .processes import free_port, running, until_healthy
from .service import CLI, working_folder


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    starts = (await in_turn(effort, {"twice": partial(_twice, effort.service_python)}))["twice"]
    yield Figure("first start to /health", "s", [first for first, _ in starts])
    yield Figure("second start to /health", "s", [second for _, second in starts], at_most(3.0))


async def _twice(python: Path) -> tuple[float, float]:
    with working_folder() as folder:
        return await _start(python, folder), await _start(python, folder)


async def _start(python: Path, folder: Path) -> float:
    """Start the service in `folder`, and stop it; return the seconds until it responded."""
    port, log = free_port(), folder / "service.log"
    environment = {
        "SIGNAL_SERVICE_PORT": str(port),
        "GRPC_PORT": str(free_port()),
        "DATA_DIR": str(folder / "data"),
        "FEED": "simulate",
    }
    started = perf_counter()
    async with running((*CLI, "up"), folder=folder, log=log, environment=environment, python=python) as process:
        await until_healthy(process, port)
        return perf_counter() - started
