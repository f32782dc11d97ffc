"""tradingsignals.v1.NotificationService."""

from __future__ import annotations

from tradingsignals.v1 import notification_service_pb2 as pb

from ...application.notifications.service import EndpointService
from ...application.ports.notifications import EndpointChanges
from ...domain.notifications import EndpointState
from ..mapping.notifications_to_proto import delivery_message, endpoint_message
from ..mapping.validation import Checks, entry_filter


class NotificationServicer:
    """Makes, lists, changes, tests and deletes endpoints, and lists the deliveries to them."""

    def __init__(self, endpoints: EndpointService) -> None:
        self._endpoints = endpoints

    async def create_endpoint(self, request: pb.CreateEndpointRequest) -> pb.CreateEndpointResponse:
        """Make an endpoint."""
        with Checks() as checks:
            resume_after = checks.number(request, "resume_after")
        filter_ = entry_filter(request.filter, "filter")
        made = await self._endpoints.create(request.name, request.url, filter_, resume_after)
        return pb.CreateEndpointResponse(endpoint=endpoint_message(made, self._endpoints.newest), secret=made.secret)

    async def list_endpoints(self, _: pb.ListEndpointsRequest) -> pb.ListEndpointsResponse:
        """List all endpoints."""
        found = await self._endpoints.list()
        messages = [endpoint_message(each, found.newest) for each in found.endpoints]
        return pb.ListEndpointsResponse(endpoints=messages, count=len(messages), through_sequence=found.newest)

    async def update_endpoint(self, request: pb.UpdateEndpointRequest) -> pb.UpdateEndpointResponse:
        """Change an endpoint."""
        sent, state = request.changes, None
        with Checks() as checks:
            endpoint_id = checks.uuid(request.endpoint_id, "endpoint_id")
            resume_after = checks.number(sent, "resume_after")
        if sent.HasField("paused"):
            state = EndpointState.PAUSED if sent.paused else EndpointState.ACTIVE
        changes = EndpointChanges(
            url=sent.url if sent.HasField("url") else None,
            filter=entry_filter(sent.filter, "changes.filter") if sent.HasField("filter") else None,
            state=state,
            cursor=resume_after,
        )
        endpoint = await self._endpoints.change(endpoint_id, changes)
        return pb.UpdateEndpointResponse(endpoint=endpoint_message(endpoint, self._endpoints.newest))

    async def delete_endpoint(self, request: pb.DeleteEndpointRequest) -> pb.DeleteEndpointResponse:
        """Delete an endpoint."""
        with Checks() as checks:
            endpoint_id = checks.uuid(request.endpoint_id, "endpoint_id")
        await self._endpoints.delete(endpoint_id)
        return pb.DeleteEndpointResponse()

    async def test_endpoint(self, request: pb.TestEndpointRequest) -> pb.TestEndpointResponse:
        """Send a test message."""
        with Checks() as checks:
            endpoint_id = checks.uuid(request.endpoint_id, "endpoint_id")
        attempt = await self._endpoints.test(endpoint_id)
        return pb.TestEndpointResponse(
            delivered=not attempt.error,
            http_status=attempt.http_status,
            error=attempt.error,
            latency_ms=attempt.latency_ms,
            response=attempt.response,
        )

    async def list_deliveries(self, request: pb.ListDeliveriesRequest) -> pb.ListDeliveriesResponse:
        """List the newest attempts at an endpoint."""
        with Checks() as checks:
            endpoint_id = checks.uuid(request.endpoint_id, "endpoint_id")
            limit = checks.number(request, "limit")
        found = await self._endpoints.deliveries(endpoint_id, limit)
        return pb.ListDeliveriesResponse(deliveries=map(delivery_message, found), count=len(found))
