"""tradingsignals.v1.AccessService."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from tradingsignals.v1 import access_service_pb2 as pb

from ...application.access.audit import AuditLog
from ...application.access.current import current_caller
from ...application.access.key_service import KeyService
from ...application.ports.audit import AuditQuery
from ...application.ports.clock import Clock
from ...domain.access import Credential, Rule
from ..access.rules import allowed_methods
from ..mapping.access_to_proto import caller_message, entry_message, key_message
from ..mapping.validation import Checks


class AccessServicer:
    """Reports the caller, makes, lists and revokes API keys, and lists the audit log."""

    def __init__(self, keys: KeyService, audit: AuditLog, clock: Clock, rules: Mapping[str, Rule]) -> None:
        """Args:
        keys: the API keys.
        audit: the audit log.
        clock: the time.
        rules: the rule of each method by its path.
        """
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._rules = rules

    async def get_caller(self, _: pb.GetCallerRequest) -> pb.GetCallerResponse:
        """Report the caller."""
        caller = current_caller.get()
        return pb.GetCallerResponse(
            caller=caller_message(caller, allowed_methods(caller, self._rules)),
            authentication=caller.credential is not Credential.NONE,  # without it, this call takes credentials
        )

    async def create_key(self, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
        """Make a key."""
        with Checks() as checks:
            role = checks.role(request.role, "role")
            expires_at = _time(request.expires_at, checks) if request.HasField("expires_at") else None
        made = await self._keys.create(request.name, role, expires_at, list(request.networks))
        return pb.CreateKeyResponse(key=key_message(made.key, self._clock()), text=made.text)

    async def list_keys(self, _: pb.ListKeysRequest) -> pb.ListKeysResponse:
        """List all keys."""
        now = self._clock()
        return pb.ListKeysResponse(keys=[key_message(key, now) for key in await self._keys.list()])

    async def revoke_key(self, request: pb.RevokeKeyRequest) -> pb.RevokeKeyResponse:
        """Revoke a key."""
        return pb.RevokeKeyResponse(key=key_message(await self._keys.revoke(request.key_id), self._clock()))

    async def list_audit_entries(self, request: pb.ListAuditEntriesRequest) -> pb.ListAuditEntriesResponse:
        """List a page of the audit log."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            start, end = checks.period(request.start_date, request.end_date)
            query = AuditQuery(
                caller_id=request.caller_id or None,
                method=request.method or None,
                refused=request.refused if request.HasField("refused") else None,
                start=start,
                end=end,
            )
        page, token = await self._audit.entries(query, request.page_token, limit)
        return pb.ListAuditEntriesResponse(
            entries=map(entry_message, page.entries), count=len(page.entries), next_page_token=token
        )


def _time(sent: Timestamp, checks: Checks) -> datetime | None:
    try:
        return sent.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        checks.refuse("expires_at", "is not a time")
        return None
