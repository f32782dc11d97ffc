"""The lock of a data folder, which one process holds at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .programs import EmbeddedPostgresError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` for as long as the context lasts; the kernel releases it when this process dies.

    Raises:
        EmbeddedPostgresError: another process holds it.
    """
    descriptor = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # first, so that no other process holds a lock on a file without a name
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "that has just started"
            os.close(descriptor)
            raise EmbeddedPostgresError(
                f"{path.parent} is in use by process {holder}: stop it, or choose another DATA_DIR"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file while we took the lock: once more, on the new one
