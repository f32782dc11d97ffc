# Generated from _async/access.py by `make generate`; do not edit.
"""The caller, API keys and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tradingsignals.v1 import access_service_pb2
from tradingsignals.v1.access_pb2 import ApiKey, AuditEntry
from tradingsignals.v1.access_service_pb2 import CreateKeyResponse, GetCallerResponse

from ..requests import Role, When, when
from .caller import Caller
from .pages import Pages


class AccessMethods(Caller):
    """The methods about the caller, API keys and the audit log."""

    def get_caller(self) -> GetCallerResponse:
        """Return the caller, the methods that it may call, and whether the service requires credentials."""
        return self._unary(self._access.GetCaller, access_service_pb2.GetCallerRequest())

    def create_key(
        self, name: str, role: Role, *, expires_at: datetime | None = None, networks: Sequence[str] = ()
    ) -> CreateKeyResponse:
        """Make an API key. Its `text` is in this response alone. Needs the role admin, as do the next three."""
        request = access_service_pb2.CreateKeyRequest(name=name, role=role, expires_at=expires_at, networks=networks)
        return self._unary(self._access.CreateKey, request)

    def list_keys(self) -> list[ApiKey]:
        """Return all API keys, the newest first, revoked and expired ones included."""
        response = self._unary(self._access.ListKeys, access_service_pb2.ListKeysRequest())
        return list(response.keys)

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke an API key. Raises NotFound if there is none with this id."""
        response = self._unary(self._access.RevokeKey, access_service_pb2.RevokeKeyRequest(key_id=key_id))
        return response.key

    def list_audit_entries(
        self,
        *,
        caller_id: str | None = None,
        method: str | None = None,
        refused: bool | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[AuditEntry]:
        """List what callers did or were refused, the newest first, from `start_date` to before `end_date`."""

        def fetch(page_token: str) -> access_service_pb2.ListAuditEntriesResponse:
            request = access_service_pb2.ListAuditEntriesRequest(
                limit=page_size,
                page_token=page_token,
                caller_id=caller_id,
                method=method,
                refused=refused,
                start_date=when(start_date),
                end_date=when(end_date),
            )
            return self._unary(self._access.ListAuditEntries, request)

        return Pages(fetch, lambda page: page.entries)
