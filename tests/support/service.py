"""The service as users run it: the installed command, with its own folder and ports."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import httpx

import tradingsignals

from .deadlines import DEADLINE, poll, within
from .ports import free_ports, free_row
from .processes import Process, all_ended, children, descendants

COMMAND = Path(sys.executable).with_name("tradingsignals")
_READY = {"up": "Ctrl-C stops it", "serve": "serving gRPC on"}  # the line that a command prints when it is ready
_SERVER_PORTS = 6  # of up to three servers, which take consecutive ones: two each
_DSN = re.compile(r"psql '(?P<dsn>[^']+)'")


def kept_environment() -> dict[str, str]:
    """Return what a process gets of the environment of the tests: nothing that changes how it works."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}


class RunningService:
    """`tradingsignals up` with its child processes. It can be stopped, killed and started again."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.port, self.fanout_port = free_ports(2)
        self.grpc_port = free_row(_SERVER_PORTS)
        self._arguments = arguments
        self._settings = {
            "SIGNAL_SERVICE_PORT": str(self.port),
            "GRPC_PORT": str(self.grpc_port),
            "FANOUT_PORT": str(self.fanout_port),
            "FEED": "push",
            "LOG_LEVEL": "WARNING",
            "MODEL_PATH": "placeholder",
            "SPREAD": "0",
            "METRICS_PORT": "0",
            "EDGE_METRICS_PORT": "0",
            "SLIPPAGE": "0",
            **settings,
        }
        self._life: _Life | None = None

    # ------------------------------------------------------------------------------------------- where it is

    @property
    def data_dir(self) -> Path:
        """Folder of its data."""
        return self.folder / "data"

    @property
    def address(self) -> str:
        """Address of the public port: REST, gRPC-Web and gRPC."""
        return f"127.0.0.1:{self.port}"

    @property
    def grpc_address(self) -> str:
        """Address of the server, without the edge."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def stream_address(self) -> str:
        """Address of the HTTP/2 server, without the edge."""
        return f"127.0.0.1:{self.fanout_port}"

    @property
    def dsn(self) -> str:
        """URL of the embedded database, from the output of the service."""
        found = _DSN.search(self.log)
        assert found is not None, self.log
        return found["dsn"]

    @property
    def log(self) -> str:
        """Lines that the present process has written to standard error."""
        return "\n".join(self._alive.lines)

    @property
    def pid(self) -> int:
        """Id of the process of the server."""
        return self._alive.process.pid

    def child(self, name: str) -> Process:
        """Return the child process of a name: "envoy", or "postgres" for the postmaster."""
        (found,) = [process for process in children(self.pid) if process.name == name]
        return found

    def processes(self) -> list[Process]:
        """Return all descendants of the server."""
        return descendants(self.pid)

    # ----------------------------------------------------------------------------------------- life and death

    async def start(self) -> None:
        """Start it, or start it again, and wait until it responds.

        Raises:
            AssertionError: it ended instead; the message has its output.
        """
        self._life = await _Life.begin(self.folder, self._arguments, self._settings)
        await within(self._life.is_ready(), 2 * DEADLINE)  # a database is made, and Envoy has a minute

    async def begin(self) -> None:
        """Start it without waiting."""
        self._life = await _Life.begin(self.folder, self._arguments, self._settings)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it by SIGTERM, and return its exit code."""
        self._alive.process.send_signal(how)
        return await self.ended()

    async def restart(self, **settings: str) -> None:
        """Stop it, and start it again with these settings changed."""
        await self.stop()
        self._settings.update(settings)
        await self.start()

    async def press_ctrl_c(self) -> int:
        """Interrupt the whole process group, as a terminal does, and return the exit code."""
        os.killpg(self.pid, signal.SIGINT)
        return await self.ended()

    async def kill(self) -> None:
        """Send SIGKILL to the server; its child processes exit by themselves."""
        orphans = self.processes()
        self._alive.process.kill()
        await self.ended()
        await all_ended(orphans)

    async def kill_everything(self) -> None:
        """Send SIGKILL to all its processes at once, as in a power failure."""
        orphans = self.processes()
        for pid in (self.pid, *(process.pid for process in orphans)):
            with suppress(ProcessLookupError):  # one of PostgreSQL's may just have ended
                os.kill(pid, signal.SIGKILL)
        await self.ended()
        await all_ended(orphans)

    async def ended(self) -> int:
        """Wait until the server has exited, and return its exit code."""
        return await within(self._alive.end())

    async def clear_away(self) -> None:
        """Kill all processes that are still running."""
        if self._life is None or self._life.process.returncode is not None:
            return
        orphans = self.processes()
        try:
            await self.stop()
        except TimeoutError:
            self._alive.process.kill()
            await self.ended()
            raise
        finally:
            for process in orphans:
                if process.runs:
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)

    @property
    def _alive(self) -> _Life:
        assert self._life is not None, "it was never started"
        return self._life

    # -------------------------------------------------------------------------------------------------- callers

    def client(self, api_key: str | None = None) -> tradingsignals.AsyncClient:
        """Return the published client, through the edge."""
        return tradingsignals.connect(self.address, timeout=DEADLINE, api_key=api_key)

    def direct_client(self, api_key: str | None = None) -> tradingsignals.AsyncClient:
        """Return the published client, without the edge."""
        return tradingsignals.connect(self.grpc_address, timeout=DEADLINE, api_key=api_key)

    def rest(self) -> httpx.AsyncClient:
        """Return a REST client. It loads no certificates, because that takes longer than a call and TLS is not used."""
        json_body = {"content-type": "application/json"}
        base = f"http://{self.address}"
        return httpx.AsyncClient(base_url=base, timeout=DEADLINE, verify=False, headers=json_body)  # noqa: S501

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Return a connection to its database."""
        connection = await asyncpg.connect(self.dsn, timeout=DEADLINE)
        try:
            yield connection
        finally:
            await connection.close()


class _Life:
    """One process of the command."""

    def __init__(self, process: asyncio.subprocess.Process, ready: str) -> None:
        self.process = process
        self._says_ready = ready
        self.lines: list[str] = []
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def begin(cls, folder: Path, arguments: tuple[str, ...], settings: Mapping[str, str]) -> _Life:
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=folder,
            env={**kept_environment(), **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a process group of its own, as a shell gives it
        )
        return cls(process, _READY[arguments[0]])

    async def is_ready(self) -> None:
        assert await self._ready, "\n".join(["it ended instead of starting:", *self.lines])

    async def end(self) -> int:
        await asyncio.wait([self._reader])  # which continues if this wait is cancelled
        return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip())
            if not self._ready.done() and self._says_ready in self.lines[-1]:
                self._ready.set_result(True)
        if not self._ready.done():
            self._ready.set_result(False)


@asynccontextmanager
async def service_in(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[RunningService]:
    """Return a service that is not started, and kill it at the end. `arguments` are `up` by default."""
    service = RunningService(folder, arguments or ("up",), settings)
    try:
        yield service
    finally:
        await service.clear_away()


@asynccontextmanager
async def running_service(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[RunningService]:
    """Run a service in `folder`, with `settings` as its environment."""
    async with service_in(folder, *arguments, **settings) as service:
        await service.start()
        yield service


async def health_with(rest: httpx.AsyncClient, status: int) -> httpx.Response:
    """Return the first response of /health with this status; it polls, as a load balancer does."""
    async with asyncio.timeout(DEADLINE):
        while (response := await rest.get("/health")).status_code != status:
            await poll()
    return response
