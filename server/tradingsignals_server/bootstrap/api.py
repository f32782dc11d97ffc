"""The services, and the servers that serve them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..api.services.events import EventServicer
from ..api.services.json_bodies import JsonBodyServicer
from ..api.services.json_servicer import json_servicer
from ..api.services.market_data import MarketDataServicer
from ..api.services.model import ModelServicer
from ..api.services.peer import PeerServicer
from ..api.services.positions import PositionServicer
from ..api.services.signals import SignalServicer
from ..api.services.system import SystemServicer
from ..api.text_services import text_servicers
from ..application.queries import Queries
from ..config import Settings
from ..transport.fanout.server import LeanServer, running_lean_server
from ..transport.grpc.registration import Metadata
from ..transport.grpc.server import EPOCH_KEY, RunningServer, running_server
from .engine import Core


@dataclass(frozen=True, slots=True)
class Servers:
    """The gRPC server, and the HTTP/2 server with fan-out if it has a port."""

    grpc: RunningServer
    lean: LeanServer | None

    async def stop_serving(self) -> None:
        """Report to health checks that this server is about to stop; calls under way go on."""
        if self.lean is not None:
            self.lean.not_serving()
        await self.grpc.not_serving()


@asynccontextmanager
async def running_servers(
    settings: Settings, core: Core, before_serving: Callable[[int], Awaitable[None]]
) -> AsyncIterator[Servers]:
    """Serve all services until the end of the context.

    `before_serving` is called with the port of the gRPC server before any call is served.
    """
    servicers = _servicers(settings, core)
    metadata = ((EPOCH_KEY, str(core.broadcast.epoch)),)
    async with (
        running_server(
            settings.grpc_host,
            settings.grpc_port,
            servicers,
            stream_metadata=metadata,
            stall_seconds=settings.stream_stall_seconds,
            peer_servicer=PeerServicer(core.router),
            peer_secret=core.storage.peer_secret,
            before_serving=before_serving,
        ) as server,
        _lean_server(settings, core, servicers, metadata) as lean,
    ):
        yield Servers(server, lean)


@asynccontextmanager
async def _lean_server(
    settings: Settings, core: Core, servicers: Mapping[str, object], metadata: Metadata
) -> AsyncIterator[LeanServer | None]:
    if not settings.lean_port:
        yield None
        return
    async with running_lean_server(
        settings.grpc_host, settings.lean_port, core.broadcast, servicers, metadata, settings.stream_stall_seconds
    ) as server:
        yield server


def _servicers(settings: Settings, core: Core) -> dict[str, object]:
    queries = Queries(core.storage.store, core.broadcast)
    public: dict[str, object] = {
        "SystemService": SystemServicer(core.health, core.broadcast, settings.feed.name, settings.risk_rules),
        "SignalService": SignalServicer(core.engine, queries, core.broadcast, core.pipeline, core.owner),
        "PositionService": PositionServicer(core.engine, queries, core.broadcast, core.owner),
        "MarketDataService": MarketDataServicer(core.router, queries),
        "ModelService": ModelServicer(core.pipeline, core.models, queries),
        "EventService": EventServicer(core.broadcast),
    }
    json = json_servicer(public)
    return public | {"JsonService": json, "JsonBodyService": JsonBodyServicer(json)} | text_servicers(core.broadcast)
