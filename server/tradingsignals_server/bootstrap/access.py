"""Who may call: keys, rules and the gate of both servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..access_settings import Auth
from ..api.access.gate import AccessGate
from ..api.access.rules import method_rules
from ..application.access.authentication import Authenticate, Authenticator, everyone_is_admin
from ..application.access.keys import KeyRing
from ..application.access.open_calls import OpenCalls
from ..config import Settings
from ..domain.access import Rule
from .engine import utc_now
from .storage import Storage


class Part(Protocol):
    """A part of a server that works until it is cancelled."""

    async def run(self) -> None:
        """Work."""


@dataclass(frozen=True, slots=True)
class Access:
    """The gate, the rules that it goes by, and the parts that have to run."""

    gate: AccessGate
    rules: Mapping[str, Rule]
    parts: Sequence[Part] = ()


async def open_access(settings: Settings, storage: Storage) -> Access:
    """Build the gate, and read the API keys if callers need them.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    rules = method_rules()
    secret = "" if settings.edge_secret is None else settings.edge_secret.get_secret_value()
    if settings.auth is Auth.OFF:
        return Access(_gate(rules, everyone_is_admin, OpenCalls(lambda _: None), secret), rules)
    keys = KeyRing(storage.keys, utc_now)
    await keys.load()
    authenticator = Authenticator(keys, utc_now)
    open_calls = OpenCalls(authenticator.lost_by)
    keys.on_change = open_calls.check
    return Access(_gate(rules, authenticator.authenticate, open_calls, secret), rules, (keys, open_calls))


def _gate(rules: Mapping[str, Rule], authenticate: Authenticate, open_calls: OpenCalls, secret: str) -> AccessGate:
    return AccessGate(rules, authenticate, open_calls, secret)
