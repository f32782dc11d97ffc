"""The services under measurement: `tradingsignals up`, and the older design, on one PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tradingsignals
from tradingsignals_server.adapters.postgres.embedded.running import running_postgres
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.domain.bars import Bar

from .cpu import Processes
from .models import make_lstm
from .processes import ROOT, accepts, free_port, running, until_healthy

CLI = ("-m", "tradingsignals_server")
"""Arguments of Python for the command `tradingsignals`."""

VOLATILE, DURABLE = "older design, volatile", "older design, durable"
"""Variants of the older design, as they are named in figures."""


@dataclass(frozen=True, slots=True)
class Database:
    """The PostgreSQL of the measured services. Its data is in `folder`."""

    folder: Path
    socket_folder: Path
    name: str
    dsn: str
    pid: int


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: the public port, the port of the gRPC server behind it, its process and its log.

    fanout_port: the port of the fan-out server behind the edge; `grpc_port` in a version that has none.
    processes: the service with Envoy and PostgreSQL.
    """

    rest_port: int
    grpc_port: int
    fanout_port: int
    pid: int
    log: Path
    processes: Processes

    async def publish(self, bars: Sequence[Bar], *, by_edge: bool = False, api_key: str | None = None) -> None:
        """Publish `bars` before the measurement."""
        port = self.rest_port if by_edge else self.grpc_port
        async with tradingsignals.connect(f"127.0.0.1:{port}", timeout=60.0, api_key=api_key) as client:
            response = await client.publish_bars([bar_message(bar) for bar in bars])
        if response.rejected or response.duplicates:
            raise RuntimeError(f"bars were not accepted: {response}")


@dataclass(frozen=True, slots=True)
class Peer:
    """A variant of the older design, running."""

    port: int
    pid: int
    processes: Processes


@contextmanager
def working_folder() -> Iterator[Path]:
    """A temporary folder. PostgreSQL, which does not run as root, must be able to traverse it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@asynccontextmanager
async def running_database() -> AsyncIterator[Database]:
    """An empty database of the embedded PostgreSQL."""
    with working_folder() as folder:
        async with running_postgres(folder / "postgres", "benchmark") as postgres:
            yield Database(folder, postgres.socket_dir, "benchmark", postgres.dsn, postgres.pid)


@asynccontextmanager
async def running_service(
    database: Database, python: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """The service that is installed for `python`, on `database`, with all settings at their defaults except for ports,
    feed and model, and for `settings`."""
    rest_port, grpc_port, fanout_port, log = free_port(), free_port(), free_port(), database.folder / "service.log"
    environment = {
        "SIGNAL_SERVICE_PORT": str(rest_port),
        # More than one server uses the ports after the first one too, so they choose free ones.
        "GRPC_PORT": "0" if "--servers" in arguments else str(grpc_port),
        "FANOUT_PORT": str(fanout_port),
        "METRICS_PORT": "0",
        "EDGE_METRICS_PORT": "0",
        "LEAN_PORT": str(fanout_port),  # its name in older versions
        "DATA_DIR": str(database.folder / "data"),
        "POSTGRES_HOST": str(database.socket_folder),
        "POSTGRES_DB": database.name,
        "MODEL_PATH": str(make_lstm(database.folder / "lstm.onnx")),
        "FEED": "push",
        **(settings or {}),
    }
    command = (*CLI, "up", *arguments)
    async with running(command, folder=database.folder, log=log, environment=environment, python=python) as process:
        await until_healthy(process, rest_port)
        if not await accepts(fanout_port):
            fanout_port = grpc_port
        processes = Processes(process.pid, database.pid)
        yield Service(rest_port, grpc_port, fanout_port, process.pid, log, processes)


@asynccontextmanager
async def running_peers(database: Database, python: Path | None) -> AsyncIterator[Mapping[str, Peer]]:
    """Both variants of the older design by name, with a model of the same kind; none without a Python for them."""
    peers: dict[str, Peer] = {}
    if python is None:
        yield peers
        return
    async with AsyncExitStack() as stack:
        for name, variant in {VOLATILE: "volatile", DURABLE: "durable"}.items():
            port, log = free_port(), database.folder / f"peer-{variant}.log"
            model = make_lstm(database.folder / "peer.onnx")
            command = ("-m", "benchmarks.peer", str(port), str(model), database.dsn, variant)
            process = await stack.enter_async_context(running(command, folder=ROOT, log=log, python=python))
            await until_healthy(process, port)
            peers[name] = Peer(port, process.pid, Processes(process.pid, database.pid))
        yield peers
