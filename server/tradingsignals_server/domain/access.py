"""Who may call what: roles, the rules of methods, callers and their API keys."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from hmac import compare_digest
from typing import Final
from urllib.parse import quote

from .access_errors import InvalidKey

ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
"""Random bytes of an API key: those of its id, which is public, and those of its secret."""

MAX_NAME_CHARACTERS: Final = 64
MAX_NETWORKS: Final = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Role(StrEnum):
    """What a caller may do: see `Rule`."""

    VIEWER = "viewer"
    PUBLISHER = "publisher"
    TRADER = "trader"
    ADMIN = "admin"


class Rule(StrEnum):
    """Who may call a method.

    PUBLIC: everyone, without credentials. PEER: servers of the same database only. The others: callers whose role
    includes that of the rule. Every role includes viewer, and admin includes all.
    """

    PUBLIC = "public"
    VIEWER = "viewer"
    PUBLISHER = "publisher"
    TRADER = "trader"
    ADMIN = "admin"
    PEER = "peer"

    @property
    def acts(self) -> bool:
        """True if the methods of the rule change something."""
        return self in {Rule.PUBLISHER, Rule.TRADER, Rule.ADMIN}


INCLUDED: Final[Mapping[Role, frozenset[Rule]]] = {
    Role.VIEWER: frozenset({Rule.PUBLIC, Rule.VIEWER}),
    Role.PUBLISHER: frozenset({Rule.PUBLIC, Rule.VIEWER, Rule.PUBLISHER}),
    Role.TRADER: frozenset({Rule.PUBLIC, Rule.VIEWER, Rule.TRADER}),
    Role.ADMIN: frozenset({Rule.PUBLIC, Rule.VIEWER, Rule.PUBLISHER, Rule.TRADER, Rule.ADMIN}),
}
"""The rules by which each role may call."""


class Credential(StrEnum):
    """What a caller has proved its identity with."""

    NONE = "none"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a kind of credential
    CERTIFICATE = "certificate"
    COMMAND = "command"
    """Access to the host and the settings of the service: a command of this program."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call.

    id: of its API key, or the subject of its token or certificate; empty without credentials. address: its IP address,
    empty if it is not known. role: None for a caller that may call public methods only. expires_at: end of its
    credentials; None if they have none.
    """

    credential: Credential = Credential.NONE
    id: str = ""
    name: str = ""
    role: Role | None = None
    address: str = ""
    expires_at: datetime | None = None

    def may(self, rule: Rule) -> bool:
        """Return whether it may call methods of a rule."""
        return rule is Rule.PUBLIC or (self.role is not None and rule in INCLUDED[self.role])

    @property
    def identity(self) -> str:
        """Who it is, wherever it calls from, in visible ASCII; all callers without credentials are one."""
        return quote(f"{self.credential}:{self.id}", safe=":/@")

    @property
    def group(self) -> str:
        """Callers with the same limits: those of one identity, or of one address if they have none."""
        return f"{self.credential}:{self.id or self.address}"


@dataclass(frozen=True, slots=True)
class RolesByName:
    """Roles by the names of client certificates, which may be patterns such as *.desk.example."""

    roles: tuple[tuple[str, Role], ...]

    @classmethod
    def parse(cls, text: str) -> RolesByName:
        """Parse names and roles, such as engine.desk.example=trader,*.desk.example=viewer.

        Raises:
            ValueError: there is no name, or no such role; the message says which.
        """
        found = []
        for part in text.split(","):
            name, _, role = (word.strip() for word in part.rpartition("="))
            if not name or role not in set(Role):
                raise ValueError(f"'{part.strip()[:80]}' must be a name, = and a role ({', '.join(Role)})")
            found.append((name, Role(role)))
        return cls(tuple(found))

    def __str__(self) -> str:
        return ",".join(f"{name}={role}" for name, role in self.roles)

    def __bool__(self) -> bool:
        return bool(self.roles)

    def of(self, names: Sequence[str]) -> tuple[str, Role] | None:
        """Return the name and role of the first pattern that one of the names matches."""
        for pattern, role in self.roles:
            for name in names:
                if fnmatchcase(name, pattern):
                    return name, role
        return None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, without its secret.

    secret_hash: SHA-256 of the secret, which is random, so that it needs no slow hash. networks: addresses that it is
    accepted from; empty: from all.
    """

    id: str
    name: str
    role: Role
    secret_hash: bytes
    created_at: datetime
    expires_at: datetime | None = None
    networks: tuple[Network, ...] = ()
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def has_secret(self, secret: str) -> bool:
        """Return whether a secret is that of the key, in a time that does not depend on it."""
        return compare_digest(secret_hash(secret), self.secret_hash)

    def invalid(self, now: datetime) -> InvalidKey | None:
        """Return why the key is not accepted at `now`; None if it is."""
        if self.revoked_at is not None:
            return InvalidKey("revoked", self.id)
        if self.expires_at is not None and self.expires_at <= now:
            return InvalidKey("expired", self.id)
        return None

    def is_accepted_from(self, address: str) -> bool:
        """Return whether the key is accepted from an IP address."""
        return not self.networks or _is_in(self.networks, address)


_MAPPED_BITS: Final = 96
"""Bits before the IPv4 address in one of IPv6 that stands for it: ::ffff:0:0/96."""

_TOKEN: Final = re.compile(r"tss_([a-z2-7]{13})_([A-Za-z0-9_-]{43})")


def is_api_key(text: str) -> bool:
    """Return whether a text is meant to be an API key."""
    return text.startswith("tss_")


def split_api_key(text: str) -> tuple[str, str]:
    """Return the id and the secret of an API key as it is sent, `tss_<id>_<secret>`.

    Raises:
        InvalidKey: it does not have this form.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise InvalidKey("malformed")
    return match[1], match[2]


def api_key_text(random_bytes: bytes) -> str:
    """Return a new API key as it is sent, made of ID_BYTES + SECRET_BYTES random bytes."""
    if len(random_bytes) != ID_BYTES + SECRET_BYTES:
        raise ValueError(f"an API key is made of {ID_BYTES + SECRET_BYTES} random bytes")
    key_id = b32encode(random_bytes[:ID_BYTES]).decode().rstrip("=").lower()
    secret = urlsafe_b64encode(random_bytes[ID_BYTES:]).decode().rstrip("=")
    return f"tss_{key_id}_{secret}"


def secret_hash(secret: str) -> bytes:
    """Return the hash by which a secret is stored."""
    return hashlib.sha256(secret.encode()).digest()


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks such as 10.0.0.0/8, or single addresses. ::ffff:10.0.0.0/104 is 10.0.0.0/8.

    Raises:
        ValueError: one of them is neither; the message names it.
    """
    found = []
    for text in texts:
        try:
            found.append(_plain(ipaddress.ip_network(text.strip())))
        except ValueError:
            raise ValueError(f'"{text[:80]}" is not a network: write it as in 10.0.0.0/8 or 192.0.2.7') from None
    return tuple(dict.fromkeys(found))


def _plain(network: Network) -> Network:
    """Return the IPv4 network that an IPv6 one stands for, as addresses are compared; any other as it is."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


@lru_cache(maxsize=4096)
def _is_in(networks: tuple[Network, ...], address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)
