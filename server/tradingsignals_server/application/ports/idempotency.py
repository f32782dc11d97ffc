"""Calls that are done once for their idempotency key, as the store keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ...domain.idempotency import IdempotencyKeyReused
from ...domain.values import dataclass
from .event_log import LogEntry

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that is done once.

    caller: identity of who sent it. key: what the caller sent; no other caller's key is the same one.
    method: "package.Service.Method". request_hash: SHA-256 of the request.
    """

    caller: str
    key: str
    method: str
    request_hash: bytes

    def require_same(self, method: str, request_hash: bytes) -> None:
        """Check that a request of the same caller with the same key is the same request.

        Raises:
            IdempotencyKeyReused: it is another one; `method` is that of the first.
        """
        if (method, request_hash) != (self.method, self.request_hash):
            raise IdempotencyKeyReused(method)


@dataclass(frozen=True, slots=True)
class CallKey(Generic[R]):
    """The key of a call on its way through the engine. encode: makes the response of the call's result."""

    request: KeyedRequest
    encode: Callable[[R], bytes]


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A request whose events are part of a commit. response: returns its response, given the entries of the commit."""

    request: KeyedRequest
    response: Callable[[Sequence[LogEntry]], bytes]


@dataclass(frozen=True, slots=True)
class UsedKey:
    """The first request with a key, and its response."""

    method: str
    request_hash: bytes
    response: bytes
