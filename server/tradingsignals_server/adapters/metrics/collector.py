"""Reads what the service keeps anyway, whenever Prometheus asks: gauges need no code where the values change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import Metric

from ... import __version__
from ...application.decision.pipeline import Pipeline
from ...application.event_log.follower import Followers
from ...application.event_log.tail import LogTail
from ...application.health import Health, HealthReporter
from ...application.ingest.engine import Engine
from ...application.ledger.keeper import LedgerKeeper
from ...application.notifications.dispatcher import Dispatcher
from ...domain.account import Account
from ...domain.notifications import EndpointState
from ...domain.protections import Protections
from ...transport.certificates import Certificates
from ..postgres.connection import Connections
from . import definitions
from .definitions import MetricDefinition
from .instruments import family, labelled
from .observers import EngineMetrics


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The parts of the service whose state is measured. To be read on the event loop only."""

    engine: Engine
    engine_metrics: EngineMetrics
    pipeline: Pipeline
    log_tail: LogTail
    followers: Followers
    dispatcher: Dispatcher
    ledger: LedgerKeeper
    health: HealthReporter
    connections: Connections
    certificates: Certificates | None

    def read(self) -> list[Metric]:
        """Return the present values."""
        health = self.health.report()
        return [
            *self._engine_values(health),
            *self._database_values(health),
            *self._streams(),
            *symbol_metrics(health),
            *self._notifications(),
            *self._account(),
            *self._model(),
        ]

    def _engine_values(self, health: Health) -> Iterator[Metric]:
        last_commit = health.last_commit
        yield family(definitions.QUEUED_COMMANDS, self.engine.queued)
        yield family(definitions.PENDING_COMMANDS, self.engine.pending)
        yield family(definitions.LAST_BAR, self.engine_metrics.last_bar)
        yield family(definitions.LAST_COMMIT, None if last_commit is None else last_commit.timestamp())
        yield labelled(definitions.BUILD_INFO, [((__version__,), 1)])
        expires = None if self.certificates is None else self.certificates.current.expires
        yield family(definitions.CERTIFICATE_EXPIRY, None if expires is None else expires.timestamp())

    def _database_values(self, health: Health) -> Iterator[Metric]:
        yield family(definitions.DATABASE_UP, health.database_connected)
        connections = [
            ((name, state), count)
            for name, pool in self.connections.use().items()
            for state, count in (
                ("in_use", pool.in_use),
                ("idle", pool.open - pool.in_use),
                ("closed", pool.limit - pool.open),
            )
        ]
        yield labelled(definitions.DATABASE_CONNECTIONS, connections)
        yield family(definitions.WAITING_READS, self.connections.waiting_reads)
        yield family(definitions.LOG_SEQUENCE, self.log_tail.newest)
        yield family(definitions.LEDGER_LAG, self.ledger.lag)

    def _streams(self) -> Iterator[Metric]:
        lags = {(name.method, name.transport): of_name for name, of_name in self.followers.lags().items()}
        yield labelled(definitions.FOLLOWERS, [(name, len(of_name)) for name, of_name in lags.items()])
        yield labelled(definitions.FOLLOWER_LAG, [(name, max(of_name)) for name, of_name in lags.items()])

    def _notifications(self) -> Iterator[Metric]:
        unpaused = [
            (each.name, each.progress)
            for each in self.dispatcher.endpoints
            if each.progress.state is not EndpointState.PAUSED
        ]
        pending = [((name,), max(0, self.log_tail.newest - progress.cursor)) for name, progress in unpaused]
        yield labelled(definitions.NOTIFICATION_PENDING, pending)
        failing = [((name,), progress.is_failing) for name, progress in unpaused]
        yield labelled(definitions.NOTIFICATION_FAILING, failing)

    def _account(self) -> Iterator[Metric]:
        account, protections = self.ledger.account, self.pipeline.live.rules.protections
        values: dict[MetricDefinition, float | None] = {
            definitions.POSITIONS: None if account is None else len(account.open_positions),
            definitions.EQUITY: None if account is None else account.equity,
            definitions.DRAWDOWN: None if account is None else account.drawdown_pct / 100.0,
            definitions.HALTED: None if account is None else account.halted or protections.trading_halted,
        }
        for definition, value in values.items():
            yield family(definition, value)
        yield from _protections(account, protections)

    def _model(self) -> Iterator[Metric]:
        live = self.pipeline.live
        policy = live.policy.description
        simulated = "true" if policy.simulated else "false"
        yield labelled(definitions.MODEL_INFO, [((policy.version, policy.type, simulated), 1)])
        yield family(definitions.INFERENCE_FAILURES, live.meter.failures)
        drift = self.engine_metrics.drift.drift(live.policy.features.names, policy.distributions)
        yield labelled(definitions.FEATURE_DRIFT, [((name,), one.index) for name, one in drift.items()])
        yield labelled(definitions.FEATURE_DRIFT_LIMIT, [((name,), one.limit) for name, one in drift.items()])


def _protections(account: Account | None, protections: Protections) -> Iterator[Metric]:
    states = [] if account is None else account.protection_states(protections)
    limits = [((state.name,), state.limit) for state in states if state.limit is not None]
    yield labelled(definitions.PROTECTION_LIMIT, limits)
    values = [((state.name,), state.value) for state in states if state.value is not None]
    yield labelled(definitions.PROTECTION_VALUE, values)
    yield labelled(definitions.PROTECTION_REACHED, [((state.name,), state.reason is not None) for state in states])


def symbol_metrics(health: Health) -> Iterator[Metric]:
    """Yield the metrics of symbols."""
    yield family(definitions.SYMBOLS, health.symbol_count)
    yield family(definitions.STALE_SYMBOLS, health.stale_symbols)
    # Alerts are by symbol, so no symbol may be left out because 50 others are worse.
    watched = {one.symbol: one for one in (*health.symbols, *health.of_concern)}.values()
    yield labelled(definitions.SYMBOL_STALE, [((one.symbol,), one.stale) for one in watched])
    closes = [
        ((one.symbol,), (one.last_bar_time + one.interval).timestamp())
        for one in health.symbols
        if one.last_bar_time is not None
    ]
    yield labelled(definitions.SYMBOL_BAR_CLOSE, closes)
    yield labelled(definitions.SYMBOL_MISSING_BARS, [((one.symbol,), one.missing_bars) for one in watched])
