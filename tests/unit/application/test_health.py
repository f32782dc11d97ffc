"""Health reports: healthy, degraded with a reason, or unhealthy."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial

import pytest
from tests.support.builders import NOW, OPENING, bar, walk
from tests.support.memory_store import Fault
from tests.support.running import Running, always, running_engine

from tradingsignals_server.adapters.metrics.collector import symbol_metrics
from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application import health as health_module
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.health import FAILURE_COUNTS_FOR, MAXIMUM_SYMBOLS, Health, HealthReporter, Status
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.application.ports.store import SignalTotals
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.protections import Protections
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

WALK = walk(60)


class Clock:
    """A clock that a test sets."""

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
    await reporter.probe()
    return reporter.report()


async def test_healthy_without_problems() -> None:
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


async def test_degraded_without_a_model() -> None:
    async with running_engine() as running:
        health = await reported(running, NOW, PlaceholderPolicy())
        assert (health.status, health.model_loaded) == (Status.DEGRADED, False)
        assert "placeholder" in health.warnings[0]


async def test_unhealthy_without_the_database_and_totals_are_kept() -> None:
    async with running_engine() as running:
        await running.publish(WALK)
        clock = Clock()
        pipeline = pipeline_of(always(Action.HOLD))
        reporter = HealthReporter(running.store, running.engine, pipeline, clock, live_feed=True)
        clock.time = NOW
        await reporter.probe()
        before = reporter.report()
        running.store.down = True
        await reporter.probe()
        health = reporter.report()
        assert (health.status, health.database_connected) == (Status.UNHEALTHY, False)
        assert health.totals == before.totals
        assert "database" in health.warnings[0]
        running.store.down = False
        await reporter.probe()
        assert reporter.report().status is Status.HEALTHY


async def test_missing_bars_are_a_warning() -> None:
    async with running_engine() as running:
        await running.publish([WALK[0], WALK[1], WALK[5]])
        health = await reported(running, NOW)
        assert health.status is Status.DEGRADED
        assert health.warnings == ("USDCOP: 3 bars of the newest session are missing",)


@pytest.mark.parametrize("at_once", [False, True])
async def test_bars_that_come_late_are_missing_no_more(*, at_once: bool) -> None:
    async with running_engine() as running:
        await running.publish([WALK[0], WALK[1], WALK[5]])
        late = [WALK[3], WALK[2], WALK[3], WALK[7], WALK[4], WALK[8]]
        for bars in [late] if at_once else [[one] for one in late]:
            await running.publish(bars)
        assert (await reported(running, NOW)).warnings == ("USDCOP: 1 bar of the newest session is missing",)
        await running.publish([WALK[6]])
        assert (await reported(running, NOW)).status is Status.HEALTHY


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
async def test_symbol_without_new_bars_in_a_session_is_stale(last: int, minutes: int, stale: bool) -> None:
    async with running_engine() as running:
        await running.publish([bar(n) for n in range(last + 1)])
        health = await reported(running, OPENING + timedelta(minutes=minutes))
        assert health.symbols[0].stale is stale
        assert health.status is (Status.DEGRADED if stale else Status.HEALTHY)


async def test_feed_with_its_own_time_is_never_stale() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:5])
        assert not (await reported(running, OPENING + timedelta(hours=3), live=False)).symbols[0].stale


async def test_failed_commit_is_unhealthy_until_one_succeeds() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:3])
        running.store.faults.append(Fault.BEFORE)
        await running.engine.publish(WALK[3:4])
        health = await reported(running, NOW)
        assert (health.status, health.database_connected) == (Status.UNHEALTHY, True)
        assert "newest commit" in health.warnings[0]
        assert health.last_commit == NOW
        later = await reported(running, NOW + FAILURE_COUNTS_FOR + timedelta(seconds=1), live=False)
        assert later.status is Status.DEGRADED, "or it would never be sent anything that could succeed"
        await running.publish(WALK[3:4])
        assert (await reported(running, NOW)).status is Status.HEALTHY


async def test_unresponsive_database_is_reported_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PROBE_TIMEOUT_S", 0.01)
    released = asyncio.Event()

    async def stand_still() -> SignalTotals:
        await released.wait()
        return SignalTotals(1, None)

    async with running_engine() as running:
        monkeypatch.setattr(running.store, "signal_totals", stand_still)
        reporter = HealthReporter(
            running.store, running.engine, pipeline_of(always(Action.HOLD)), Clock(), live_feed=True
        )
        probing = asyncio.create_task(reporter.probe())
        while reporter.report().database_connected:  # noqa: ASYNC110 - there is no event to await
            await asyncio.sleep(0)
        assert reporter.report().status is Status.UNHEALTHY
        released.set()
        await probing
        assert reporter.report().status is Status.HEALTHY


async def test_what_the_store_cannot_read_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreadable() -> list[str]:
        return ["BARS_TABLE cannot be read"]

    async with running_engine() as running:
        monkeypatch.setattr(running.store, "warnings", unreadable)
        health = await reported(running, OPENING)
        assert health.status is Status.DEGRADED
        assert "BARS_TABLE cannot be read" in health.warnings


async def test_problem_of_the_feed_is_a_warning_as_long_as_it_lasts() -> None:
    async with running_engine() as running:
        await running.publish(WALK)
        clock = Clock()
        reporter = HealthReporter(
            running.store, running.engine, pipeline_of(always(Action.HOLD)), clock, live_feed=False
        )
        await reporter.probe()
        reporter.report_feed_problem("", "the source cannot be reached")
        reporter.report_feed_problem("NOSUCH", "there is no such symbol")
        reporter.report_feed_problem("", None)
        reporter.report_feed_problem("", None)
        report = reporter.report()
        assert (report.status, report.warnings) == (Status.DEGRADED, ("there is no such symbol",))
        reporter.report_feed_problem("NOSUCH", None)
        assert reporter.report().status is Status.HEALTHY


async def test_report_lists_a_bounded_number_of_symbols_worst_first() -> None:
    async with running_engine() as running:
        quiet = [bar(0, symbol=f"Q{n}COP") for n in range(MAXIMUM_SYMBOLS + 10)]
        await running.publish([*quiet, *(bar(n, symbol="GAPCOP") for n in (0, 1, 5)), bar(12, symbol="FRESHCOP")])
        health = await reported(running, OPENING + timedelta(minutes=70))
        assert (health.symbol_count, health.stale_symbols) == (MAXIMUM_SYMBOLS + 12, MAXIMUM_SYMBOLS + 11)
        assert len(health.symbols) == MAXIMUM_SYMBOLS
        found = {metric.name: metric for metric in symbol_metrics(health)}
        stale = {one.labels["symbol"]: one.value for one in found["tradingsignals_symbol_stale"].samples}
        assert stale == {one.symbol: True for one in [*quiet, bar(0, symbol="GAPCOP")]}, "an alert of each"
        assert health.symbols[0].symbol == "GAPCOP"
        assert "FRESHCOP" not in {symbol.symbol for symbol in health.symbols}
        assert health.warnings[-1] == "11 further symbols are stale, lack bars or have bars that the model is not for"


@pytest.mark.parametrize(("minutes", "stale"), [(180, False), (181, True), (300, False)])
async def test_symbol_is_stale_after_two_bars_of_its_interval(minutes: int, stale: bool) -> None:
    """The bar of the first hour closes at 60 minutes."""
    hourly = partial(calendar_for, interval=timedelta(hours=1))
    policy = always(Action.HOLD, timedelta(hours=1))
    async with running_engine(policy=policy, calendar_of=hourly) as running:
        await running.publish(walk(1, interval=timedelta(hours=1)))
        health = await reported(running, OPENING + timedelta(minutes=minutes), policy)
        (symbol,) = health.symbols
        assert (symbol.stale, symbol.interval, symbol.undecided) == (stale, timedelta(hours=1), False)


async def test_missing_bars_are_counted_in_bars_of_the_interval() -> None:
    hourly, policy = partial(calendar_for, interval=timedelta(hours=1)), always(Action.HOLD, timedelta(hours=1))
    async with running_engine(policy=policy, calendar_of=hourly) as running:
        bars = walk(5, interval=timedelta(hours=1))
        await running.publish([bars[0], bars[4]])
        assert (await reported(running, NOW, policy)).symbols[0].missing_bars == 3


async def test_symbol_of_another_interval_than_the_model_is_a_warning() -> None:
    async with running_engine() as running:
        await running.publish(WALK)
        health = await reported(running, NOW, always(Action.HOLD, timedelta(hours=1)))
        assert health.status is Status.DEGRADED
        assert health.warnings == ("USDCOP: its bars are of 5m and the model is for 1h: no decision is made",)
        assert health.symbols[0].undecided


async def test_halt_by_hand_is_reported_with_its_reason_until_it_ends() -> None:
    async with running_engine() as running:
        await running.publish(WALK)
        await running.engine.control_trading("news", "ana", halted=True)
        health = await reported(running, NOW)
        assert (health.status, health.halted) == (Status.DEGRADED, "halted by hand (news)")
        assert health.warnings == ("Trading is halted by hand (news): no position is opened",)
        await running.engine.control_trading("", "ana", halted=False)
        health = await reported(running, NOW)
        assert (health.status, health.halted) == (Status.HEALTHY, None)


async def test_halt_by_setting_is_reported() -> None:
    rules = RiskRules(protections=Protections(trading_halted=True))
    async with running_engine(rules=rules) as running:
        reporter = HealthReporter(running.store, running.engine, running.pipeline, Clock(), live_feed=False)
        assert reporter.report().halted == "halted by the setting TRADING_HALTED"
