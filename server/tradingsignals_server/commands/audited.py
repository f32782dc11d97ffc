"""Entries of the audit log for commands that do beside the service what callers have an entry for."""

from __future__ import annotations

import os

from google.protobuf.message import Message

from ..adapters.postgres.embedded.unprivileged import user_name
from ..api.access.noted import request_text
from ..api.contract import SERVICES
from ..bootstrap.engine import utc_now
from ..domain.access import Caller, Credential, Role
from ..domain.audit import AuditEntry


def entry(command: str, service: str, method: str, request: Message) -> AuditEntry:
    """Return the entry for a command that has done what a call of `method` of `service` does with `request`."""
    caller = Caller(Credential.COMMAND, user_name(os.getuid()), f"tradingsignals {command}", Role.ADMIN)
    return AuditEntry(utc_now(), caller, f"{SERVICES[service].full_name}/{method}", "OK", request=request_text(request))
