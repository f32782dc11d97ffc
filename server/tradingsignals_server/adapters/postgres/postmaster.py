"""One run of a PostgreSQL server: it starts as our child, clearing what a killed one left; its log is read; it ends."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import logging
import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from ..processes.children import die_with_parent
from .programs import EmbeddedPostgresError
from .unprivileged import HERE, Account

_logger = logging.getLogger(__name__)

SUPERUSER = "postgres"
_SYS_PIDFD_OPEN = 434  # on every architecture
_PORT = 5432  # part of the socket's name; no port is opened

_SILENCE = 30.0  # seconds without a word after which a starting server is given up
_STOP_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # seconds given to each
_LOG_LINE = re.compile(r"(?P<who>[^|]*)\|(?P<severity>[A-Z]+): +(?P<text>.*)")
_LOG_LEVELS = {"WARNING": logging.WARNING, "ERROR": logging.ERROR, "FATAL": logging.ERROR, "PANIC": logging.ERROR}
_READY = "database system is ready to accept connections"
_LINES_KEPT = 5
_LONGEST_LINE = 4096  # bytes; nobody reads more

_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    # A commit is durable, whatever the cluster's own file says.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # One service on a machine that has other things to do.
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",  # checkpoints are rare, and recovery still takes seconds
    "io_method": "sync",  # no processes for reading: what we read is in memory
    "jit": "off",
    "timezone": "UTC",
    # Whatever goes wrong ends the server, and we start it again: one way for every crash.
    "restart_after_crash": "off",
    # The log comes to us, and _Log must understand it.
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%b|",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements carry data
    "log_checkpoints": "off",
    "log_startup_progress_interval": "10s",  # a long recovery is not silent
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder and how its server is run and reached.

    `account` is who runs it, None for ourselves, by the programs in the folder `programs`. `socket_dir` is the
    cluster's folder or a shorter path.
    """

    folder: Path
    socket_dir: Path
    account: Account | None
    programs: Path

    @property
    def name(self) -> str:
        """Unique to the folder; `ps` shows it."""
        return name_of(self.folder)

    def dsn(self, database: str) -> str:
        """How asyncpg connects."""
        return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={quote(str(self.socket_dir))}&port={_PORT}"

    def launch(
        self, name: str, *arguments: str, folder: Path, output: int | IO[bytes], death_signal: signal.Signals
    ) -> subprocess.Popen[bytes]:
        """Run one of PostgreSQL's programs on the data in `folder`: as the account, gone when we are gone.

        Raises:
            EmbeddedPostgresError: we are root and may not become that account.
            OSError: it could not be run.
        """
        die = in_the_child = die_with_parent(death_signal)
        if self.account is not None:
            become = self.account.become()

            def in_the_child() -> None:
                become()
                die()  # second, for the change of user would take it back

        try:
            return subprocess.Popen(
                [str(self.programs / name), "-D", str(HERE), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,  # entered before the change of user
                env=_environment(),
                start_new_session=True,  # Ctrl-C on the terminal is for us alone
                preexec_fn=in_the_child,  # noqa: PLW1509 - made in the parent, it takes no lock and loads nothing
            )
        except subprocess.SubprocessError as error:
            raise EmbeddedPostgresError(
                "PostgreSQL does not run as root, and this process may not become another user; "
                "start it as an ordinary user, or name a server with POSTGRES_HOST or DATABASE_URL"
            ) from error


def name_of(folder: Path) -> str:
    """A name for the cluster in `folder`, and for nothing else on this machine."""
    return f"tradingsignals-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def socket_in(folder: Path) -> Path:
    """Where the socket of a server lies that has `folder` as its `socket_dir`."""
    return folder / f".s.PGSQL.{_PORT}"


def _environment() -> dict[str, str]:
    """The child's environment: none of our secrets, none of the user's PG* variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C"}


class Postmaster:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], log: _Log) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    @classmethod
    async def start(cls, cluster: Cluster) -> Self:
        """Start the cluster's server and wait until it takes connections.

        Raises:
            EmbeddedPostgresError: it ended or fell silent; the message has its last words.
            OSError: it could not be run.
        """
        await _clear_leftovers(cluster)
        loop = asyncio.get_running_loop()
        log = _Log(loop)
        server = cls(_launch(cluster), log)
        try:
            await loop.connect_read_pipe(lambda: log, server._process.stdout)
            await log.wait_until_ready()
        except BaseException:
            await server.stop()
            raise
        return server

    async def ended(self) -> str:
        """Wait until the server has ended by itself; return how, for the log."""
        await wait_for_exit(self.pid)
        code = self._process.wait()
        self._log.close()
        return f"exit status {code}" if code >= 0 else f"killed by signal {-code}"

    async def stop(self) -> None:
        """Shut down: clients are cut off, what is committed is on disk. Harder ways follow if that takes too long."""
        self._log.expect_the_end()
        try:
            if self._process.poll() is None:
                await _end(self.pid, _STOP_STEPS)
        finally:
            self._process.kill()  # does nothing, unless we were cancelled or all else failed
            self._process.wait()
            self._log.close()


class _Log(asyncio.Protocol):
    """What the server says, line by line: to our log, and the last of it kept for an error message.

    Ordinary lines are for debugging. So is everything about a client's own statement, since the client is told.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.BaseTransport | None = None
        self._ready: asyncio.Future[bool] = loop.create_future()
        self._heard = loop.time()
        self._last: deque[str] = deque(maxlen=_LINES_KEPT)
        self._rest = b""
        self._in_service = False

    async def wait_until_ready(self) -> None:
        """Wait for the word that connections are taken; raise EmbeddedPostgresError if it does not come."""
        while not self._ready.done():
            remaining = self._heard + _SILENCE - self._loop.time()
            if remaining <= 0:
                raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._last_words()}")
            await asyncio.wait([self._ready], timeout=remaining)
        if not self._ready.result():
            raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._last_words()}")
        self._in_service = True

    def expect_the_end(self) -> None:
        """From now on it is no news that processes end."""
        self._in_service = False

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LONGEST_LINE:]
        for line in lines:
            self._hear(line.decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self._ready.done():
            self._ready.set_result(False)

    def _hear(self, line: str) -> None:
        self._heard = self._loop.time()
        match = _LOG_LINE.fullmatch(line)
        who, severity, text = match.group("who", "severity", "text") if match else ("", "", line.strip())
        self._last.append(text)
        told_elsewhere = who == "client backend" or not self._in_service
        level = logging.DEBUG if told_elsewhere else _LOG_LEVELS.get(severity, logging.DEBUG)
        _logger.log(level, "PostgreSQL: %s", text)
        if text == _READY and not self._ready.done():
            self._ready.set_result(True)

    def _last_words(self) -> str:
        return "; ".join(self._last) or "it said nothing"


def _launch(cluster: Cluster) -> subprocess.Popen[bytes]:
    place = HERE if cluster.socket_dir == cluster.folder else cluster.socket_dir
    settings = _SETTINGS | {"unix_socket_directories": f'"{place}"', "cluster_name": cluster.name}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return cluster.launch(
        "postgres", *arguments, folder=cluster.folder, output=subprocess.PIPE, death_signal=signal.SIGINT
    )


async def _clear_leftovers(cluster: Cluster) -> None:
    """Make way after a kill -9: wait for a server that is still shutting down, end what outlived its postmaster.

    The caller holds the folder's lock, so whatever still runs here belongs to nobody.
    """
    postmaster = _noted_postmaster(cluster)
    if postmaster is None:
        return
    if postmaster in _processes_of(cluster):
        await _end(postmaster, _STOP_STEPS)
    for pid in _processes_of(cluster):
        await _end(pid, _STOP_STEPS[-1:])
    _forget(postmaster, cluster)


def _noted_postmaster(cluster: Cluster) -> int | None:
    """The process that the cluster's server last ran in, unless it was shut down."""
    try:
        return int((cluster.folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _forget(postmaster: int, cluster: Cluster) -> None:
    """Remove the notes of a process that has ended, if its number is still taken.

    By another process, or by itself where nobody reaps orphans, as in many a container. PostgreSQL would take it for a
    running server and refuse to start; a number that is free it deals with itself.
    """
    if Path(f"/proc/{postmaster}").exists():
        (cluster.folder / "postmaster.pid").unlink(missing_ok=True)
        socket = socket_in(cluster.socket_dir)
        socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)


def _processes_of(cluster: Cluster) -> list[int]:
    """Every process of the cluster's server, told by what `ps` shows."""
    postmaster = f"\0cluster_name={cluster.name}\0".encode()
    others = f"postgres: {cluster.name}: ".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                command = (entry / "cmdline").read_bytes()
                if postmaster in command or command.startswith(others):
                    found.append(int(entry.name))
    return found


async def _end(pid: int, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Signal the process, harder at each step, until it has ended."""
    for signum, patience in steps:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                return await wait_for_exit(pid)
    raise EmbeddedPostgresError(f"process {pid} of PostgreSQL cannot be ended")


async def wait_for_exit(pid: int) -> None:
    """Wait until the process has ended, a child of ours or not."""
    try:
        descriptor = _pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _pidfd_open(pid: int) -> int:
    """A descriptor that becomes readable when the process ends. Pythons built on old headers have no os.pidfd_open."""
    descriptor: int = ctypes.CDLL(None, use_errno=True).syscall(_SYS_PIDFD_OPEN, pid, 0)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"pidfd_open: {os.strerror(number)}")
    return descriptor
