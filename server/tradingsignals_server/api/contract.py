"""The services of the contract, public and internal, by their short names."""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor

from tradingsignals.v1 import (
    access_service_pb2,
    account_service_pb2,
    backtest_service_pb2,
    event_service_pb2,
    market_data_service_pb2,
    model_service_pb2,
    notification_service_pb2,
    outcome_service_pb2,
    position_service_pb2,
    signal_service_pb2,
    system_service_pb2,
)

from ..internal import (
    json_body_service_pb2,
    json_service_pb2,
    newline_delimited_service_pb2,
    peer_service_pb2,
    server_sent_events_service_pb2,
)


def _services(*files: FileDescriptor) -> dict[str, ServiceDescriptor]:
    return {name: service for file in files for name, service in file.services_by_name.items()}


SERVICES = _services(
    system_service_pb2.DESCRIPTOR,
    signal_service_pb2.DESCRIPTOR,
    position_service_pb2.DESCRIPTOR,
    outcome_service_pb2.DESCRIPTOR,
    account_service_pb2.DESCRIPTOR,
    market_data_service_pb2.DESCRIPTOR,
    model_service_pb2.DESCRIPTOR,
    event_service_pb2.DESCRIPTOR,
    backtest_service_pb2.DESCRIPTOR,
    access_service_pb2.DESCRIPTOR,
    notification_service_pb2.DESCRIPTOR,
)
"""The public services; reflection describes these."""

JSON_SERVICE: ServiceDescriptor = json_service_pb2.DESCRIPTOR.services_by_name["JsonService"]
JSON_BODY_SERVICE: ServiceDescriptor = json_body_service_pb2.DESCRIPTOR.services_by_name["JsonBodyService"]
SERVER_SENT_EVENTS_SERVICE: ServiceDescriptor = server_sent_events_service_pb2.DESCRIPTOR.services_by_name[
    "ServerSentEventsService"
]
NEWLINE_DELIMITED_SERVICE: ServiceDescriptor = newline_delimited_service_pb2.DESCRIPTOR.services_by_name[
    "NewlineDelimitedService"
]
PEER_SERVICE: ServiceDescriptor = peer_service_pb2.DESCRIPTOR.services_by_name["PeerService"]
"""What other servers of the same database call."""

EDGE_SERVICES = {
    service.name: service
    for service in (JSON_SERVICE, JSON_BODY_SERVICE, SERVER_SENT_EVENTS_SERVICE, NEWLINE_DELIMITED_SERVICE)
}
"""What the edge calls on behalf of REST callers."""


@cache
def method_of(request: Descriptor) -> MethodDescriptor:
    """Return the method that takes this request: each method of the contract has a request of its own."""
    services = request.file.services_by_name.values()
    (method,) = (
        method for service in services for method in service.methods if method.input_type.full_name == request.full_name
    )
    return method


def path_of(method: MethodDescriptor) -> str:
    """Return the path that a method is called by."""
    return f"/{method.containing_service.full_name}/{method.name}"
