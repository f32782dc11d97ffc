"""Endpoints of notifications, and the deliveries to them."""

from __future__ import annotations

from tradingsignals.v1 import notification_service_pb2 as pb
from tradingsignals.v1.notification_pb2 import NotificationDelivery, NotificationEndpoint, NotificationFilter

from ..requests import TEST_TIMEOUT_SECONDS
from .caller import AsyncCaller


class AsyncNotificationMethods(AsyncCaller):
    """The methods about endpoints, which the service delivers entries of the log to."""

    async def create_endpoint(
        self,
        name: str,
        url: str,
        *,
        filter: NotificationFilter | None = None,  # noqa: A002 - the field of the contract
        resume_after: int | None = None,
    ) -> pb.CreateEndpointResponse:
        """Make an endpoint. The `secret` that verifies its messages is in this response alone. Needs the role admin."""
        request = pb.CreateEndpointRequest(name=name, url=url, filter=filter, resume_after=resume_after)
        return await self._unary(self._notifications.CreateEndpoint, request)

    async def list_endpoints(self) -> list[NotificationEndpoint]:
        """Return all endpoints, the newest first."""
        response = await self._unary(self._notifications.ListEndpoints, pb.ListEndpointsRequest())
        return list(response.endpoints)

    async def update_endpoint(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        filter: NotificationFilter | None = None,  # noqa: A002 - the field of the contract
        paused: bool | None = None,
        resume_after: int | None = None,
    ) -> NotificationEndpoint:
        """Change an endpoint: what is None stays as it is. `paused=False` activates one that is disabled, too."""
        changes = pb.EndpointChanges(url=url, filter=filter, paused=paused, resume_after=resume_after)
        request = pb.UpdateEndpointRequest(endpoint_id=endpoint_id, changes=changes)
        return (await self._unary(self._notifications.UpdateEndpoint, request)).endpoint

    async def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint. Raises NotFound if there is none with this id."""
        await self._unary(self._notifications.DeleteEndpoint, pb.DeleteEndpointRequest(endpoint_id=endpoint_id))

    async def test_endpoint(self, endpoint_id: str) -> pb.TestEndpointResponse:
        """Send a test message to an endpoint, and return the result."""
        request = pb.TestEndpointRequest(endpoint_id=endpoint_id)
        seconds = max(self._timeout, TEST_TIMEOUT_SECONDS)
        return await self._unary(self._notifications.TestEndpoint, request, seconds)

    async def list_deliveries(self, endpoint_id: str, *, limit: int = 100) -> list[NotificationDelivery]:
        """Return the newest attempts to deliver to an endpoint, the newest first."""
        request = pb.ListDeliveriesRequest(endpoint_id=endpoint_id, limit=limit)
        return list((await self._unary(self._notifications.ListDeliveries, request)).deliveries)
