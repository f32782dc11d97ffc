"""Errors of callers that may not do what they ask for. See errors.py for what an error is.

ServiceError
├── Unauthenticated             the call has no credentials, or they are not accepted
│   └── InvalidKey              its API key is malformed, unknown, revoked or expired
├── NotAllowed
│   ├── RoleNotAllowed          the role of the caller does not include the call
│   └── NetworkNotAllowed       the API key is not accepted from the address of the caller
└── NotFound
    └── KeyNotFound
"""

from __future__ import annotations

from .errors import NotFound, ServiceError


class Unauthenticated(ServiceError):
    """The call needs credentials, and has none that are accepted."""

    reason = "UNAUTHENTICATED"

    def __init__(self, cause: str = "missing", message: str = "") -> None:
        super().__init__(
            message or "the call needs credentials: send an API key as authorization: Bearer or as x-api-key",
            cause=cause,
        )


class InvalidKey(Unauthenticated):
    """The API key is not accepted. `cause` is malformed, unknown, revoked or expired."""

    def __init__(self, cause: str, key_id: str = "") -> None:
        ServiceError.__init__(self, f"the API key is {cause}", cause=cause)
        if key_id:
            self.metadata = {**self.metadata, "key_id": key_id}


class NotAllowed(ServiceError):
    """The caller is known, and may not make the call."""


class RoleNotAllowed(NotAllowed):
    """The role of the caller does not include the call."""

    reason = "ROLE_NOT_ALLOWED"

    def __init__(self, role: str, needed: str) -> None:
        super().__init__(
            f"the role {role} may not make this call, which needs {needed}" if role else f"the call needs {needed}",
            role=role,
            needed=needed,
        )


class NetworkNotAllowed(NotAllowed):
    """The API key is not accepted from the address of the caller."""

    reason = "NETWORK_NOT_ALLOWED"

    def __init__(self, address: str) -> None:
        super().__init__(f"the API key is not accepted from {address or 'an unknown address'}", address=address)


class KeyNotFound(NotFound):
    """No API key with this id exists."""

    reason = "KEY_NOT_FOUND"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id[:80]}", key_id=key_id[:80])
