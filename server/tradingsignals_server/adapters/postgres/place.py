"""The address of a database for display, without the secrets in its URL."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

_SHOWN = frozenset({"host", "hostaddr", "port", "user", "dbname", "database", "sslmode", "target_session_attrs"})
"""Parameters of a URL whose values are shown; every other may be a secret (password, sslpassword, options ...)."""

_URL = re.compile(r"([a-z0-9+]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_PASSWORD = re.compile(r":(?!\d*(?:,|$))[^@]*@")
"""From a colon that does not begin a port to the host, in URLs with several hosts too."""
_HIDDEN = "**********"


def place_of(url: str) -> str:
    """Return the hosts and ports in a database's URL as host:port, with commas; of a Unix socket the folder."""
    match = _URL.fullmatch(url)
    if match is None:
        return "an address that cannot be read"
    _, authority, _, query = match.groups()
    given = dict(parse_qsl(query or ""))
    named = [unquote(part.rpartition("@")[2]) for part in authority.split(",")]
    hosts = named if any(named) else given.get("host", "localhost").split(",")
    ports = given.get("port", "5432").split(",")
    with_port = zip(hosts, [*ports, *ports[-1:] * len(hosts)], strict=False)
    return ",".join(host if "/" in host or re.search(r":\d+$", host) else f"{host}:{port}" for host, port in with_port)


def without_secrets(url: str) -> str:
    """Return a database's URL with every password, and every parameter that may hold one, hidden."""
    match = _URL.fullmatch(url)
    if match is None:
        return _HIDDEN
    scheme, authority, path, query = match.groups()
    pairs = parse_qsl(query or "", keep_blank_values=True)
    shown = "&".join(f"{name}={value if name in _SHOWN else _HIDDEN}" for name, value in pairs)
    return f"{scheme}://{_PASSWORD.sub(f':{_HIDDEN}@', authority)}{path}{'?' if shown else ''}{shown}"
