"""A PostgreSQL server as a user may run it: on a TCP port, with a password, not started by the service."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from tradingsignals_server.adapters.postgres.embedded.programs import programs_for
from tradingsignals_server.adapters.postgres.embedded.unprivileged import HERE, UnixAccount
from tradingsignals_server.adapters.processes.children import die_with_parent

from .deadlines import within
from .ports import free_ports

USER = "desk"
PASSWORD = "p@ss/w:rd %20"  # noqa: S105 - made up, and made to be misread in a URL
_READY = b"database system is ready to accept connections"


@dataclass(frozen=True, slots=True)
class _Installation:
    """The folder of a cluster, its programs, and their user, because PostgreSQL refuses to run as root."""

    folder: Path
    account: UnixAccount | None
    programs: Path

    def in_the_child(self) -> Callable[[], None]:
        become = None if self.account is None else self.account.become()
        die = die_with_parent(signal.SIGKILL)

        def prepare() -> None:
            if become is not None:
                become()
            die()

        return prepare


class PostgresServer:
    """A server that can be stopped and started on the same port."""

    def __init__(self, installation: _Installation, port: int) -> None:
        self.port = port
        self._installation = installation
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """The settings with which the service connects to it, except the database."""
        return {
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": PASSWORD,
        }

    def url(self, database: str) -> str:
        """The URL of a database of the server."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "io_method": "sync",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = process = await asyncio.create_subprocess_exec(
            self._installation.programs / "postgres",
            *["-D", str(HERE), *options],
            cwd=self._installation.folder,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=self._installation.in_the_child(),
        )
        ready = asyncio.Event()
        self._reader = asyncio.create_task(_read(process, ready))
        await within(ready.wait())

    async def stop(self) -> None:
        """Close all connections and stop."""
        if self._process is not None and self._reader is not None:
            self._process.send_signal(signal.SIGINT)
            await within(self._reader)
            await within(self._process.wait())
            self._process = None

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Stop the server for the duration of the context."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()


async def _read(process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        if _READY in line:
            ready.set()


@asynccontextmanager
async def postgres_server(folder: Path) -> AsyncIterator[PostgresServer]:
    """Create a server in `folder` that requires the user and password above."""
    cluster = folder / "cluster"
    cluster.mkdir(parents=True)
    account = UnixAccount.to_own(cluster)
    if account is not None:
        shutil.chown(cluster, account.uid, account.gid)
    with programs_for(account, f"test-{uuid4()}") as programs:
        installation = _Installation(cluster, account, programs)
        await asyncio.to_thread(_initdb, installation)
        server = PostgresServer(installation, *free_ports(1))
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


def _initdb(installation: _Installation) -> None:
    with tempfile.NamedTemporaryFile("w") as password:
        password.write(PASSWORD)
        password.flush()
        if installation.account is not None:
            os.fchown(password.fileno(), installation.account.uid, installation.account.gid)
        options = ["-U", USER, "--pwfile", password.name, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [installation.programs / "initdb", "-D", HERE, "--no-sync", *options],
            cwd=installation.folder,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            check=True,
            capture_output=True,
            preexec_fn=installation.in_the_child(),
        )
