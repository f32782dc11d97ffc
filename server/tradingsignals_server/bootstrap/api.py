"""The services, and the servers that serve them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..adapters.backtests.process import BacktestProcesses
from ..adapters.performance import PerformanceProcesses
from ..api.access.noted import NotedServicer
from ..api.access.rules import require_rules
from ..api.contract import PEER_SERVICE, SERVICES
from ..api.mapping.errors import status_of
from ..api.mapping.log_messages import market_update_of, signal_of
from ..api.methods import all_methods, is_routine, methods_of
from ..api.once import RunOnce
from ..api.services.access import AccessServicer
from ..api.services.account import AccountServicer
from ..api.services.backtests import BacktestServicer
from ..api.services.json_bodies import json_body_servicer
from ..api.services.json_servicer import json_servicer
from ..api.services.market_data import MarketDataServicer
from ..api.services.model import ModelServicer
from ..api.services.notifications import NotificationServicer
from ..api.services.outcomes import OutcomeServicer
from ..api.services.peer import PeerServicer
from ..api.services.positions import PositionServicer
from ..api.services.signals import SignalServicer
from ..api.services.system import SystemServicer
from ..api.streams import EPOCH_KEY
from ..application.account_queries import AccountQueries
from ..application.event_log.follower import Followers
from ..application.explain.service import Decoders, SignalExplainer
from ..application.ports.performance import PerformanceQuery
from ..application.queries import Queries
from ..config.settings import Settings
from ..transport.certificates import Certificates
from ..transport.fanout.server import FanoutServer
from ..transport.grpc.registration import Metadata
from ..transport.grpc.server import RunningServer, running_server
from ..transport.grpc.status import CallRules
from ..transport.methods import Methods
from .access import Access
from .backtest_job import WORKER, backtest_job
from .engine import Core, utc_now
from .metrics import ServerMetrics
from .notifications import Notifications
from .performance_job import WORKER as PERFORMANCE_WORKER
from .performance_job import PerformanceJob
from .tracing import begins_spans

if TYPE_CHECKING:
    from ..adapters.tracing.spans import Tracing


@dataclass(slots=True)
class Servers:
    """The gRPC server, and the HTTP/2 server with fan-out if it has a port.

    is_serving: what health checks report.
    """

    grpc: RunningServer
    fanout: FanoutServer | None
    is_serving: bool = True

    async def stop_serving(self) -> None:
        """Report to health checks that this server is about to stop; calls under way go on."""
        self.is_serving = False
        if self.fanout is not None:
            self.fanout.not_serving()
        await self.grpc.not_serving()


@asynccontextmanager
async def running_servers(
    settings: Settings,
    core: Core,
    access: Access,
    notifications: Notifications,
    before_serving: Callable[[int], Awaitable[None]],
    certificates: Certificates | None,
    metrics: ServerMetrics | None = None,
    traces: Tracing | None = None,
) -> AsyncIterator[Servers]:
    """Serve all services, and the metrics, until the end of the context.

    Args:
        settings: the settings.
        core: what is served.
        access: who may call.
        notifications: the endpoints, and what delivers to them.
        before_serving: called with the port of the gRPC server before any call is served.
        certificates: of the ports, if they are encrypted.
        metrics: what counts.
        traces: where spans go.

    Raises:
        MethodWithoutRule: a method is in no rule of access.
    """
    followers = Followers(core.log_tail, settings.stream_stall_seconds)
    methods = all_methods(
        _servicers(settings, core, access, notifications), followers, _backtests(settings, core).methods()
    )
    on_end = None if metrics is None else metrics.on_call_end(methods)
    rules = CallRules(status_of, is_routine, on_end, begins_spans(traces, methods))
    metadata = ((EPOCH_KEY, str(core.log_tail.epoch)),)
    of_peers = methods_of(PEER_SERVICE, PeerServicer(core.router, settings.bar_interval.of))
    require_rules(access.rules, methods | of_peers)
    async with (
        running_server(
            settings.grpc_host,
            settings.grpc_port,
            methods | of_peers,
            rules,
            core.log_tail.subscribe,
            [service.full_name for service in SERVICES.values()],
            stream_metadata=metadata,
            peer_secret=core.storage.peer_secret,
            gate=access.gate,
            certificates=certificates,
            before_serving=before_serving,
        ) as server,
        _fanout_server(settings, core, access, certificates, methods, rules, metadata) as fanout,
    ):
        servers = Servers(server, fanout)
        async with (
            nullcontext()
            if metrics is None
            else metrics.served(
                settings, core, followers, notifications.dispatcher, certificates, lambda: servers.is_serving
            )
        ):
            yield servers


@asynccontextmanager
async def _fanout_server(
    settings: Settings,
    core: Core,
    access: Access,
    certificates: Certificates | None,
    methods: Methods,
    rules: CallRules,
    metadata: Metadata,
) -> AsyncIterator[FanoutServer | None]:
    if not settings.fanout_port:
        yield None
        return
    subscribe = core.log_tail.subscribe
    server = FanoutServer(methods, rules, subscribe, metadata, gate=access.gate, certificates=certificates)
    async with server.running(settings.grpc_host, settings.fanout_port):
        yield server


def _servicers(settings: Settings, core: Core, access: Access, notifications: Notifications) -> dict[str, object]:
    queries = Queries(core.storage.store, core.log_tail, core.storage.outcomes)
    explainer = SignalExplainer(core.storage.store, core.find_policy, Decoders(signal_of, market_update_of))
    once = RunOnce(core.once)
    public: dict[str, object] = {
        "SystemService": SystemServicer(
            core.health, core.log_tail, settings.feed.name, settings.risk_rules, settings.bar_interval
        ),
        "SignalService": SignalServicer(
            core.engine, queries, core.pipeline, core.owner, explainer, once, _performance(settings, core).compute
        ),
        "PositionService": PositionServicer(core.engine, queries, core.owner, once),
        "OutcomeService": OutcomeServicer(queries),
        "AccountService": AccountServicer(
            AccountQueries(core.storage.account), core.engine, settings.protections, once
        ),
        "MarketDataService": MarketDataServicer(core.router, queries, settings.bar_interval.of),
        "ModelService": ModelServicer(core.pipeline, core.models, queries),
        "AccessService": AccessServicer(access.keys, access.audit, utc_now, access.rules),
        "NotificationService": NotificationServicer(notifications.endpoints),
    }
    public = {name: NotedServicer(SERVICES[name], servicer, access.rules) for name, servicer in public.items()}
    json = json_servicer(public)
    return public | {"JsonService": json, "JsonBodyService": json_body_servicer(json)}


def _performance(settings: Settings, core: Core) -> PerformanceProcesses:
    def job_of(query: PerformanceQuery) -> PerformanceJob:
        return PerformanceJob(query, core.storage.dsn, settings.session_calendar, settings.bar_interval)

    return PerformanceProcesses(PERFORMANCE_WORKER, job_of)


def _backtests(settings: Settings, core: Core) -> BacktestServicer:
    prepare = partial(backtest_job, settings, core.storage.dsn, core.models.versions)
    return BacktestServicer(BacktestProcesses(WORKER, prepare).start, settings.bar_interval.of)
