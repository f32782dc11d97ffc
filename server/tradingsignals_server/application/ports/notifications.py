"""The ports of notifications: the endpoints in the database, what sends to them, and who is notified of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ...domain.notifications import (
    Attempt,
    Delivery,
    DeliveryProgress,
    Endpoint,
    EndpointKind,
    EndpointState,
    EntryFilter,
)
from ...domain.values import dataclass
from .event_log import LogEntry


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to an endpoint.

    id: the same in every attempt, so that a receiver detects that it has the message. body: JSON, an object with type,
    timestamp and data. time: the timestamp.
    """

    id: str
    body: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """What a caller changes of an endpoint; None leaves it as it is."""

    url: str | None = None
    filter: EntryFilter | None = None
    state: EndpointState | None = None
    cursor: int | None = None


EntryBody = Callable[[LogEntry], bytes]
"""Writes the body of the message of an entry."""


class EndpointStore(Protocol):
    """Endpoints and their deliveries. Every method raises StorageUnavailable if the database cannot be reached."""

    async def load_endpoints(self) -> Sequence[Endpoint]:
        """Return all endpoints, the newest first."""
        ...

    async def find_endpoint(self, endpoint_id: UUID) -> Endpoint | None:
        """Return an endpoint; None if there is none of this id."""
        ...

    async def add_endpoint(self, endpoint: Endpoint) -> None:
        """Store a new endpoint; whatever listens is notified.

        Raises:
            EndpointExists: another one has its name.
            TooManyEndpoints: there are MAX_ENDPOINTS.
        """
        ...

    async def change_endpoint(self, endpoint_id: UUID, changes: EndpointChanges) -> Endpoint | None:
        """Change an endpoint, count the change in its revision, forget failed attempts, and notify whatever listens.

        Returns:
            The endpoint; None if there is none of this id.
        """
        ...

    async def delete_endpoint(self, endpoint_id: UUID) -> bool:
        """Delete an endpoint and its deliveries, and notify whatever listens; False if there is none of this id."""
        ...

    async def record(self, endpoint: Endpoint, progress: DeliveryProgress, delivery: Delivery | None) -> bool:
        """Store the progress of an endpoint and the attempt that led to it, in one transaction.

        Args:
            endpoint: as it was read or last recorded.
            progress: after that.
            delivery: the attempt, if there was one. The oldest above KEPT_DELIVERIES is deleted.

        Returns:
            False if the endpoint is another one meanwhile, changed by a caller or moved by another server: nothing is
            stored.
        """
        ...

    async def list_deliveries(self, endpoint_id: UUID, limit: int) -> Sequence[Delivery]:
        """Return the newest attempts at an endpoint, the newest first; their response bodies are not kept."""
        ...

    async def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called once changes are noticed, and at each one of an endpoint, until the connection is lost.

        Raises:
            StorageUnavailable: the database cannot be reached, or not any more.
        """
        ...


class Sender(Protocol):
    """Sends messages to endpoints."""

    async def send(self, endpoint: Endpoint, message: Message) -> Attempt:
        """Send a message, once; every failure is in the result."""
        ...


class NotificationObserver(Protocol):
    """Is notified of attempts to deliver."""

    def attempted(self, kind: EndpointKind, attempt: Attempt, age_seconds: float) -> None:
        """Take an attempt whose result is durable; `age_seconds` is how old the entry was when it ended."""
