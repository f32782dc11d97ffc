"""One server, from the database to its ports: started and stopped in named steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from ..adapters.feeds.kind import OnProgress
from ..adapters.feeds.rows import require_bars
from ..adapters.peers.client import open_peers
from ..adapters.postgres.membership import Membership
from ..adapters.processes.listening import Place, require_free
from ..adapters.python_features import load_features
from ..api.mapping.to_proto import bar_message
from ..application.access.open_calls import OpenCalls
from ..application.decision.pipeline import Pipeline
from ..application.notifications.dispatcher import Dispatcher
from ..application.ports.feed import Feed, MarketDataSink
from ..config.settings import Settings
from ..domain.errors import ShuttingDown
from ..transport.certificates import Certificates
from .access import Part, open_access
from .api import Servers, running_servers
from .engine import Core, build_core, build_feed, require_model
from .identity_files import require_identity_files
from .metrics import server_metrics
from .notifications import build_notifications
from .storage import open_storage
from .tracing import tracing

_FEED_ROLE = 1
"""The role of the one server whose feed runs."""

_LEDGER_ROLE = 2
"""The role of the one server that keeps ledger and account."""

_NOTIFICATION_ROLE = 3
"""The role of the one server that delivers to the endpoints of notifications."""


_ADOPTED_AT_START = 50
"""Symbols that are read before calls are served; of those after them the start does not wait."""

_LASTING_CALLS_S = 1.0
"""How long streams and uploads may take to end by themselves: less than any grace, of the edge's or the servers'."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running server.

    begin_drain: reports to health checks and streams that it is about to stop; single calls go on. until_refused:
    waits until the database needs a newer program, and raises ProgramTooOld then.
    """

    grpc_port: int
    fanout_port: int | None
    dsn: str
    pipeline: Pipeline
    begin_drain: Callable[[], Awaitable[None]]
    until_refused: Callable[[], Awaitable[NoReturn]]


@asynccontextmanager
async def serving(
    settings: Settings, dsn: str, on_progress: OnProgress | None = None, *, behind_edge: bool = False
) -> AsyncIterator[Service]:
    """Run a server on the database at `dsn` until the end of the context.

    Args:
        settings: the settings.
        dsn: address of the database.
        on_progress: called with the progress of a file that is replayed.
        behind_edge: the edge is to listen on the public port.
    """
    require_free([*(edge_places(settings) if behind_edge else []), *_places(settings)])
    certificates = None if settings.grpc_tls is None else Certificates(settings.grpc_tls)
    async with (
        open_storage(settings, dsn) as storage,
        open_peers(storage.peer_secret, bar_message, certificates) as peers,
        tracing(settings) as traces,
        asyncio.TaskGroup() as tasks,
    ):
        metrics = server_metrics(settings)
        core = await build_core(
            settings,
            storage,
            peers.at,
            [each for each in (None if metrics is None else metrics.engine, traces) if each is not None],
            None if metrics is None else metrics.ledger,
        )
        access = await open_access(settings, storage)
        notifications = build_notifications(
            settings, storage.endpoints, core.log_tail, None if metrics is None else metrics.notifications
        )
        lifecycle = _Lifecycle(
            settings,
            core,
            notifications.dispatcher,
            (*access.parts, *filter(None, [certificates])),
            access.gate.open_calls,
            tasks,
        )
        lifecycle.start()
        try:
            async with running_servers(
                settings, core, access, notifications, lifecycle.join, certificates, metrics, traces
            ) as servers:
                lifecycle.start_feed(build_feed(settings, core, on_progress))
                fanout_port = None if servers.fanout is None else servers.fanout.port
                try:
                    yield Service(
                        servers.grpc.port,
                        fanout_port,
                        dsn,
                        core.pipeline,
                        begin_drain=lambda: lifecycle.begin_drain(servers),
                        until_refused=core.membership.until_refused,
                    )
                finally:
                    await lifecycle.drain(servers)
        finally:
            await lifecycle.stop()


class _Lifecycle:
    """The steps in which the parts of a server start and stop."""

    def __init__(
        self,
        settings: Settings,
        core: Core,
        dispatcher: Dispatcher,
        parts: Sequence[Part],
        open_calls: OpenCalls,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._core = core
        self._dispatcher = dispatcher
        self._parts = parts
        self._open_calls = open_calls
        self._group = tasks
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start what works without a port."""
        core = self._core
        self._writing = self._group.create_task(core.engine.run())
        parts: tuple[Part, ...] = (core.models, core.router, core.retention, core.health, *self._parts)
        for part in parts:
            self._tasks.append(self._group.create_task(part.run()))

    async def join(self, port: int) -> None:
        """Join the other servers of the database, as the one that they reach at `port`, before calls are served."""
        core = self._core
        await core.membership.join(f"{self._settings.reachable_host}:{port}")
        self._tasks.append(self._group.create_task(core.membership.run()))
        for role, part in ((_LEDGER_ROLE, core.ledger), (_NOTIFICATION_ROLE, self._dispatcher)):
            self._tasks.append(self._group.create_task(_run_as_leader(part, role, core.membership)))
        if await core.membership.is_alone():
            await core.router.adopt(_ADOPTED_AT_START)

    def start_feed(self, feed: Feed | None) -> None:
        """Start the feed, if there is one."""
        self._feeding = self._group.create_task(_run_feed(feed, self._core.router, self._core.membership))

    async def begin_drain(self, servers: Servers) -> None:
        """Report to health checks and to calls that last that this server is about to stop.

        Followers end by themselves once they have what is committed; uploads, backtests and followers that are far
        behind would not within the grace of the servers.
        """
        await servers.stop_serving()
        if not self._core.log_tail.is_stopping:
            self._core.log_tail.stop()
            self._tasks.append(self._group.create_task(self._end_calls()))

    async def _end_calls(self) -> None:
        await asyncio.sleep(_LASTING_CALLS_S)
        self._open_calls.end_all(ShuttingDown(self._core.log_tail.newest))

    async def drain(self, servers: Servers) -> None:
        """Stop taking bars and calls, end streams, commit what is queued, and leave the symbols to other servers."""
        self._feeding.cancel()
        await servers.stop_serving()
        await asyncio.sleep(self._settings.drain_seconds)
        await self.begin_drain(servers)
        await self._core.engine.stop()
        await asyncio.wait([self._writing])
        await self._core.membership.leave()

    async def stop(self) -> None:
        """End what still runs, also after a start that failed."""
        for task in self._tasks:
            task.cancel()
        await self._core.engine.stop()
        await self._core.membership.leave()
        # The group of the tasks would cancel them once more, and what they undo in the database.
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _run_feed(feed: Feed | None, sink: MarketDataSink, membership: Membership) -> None:
    """Run the feed while this server has the role to do so."""
    while feed is not None:
        lost = await membership.lead(_FEED_ROLE)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(feed.run(sink))
            await lost()
            running.cancel()


