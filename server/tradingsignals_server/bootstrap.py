"""The composition root: what is built, in which order, and how it ends. Nothing else creates these objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import asyncpg

from .adapters.edge.process import Edge, running_edge
from .adapters.edge.render import Address, EdgeConfig
from .adapters.feeds.replay import ReplayFeed
from .adapters.feeds.simulate import SimulatedFeed
from .adapters.onnx.repository import fingerprint, load_newest, shipped_models, versions
from .adapters.placeholder_policy import PlaceholderPolicy
from .adapters.postgres.bars_table import BarsTable
from .adapters.postgres.connection import connection, connection_pool
from .adapters.postgres.embedded import running_postgres
from .adapters.postgres.migrate import Migration, migrate
from .adapters.postgres.store import PostgresStore
from .application.broadcast import Broadcast
from .application.engine import Engine
from .application.health import HealthReporter
from .application.models import ModelKeeper, ModelSource
from .application.pipeline import Pipeline
from .application.ports import Feed, Store
from .application.queries import Queries
from .application.trader import Trader
from .config import PLACEHOLDER_PATH, FeedKind, Settings
from .domain.calendar import calendar_for
from .rpc.convert import encode
from .rpc.events import EventServicer
from .rpc.market_data import MarketDataServicer
from .rpc.model import ModelServicer
from .rpc.positions import PositionServicer
from .rpc.server import running_server
from .rpc.signals import SignalServicer
from .rpc.system import SystemServicer


@dataclass(frozen=True, slots=True)
class Service:
    """A running server, and what it works with.

    `farewell` tells health checks and followers that it is about to go; calls under way go on.
    """

    grpc_port: int
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
async def everything(settings: Settings) -> AsyncIterator[Everything]:
    """The database if none is named, the server, and the edge."""
    async with database(settings) as dsn, serving(settings, dsn) as service:
        config = EdgeConfig(
            listen=Address(settings.signal_service_host, settings.signal_service_port),
            backend=Address(settings.grpc_host, service.grpc_port),
        )
        async with running_edge(config, settings.data_dir / "edge") as edge:
            try:
                yield Everything(service, edge)
            finally:
                # Followers behind the edge are to hear it from the server before the edge cuts them off.
                await service.farewell()


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The address of the database that is named, or of one that is started for us.

    What is simulated is kept in a database of its own, so that no real feed ever meets bars that were made up.
    """
    if not settings.embedded_database:
        yield settings.dsn
        return
    name = "tradingsignals_simulated" if settings.feed is FeedKind.SIMULATE else "tradingsignals"
    async with running_postgres(settings.data_dir, name) as postgres:
        yield postgres.dsn


@asynccontextmanager
async def serving(settings: Settings, dsn: str) -> AsyncIterator[Service]:
    """The server on the database at `dsn`.

    It ends in this order: bars stop coming in, health checks and followers are told, calls under way end, what waits
    is committed, the database is let go.
    """
    calendar_of = partial(calendar_for, choice=settings.session_calendar)
    async with connection_pool(dsn) as pool, asyncio.TaskGroup() as background:
        await migrated(pool)
        store = PostgresStore(pool, encode, await _bars_table(pool, settings))
        rules = settings.risk_rules
        live, shadow = _model_source(settings.model_path, "MODEL_PATH"), _shadow_source(settings)
        pipeline = Pipeline(
            Trader(live.load(), rules), calendar_of, None if shadow is None else Trader(shadow.load(), rules)
        )
        broadcast = Broadcast(store, await store.log_head())
        engine = Engine(store, pipeline, broadcast, utc_now, bars_elsewhere=settings.bars_table is not None)
        for symbol in await store.symbols_with_open_positions():
            await engine.last_bar(symbol)
        background.create_task(engine.run())
        keeper = ModelKeeper(engine, pipeline, rules, live, shadow)
        keeping = background.create_task(keeper.run())
        try:
            servicers = _servicers(settings, store, engine, pipeline, broadcast, keeper)
            async with running_server(settings.grpc_host, settings.grpc_port, servicers) as server:

                async def farewell() -> None:
                    broadcast.stop()
                    await server.not_serving()

                feed = _feed(settings)
                feeding = None if feed is None else background.create_task(feed.run(engine))
                try:
                    yield Service(server.port, dsn, pipeline, farewell)
                finally:
                    if feeding is not None:
                        feeding.cancel()
                    await farewell()
        finally:
            keeping.cancel()
            await engine.stop()


async def migrated(pool: asyncpg.Pool) -> list[Migration]:
    """Bring the schema up to date; returns what was applied."""
    async with connection(pool) as database:
        return await migrate(database)


def _servicers(
    settings: Settings,
    store: Store,
    engine: Engine,
    pipeline: Pipeline,
    broadcast: Broadcast,
    keeper: ModelKeeper,
) -> dict[str, object]:
    queries = Queries(store)
    health = HealthReporter(store, engine, pipeline, utc_now, live_feed=settings.feed is FeedKind.PUSH)
    return {
        "SystemService": SystemServicer(health, broadcast, settings.feed),
        "SignalService": SignalServicer(engine, queries, broadcast, pipeline),
        "PositionService": PositionServicer(engine, queries, broadcast),
        "MarketDataService": MarketDataServicer(engine, queries, utc_now),
        "ModelService": ModelServicer(pipeline, keeper, queries),
        "EventService": EventServicer(broadcast),
    }


def _model_source(path: Path | None, setting: str) -> ModelSource:
    """The policy at `path`; without one the policy that is shipped; and placeholder predictions if there is none."""
    folder = shipped_models() if path is None else path
    if folder is None or folder == PLACEHOLDER_PATH:
        return ModelSource(fingerprint=lambda: None, load=PlaceholderPolicy, versions=lambda: ())
    return ModelSource(partial(fingerprint, folder), partial(load_newest, folder, setting), partial(versions, folder))


def _shadow_source(settings: Settings) -> ModelSource | None:
    path = settings.shadow_model_path
    return None if path is None else _model_source(path, "SHADOW_MODEL_PATH")


def _feed(settings: Settings) -> Feed | None:
    match settings.feed:
        case FeedKind.SIMULATE:
            return SimulatedFeed(
                symbols=settings.symbols,
                seed=settings.simulate_seed,
                speed=settings.simulate_speed,
                start=settings.simulate_start,
                calendar_of=partial(calendar_for, choice=settings.session_calendar),
            )
        case FeedKind.REPLAY if settings.replay_file is not None:
            return ReplayFeed(settings.replay_file, speed=settings.replay_speed)
        case _:
            return None


async def _bars_table(pool: asyncpg.Pool, settings: Settings) -> BarsTable | None:
    if settings.bars_table is None:
        return None
    async with connection(pool) as database:
        return await BarsTable.open(
            database, settings.bars_table, partial(calendar_for, choice=settings.session_calendar)
        )
