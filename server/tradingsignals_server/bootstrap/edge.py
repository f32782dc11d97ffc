"""A server with the edge in front of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..adapters.envoy.process import Edge, running_edge
from ..adapters.envoy.render import Address, EdgeConfig
from ..adapters.feeds.kind import OnProgress
from ..config.field_types import COLLECTOR_PORT
from ..config.settings import Settings
from .exposure import with_edge_secret
from .server import Service, require_files, serving
from .storage import database

log = logging.getLogger(__name__)

HEALTHY_SECONDS = 60.0
"""How long a start, or a step of a rolling restart, waits for all servers to be healthy."""


@dataclass(frozen=True, slots=True)
class AllInOne:
    """A running server with the edge in front of it."""

    service: Service
    edge: Edge


@asynccontextmanager
async def all_in_one(settings: Settings, on_progress: OnProgress | None = None) -> AsyncIterator[AllInOne]:
    """Run the database if none is configured, one server, and the edge.

    `on_progress` is called with the progress of a file that is replayed.
    """
    require_files(settings)
    settings = with_edge_secret(settings)
    async with database(settings) as dsn, serving(settings, dsn, on_progress, behind_edge=True) as service:
        fanout = [] if service.fanout_port is None else [Address(settings.grpc_host, service.fanout_port)]
        config = edge_config(settings, [Address(settings.grpc_host, service.grpc_port)], fanout)
        async with running_edge(config, settings.data_dir / "edge") as edge:
            try:
                await wait_until_healthy(edge)
                yield AllInOne(service, edge)
            finally:
                # The server ends the streams of followers itself, before the edge cuts them off.
                await service.begin_drain()


async def wait_until_healthy(edge: Edge) -> None:
    """Wait until the edge sees every server healthy, for a while: before, it refuses calls."""
    try:
        async with asyncio.timeout(HEALTHY_SECONDS):
            await edge.sees_all_healthy()
    except TimeoutError:
        log.warning("the edge does not see every server healthy after %g s", HEALTHY_SECONDS)


def edge_config(settings: Settings, backends: Sequence[Address], fanout: Sequence[Address]) -> EdgeConfig:
    """Configure the edge in front of gRPC servers at `backends`, and HTTP/2 servers at `fanout`."""
    first, *further = backends
    return EdgeConfig(
        listen=Address(settings.signal_service_host, settings.signal_service_port),
        allowed_hosts=settings.allowed_hosts,
        backend=first,
        further_backends=tuple(further),
        fanout=tuple(fanout),
        collector=_address(settings.otel_exporter_otlp_endpoint),
        traced_share=settings.otel_traces_sampler_arg,
        metrics=Address(settings.metrics_host, port) if (port := settings.edge_metrics_port) else None,
        cors_origins=settings.cors_origins,
        trusted_proxies=settings.trusted_proxies,
        tls=settings.tls,
        servers_tls=settings.grpc_tls,
        tokens=settings.tokens,
        secret="" if settings.edge_secret is None else settings.edge_secret.get_secret_value(),
    )


def _address(collector: str | None) -> Address | None:
    if collector is None:
        return None
    place = urlsplit(collector)
    return Address(place.hostname or "", place.port or COLLECTOR_PORT)
