"""Services to put under a fault: their database, their process, and the address of each."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tradingsignals_server.adapters.postgres.embedded.running import EmbeddedPostgres, running_postgres

from ..processes import ROOT, free_port, running, until_healthy

_RUN = """
import os, sys
os.environ.pop("LD_PRELOAD", None)
from tradingsignals_server.__main__ import main
sys.argv[0] = "tradingsignals"
sys.exit(main())
"""
CLI = ("-c", _RUN)
"""Arguments of Python for the command `tradingsignals`. Envoy, its child, does not run with a clock of its own."""

SETTINGS = {
    "FEED": "push",
    "LOG_LEVEL": "WARNING",
    "MODEL_PATH": "placeholder",
    "SESSION_CALENDAR": "always",
    "MAX_BAR_AGE": "0",
}
"""Bars come faster than the market, at any hour, and the policy is the quickest one."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A running service. dsn: address of its database. metrics: addresses of its servers' metrics; edge_metrics: of
    Envoy's."""

    folder: Path
    address: str
    dsn: str
    process: asyncio.subprocess.Process
    metrics: Sequence[str]
    edge_metrics: str


@asynccontextmanager
async def running_service(folder: Path, dsn: str, *arguments: str, settings: Mapping[str, str]) -> AsyncIterator[Setup]:
    """Run `tradingsignals up` with its data and its log in `folder`; `settings` name the database at `dsn`."""
    port, metrics, edge = free_port(), free_port(), free_port()
    servers = int(arguments[1]) if "--servers" in arguments else 1
    environment = {
        **SETTINGS,
        "SIGNAL_SERVICE_PORT": str(port),
        "GRPC_PORT": "0",
        "FANOUT_PORT": "0" if servers > 1 else str(free_port()),
        "METRICS_PORT": str(metrics),
        "EDGE_METRICS_PORT": str(edge),
        "DATA_DIR": str(folder / "service"),
        **settings,
    }
    command = (*CLI, "up", *arguments)
    async with running(command, folder=ROOT, log=folder / "service.log", environment=environment) as process:
        await until_healthy(process, port)
        addresses = [f"127.0.0.1:{metrics + number}" for number in range(servers)]
        yield Setup(folder, f"127.0.0.1:{port}", dsn, process, addresses, f"127.0.0.1:{edge}")


class OwnDatabase:
    """The embedded PostgreSQL, run by this process, which can be kept from running."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path) -> None:
        self.dsn = postgres.dsn
        self.settings = {"POSTGRES_HOST": str(postgres.socket_dir), "POSTGRES_DB": "faults"}
        self._postgres = postgres
        self._file = folder / "postgres" / "postgresql.auto.conf"

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Kill it, and keep it from starting until the end of the context."""
        restarts, sound = self._postgres.restarts, self._file.read_text()
        self._file.write_text("work_mem = 'much'\n")
        try:
            os.kill(self._postgres.pid, signal.SIGKILL)
            yield
        finally:
            self._file.write_text(sound)
        await self._postgres.wait_for_restart(restarts + 1)


@asynccontextmanager
async def own_database(folder: Path) -> AsyncIterator[OwnDatabase]:
    """Run an empty database in `folder`."""
    async with running_postgres(folder / "database", "faults") as postgres:
        yield OwnDatabase(postgres, folder / "database")


@asynccontextmanager
async def on_own_database(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Setup, OwnDatabase]]:
    """Run a service and its database."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(own_database(folder))
        setup = await stack.enter_async_context(
            running_service(folder, database.dsn, *arguments, settings={**database.settings, **(settings or {})})
        )
        yield setup, database


def descendants(pid: int, name: str) -> list[int]:
    """Return the ids of the processes below `pid` whose program's name begins with `name`."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                before, _, after = (entry / "stat").read_text().rpartition(") ")
                names[int(entry.name)] = before.partition(" (")[2]
                parents[int(entry.name)] = int(after.split()[1])

    def is_below(child: int) -> bool:
        while child in parents and child != pid:
            child = parents[child]
        return child == pid

    return sorted(each for each, called in names.items() if called.startswith(name) and each != pid and is_below(each))
