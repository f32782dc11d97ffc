"""Reports of health, whose calls are not limited, take a bounded share of the server's time."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import now
from tests.support.running import Running, running_engine

from tradingsignals.v1.system_service_pb2 import GetHealthRequest
from tradingsignals_server.api.mapping.errors import Unhealthy
from tradingsignals_server.api.services import system
from tradingsignals_server.api.services.system import HEALTH_SHARE, SystemServicer
from tradingsignals_server.application.health import Health, HealthReporter
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.intervals import Intervals
from tradingsignals_server.domain.risk import RiskRules


class Clock:
    """Time of a processor, on which a report takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(system, "perf_counter", lambda: self.seconds)

    def of(self, running: Running) -> HealthReporter:
        """Return what makes reports."""
        reporter = HealthReporter(running.store, running.engine, running.pipeline, now, live_feed=False)
        report = reporter.report

        def reported() -> Health:
            self.seconds += 1.0
            return report()

        reporter.report = reported  # type: ignore[method-assign]
        return reporter


async def test_report_that_took_long_to_make_is_sent_again_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    async with running_engine() as running:
        reporter = clock.of(running)
        servicer = SystemServicer(reporter, running.log_tail, "push", RiskRules(), Intervals())
        first = await servicer.get_health(GetHealthRequest())
        for _ in range(100):
            assert await servicer.get_health(GetHealthRequest()) is first
        assert clock.seconds == 1.0
        clock.seconds = 1.0 / HEALTH_SHARE
        assert await servicer.get_health(GetHealthRequest()) is not first

        async def lost() -> Any:
            raise StorageUnavailable

        running.store.signal_totals = lost  # type: ignore[method-assign]
        await reporter.probe()
        clock.seconds *= 2
        errors = []
        for _ in range(2):
            with pytest.raises(Unhealthy) as refused:
                await servicer.get_health(GetHealthRequest())
            errors.append(refused.value.report)
        assert errors[0] is errors[1]
