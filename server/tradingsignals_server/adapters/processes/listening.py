"""A check that all addresses to listen on are free, before any is used."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """An address to listen on, and the setting of its port."""

    setting: str
    host: str
    port: int


class PortsTaken(Exception):
    """Addresses cannot be listened on. The message is one line that names all of them and their settings."""


def require_free(places: Iterable[Place]) -> None:
    """Bind every address for a moment, except port 0, which takes a free one.

    Another program may still take one afterwards; the server that listens there then reports it.

    Raises:
        PortsTaken: one or more of them cannot be bound.
    """
    settings_of: dict[tuple[str, int], str] = {}
    problems = list[tuple[Place, str]]()
    for place in places:
        if not place.port:
            continue
        first = settings_of.setdefault((place.host, place.port), place.setting)
        why = _problem(place) if first == place.setting else f"{first} has it too"
        if why:
            problems.append((place, why))
    if problems:
        named = "; ".join(f"port {place.port} on {place.host} ({place.setting}): {why}" for place, why in problems)
        settings = " and ".join(dict.fromkeys(place.setting for place, _ in problems))
        raise PortsTaken(f"{named}. Set {settings} to other ports, 0 for free ones, or stop what uses these")


def _problem(place: Place) -> str | None:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
            probe.bind(address)
    except socket.gaierror as error:
        return error.strerror or "no such address"
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    return None
