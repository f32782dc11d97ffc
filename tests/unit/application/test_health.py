"""What the service says of itself: healthy, degraded with a reason, or unhealthy."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.health import Health, HealthReporter, Status
from tradingsignals_server.application.ports import Policy, SignalTotals
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

from ..builders import NOW, OPENING, bar, walk
from .running import Running, always, running_engine

WALK = walk(60)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = OPENING

    def __call__(self) -> datetime:
        return self.time


def pipeline_of(policy: Policy) -> Pipeline:
    return Pipeline(Trader(policy, RiskRules()), calendar_for)


async def reported(running: Running, at: datetime, policy: Policy | None = None, *, live: bool = True) -> Health:
    clock = Clock()
    pipeline = pipeline_of(policy or always(Action.HOLD))
    reporter = HealthReporter(running.store, running.engine, pipeline, clock, live_feed=live)
    clock.time = at
    return await reporter.report()


async def test_all_is_well() -> None:
    async with running_engine() as running:
        await running.publish(WALK)
        health = await reported(running, NOW)
        assert (health.status, health.warnings) == (Status.HEALTHY, ())
        assert (health.database_connected, health.model_loaded) == (True, True)
        assert health.totals == SignalTotals(11, WALK[59].close_time)
        assert health.uptime_seconds == (NOW - OPENING).total_seconds()
        (symbol,) = health.symbols
        assert (symbol.symbol, symbol.last_bar_time, symbol.missing_bars) == ("USDCOP", WALK[59].time, 0)
        assert not symbol.stale


async def test_without_a_model_it_is_degraded() -> None:
    async with running_engine() as running:
        health = await reported(running, NOW, PlaceholderPolicy())
        assert (health.status, health.model_loaded) == (Status.DEGRADED, False)
        assert "placeholder" in health.warnings[0]


async def test_without_the_database_it_is_unhealthy_and_remembers() -> None:
    async with running_engine() as running:
        await running.publish(WALK)
        clock = Clock()
        pipeline = pipeline_of(always(Action.HOLD))
        reporter = HealthReporter(running.store, running.engine, pipeline, clock, live_feed=True)
        before = await reporter.report()
        running.store.down = True
        health = await reporter.report()
        assert (health.status, health.database_connected) == (Status.UNHEALTHY, False)
        assert health.totals == before.totals
        assert "database" in health.warnings[0]
        running.store.down = False
        assert (await reporter.report()).status is Status.HEALTHY


async def test_missing_bars_are_told() -> None:
    async with running_engine() as running:
        await running.publish([WALK[0], WALK[1], WALK[5]])
        health = await reported(running, NOW)
        assert health.status is Status.DEGRADED
        assert health.warnings == ("USDCOP: 3 bars of the newest session are missing",)


@pytest.mark.parametrize(
    ("last", "minutes", "stale"),
    [
        (10, 60, False),  # 11 bars of 5 minutes are over
        (10, 65, False),  # two intervals without a bar
        (10, 66, True),
        (10, 299, True),
        (10, 300, False),  # the session is over
        (10, 24 * 60 + 9, False),  # the next one has just begun
        (10, 24 * 60 + 10, True),
        (10, 24 * 60 * 5 + 60, False),  # Saturday
    ],
)
async def test_a_feed_that_has_gone_quiet_in_a_session_is_stale(last: int, minutes: int, stale: bool) -> None:
    async with running_engine() as running:
        await running.publish([bar(n) for n in range(last + 1)])
        health = await reported(running, OPENING + timedelta(minutes=minutes))
        assert health.symbols[0].stale is stale
        assert health.status is (Status.DEGRADED if stale else Status.HEALTHY)


async def test_a_feed_that_keeps_its_own_time_is_never_stale() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:5])
        assert not (await reported(running, OPENING + timedelta(hours=3), live=False)).symbols[0].stale
