"""Ports that other programs are unlikely to take while a program restarts, and other tests do not take at all."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_PORTS = range(20_000, 32_000)  # below those that Linux hands out for outgoing connections
_OFTEN_USED = frozenset({25_051, 28_003})
_taken: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return distinct free ports of the loopback address. Each is given once while this process runs.

    Tests run in several processes, and what they start listens a second later, and not while it restarts: a port that
    was only looked at could be given to two of them.
    """
    return [_take(1) for _ in range(count)]


def free_row(count: int) -> int:
    """Return the first of `count` consecutive free ports of the loopback address."""
    return _take(count)


def _take(count: int) -> int:
    """Return the first of `count` consecutive ports, after taking them."""
    for first in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if all(_is_free(port) and _reserve(port) for port in range(first, first + count)):
            return first
    raise AssertionError("there is no free port")


def _is_free(port: int) -> bool:
    if port in _OFTEN_USED:
        return False
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _reserve(port: int) -> bool:
    """Take a port until this process ends; return whether no process of the tests, this one included, had taken it."""
    if port in _taken:
        return False
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _taken.add(port)
    return True


@cache
def _reservations() -> int:
    """Open a file of which each process locks one byte for each port; the locks end with the process."""
    name = f"tradingsignals-test-ports-{os.getuid()}"
    return os.open(Path(tempfile.gettempdir()) / name, os.O_RDWR | os.O_CREAT, 0o600)
