"""The hosts that callers may name in their requests."""

from __future__ import annotations

import ipaddress
import re

LOCAL_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
"""Names of this machine that no other machine can have."""

_EVERY_INTERFACE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked for, not listened on
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,30}")


def parse_hosts(text: str) -> tuple[str, ...]:
    """Read hosts that are separated by commas: names, `*.` before a name for all below it, IP addresses; no ports.

    Raises:
        ValueError: one of them is no host; the message says which, and is one line.
    """
    return tuple(dict.fromkeys(_host(part.strip()) for part in text.split(",") if part.strip()))


def served_hosts(listen: str, further: tuple[str, ...]) -> list[str]:
    """The local hosts, the one that is listened on, and `further` ones, as they stand in a URL without the port."""
    own = () if listen in _EVERY_INTERFACE else (f"[{listen}]" if ":" in listen else listen.lower(),)
    return list(dict.fromkeys((*LOCAL_HOSTS, *own, *further)))


def host_pattern(host: str) -> str:
    """A regular expression of a served host."""
    return re.escape(host).replace(r"\*", "[^/:@]+")


def is_loopback(host: str) -> bool:
    """True if only this machine reaches what listens on `host`."""
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
        raise ValueError(f'"{text[:80]}" is no host: name it as in "signals.example.com", without a port') from None
