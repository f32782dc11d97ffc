"""Hosts for which the edge serves requests."""

from __future__ import annotations

import ipaddress
import re

LOCAL_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
"""Names that always refer to the local machine."""

_EVERY_INTERFACE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,30}")


def parse_hosts(text: str) -> tuple[str, ...]:
    """Parse hosts separated by commas: names, `*.` and a name for all its subdomains, IP addresses; no ports.

    Raises:
        ValueError: one of them is not a host; the message is one line that names it.
    """
    return tuple(dict.fromkeys(_host(part.strip()) for part in text.split(",") if part.strip()))


def served_hosts(listen: str, further: tuple[str, ...]) -> list[str]:
    """Return the local hosts, the host of the listener, and `further` hosts, in the form of a URL without the port."""
    own = () if listen in _EVERY_INTERFACE else (f"[{listen}]" if ":" in listen else listen.lower(),)
    return list(dict.fromkeys((*LOCAL_HOSTS, *own, *further)))


def host_pattern(host: str) -> str:
    """Return a regular expression for a served host."""
    return re.escape(host).replace(r"\*", "[^/:@]+")


def is_loopback(host: str) -> bool:
    """Return whether a listener on `host` is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host(text: str) -> str:
    host = text.lower()
    if _NAME.fullmatch(host):
        return host
    try:
        return f"[{ipaddress.IPv6Address(host.removeprefix('[').removesuffix(']'))}]"
    except ValueError:
        raise ValueError(f'"{text[:80]}" is not a host: write it as in "signals.example.com", without a port') from None
