"""One run of a PostgreSQL server, as a child process: its start, its end, and what a killed one left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from ...processes.exits import wait_for_exit
from .cluster import PORT, Cluster, socket_in
from .programs import EmbeddedPostgresError
from .server_log import ServerLog
from .unprivileged import HERE

_STOP_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # seconds given to each

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
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
    # Every crash ends the server, and we start it again: one way for all of them.
    "restart_after_crash": "off",
    # ServerLog reads the log.
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%b|",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements carry data
    "log_checkpoints": "off",
    "log_startup_progress_interval": "10s",  # a long recovery is not silent
}


class Postmaster:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], log: ServerLog) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    @classmethod
    async def start(cls, cluster: Cluster) -> Self:
        """Start the cluster's server and wait until it accepts connections.

        Raises:
            EmbeddedPostgresError: it ended or fell silent; the message has its last lines.
            OSError: it could not be run.
        """
        await _clear_leftovers(cluster)
        loop = asyncio.get_running_loop()
        log = ServerLog(loop)
        server = cls(_launch(cluster), log)
        try:
            await loop.connect_read_pipe(lambda: log, server._process.stdout)
            await log.wait_until_ready()
        except BaseException:
            await server.stop()
            raise
        return server

    async def ended(self) -> str:
        """Wait until the server has ended by itself; return a description for the log."""
        await wait_for_exit(self.pid)
        code = self._process.wait()
        self._log.close()
        return f"exit status {code}" if code >= 0 else f"killed by signal {-code}"

    async def stop(self) -> None:
        """Shut down: clients are disconnected, commits are durable. Stronger signals follow if that takes too long."""
        self._log.expect_end()
        try:
            if self._process.poll() is None:
                await _end(self.pid, _STOP_STEPS)
        finally:
            self._process.kill()  # does nothing, unless we were cancelled or all else failed
            self._process.wait()
            self._log.close()


def _launch(cluster: Cluster) -> subprocess.Popen[bytes]:
    place = HERE if cluster.socket_dir == cluster.folder else cluster.socket_dir
    settings = _SETTINGS | {"unix_socket_directories": f'"{place}"', "cluster_name": cluster.name}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return cluster.launch(
        "postgres", *arguments, folder=cluster.folder, output=subprocess.PIPE, death_signal=signal.SIGINT
    )


async def _clear_leftovers(cluster: Cluster) -> None:
    """End what is left of a killed server: one that is still shutting down, and processes without their postmaster.

    The caller holds the folder's lock, so no process that still runs here is in use.
    """
    postmaster = _last_postmaster(cluster)
    if postmaster is None:
        return
    if postmaster in _processes_of(cluster):
        await _end(postmaster, _STOP_STEPS)
    for pid in _processes_of(cluster):
        await _end(pid, _STOP_STEPS[-1:])
    _remove_lock_files(postmaster, cluster)


def _last_postmaster(cluster: Cluster) -> int | None:
    """Return the id of the last postmaster of the cluster, None if it was shut down."""
    try:
        return int((cluster.folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _remove_lock_files(postmaster: int, cluster: Cluster) -> None:
    """Remove the lock files of a postmaster that has ended, if its process id is in use.

    Another process may have it, or itself as an orphan that is not reaped, as in many containers. PostgreSQL would
    take it for a running server and refuse to start. It removes lock files with a free id itself.
    """
    if Path(f"/proc/{postmaster}").exists():
        (cluster.folder / "postmaster.pid").unlink(missing_ok=True)
        socket = socket_in(cluster.socket_dir)
        socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)


def _processes_of(cluster: Cluster) -> list[int]:
    """Return the processes of the cluster's server, by their command lines."""
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
    """Send the process one signal after the other, each with its timeout, until it has ended.

    Raises:
        EmbeddedPostgresError: it outlives all of them.
    """
    for signum, timeout in steps:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await wait_for_exit(pid)
    raise EmbeddedPostgresError(f"process {pid} of PostgreSQL cannot be ended")
