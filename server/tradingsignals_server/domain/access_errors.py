"""Errors of callers that may not do what they ask for. See errors.py for what an error is.

ServiceError
├── Unauthenticated             the call has no credentials, or they are not accepted
│   └── InvalidKey              its API key is malformed, unknown, revoked or expired
├── NotAllowed
│   ├── RoleNotAllowed          the role of the caller does not include the call
│   └── NetworkNotAllowed       the API key is not accepted from the address of the caller
├── NotFound
│   └── KeyNotFound
├── LimitReached
│   ├── RateLimited             the caller has called too often
│   └── TooManyStreams          the caller has as many calls open that last as it may
└── StreamExpired               the stream has lasted as long as one may
"""

from __future__ import annotations

from .errors import NotFound, ServiceError
from .wording import counted


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


class LimitReached(ServiceError):
    """The caller asks for more than it may."""


class RateLimited(LimitReached):
    """The caller has called too often. It may call again in `seconds`."""

    reason = "RATE_LIMITED"

    def __init__(self, rate: float, seconds: int) -> None:
        super().__init__(
            f"more than {rate:g} {'call' if rate == 1 else 'calls'} a second; try again in {seconds} s",
            limit=f"{rate:g}",
            retry_after_seconds=str(seconds),
        )


class TooManyStreams(LimitReached):
    """The caller has as many streams and uploads open as it may."""

    reason = "TOO_MANY_STREAMS"

    def __init__(self, limit: int) -> None:
        streams = counted(limit, "stream of this caller is", "streams of this caller are")
        super().__init__(
            f"{streams} open already: end one, or follow all in one stream",
            limit=str(limit),
            retry_after_seconds="1",
        )


class StreamExpired(ServiceError):
    """The stream has lasted as long as one may."""

    reason = "STREAM_EXPIRED"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a stream lasts {seconds:g} s at most; follow again from the last sequence seen")
