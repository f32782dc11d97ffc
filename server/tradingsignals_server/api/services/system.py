"""tradingsignals.v1.SystemService."""

from __future__ import annotations

from time import perf_counter

from tradingsignals.v1 import system_service_pb2 as pb

from ... import __version__
from ...application.event_log.tail import LogTail
from ...application.health import HealthReporter, Status
from ...domain.intervals import Intervals
from ...domain.risk import RiskRules
from ..mapping import to_proto
from ..mapping.errors import Unhealthy

SERVICE_NAME = "trading-signals-service"

HEALTH_SHARE = 0.1
"""Of a core that reports of health may take, since their calls are not limited. One of 10,000 symbols takes some 50 ms,
and is sent again for nine times as long."""

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
        self._reported = pb.GetHealthResponse(), Status.UNHEALTHY
        self._report_until = 0.0

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
        if (started := perf_counter()) >= self._report_until:
            health = self._health.report()
            self._reported = to_proto.health_message(health, SERVICE_NAME, __version__), health.status
            ended = perf_counter()
            self._report_until = ended + (ended - started) * (1.0 / HEALTH_SHARE - 1.0)
        report, status = self._reported
        if status is Status.UNHEALTHY:
            raise Unhealthy(report.warnings[0], report)
        return report
