"""Ports that other programs are unlikely to take while a program restarts."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_000)  # below those that Linux hands out for outgoing connections
_OFTEN_USED = frozenset({25_051, 28_003})


def free_ports(count: int) -> list[int]:
    """Return distinct free ports of the loopback address."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if port not in _OFTEN_USED and _is_free(port):
            found.append(port)
    return found


def free_pair() -> int:
    """Return a free port of the loopback address before another one."""
    return next(port for port in free_ports(1000) if _is_free(port + 1))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
