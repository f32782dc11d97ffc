"""The metrics of a server: what counts them, and the port that serves them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

from ..adapters.metrics import definitions
from ..adapters.metrics.collector import ServiceState
from ..adapters.metrics.endpoint import LoopCollector, metrics_port
from ..adapters.metrics.instruments import LoopHistogram
from ..adapters.metrics.observers import CallMetrics, EngineMetrics, LedgerMetrics, NotificationMetrics
from ..application.event_log.follower import Followers
from ..application.notifications.dispatcher import Dispatcher
from ..config.settings import Settings
from ..transport.certificates import Certificates
from ..transport.grpc.health import HEALTH_CHECK, HEALTH_WATCH
from ..transport.grpc.status import CallStatus
from ..transport.methods import Methods, Unary
from .engine import Core

LOOP_CHECK_SECONDS: Final = 0.5


class ServerMetrics:
    """What counts while a server works."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.engine = EngineMetrics()
        self.ledger = LedgerMetrics()
        self.notifications = NotificationMetrics()
        self._calls = CallMetrics((), ())
        self._loop_delay = LoopHistogram(definitions.EVENT_LOOP_DELAY)

    def on_call_end(self, methods: Methods) -> Callable[[str, CallStatus, float], None]:
        """Return what counts the calls of `methods` at their ends."""
        unary = [path for path, method in methods.items() if isinstance(method, Unary)]
        calls = self._calls = CallMetrics([*methods, HEALTH_CHECK, HEALTH_WATCH], unary)
        return lambda path, status, seconds: calls.ended(path, status.code.name, status.reason, seconds)

    @asynccontextmanager
    async def served(
        self,
        settings: Settings,
        core: Core,
        followers: Followers,
        dispatcher: Dispatcher,
        certificates: Certificates | None,
        is_serving: Callable[[], bool],
    ) -> AsyncIterator[None]:
        """Serve the metrics, and whether the server serves, on their port until the end of the context."""
        state = ServiceState(
            engine=core.engine,
            engine_metrics=self.engine,
            pipeline=core.pipeline,
            log_tail=core.log_tail,
            followers=followers,
            dispatcher=dispatcher,
            ledger=core.ledger,
            health=core.health,
            connections=core.storage.connections,
            certificates=certificates,
        )
        self.registry.register(LoopCollector(lambda: [*self._counted(), *state.read()]))
        checking = asyncio.create_task(self._check_event_loop())
        try:
            async with metrics_port(self.registry, settings.metrics_host, settings.metrics_port, is_serving):
                yield
        finally:
            checking.cancel()
            with suppress(asyncio.CancelledError):
                await checking

    def _counted(self) -> Iterator[Metric]:
        yield from self.engine.read()
        yield from self.ledger.read()
        yield from self.notifications.read()
        yield from self._calls.read()
        yield self._loop_delay.read()

    async def _check_event_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time() + LOOP_CHECK_SECONDS
            await asyncio.sleep(LOOP_CHECK_SECONDS)
            self._loop_delay.observe(max(0.0, loop.time() - asked))


def server_metrics(settings: Settings) -> ServerMetrics | None:
    """Make what counts the metrics; None if they are turned off."""
    return ServerMetrics() if settings.metrics_port else None
