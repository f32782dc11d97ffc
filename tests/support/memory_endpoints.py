"""Endpoints of notifications in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from tradingsignals_server.application.ports.notifications import EndpointChanges
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.notification_errors import EndpointExists, TooManyEndpoints
from tradingsignals_server.domain.notifications import (
    KEPT_DELIVERIES,
    MAX_ENDPOINTS,
    Delivery,
    DeliveryProgress,
    Endpoint,
    EndpointKind,
    EndpointState,
    EntryFilter,
)

from .builders import NOW

SECRET = "whsec_" + "A" * 43 + "="


class MemoryEndpoints:
    """Implements application.ports.notifications.EndpointStore. `failures`: calls of `record` that fail first."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self.endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self.deliveries: dict[UUID, list[Delivery]] = {}
        self.failures = 0
        self.listeners: list[Callable[[], None]] = []

    async def load_endpoints(self) -> Sequence[Endpoint]:
        """See EndpointStore."""
        return sorted(self.endpoints.values(), key=lambda each: each.created_at, reverse=True)

    async def find_endpoint(self, endpoint_id: UUID) -> Endpoint | None:
        """See EndpointStore."""
        return self.endpoints.get(endpoint_id)

    async def add_endpoint(self, endpoint: Endpoint) -> None:
        """See EndpointStore."""
        if len(self.endpoints) >= MAX_ENDPOINTS:
            raise TooManyEndpoints(MAX_ENDPOINTS)
        if any(each.name == endpoint.name for each in self.endpoints.values()):
            raise EndpointExists(endpoint.name)
        self.endpoints[endpoint.id] = endpoint
        self._notify()

    async def change_endpoint(self, endpoint_id: UUID, changes: EndpointChanges) -> Endpoint | None:
        """See EndpointStore."""
        found = self.endpoints.get(endpoint_id)
        if found is None:
            return None
        before = found.progress
        progress = DeliveryProgress(
            cursor=before.cursor if changes.cursor is None else changes.cursor,
            lost=before.lost,
            state=changes.state or before.state,
            disabled_reason=before.disabled_reason if changes.state is None else "",
        )
        changed = replace(
            found,
            url=changes.url or found.url,
            filter=changes.filter or found.filter,
            progress=progress,
            revision=found.revision + 1,
        )
        self.endpoints[endpoint_id] = changed
        self._notify()
        return changed

    async def delete_endpoint(self, endpoint_id: UUID) -> bool:
        """See EndpointStore."""
        self.deliveries.pop(endpoint_id, None)
        found = self.endpoints.pop(endpoint_id, None)
        self._notify()
        return found is not None

    async def record(self, endpoint: Endpoint, progress: DeliveryProgress, delivery: Delivery | None) -> bool:
        """See EndpointStore."""
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable
        stored = self.endpoints.get(endpoint.id)
        if stored is None or stored.revision != endpoint.revision or stored.progress.state is not EndpointState.ACTIVE:
            return False
        if stored.progress.cursor != endpoint.progress.cursor:
            return False
        self.endpoints[endpoint.id] = replace(stored, progress=progress)
        if delivery is not None:
            kept = self.deliveries.setdefault(endpoint.id, [])
            kept.append(delivery)
            del kept[:-KEPT_DELIVERIES]
        return True

    async def list_deliveries(self, endpoint_id: UUID, limit: int) -> Sequence[Delivery]:
        """See EndpointStore."""
        return [
            replace(each, attempt=replace(each.attempt, retry_after=None, response=""))
            for each in reversed(self.deliveries.get(endpoint_id, []))
        ][:limit]

    async def listen(self, changed: Callable[[], None]) -> None:
        """See EndpointStore."""
        self.listeners.append(changed)
        changed()
        await asyncio.Event().wait()

    def _notify(self) -> None:
        for changed in self.listeners:
            changed()


def endpoint(
    number: int = 1, url: str = "https://desk.example/signals", filter_: EntryFilter | None = None, cursor: int = 0
) -> Endpoint:
    """Return an endpoint."""
    kind, none = EndpointKind.WEBHOOK, EntryFilter()
    made = Endpoint(
        UUID(int=number), f"desk {number}", kind, url, SECRET, filter_ or none, NOW, DeliveryProgress(cursor)
    )
    return replace(made, created_at=NOW.replace(microsecond=number))
