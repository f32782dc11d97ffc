"""Folders of programs under test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - used through tempfile
_ROOM_NEEDED = 4 << 30  # bytes; a database takes some 100 MB, and a container's /dev/shm is often 64 MB in all


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Create a folder that is removed at the end.

    It lies in memory if there is room: what is killed here are programs, never the machine, so that nothing is gained
    by waiting for a disk.
    """
    with tempfile.TemporaryDirectory(prefix="tradingsignals-test-", dir=_base()) as folder:
        yield Path(folder)


def _base() -> Path | None:
    usable = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_NEEDED
    return _MEMORY if usable else None
