"""Processes that are measured: started, waited for until they answer, and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the tree, from which this package can be imported."""

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.005
"""How often a starting process is asked whether it answers. It has no other way to tell."""

_SHOWN_CHARACTERS = 4000


class ProcessFailed(Exception):
    """A process that was to be measured did not start, or ended."""


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
    """Wait until GET /health on `port` answers 200.

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
    raise ProcessFailed(f"port {port} does not answer")


async def status_of(port: int, path: str) -> int:
    """Status of GET `path`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
        return int((await reader.readexactly(12))[9:])
    finally:
        writer.close()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_SHOWN_CHARACTERS:]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
