"""What a fault does to the machine: a small file system that it fills, and a clock that it moves."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), Path("libfaketimeMT.so.1"))
"""A library that gives a process a clock of its own."""

SIZE_MIB = 256


def no_faketime() -> str | None:
    """Say why the clock cannot be moved; None if it can."""
    return None if FAKETIME.exists() else "libfaketime is not installed (Debian: faketime)"


def no_mount() -> str | None:
    """Say why no file system can be mounted; None if it can."""
    return None if os.geteuid() == 0 and shutil.which("mount") else "only root may mount a file system"


@contextmanager
def small_file_system(place: Path) -> Iterator[None]:
    """Mount an empty file system of SIZE_MIB at `place`, a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0755", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Write zeros to `file` until its file system is full."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for size in (1 << 20, 1 << 12):
            while _write(descriptor, bytes(size)):
                pass
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> bool:
    try:
        return os.write(descriptor, content) == len(content)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
