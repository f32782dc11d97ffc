"""API keys and the audit log as messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tradingsignals.v1 import access_pb2

from ...domain.access import ApiKey, Caller
from ...domain.audit import AuditEntry
from .to_proto import timestamp


def key_message(key: ApiKey, now: datetime) -> access_pb2.ApiKey:
    """A key, without its secret; its state is that at `now`."""
    invalid = key.invalid(now)
    return access_pb2.ApiKey(
        key_id=key.id,
        name=key.name,
        role=key.role.upper(),
        state="VALID" if invalid is None else invalid.metadata["cause"].upper(),
        networks=map(str, key.networks),
        created_at=timestamp(key.created_at),
        expires_at=None if key.expires_at is None else timestamp(key.expires_at),
        last_used_at=None if key.last_used_at is None else timestamp(key.last_used_at),
        revoked_at=None if key.revoked_at is None else timestamp(key.revoked_at),
    )


def caller_message(caller: Caller, methods: Sequence[str]) -> access_pb2.Caller:
    """A caller, and the methods that it may call."""
    return access_pb2.Caller(
        credential=caller.credential,
        caller_id=caller.id,
        name=caller.name,
        role=None if caller.role is None else caller.role.upper(),
        expires_at=None if caller.expires_at is None else timestamp(caller.expires_at),
        methods=methods,
    )


def entry_message(entry: AuditEntry) -> access_pb2.AuditEntry:
    """An entry of the audit log."""
    caller = entry.caller
    return access_pb2.AuditEntry(
        entry_id=str(entry.entry_id),
        time=timestamp(entry.time),
        credential=caller.credential,
        caller_id=caller.id,
        caller_name=caller.name,
        role=caller.role or "",
        address=caller.address,
        method=entry.method,
        request=entry.request,
        result=entry.result,
        reason=entry.reason,
        count=entry.count,
        request_id=entry.request_id,
        replayed=entry.replayed,
    )
