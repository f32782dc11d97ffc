"""The gRPC server: every service of the contract, health and reflection, on one port."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tradingsignals.v1 import (
    event_service_pb2,
    market_data_service_pb2,
    model_service_pb2,
    position_service_pb2,
    signal_service_pb2,
    system_service_pb2,
)

from ...api.text_services import TEXT_SERVICES
from ...internal import json_body_service_pb2, json_service_pb2, peer_service_pb2
from .interceptors import CallInterceptor
from .registration import STALL_SECONDS, Metadata, register

EPOCH_KEY = "x-epoch"
"""Initial metadata of a stream: the name of the log that it is of, so that whoever resumes knows another one."""

GRACE_SECONDS = 5.0
"""How long calls under way may take to end once the server stops."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    # Two servers on one port would share its calls in silence; the second one is to fail instead.
    ("grpc.so_reuseport", 0),
    # A burst of new streams is otherwise cut down, and the rest of it cancelled.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    ("grpc.max_concurrent_streams", 20_000),
    # Connections that do not introduce themselves, or are not used, are let go of, and there is an end to their number.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_allowed_incoming_connections", 2_000),
    # Followers that have gone away without a word are found out.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Peers look whether this server is alive more often than gRPC thinks decent.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)

_FILES: tuple[FileDescriptor, ...] = (
    system_service_pb2.DESCRIPTOR,
    signal_service_pb2.DESCRIPTOR,
    position_service_pb2.DESCRIPTOR,
    market_data_service_pb2.DESCRIPTOR,
    model_service_pb2.DESCRIPTOR,
    event_service_pb2.DESCRIPTOR,
)
SERVICES: dict[str, ServiceDescriptor] = {
    name: service for file in _FILES for name, service in file.services_by_name.items()
}
"""The services of the contract by their short name."""

JSON_SERVICE: ServiceDescriptor = json_service_pb2.DESCRIPTOR.services_by_name["JsonService"]

EDGE_SERVICES: dict[str, ServiceDescriptor] = {
    **{name: service.descriptor for name, service in TEXT_SERVICES.items()},
    JSON_SERVICE.name: JSON_SERVICE,
    **json_body_service_pb2.DESCRIPTOR.services_by_name,
}
"""What the edge asks for on behalf of REST callers, by the short name. Reflection tells nobody."""

PEER_SERVICE: ServiceDescriptor = peer_service_pb2.DESCRIPTOR.services_by_name["PeerService"]


class PortTaken(Exception):
    """The address cannot be listened on. The message is one line that says how to take another."""

    def __init__(self, host: str, port: int, why: str, setting: str = "GRPC_PORT") -> None:
        super().__init__(f"port {port} on {host} cannot be had ({why}): set {setting} to another, or stop what uses it")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that listens on `port`."""

    port: int
    _health: Any

    async def not_serving(self) -> None:
        """Tell health checks that this server is about to go; calls under way go on."""
        await self._health.enter_graceful_shutdown()


@asynccontextmanager
async def running_server(
    host: str,
    port: int,
    servicers: Mapping[str, object],
    stream_metadata: Metadata = (),
    stall_seconds: float = STALL_SECONDS,
    peer_servicer: object | None = None,
    peer_secret: str = "",
    before_serving: Callable[[int], Awaitable[None]] | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve `servicers`, given by the short name of their service, until the end of the context.

    Every stream begins with `stream_metadata`, and is ended if it takes nothing for `stall_seconds`. `peer_servicer` is
    for the other servers of the same database, which send `peer_secret`. `before_serving` is called with the port, when
    it is sure to be ours and before anybody is served.

    Raises:
        PortTaken: the address cannot be listened on.
    """
    server = grpc.aio.server(interceptors=(CallInterceptor(peer_secret),), options=OPTIONS)
    for name, service in (SERVICES | EDGE_SERVICES).items():
        register(server, service, servicers[name], stream_metadata, stall_seconds)
    if peer_servicer is not None:
        register(server, PEER_SERVICE, peer_servicer)
    health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # it sets the name when asyncio can be had
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = [service.full_name for service in SERVICES.values()]
    described = [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(described, server, pool=_pool_of(described))
    _require_free(host, port)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise PortTaken(host, port, "address in use") from error
    if before_serving is not None:
        await before_serving(bound)
    await server.start()
    for name in ("", *names):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield RunningServer(bound, health_servicer)
    finally:
        await server.stop(GRACE_SECONDS)


def _pool_of(services: Iterable[str]) -> DescriptorPool:
    """A pool of what these services are made of, and of nothing else: reflection describes all that its pool has."""
    pool, known = DescriptorPool(), set[str]()

    def add(file: FileDescriptor) -> None:
        if file.name in known:
            return
        known.add(file.name)
        for imported in file.dependencies:
            add(imported)
        pool.AddSerializedFile(file.serialized_pb)

    for service in services:
        add(Default().FindServiceByName(service).file)
    return pool


def _require_free(host: str, port: int) -> None:
    """Fail in our own words; gRPC's core would print its own first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port, os.strerror(error.errno or 0).lower()) from error
