"""A real Prometheus, with the configuration, rules and dashboard that are shipped, beside a service."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from docs.dashboard import queries
from tests.support.bars import messages
from tests.support.builders import simulated_bars, walk
from tests.support.folders import scratch_folder
from tests.support.ports import free_ports
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.prometheus import RunningPrometheus, needs_prometheus, running_prometheus
from tests.support.service import RunningService, running_service

from tradingsignals import AlreadyExists
from tradingsignals_server.domain.drift import RUN

pytestmark = [needs_prometheus, pytest.mark.slow]

BARS = walk(2 * RUN + 60)
MODEL = Path(__file__).resolve().parents[2] / "models" / "ppo-lstm-usdcop"


@dataclass(frozen=True, slots=True)
class Watched:
    """A service, its database, and the Prometheus that scrapes it."""

    service: RunningService
    database: PostgresServer
    prometheus: RunningPrometheus


@pytest.fixture(scope="module")
async def watched() -> AsyncIterator[Watched]:
    servers, edge = free_ports(2)
    with scratch_folder() as folder:
        ports = {"METRICS_PORT": str(servers), "EDGE_METRICS_PORT": str(edge)}
        async with (
            postgres_server(folder) as database,
            running_service(
                folder, POSTGRES_DB="postgres", MODEL_PATH=str(MODEL), **ports, **database.settings
            ) as service,
            running_prometheus(folder, {"tradingsignals": servers, "tradingsignals-edge": edge}) as prometheus,
        ):
            yield Watched(service, database, prometheus)


async def test_every_query_of_the_dashboard_is_answered_and_every_metric_is_there(watched: Watched) -> None:
    other = replace(BARS[-1], close=BARS[-1].high, open=BARS[-1].low)
    service, prometheus = watched.service, watched.prometheus
    async with service.client() as client, client.stream_events(resume_after=0) as stream:
        await client.publish_bars(messages(BARS))
        with pytest.raises(AlreadyExists):
            await client.publish_bar(messages([other])[0])
        await anext(aiter(stream))
        without_labels = [re.sub(r"\{[^}]*\}|by \([^)]*\)", "", expression) for expression in queries()]
        names = {
            name for each in without_labels for name in re.findall(r"\b(?:tradingsignals|envoy|process)_\w+", each)
        }
        assert len(names) > 40
        for name in sorted(names):
            await prometheus.until(f'count({{__name__="{name}"}})')
        for expression in queries():
            await prometheus.query(expression.replace("$__rate_interval", "1m"))


async def test_alerts_of_an_outage_of_the_database_fire_and_clear(watched: Watched) -> None:
    service, prometheus = watched.service, watched.prometheus
    outage = ("DatabaseAway", "CallsFailingFast", "CallsFailingSlowly", "EdgeErrors")
    await prometheus.until("tradingsignals_database_up == 1")
    await prometheus.until_clear(*outage)
    async with service.rest() as rest:

        async def call() -> None:
            while True:
                await rest.post("/api/signals/generate", json={"symbol": "USDCOP", "close_price": 4000.0})
                await asyncio.sleep(0.1)

        async with watched.database.outage(), asyncio.TaskGroup() as group:
            calling = group.create_task(call())
            await prometheus.until_firing(*outage)
            assert not await prometheus.query('ALERTS{alertname="ServerDown"}'), "the server goes on"
            calling.cancel()
    await prometheus.until_clear(*outage)
    await prometheus.until("tradingsignals_database_up == 1")


async def test_alert_of_a_server_that_does_not_respond_fires_and_clears(watched: Watched) -> None:
    os.kill(watched.service.pid, signal.SIGSTOP)
    try:
        await watched.prometheus.until_firing("ServerDown")
    finally:
        os.kill(watched.service.pid, signal.SIGCONT)
    await watched.prometheus.until_clear("ServerDown")


async def test_alert_of_a_halt_fires_and_clears(watched: Watched) -> None:
    async with watched.service.client() as client:
        await client.halt_trading("test", by="test")
        await watched.prometheus.until_firing("TradingHalted")
        await client.resume_trading("test", by="test")
        await watched.prometheus.until_clear("TradingHalted")


async def test_alert_of_a_gap_in_the_feed_fires_and_clears(watched: Watched) -> None:
    days = [replace(bar, symbol="EURCOP") for bar in walk(120)]
    async with watched.service.client() as client:
        await client.publish_bars(messages([*days[:20], *days[23:60]]))
        await watched.prometheus.until_firing("FeedGap")
        await client.publish_bars(messages(days[60:]))
        await watched.prometheus.until_clear("FeedGap")


async def test_alert_of_a_feature_with_other_values_fires_and_clears(watched: Watched) -> None:
    normal = simulated_bars(20)
    still = [
        replace(bar, symbol="CHFCOP", open=4000.0, high=4000.02, low=3999.98, close=4000.0 + number % 2 / 100.0)
        for number, bar in enumerate(normal)
    ]
    drifted = 'ALERTS{alertname="FeatureDrifted", feature="return_1"'
    async with watched.service.client() as client:
        await client.publish_bars(messages(still))
        await watched.prometheus.until(f'{drifted}, alertstate="firing"}}')
        await client.publish_bars(messages([replace(bar, symbol="GBPCOP") for bar in normal]))
        await watched.prometheus.until(f"{drifted}}}", has_series=False)
