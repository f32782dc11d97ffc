"""tradingsignals.v1.SystemService."""

from __future__ import annotations

from tradingsignals.v1 import system_service_pb2 as pb

from ... import __version__
from ...application.event_log.tail import LogTail
from ...application.health import HealthReporter, Status
from ...domain.intervals import Intervals
from ...domain.risk import RiskRules
from ..mapping import to_proto
from ..mapping.errors import Unhealthy

SERVICE_NAME = "trading-signals-service"
DESCRIPTION = "Real-time trading signals: bars in, a policy decides, every step is durable and streamed."


class SystemServicer:
    """Describes the service and its health."""

    def __init__(
        self, health: HealthReporter, log_tail: LogTail, feed: str, rules: RiskRules, intervals: Intervals
    ) -> None:
        self._health = health
        self._log_tail = log_tail
        self._feed = feed
        self._rules = rules
        self._intervals = intervals

    async def get_service_info(self, _: pb.GetServiceInfoRequest) -> pb.GetServiceInfoResponse:
        """Describe the service."""
        return pb.GetServiceInfoResponse(
            service=SERVICE_NAME,
            version=__version__,
            description=DESCRIPTION,
            feed=self._feed,
            epoch=str(self._log_tail.epoch),
            through_sequence=self._log_tail.newest,
            oldest_sequence=self._log_tail.oldest,
            docs="/docs",
            openapi="/openapi.json",
            costs=to_proto.costs_messages(self._rules),
            bar_intervals=to_proto.interval_messages(self._intervals),
        )

    async def get_health(self, _: pb.GetHealthRequest) -> pb.GetHealthResponse:
        """Report the health of the service; an error with the same report if it is unhealthy."""
        health = self._health.report()
        report = to_proto.health_message(health, SERVICE_NAME, __version__)
        if health.status is Status.UNHEALTHY:
            raise Unhealthy(health.warnings[0], report)
        return report
