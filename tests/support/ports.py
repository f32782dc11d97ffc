"""Ports that nobody else is likely to take between two lives of a program."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_000)  # below those that Linux hands out for outgoing connections
_OFTEN_USED = frozenset({25_051, 28_003})


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback address on which nothing listens."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if port not in _OFTEN_USED and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
