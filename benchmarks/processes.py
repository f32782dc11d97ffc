"""Processes under measurement: start them, wait until they respond, stop them."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Root of the repository, from which this package can be imported."""

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.005
"""Seconds between health requests to a starting process, which gives no other sign that it is ready."""

RSS_SECONDS = 0.05
"""Seconds between samples of memory."""

_SHOWN_CHARACTERS = 4000
_PORTS = cycle(random.sample(range(10_000, 30_000), 20_000))


class ProcessFailed(Exception):
    """A process under measurement did not start, or ended."""


@asynccontextmanager
async def running(
    arguments: Sequence[str],
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python` with `arguments` in `folder`, its output in `log`, until the context ends; then SIGTERM.

    An error inside the context gets the end of the log as a note.
    """
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            python,
            *arguments,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        try:
            yield process
        finally:
            await _stop(process)
    except Exception as error:
        error.add_note(f"the end of {log.name}:\n{_end_of(log)}")
        raise


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def until_healthy(process: asyncio.subprocess.Process, port: int) -> None:
    """Wait until GET /health on `port` returns 200.

    Raises:
        ProcessFailed: the process ended, or took too long.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                with suppress(OSError, asyncio.IncompleteReadError):
                    if await status_of(port, "/health") == 200:
                        return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        pass
    raise ProcessFailed(f"port {port} does not respond")


async def accepts(port: int) -> bool:
    """True if something accepts connections on `port`."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def status_of(port: int, path: str) -> int:
    """Status of GET `path`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
        return int((await reader.readexactly(12))[9:])
    finally:
        writer.close()


async def posted(port: int, path: str, body: str) -> None:
    """POST `body` to `path`, and wait for the response.

    Raises:
        ProcessFailed: the status is not 200.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )
        response = await reader.read()
    finally:
        writer.close()
    if response[9:12] != b"200":
        raise ProcessFailed(f"POST {path} got {response.decode(errors='replace')}")


def rss_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:  # not Linux
        found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True)
        return int(found.stdout) / 1024
    return pages * resource.getpagesize() / 2**20


def child_of(pid: int, name: str) -> int:
    """The child of a process whose program is called `name`."""
    found = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], check=True, capture_output=True, text=True)
    rows = (line.split(None, 2) for line in found.stdout.splitlines())
    return next(int(row[0]) for row in rows if int(row[1]) == pid and Path(row[2]).name.startswith(name))


@asynccontextmanager
async def watched_rss(pid: int) -> AsyncIterator[list[float]]:
    """Samples of a process's resident memory in MiB, taken until the context ends."""
    seen = [rss_mib(pid)]

    async def sample() -> None:
        while True:
            await asyncio.sleep(RSS_SECONDS)
            seen.append(rss_mib(pid))

    sampling = asyncio.create_task(sample())
    try:
        yield seen
    finally:
        sampling.cancel()
        seen.append(rss_mib(pid))


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_SHOWN_CHARACTERS:]


def free_port() -> int:
    """A free port, each time another one; none that the system gives to connections, or to port 0."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
