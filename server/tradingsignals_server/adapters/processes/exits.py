"""The end of a process, as an event."""

from __future__ import annotations

import asyncio
import ctypes
import os

_SYS_PIDFD_OPEN = 434  # on every architecture


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
