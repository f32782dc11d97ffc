"""The peer port: another server of the same database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...domain.bars import Bar
from ...domain.errors import ServiceError
from .feed import BarResult


class PeerGone(Exception):
    """A peer cannot be reached, or its response was lost: what it was sent may or may not be done."""


class PeerError(ServiceError):
    """The error response of a peer, returned to the caller unchanged.

    reason: that of the peer's error, empty if the error is not of this service.
    status: google.rpc.Status with the peer's code, message and details, serialised.
    """

    def __init__(self, message: str, reason: str, status: bytes) -> None:
        super().__init__(message)
        self.reason = reason  # type: ignore[misc]  # a class attribute of all other errors
        self.status = status


class Peer(Protocol):
    """Another server of the same database."""

    async def process(self, bars: Sequence[Bar]) -> Sequence[BarResult]:
        """Process bars of symbols that the peer owns or can take over.

        Returns one result a bar, in their order; OwnerUnavailable for a bar of a symbol that the peer does not own.

        Raises:
            PeerGone: the peer did not respond.
        """
        ...

    async def forward(self, path: str, request: bytes) -> bytes:
        """Make a unary call on behalf of a caller; returns the serialised response.

        Args:
            path: of the method, "/package.Service/Method".
            request: the serialised request.

        Raises:
            PeerError: the peer responded with an error.
            StorageUnavailable: the connection was lost, so that the call may have been done.
        """
        ...

    async def ready(self) -> bool:
        """Wait until there is a connection; False if there can be none now."""
        ...


PeerAt = Callable[[str], Peer]
"""Returns the peer at an address, host:port."""
