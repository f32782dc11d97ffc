"""The composition root: what is built, in which order, and how it ends. Nothing else creates these objects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg

from ..adapters.envoy.process import Edge, running_edge
from ..adapters.envoy.render import Address, EdgeConfig
from ..adapters.feeds.kind import FeedContext, OnProgress
from ..adapters.onnx.repository import fingerprint, load_newest, shipped_models, versions
from ..adapters.peers.client import open_peers
from ..adapters.placeholder_policy import PlaceholderPolicy
from ..adapters.postgres.bars_table import BarsTable
from ..adapters.postgres.connection import Connections, DatabaseRefused, connections
from ..adapters.postgres.embedded import running_postgres
from ..adapters.postgres.membership import Membership
from ..adapters.postgres.migrate import Migration, migrate
from ..adapters.postgres.peer_secret import peer_secret
from ..adapters.postgres.store import PostgresStore
from ..adapters.processes.fleet import FLEET_HOST, ServerFailed, ServerProcess, fleet_ports, running_fleet
from ..adapters.processes.listening import Place, require_free
from ..api.mapping.convert import bar_message, encode
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
from ..application.cluster.forwarding import OwnerForwarding
from ..application.cluster.router import Router
from ..application.decision.pipeline import Pipeline
from ..application.decision.trader import Trader
from ..application.event_log.retention import Retention
from ..application.event_log.tail import Broadcast
from ..application.event_log.tailer import LogReader
from ..application.health import HealthReporter
from ..application.ingest.engine import Engine
from ..application.models import ModelKeeper, ModelSource
from ..application.ports.feed import Feed, MarketDataSink
from ..application.ports.store import Store
from ..application.queries import Queries
from ..config import PLACEHOLDER_PATH, Settings
from ..domain.calendar import calendar_for
from ..domain.errors import StorageUnavailable
from ..transport.fanout.server import LeanServer, running_lean_server
from ..transport.grpc.registration import Metadata
from ..transport.grpc.server import EPOCH_KEY, running_server

log = logging.getLogger(__name__)


WHOLE_SECONDS = 60.0
"""How long a rolling restart waits for a server that is down."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running server, and what it works with.

    `farewell` tells health checks and followers that it is about to go; calls under way go on.
    """

    grpc_port: int
    lean_port: int | None
    dsn: str
    pipeline: Pipeline
    farewell: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Everything:
    """A running server with the edge in front of it."""

    service: Service
    edge: Edge


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def everything(settings: Settings, on_progress: OnProgress | None = None) -> AsyncIterator[Everything]:
    """The database if none is named, the server, and the edge. `on_progress` follows the replay of a file."""
    async with database(settings) as dsn, serving(settings, dsn, on_progress, behind_edge=True) as service:
        config = EdgeConfig(
            listen=Address(settings.signal_service_host, settings.signal_service_port),
            allowed_hosts=settings.allowed_hosts,
            backend=Address(settings.grpc_host, service.grpc_port),
            lean=() if service.lean_port is None else (Address(settings.grpc_host, service.lean_port),),
        )
        async with running_edge(config, settings.data_dir / "edge") as edge:
            try:
                yield Everything(service, edge)
            finally:
                # Followers behind the edge are to hear it from the server before the edge cuts them off.
                await service.farewell()


@dataclass(frozen=True, slots=True)
class Several:
    """Several servers that run, with the edge in front of them."""

    dsn: str
    fleet: Sequence[ServerProcess]
    edge: Edge

    async def restart_in_turn(self) -> None:
        """Restart one server after the other, each when the edge has all of them."""
        for server in self.fleet:
            try:
                async with asyncio.timeout(WHOLE_SECONDS):
                    await self.edge.sees_all_healthy()
                log.info("restarting the server on port %d", server.port)
                await server.restart()
            except (TimeoutError, ServerFailed) as error:
                log.error("%s; the servers that are left stay as they are", str(error) or "not every server is healthy")
                return
        await self.edge.sees_all_healthy()
        log.info("every server has been restarted")


@asynccontextmanager
async def several(settings: Settings) -> AsyncIterator[Several]:
    """The database if none is named, the servers in processes of their own, and the edge."""
    ports = fleet_ports(settings.grpc_port, settings.servers, lean=settings.lean_port > 0)
    require_free([_public_place(settings), *(Place("GRPC_PORT", FLEET_HOST, port) for pair in ports for port in pair)])
    async with _migrated_database(settings) as dsn, running_fleet(ports, settings.of_a_server(dsn)) as fleet:
        first, *further = (Address("127.0.0.1", server.port) for server in fleet)
        config = EdgeConfig(
            listen=Address(settings.signal_service_host, settings.signal_service_port),
            allowed_hosts=settings.allowed_hosts,
            backend=first,
            further_backends=tuple(further),
            lean=tuple(Address("127.0.0.1", server.lean_port) for server in fleet if server.lean_port),
        )
        async with running_edge(config, settings.data_dir / "edge") as edge:
            try:
                yield Several(dsn, fleet, edge)
            finally:
                # Followers behind the edge are to hear it from the servers before the edge cuts them off.
                await asyncio.gather(*(server.stop() for server in fleet))


def _places(settings: Settings, *, behind_edge: bool) -> list[Place]:
    """Where a server listens, and the edge in front of it."""
    own = [Place("GRPC_PORT", settings.grpc_host, settings.grpc_port)]
    own.append(Place("LEAN_PORT", settings.grpc_host, settings.lean_port))
    return [_public_place(settings), *own] if behind_edge else own


def _public_place(settings: Settings) -> Place:
    return Place("SIGNAL_SERVICE_PORT", settings.signal_service_host, settings.signal_service_port)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The address of the database that is named, or of one that is started for us.

    What is simulated is kept in a database of its own, so that no real feed ever meets bars that were made up.
    """
    if not settings.embedded_database:
        yield settings.dsn
        return
    name = "tradingsignals_simulated" if settings.feed.is_simulated else "tradingsignals"
    async with running_postgres(settings.data_dir, name) as postgres:
        yield postgres.dsn


