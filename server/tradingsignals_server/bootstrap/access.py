"""Who may call: keys, rules, limits, the audit log, and the gate of both servers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ..api.access.gate import AccessGate, MethodRule
from ..api.access.rules import method_names, method_rules
from ..application.access.audit import AuditLog
from ..application.access.authentication import Authenticate, Authenticator, everyone_is_admin
from ..application.access.key_service import KeyService
from ..application.access.keys import KeyRing
from ..application.access.limits import TokenBuckets
from ..application.access.open_calls import OpenCalls
from ..config.access import Auth
from ..config.settings import Settings
from ..domain.access import Rule
from .engine import utc_now
from .storage import Storage


class Part(Protocol):
    """A part of a server that works until it is cancelled."""

    async def run(self) -> None:
        """Work."""


@dataclass(frozen=True, slots=True)
class Access:
    """The gate, the rules that it goes by, what AccessService needs, and the parts that have to run."""

    gate: AccessGate
    rules: Mapping[str, Rule]
    keys: KeyService
    audit: AuditLog
    parts: Sequence[Part]


async def open_access(settings: Settings, storage: Storage) -> Access:
    """Build the gate, and read the API keys if callers need them.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    rules = method_rules()
    audit = AuditLog(storage.audit, utc_now, timedelta(days=settings.audit_retention_days))
    keys = KeyService(storage.keys, utc_now, secrets.token_bytes)
    if settings.auth is Auth.OFF:
        gate = _gate(settings, rules, audit, everyone_is_admin, OpenCalls(lambda _: None), None)
        return Access(gate, rules, keys, audit, (audit,))
    ring = KeyRing(storage.keys, utc_now)
    await ring.load()
    authenticator = Authenticator(ring, utc_now, settings.jwt_role_claim, settings.tls_client_roles)
    open_calls = OpenCalls(authenticator.lost_by, settings.max_streams_per_caller, settings.max_stream_seconds)
    ring.on_change = open_calls.check
    buckets = TokenBuckets(settings.rate_limits)
    gate = _gate(settings, rules, audit, authenticator.authenticate, open_calls, buckets)
    return Access(gate, rules, keys, audit, (audit, ring, open_calls))


def _gate(
    settings: Settings,
    rules: Mapping[str, Rule],
    audit: AuditLog,
    authenticate: Authenticate,
    open_calls: OpenCalls,
    buckets: TokenBuckets | None,
) -> AccessGate:
    names = method_names()
    methods = {path: MethodRule(rule, names.get(path, path).removeprefix("/")) for path, rule in rules.items()}
    secret = b"" if settings.edge_secret is None else settings.edge_secret.get_secret_value().encode()
    return AccessGate(methods, authenticate, open_calls, utc_now, audit, buckets, secret)