async def _run_as_leader(part: Part, role: int, membership: Membership) -> None:
    """Run a part while this server alone has a role."""
    while True:
        lost = await membership.lead(role)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(part.run())
            await lost()
            running.cancel()


def _places(settings: Settings) -> list[Place]:
    return [
        Place("GRPC_PORT", settings.grpc_host, settings.grpc_port),
        Place("FANOUT_PORT", settings.grpc_host, settings.fanout_port),
        Place("METRICS_PORT", settings.metrics_host, settings.metrics_port),
    ]


def require_files(settings: Settings) -> None:
    """Check the files that settings name, before the database is started.

    Raises:
        UnreadableFile: the file to replay cannot be read, or does not contain bars.
        InvalidSettings: there is no such model.
        FeaturesRefused: the features that FEATURES names cannot be used.
    """
    if settings.features is not None:
        load_features(settings.features)
    if (bars := settings.feed.file(settings)) is not None:
        require_bars(bars)
    require_model(settings)
    require_identity_files(settings)


def edge_places(settings: Settings) -> list[Place]:
    """Return where the edge listens."""
    return [
        Place("SIGNAL_SERVICE_PORT", settings.signal_service_host, settings.signal_service_port),
        Place("EDGE_METRICS_PORT", settings.metrics_host, settings.edge_metrics_port),
    ]
