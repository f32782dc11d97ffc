"""The server on grpc.aio: a table of methods, health and reflection, on one port."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ..admission import Gate
from ..certificates import Certificates
from ..methods import Methods, Subscribe
from .credentials import server_credentials
from .interceptors import CallInterceptor
from .registration import Metadata, MethodHandlers
from .status import CallRules

GRACE_SECONDS = 5.0
"""How long calls under way may take to end once the server stops."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    # Two servers on one port would silently share its calls; the second one is to fail instead.
    ("grpc.so_reuseport", 0),
    # A burst of new streams is otherwise cut down, and the rest of it cancelled.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    ("grpc.max_concurrent_streams", 20_000),
    # Connections without a handshake, or without calls, are closed, and their number is limited.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_allowed_incoming_connections", 2_000),
    # Detects callers whose connection is gone.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Peers check the connection more often than gRPC allows by default.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class PortTaken(Exception):
    """The address cannot be listened on. The message is one line that says how to take another."""

    def __init__(self, host: str, port: int, why: str, setting: str = "GRPC_PORT") -> None:
        super().__init__(
            f"port {port} on {host} cannot be used ({why}): set {setting} to another, or stop what uses it"
        )


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that listens on `port`."""

    port: int
    _health: Any

    async def not_serving(self) -> None:
        """Report to health checks that this server is about to stop; calls under way go on."""
        await self._health.enter_graceful_shutdown()


class _HealthServicer(health.aio.HealthServicer):  # type: ignore[name-defined, misc]  # set when asyncio can be had
    """The library's, which has no List."""

    def __init__(self, services: Sequence[str]) -> None:
        super().__init__()
        self._services = services

    async def List(self, _: health_pb2.HealthListRequest, context: Any) -> health_pb2.HealthListResponse:  # noqa: N802
        """Return the status of every service."""
        checks = {name: health_pb2.HealthCheckRequest(service=name) for name in self._services}
        return health_pb2.HealthListResponse(
            statuses={name: await self.Check(check, context) for name, check in checks.items()}
        )


@asynccontextmanager
async def running_server(
    host: str,
    port: int,
    methods: Methods,
    rules: CallRules,
    subscribe: Subscribe,
    services: Sequence[str],
    stream_metadata: Metadata = (),
    peer_secret: str = "",
    gate: Gate | None = None,
    certificates: Certificates | None = None,
    before_serving: Callable[[int], Awaitable[None]] | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve methods, health and reflection until the end of the context.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one.
        methods: what is served.
        rules: what is known of the service.
        subscribe: notifies of new entries for streams.
        services: full names of the services that reflection describes.
        stream_metadata: initial metadata of every stream.
        peer_secret: what the other servers of the same database send.
        gate: admits calls, health and reflection included; without one every call is.
        certificates: what callers have to accept and to show; without them nothing is encrypted.
        before_serving: called with the port, once it is bound and before any call is served.

    Raises:
        PortTaken: the address cannot be listened on.
    """
    server = grpc.aio.server(interceptors=(CallInterceptor(rules, peer_secret, gate),), options=OPTIONS)
    server.add_generic_rpc_handlers((MethodHandlers(methods, subscribe, stream_metadata),))
    health_servicer = _HealthServicer(("", *services))
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    described = [*services, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(described, server, pool=_pool_of(described))
    _require_free(host, port)
    try:
        if certificates is None:
            bound = server.add_insecure_port(f"{host}:{port}")
        else:
            bound = server.add_secure_port(f"{host}:{port}", server_credentials(certificates))
    except RuntimeError as error:
        raise PortTaken(host, port, "address in use") from error
    if before_serving is not None:
        await before_serving(bound)
    await server.start()
    for name in ("", *services):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield RunningServer(bound, health_servicer)
    finally:
        await server.stop(GRACE_SECONDS)


def _pool_of(services: Iterable[str]) -> DescriptorPool:
    """Make a pool of the files of these services and of no other: reflection describes all that its pool has."""
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
    """Fail with our own message; gRPC's core would print its own first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port, os.strerror(error.errno or 0).lower()) from error