@asynccontextmanager
async def serving(
    settings: Settings, dsn: str, on_progress: OnProgress | None = None, *, behind_edge: bool = False
) -> AsyncIterator[Service]:
    """The server on the database at `dsn`; `behind_edge`: the edge is to listen on the public port.

    It ends in this order: bars stop coming in, health checks and followers are told, calls under way end, what waits
    is committed, the database is let go.
    """
    require_free(_places(settings, behind_edge=behind_edge))
    async with (
        _opened(dsn) as (database, secret),
        open_peers(secret, bar_message) as others,
        asyncio.TaskGroup() as background,
    ):
        store = PostgresStore(database, encode, await _bars_table(database, settings))
        live, shadow = _model_source(settings.model_path, "MODEL_PATH"), _shadow_source(settings)
        pipeline = _pipeline(settings, live, shadow)
        broadcast = Broadcast(store, await store.log_head())
        reader = LogReader(store, broadcast)
        membership = Membership(dsn, reader.wake)
        engine = Engine(
            store,
            pipeline,
            broadcast,
            utc_now,
            bars_elsewhere=settings.bars_table is not None,
            is_replayed=settings.is_replayed,
            ownership=membership,
            reader=reader,
            max_symbols=settings.max_symbols,
        )
        router = Router(engine, membership, store, others.at)
        owner = OwnerForwarding(router, others.at)
        keeper = ModelKeeper(engine, pipeline, settings.risk_rules, live, shadow)
        health = HealthReporter(store, engine, pipeline, utc_now, live_feed=settings.feed.is_live)
        servicers = _servicers(settings, store, engine, router, owner, pipeline, broadcast, keeper, health)
        writing = background.create_task(engine.run())
        retention = Retention(store, broadcast, utc_now, timedelta(days=settings.signal_retention_days))
        tasks = [background.create_task(work) for work in (keeper.run(), router.run(), retention.run(), health.run())]

        async def join(port: int) -> None:
            await membership.join(f"{settings.reachable_host}:{port}")
            tasks.append(background.create_task(membership.run()))
            await _take_up_positions(membership, store, engine)

        try:
            metadata = ((EPOCH_KEY, str(broadcast.epoch)),)
            async with (
                running_server(
                    settings.grpc_host,
                    settings.grpc_port,
                    servicers,
                    stream_metadata=metadata,
                    stall_seconds=settings.stream_stall_seconds,
                    peer_servicer=PeerServicer(router),
                    peer_secret=secret,
                    before_serving=join,
                ) as server,
                _lean_path(settings, broadcast, servicers, metadata) as lean,
            ):

                async def not_serving() -> None:
                    if lean is not None:
                        lean.not_serving()
                    await server.not_serving()

                async def farewell() -> None:
                    await not_serving()
                    broadcast.stop()

                feeding = background.create_task(_fed(_feed(settings, on_progress), router, membership))
                try:
                    yield Service(server.port, None if lean is None else lean.port, dsn, pipeline, farewell)
                finally:
                    feeding.cancel()
                    await not_serving()
                    await asyncio.sleep(settings.drain_seconds)
                    await farewell()
                    # Our symbols are free for others as soon as what waits is committed.
                    await engine.stop()
                    await asyncio.wait([writing])
                    await membership.leave()
        finally:
            for task in tasks:
                task.cancel()
            await engine.stop()
            await membership.leave()


