"""A real Prometheus, with the configuration, rules and dashboard that are shipped, beside a service."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from docs.dashboard import queries
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.folders import scratch_folder
from tests.support.ports import free_ports
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.prometheus import RunningPrometheus, needs_prometheus, running_prometheus
from tests.support.service import RunningService, running_service

from tradingsignals import AlreadyExists
from tradingsignals_server.domain.drift import RUN

pytestmark = [needs_prometheus, pytest.mark.slow]

BARS = walk(2 * RUN + 60)


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
            running_service(folder, POSTGRES_DB="postgres", **ports, **database.settings) as service,
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


async def test_alert_is_active_while_the_database_is_away_and_no_longer(watched: Watched) -> None:
    active = 'ALERTS{alertname="DatabaseAway"}'  # pending at once, firing once it has lasted
    await watched.prometheus.until("tradingsignals_database_up == 1")
    await watched.prometheus.until(active, has_series=False)
    async with watched.database.outage():
        await watched.prometheus.until(active)
        assert not await watched.prometheus.query('ALERTS{alertname="ServerDown"}'), "the server goes on"
    await watched.prometheus.until(active, has_series=False)
    await watched.prometheus.until("tradingsignals_database_up == 1")
