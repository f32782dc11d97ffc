"""Multi-server: servers in processes of their own on one database, with the edge in front of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

from ..adapters.envoy.process import Edge, running_edge
from ..adapters.envoy.render import Address
from ..adapters.processes.fleet import FLEET_HOST, FleetPorts, ServerFailed, ServerProcess, fleet_ports, running_fleet
from ..adapters.processes.listening import Place, require_free
from ..config.settings import Settings
from .edge import HEALTHY_SECONDS, edge_config, wait_until_healthy
from .exposure import with_edge_secret
from .server import edge_places, require_files
from .storage import migrated_database

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0
"""DRAIN_SECONDS of the servers, unless it is set: the edge checks the health of each every half second."""


@dataclass(frozen=True, slots=True)
class MultiServer:
    """Servers that run, with the edge in front of them."""

    dsn: str
    fleet: Sequence[ServerProcess]
    edge: Edge

    async def restart_in_turn(self) -> None:
        """Restart one server after the other, each once the edge sees all of them healthy."""
        for server in self.fleet:
            try:
                async with asyncio.timeout(HEALTHY_SECONDS):
                    await self.edge.sees_all_healthy()
                log.info("restarting the server on port %d", server.port)
                await server.restart()
            except (TimeoutError, ServerFailed) as error:
                log.error("%s; the remaining servers are not restarted", str(error) or "not every server is healthy")
                return
        await self.edge.sees_all_healthy()
        log.info("every server has been restarted")


@asynccontextmanager
async def multi_server(settings: Settings) -> AsyncIterator[MultiServer]:
    """Run the database if none is configured, the servers, and the edge."""
    settings = with_edge_secret(settings)
    ports = fleet_ports(
        settings.grpc_port, settings.servers, settings.metrics_port, with_fanout=settings.fanout_port > 0
    )
    require_free([*edge_places(settings), *(place for each in ports for place in _places(settings, each))])
    require_files(settings)
    async with (
        migrated_database(settings) as dsn,
        running_fleet(ports, server_environment(settings, dsn), settings.grpc_tls) as fleet,
    ):
        backends = [Address(FLEET_HOST, server.port) for server in fleet]
        fanout = [Address(FLEET_HOST, server.fanout_port) for server in fleet if server.fanout_port]
        async with running_edge(edge_config(settings, backends, fanout), settings.data_dir / "edge") as edge:
            try:
                await wait_until_healthy(edge)
                yield MultiServer(dsn, fleet, edge)
            finally:
                # The servers end the streams of followers themselves, before the edge cuts them off.
                await asyncio.gather(*(server.stop() for server in fleet))


def _places(settings: Settings, ports: FleetPorts) -> list[Place]:
    return [
        Place("GRPC_PORT", FLEET_HOST, ports.grpc),
        Place("GRPC_PORT", FLEET_HOST, ports.fanout),
        Place("METRICS_PORT", settings.metrics_host, ports.metrics),
    ]


def server_environment(settings: Settings, dsn: str) -> dict[str, str]:
    """Return the environment of one of the servers: what may differ from that of this process.

    `dsn` is the address of the embedded database, if that is used.
    """
    environment = {
        "SERVERS": "1",
        "DRAIN_SECONDS": str(settings.drain_seconds or DRAIN_SECONDS),
        "PEER_HOST": "",
        "EDGE_SECRET": "" if settings.edge_secret is None else settings.edge_secret.get_secret_value(),
        "FEED": settings.feed.name,
        **{name.upper(): _in_environment(getattr(settings, name)) for name in settings.feed.settings},
    }
    if settings.embedded_database:
        place = urlsplit(dsn)
        query = parse_qs(place.query)
        environment |= {
            "POSTGRES_HOST": query["host"][0],
            "POSTGRES_PORT": query["port"][0],
            "POSTGRES_DB": unquote(place.path.removeprefix("/")),
            "POSTGRES_USER": place.username or "",
        }
    return environment


def _in_environment(value: object) -> str:
    """Write the value of a setting as it is read from the environment."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