@asynccontextmanager
async def _migrated_database(settings: Settings) -> AsyncIterator[str]:
    """The same as `database`, migrated, which may take longer than a server is given to start."""
    async with database(settings) as dsn:
        async with connections(dsn) as opened:
            await migrated(opened)
        yield dsn


@asynccontextmanager
async def _opened(dsn: str) -> AsyncIterator[tuple[Connections, str]]:
    """Connections to the database, migrated, and the secret that its servers share."""
    async with connections(dsn) as database:
        await migrated(database)
        yield database, await peer_secret(database)


async def _take_up_positions(membership: Membership, store: Store, engine: Engine) -> None:
    """Work on the symbols that hold a position, unless other servers are there to do so."""
    if await membership.is_alone():
        symbols = await store.symbols_with_open_positions()
        for symbol in (await membership.claim(symbols)).ours:
            await engine.last_bar(symbol)


_FEEDING = 1
"""The role of the one server whose feed runs."""


async def _fed(feed: Feed | None, sink: MarketDataSink, membership: Membership) -> None:
    """Run the feed, if there is one, whenever this server is the one to do so, and stop it when it is not any more."""
    while feed is not None:
        lost = await membership.lead(_FEEDING)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(feed.run(sink))
            await lost()
            running.cancel()


@asynccontextmanager
async def _lean_path(
    settings: Settings, broadcast: Broadcast, servicers: Mapping[str, object], metadata: Metadata
) -> AsyncIterator[LeanServer | None]:
    """The lean path, if it has a port."""
    if not settings.lean_port:
        yield None
        return
    async with running_lean_server(
        settings.grpc_host, settings.lean_port, broadcast, servicers, metadata, settings.stream_stall_seconds
    ) as server:
        yield server


async def migrated(database: Connections) -> list[Migration]:
    """Bring the schema up to date; returns what was applied.

    Raises:
        DatabaseRefused: we may not, there is no schema to do it in, it is read-only, or it went away meanwhile.
    """
    try:
        async with database.for_engine() as connection:
            return await migrate(connection)
    except (asyncpg.PostgresError, StorageUnavailable) as error:
        cause = error.__cause__ or error
        why = str(cause) or type(cause).__name__
        raise DatabaseRefused(f"the database at {database.place} cannot be migrated: {why}") from error


def _servicers(
    settings: Settings,
    store: Store,
    engine: Engine,
    router: Router,
    owner: OwnerForwarding,
    pipeline: Pipeline,
    broadcast: Broadcast,
    keeper: ModelKeeper,
    health: HealthReporter,
) -> dict[str, object]:
    queries = Queries(store, broadcast)
    public: dict[str, object] = {
        "SystemService": SystemServicer(health, broadcast, settings.feed.name, settings.risk_rules),
        "SignalService": SignalServicer(engine, queries, broadcast, pipeline, owner),
        "PositionService": PositionServicer(engine, queries, broadcast, owner),
        "MarketDataService": MarketDataServicer(router, queries),
        "ModelService": ModelServicer(pipeline, keeper, queries),
        "EventService": EventServicer(broadcast),
    }
    written = json_servicer(public)
    return public | {"JsonService": written, "JsonBodyService": JsonBodyServicer(written)} | text_servicers(broadcast)


def _pipeline(settings: Settings, live: ModelSource, shadow: ModelSource | None) -> Pipeline:
    rules = settings.risk_rules
    log.info("a trade is charged: spread %s, commission %s", rules.spread, rules.commission)
    watched = None if shadow is None else Trader(shadow.load(), rules)
    return Pipeline(Trader(live.load(), rules), partial(calendar_for, choice=settings.session_calendar), watched)


def _model_source(path: Path | None, setting: str) -> ModelSource:
    """The policy at `path`; without one the policy that is shipped; and placeholder predictions if there is none."""
    folder = shipped_models() if path is None else path
    if folder is None or folder == PLACEHOLDER_PATH:
        return ModelSource(fingerprint=lambda: None, load=PlaceholderPolicy, versions=lambda: ())
    return ModelSource(partial(fingerprint, folder), partial(load_newest, folder, setting), partial(versions, folder))


def _shadow_source(settings: Settings) -> ModelSource | None:
    path = settings.shadow_model_path
    return None if path is None else _model_source(path, "SHADOW_MODEL_PATH")


def _feed(settings: Settings, on_progress: OnProgress | None) -> Feed | None:
    calendar_of = partial(calendar_for, choice=settings.session_calendar)
    return settings.feed.build(settings, FeedContext(utc_now, calendar_of, on_progress))


async def _bars_table(database: Connections, settings: Settings) -> BarsTable | None:
    if settings.bars_table is None:
        return None
    async with database.for_engine() as connection:
        return await BarsTable.open(
            connection, settings.bars_table, partial(calendar_for, choice=settings.session_calendar)
        )
