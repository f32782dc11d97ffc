"""Limits of the machine for many followers."""

from __future__ import annotations

import resource
from contextlib import suppress

WANTED_FILES = 65_536


def raise_file_limit() -> int:
    """Raise the limit of open files of this process, and of those that it starts, to the maximum; return the limit.

    Every connection is a file on both sides, and shells often allow 1,024.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if most == resource.RLIM_INFINITY else min(WANTED_FILES, most)
    with suppress(ValueError, OSError):  # macOS has a limit of its own beside this one
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
