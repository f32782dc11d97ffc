"""The services under measurement: `tradingsignals up`, and the older design, on one PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tradingsignals
from tradingsignals_server.adapters.postgres.embedded import running_postgres
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.config import Settings
from tradingsignals_server.domain.bars import Bar

from .models import make_lstm
from .processes import ROOT, free_port, running, until_healthy

CLI = ("-m", "tradingsignals_server")
"""The command `tradingsignals`, with the Python that runs the benchmarks."""

FANOUT_SETTINGS = ("FANOUT_PORT", "LEAN_PORT")
"""Names of the setting: the newer one, and that of older trees."""


@dataclass(frozen=True, slots=True)
class Database:
    """The PostgreSQL of the measured services. Its data is in `folder`."""

    folder: Path
    socket_folder: Path
    name: str
    dsn: str


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: the public port, the port of the gRPC server behind it, its process and its log.

    fanout_port: the port behind the edge that streams are followed on; `grpc_port` unless they have one of their own.
    """

    rest_port: int
    grpc_port: int
    fanout_port: int
    pid: int
    log: Path

    async def publish(self, bars: Sequence[Bar], *, by_edge: bool = False) -> None:
        """Publish `bars` before the measurement."""
        port = self.rest_port if by_edge else self.grpc_port
        async with tradingsignals.connect(f"127.0.0.1:{port}", timeout=60.0) as client:
            response = await client.publish_bars([bar_message(bar) for bar in bars])
        if response.rejected or response.duplicates:
            raise RuntimeError(f"bars were not accepted: {response}")


@dataclass(frozen=True, slots=True)
class Peer:
    """The older design, running."""

    port: int
    pid: int


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
            yield Database(folder, postgres.socket_dir, "benchmark", postgres.dsn)


@asynccontextmanager
async def running_service(
    database: Database, *arguments: str, model: Path | None = None, feed: str = "push"
) -> AsyncIterator[Service]:
    """The service on `database`, with all settings at their defaults except for ports, feed and model."""
    rest_port, grpc_port, log = free_port(), free_port(), database.folder / "service.log"
    fanout_setting = next((name for name in FANOUT_SETTINGS if name.lower() in Settings.model_fields), None)
    fanout_port = grpc_port if fanout_setting is None else free_port()
    environment = {
        "SIGNAL_SERVICE_PORT": str(rest_port),
        # More than one server uses the ports after the first one too, so they choose free ones.
        "GRPC_PORT": "0" if "--servers" in arguments else str(grpc_port),
        **({} if fanout_setting is None else {fanout_setting: str(fanout_port)}),
        "DATA_DIR": str(database.folder / "data"),
        "POSTGRES_HOST": str(database.socket_folder),
        "POSTGRES_DB": database.name,
        "MODEL_PATH": str(model or make_lstm(database.folder / "lstm.onnx")),
        "FEED": feed,
    }
    command = (*CLI, "up", *arguments)
    async with running(command, folder=database.folder, log=log, environment=environment) as process:
        await until_healthy(process, rest_port)
        yield Service(rest_port, grpc_port, fanout_port, process.pid, log)


@asynccontextmanager
async def running_peer(database: Database, python: Path | None) -> AsyncIterator[Peer | None]:
    """The older design, with a model of the same kind; None without a Python for it."""
    if python is None:
        yield None
        return
    port, log = free_port(), database.folder / "peer.log"
    model = make_lstm(database.folder / "peer.onnx")
    command = ("-m", "benchmarks.peer", str(port), str(model), database.dsn)
    async with running(command, folder=ROOT, log=log, python=python) as process:
        await until_healthy(process, port)
        yield Peer(port, process.pid)
