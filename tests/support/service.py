"""The service as its users run it: the installed command, in a folder of its own, on ports of its own."""

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

from .deadlines import DEADLINE, within
from .ports import free_ports
from .processes import Process, all_ended, children, descendants

COMMAND = Path(sys.executable).with_name("tradingsignals")
_READY = {"up": "Ctrl-C stops it", "serve": "serving gRPC on"}  # what a command says when it is
_DSN = re.compile(r"psql '(?P<dsn>[^']+)'")


class RunningService:
    """`tradingsignals up` and all it starts. It can be stopped or killed, and started again where it was."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.port, self.grpc_port, self.lean_port = free_ports(3)
        self._arguments = arguments
        self._settings = {
            "SIGNAL_SERVICE_PORT": str(self.port),
            "GRPC_PORT": str(self.grpc_port),
            "LEAN_PORT": str(self.lean_port),
            "FEED": "push",
            "LOG_LEVEL": "WARNING",
            "MODEL_PATH": "placeholder",
            "SPREAD": "0",
            **settings,
        }
        self._life: _Life | None = None

    # ------------------------------------------------------------------------------------------- where it is

    @property
    def data_dir(self) -> Path:
        """Where it keeps everything."""
        return self.folder / "data"

    @property
    def address(self) -> str:
        """The public port: REST, gRPC-Web and gRPC."""
        return f"127.0.0.1:{self.port}"

    @property
    def grpc_address(self) -> str:
        """The server itself, without the edge."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def stream_address(self) -> str:
        """The server's streams, without the edge."""
        return f"127.0.0.1:{self.lean_port}"

    @property
    def dsn(self) -> str:
        """The embedded database, as the service itself tells it."""
        found = _DSN.search(self.log)
        assert found is not None, self.log
        return found["dsn"]

    @property
    def log(self) -> str:
        """What this life has written to standard error so far."""
        return "\n".join(self._alive.lines)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._alive.process.pid

    def child(self, name: str) -> Process:
        """The process of that name that the server has started: "envoy", or "postgres" for the postmaster."""
        (found,) = [process for process in children(self.pid) if process.name == name]
        return found

    def processes(self) -> list[Process]:
        """The children of the server, and theirs."""
        return descendants(self.pid)

    # ----------------------------------------------------------------------------------------- life and death

    async def start(self) -> None:
        """Start it, or start it again, and wait until it answers.

        Raises:
            AssertionError: it ended instead; the message has what it said.
        """
        self._life = await _Life.begin(self.folder, self._arguments, self._settings)
        await within(self._life.is_ready())

    async def begin(self) -> None:
        """Start it without waiting for anything."""
        self._life = await _Life.begin(self.folder, self._arguments, self._settings)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, wait until it has, and return its exit code."""
        self._alive.process.send_signal(how)
        return await self.ended()

    async def press_ctrl_c(self) -> int:
        """Do what a terminal does: interrupt the whole foreground process group. Returns the exit code."""
        os.killpg(self.pid, signal.SIGINT)
        return await self.ended()

    async def kill(self) -> None:
        """kill -9 of the server's process; what it has started ends by itself."""
        orphans = self.processes()
        self._alive.process.kill()
        await self.ended()
        await all_ended(orphans)

    async def kill_everything(self) -> None:
        """kill -9 of all its processes at once, as when the power fails."""
        orphans = self.processes()
        for pid in (self.pid, *(process.pid for process in orphans)):
            with suppress(ProcessLookupError):  # one of PostgreSQL's may just have ended
                os.kill(pid, signal.SIGKILL)
        await self.ended()
        await all_ended(orphans)

    async def ended(self) -> int:
        """Wait until the server's process has ended; return its exit code."""
        return await within(self._alive.end())

    async def clear_away(self) -> None:
        """Leave nothing running, whatever the test has done."""
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

    def client(self) -> tradingsignals.AsyncClient:
        """The published client, through the edge."""
        return tradingsignals.connect(self.address, timeout=DEADLINE)

    def direct_client(self) -> tradingsignals.AsyncClient:
        """The published client, past the edge."""
        return tradingsignals.connect(self.grpc_address, timeout=DEADLINE)

    def rest(self) -> httpx.AsyncClient:
        """A REST caller of JSON. Nothing here speaks TLS, and reading all certificates takes longer than a call."""
        json_body = {"content-type": "application/json"}
        base = f"http://{self.address}"
        return httpx.AsyncClient(base_url=base, timeout=DEADLINE, verify=False, headers=json_body)  # noqa: S501

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of one's own to its database."""
        connection = await asyncpg.connect(self.dsn, timeout=DEADLINE)
        try:
            yield connection
        finally:
            await connection.close()


class _Life:
    """One run of the command, from start to end."""

    def __init__(self, process: asyncio.subprocess.Process, ready: str) -> None:
        self.process = process
        self._says_ready = ready
        self.lines: list[str] = []
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def begin(cls, folder: Path, arguments: tuple[str, ...], settings: Mapping[str, str]) -> _Life:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=folder,
            env={**kept, **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a process group of its own, as a shell gives it
        )
        return cls(process, _READY[arguments[0]])

    async def is_ready(self) -> None:
        assert await self._ready, "\n".join(["it ended instead of starting:", *self.lines])

    async def end(self) -> int:
        await asyncio.wait([self._reader])  # which goes on, though whoever waits here gives up
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
    """A service that is not started yet, and that does not outlive the context. `arguments` are `up` by default."""
    service = RunningService(folder, arguments or ("up",), settings)
    try:
        yield service
    finally:
        await service.clear_away()


@asynccontextmanager
async def running_service(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[RunningService]:
    """A service that answers, in `folder`, with `settings` as its environment."""
    async with service_in(folder, *arguments, **settings) as service:
        await service.start()
        yield service


async def health_with(rest: httpx.AsyncClient, status: int) -> httpx.Response:
    """The first response of /health with this status; polled, as a load balancer does."""
    async with asyncio.timeout(DEADLINE):
        while (response := await rest.get("/health")).status_code != status:
            pass
    return response
