"""A real Prometheus, with the configuration, rules and dashboard that are shipped, beside a service."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from docs.dashboard import queries
from tests.support.bars import messages
from tests.support.builders import simulated_bars, walk
from tests.support.certificates import OPENSSL, SERVER_NAME, Inner, placed
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.model_files import release, shipped_model
from tests.support.onnx_models import NOT_RECURRENT, graph
from tests.support.ports import free_ports
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.prometheus import RunningPrometheus, needs_prometheus, running_prometheus
from tests.support.quotes import sure_buy
from tests.support.service import COMMAND, RunningService, kept_environment, running_service
from tests.support.sockets import connected

from tradingsignals import AlreadyExists, AsyncClient, BarReceipt, TradingSignalsError, Unavailable
from tradingsignals_server.domain.drift import RUN
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL

pytestmark = [
    needs_prometheus,
    pytest.mark.slow,
    pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine"),
]

BARS = walk(2 * RUN + 60)
READERS = 80

NAN_BELOW = graph(
    body="""
    sizes = Constant <value_ints = [3, 13]> ()
    limit = Constant <value_float = 15.0> ()
    size = ReduceL1 <axes = [1], keepdims = 1> (observation)
    above = Sub (size, limit)
    product = Mul (size, above)
    root = Sqrt (product)
    none = Sub (root, root)
    three, rest = Split <axis = 1> (observation, sizes)
    summed = Add (three, none)
    probabilities = Softmax <axis = -1> (summed)
""",
    metadata=NOT_RECURRENT,
)
"""A model whose output is finite at all that the trial shows it, and at few bars."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A service, its database, certificates and folder of models, and the Prometheus that scrapes it."""

    service: RunningService
    database: PostgresServer
    inner: Inner
    models: Path
    prometheus: RunningPrometheus

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Return a connection to the database."""
        connection = await asyncpg.connect(self.database.url("postgres"), timeout=DEADLINE)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self, statement: str) -> AsyncIterator[asyncpg.Connection]:
        """Hold what a statement locks, as a migration or a transaction that was left open does."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute(statement)
            yield connection


@pytest.fixture(scope="module")
async def watched() -> AsyncIterator[Watched]:
    servers, edge = free_ports(2)
    with scratch_folder() as folder:
        inner, models = Inner.make(folder), folder / "models"
        release(models, "1", shipped_model().read_bytes())
        settings = {"METRICS_PORT": str(servers), "EDGE_METRICS_PORT": str(edge), "MODEL_PATH": str(models)}
        async with (
            postgres_server(folder) as database,
            running_service(
                folder, POSTGRES_DB="postgres", **settings, **inner.settings(), **database.settings
            ) as service,
            running_prometheus(folder, {"tradingsignals": servers, "tradingsignals-edge": edge}) as prometheus,
        ):
            yield Watched(service, database, inner, models, prometheus)


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
    await prometheus.until("tradingsignals_database_up == 1")
    await prometheus.until_clear("DatabaseAway", "CallsFailingFast", "CallsFailingSlowly", "EdgeErrors")
    async with service.rest() as rest:

        async def call() -> None:
            while True:
                await rest.post("/api/signals/generate", json={"symbol": "USDCOP", "close_price": 4000.0})
                await asyncio.sleep(0.1)

        async with watched.database.outage(), asyncio.TaskGroup() as group:
            calling = group.create_task(call())
            await prometheus.until_firing("DatabaseAway", "CallsFailingFast", "CallsFailingSlowly", "EdgeErrors")
            await prometheus.until_clear("ServerDown")  # the server goes on, though a scrape may have been too slow
            calling.cancel()
    await prometheus.until_clear("DatabaseAway", "CallsFailingFast", "CallsFailingSlowly", "EdgeErrors")
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


async def test_alert_of_an_endpoint_that_cannot_be_delivered_to_fires_and_clears(watched: Watched) -> None:
    async with watched.service.client() as client:
        await client.publish_bars(messages(walk(2, symbol="SEKCOP")))
        made = await client.create_endpoint("desk", "https://no.such.host.invalid/", resume_after=0)
        await watched.prometheus.until_firing("NotificationsFailing", endpoint="desk")
        await client.delete_endpoint(made.endpoint.endpoint_id)
        await watched.prometheus.until_clear("NotificationsFailing")


async def test_alert_of_a_gap_in_the_feed_fires_and_clears(watched: Watched) -> None:
    days = [replace(bar, symbol="EURCOP") for bar in walk(120)]
    async with watched.service.client() as client:
        await client.publish_bars(messages([*days[:20], *days[23:60]]))
        await watched.prometheus.until_firing("FeedGap")
        await client.publish_bars(messages(days[60:]))
        await watched.prometheus.until_clear("FeedGap")


async def test_alerts_of_what_falls_behind_and_of_a_feature_with_other_values_fire_and_clear(watched: Watched) -> None:
    """A lock on the ledger holds up its keeper and the reads of callers, a follower does not read."""
    prometheus, normal = watched.prometheus, simulated_bars(36)
    still = [
        replace(bar, symbol="CHFCOP", open=4000.0, high=4000.02, low=3999.98, close=4000.0 + number % 2 / 100.0)
        for number, bar in enumerate(normal)
    ]
    async with watched.service.client() as client:
        async with watched.locked("LOCK TABLE ledger"), unread(watched.service), asyncio.TaskGroup() as group:
            reading = [group.create_task(list_outcomes(client)) for _ in range(READERS)]
            await client.publish_bars(messages(still))
            await prometheus.until_firing("FeatureDrifted", feature="return_1")
            for symbol in ("GBPCOP", "BRLCOP", "MXNCOP"):  # what lies between holds some 4,400 entries for the follower
                await client.publish_bars(messages([replace(bar, symbol=symbol) for bar in normal]))
            await prometheus.until_firing("LedgerLagging", "FollowerLagging", "ReadsWaiting")
            for each in reading:
                each.cancel()
        await prometheus.until_clear("FeatureDrifted", feature="return_1")
        await prometheus.until_clear("LedgerLagging", "FollowerLagging", "ReadsWaiting")


@asynccontextmanager
async def unread(service: RunningService) -> AsyncIterator[None]:
    """Follow all events without reading them."""
    async with connected(service.port, receive_buffer=4096) as (reader, writer):
        writer.write(b"GET /api/events?resume_after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a whole transport
        yield


async def list_outcomes(client: AsyncClient) -> None:
    """List outcomes again and again."""
    while True:
        with suppress(TradingSignalsError):
            await anext(aiter(client.list_outcomes(page_size=1)), None)


async def test_alerts_that_look_back_fire_and_clear(watched: Watched) -> None:
    """Commits that hang and fail, a model whose output is not finite, and a server that gets no processor."""
    await commits_hang_and_fail(watched)
    await model_fails(watched)
    await event_loop_is_late(watched)
    await watched.prometheus.until_clear("CommitsStopped", "CommitsFailing", "InferenceFailing", "EventLoopSlow")


async def commits_hang_and_fail(watched: Watched) -> None:
    """Lock the head of the log, and cancel the commit that waits for it."""
    first, second = messages(walk(2, symbol="JPYCOP"))
    async with watched.service.client() as client:
        await client.publish_bar(first)
        async with watched.locked("SELECT FROM event_log FOR UPDATE") as database:
            publishing = asyncio.create_task(client.publish_bar(second))
            await watched.prometheus.until_firing("CommitsStopped")
            await watched.prometheus.until_clear("DatabaseAway")  # the database responds, perhaps late
            await database.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'tradingsignals' AND wait_event_type = 'Lock'"
            )
            with pytest.raises(Unavailable):
                await publishing
            await watched.prometheus.until_firing("CommitsFailing")
        assert (await client.publish_bar(second)).disposition == BarReceipt.WARMING_UP


async def model_fails(watched: Watched) -> None:
    """Swap a model in whose output is not finite at most bars, and swap the one before in again."""
    async with watched.service.client() as client:
        release(watched.models, "2", NAN_BELOW)
        assert (await client.reload_model()).changed
        await client.publish_bars(messages(walk(60, symbol="NZDCOP")))
        await watched.prometheus.until_firing("InferenceFailing")
        shutil.rmtree(watched.models / "2")
        assert (await client.reload_model()).changed


async def event_loop_is_late(watched: Watched) -> None:
    """Let the server have no processor for two thirds of a second, time and again."""

    async def pause() -> None:
        try:
            while True:
                os.kill(watched.service.pid, signal.SIGSTOP)
                await asyncio.sleep(0.6)
                os.kill(watched.service.pid, signal.SIGCONT)
                await asyncio.sleep(0.3)
        finally:
            os.kill(watched.service.pid, signal.SIGCONT)

    async with asyncio.TaskGroup() as group:
        pausing = group.create_task(pause())
        await watched.prometheus.until_firing("EventLoopSlow")
        pausing.cancel()


async def test_alert_of_certificates_that_expire_fires_until_they_are_renewed(watched: Watched) -> None:
    inner, jobs = watched.inner, ("tradingsignals", "tradingsignals-edge")
    for job in jobs:
        await watched.prometheus.until_firing("CertificateExpires", job=job)
    placed(inner.authority.certificate("server", f"DNS:{SERVER_NAME}", days=90), inner.server.path.parent)
    placed(inner.authority.certificate("edge", "DNS:edge", days=90), inner.edge.path.parent)
    for job in jobs:
        await watched.prometheus.until_clear("CertificateExpires", job=job)


async def test_alert_of_a_ledger_of_another_version_fires_until_it_is_rebuilt(watched: Watched) -> None:
    async with watched.connection() as database, watched.service.client() as client:
        await database.execute("UPDATE ledger SET version = 0")
        await client.publish_bar(messages(walk(1, symbol="CADCOP"))[0])
        await watched.prometheus.until_firing("LedgerNotKept")
    environment = {**kept_environment(), **watched.database.settings, "POSTGRES_DB": "postgres"}
    rebuilding = await asyncio.create_subprocess_exec(
        COMMAND, "ledger", "rebuild", cwd=watched.service.folder, env=environment
    )
    assert await within(rebuilding.wait(), 2 * DEADLINE) == 0
    await watched.prometheus.until_clear("LedgerNotKept")


def newest_bar_time() -> datetime:
    """Return the open of the newest bar that has closed."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() // 300 * 300, UTC) - DEFAULT_INTERVAL


async def test_alerts_of_a_silent_feed_a_missing_model_and_a_loss_fire_and_clear(watched: Watched) -> None:
    """The feed is silent before and after the server is started again, without a model."""
    service, prometheus = watched.service, watched.prometheus
    old = [newest_bar_time() - n * DEFAULT_INTERVAL for n in (5, 4, 3)]
    async with service.client() as client:
        await client.publish_bars(messages(walk(3, symbol="GBPUSD", times=old)))
        await prometheus.until_firing("BarsStale", symbol="GBPUSD")
    await service.restart(MODEL_PATH="placeholder", MAX_DRAWDOWN_PCT="0.004")
    async with service.client() as client:
        await client.generate_signal(**sure_buy("EURUSD", price=4000.0))  # type: ignore[arg-type]
        (position,) = await client.active_positions("EURUSD")
        await client.close_position(position.position_id, price=3000.0)
        await prometheus.until_firing("LossLimitReached", protection="MAX_DRAWDOWN_PCT")
        await prometheus.until_firing("PlaceholderModel")
        await prometheus.until_firing("BarsStale", symbol="GBPUSD")
        await client.resume_trading(by="test")
        await prometheus.until_clear("LossLimitReached")
        await client.publish_bars(messages(walk(1, symbol="GBPUSD", times=[newest_bar_time()])))
        await prometheus.until_clear("BarsStale", symbol="GBPUSD")
    await service.restart(MODEL_PATH=str(watched.models), MAX_DRAWDOWN_PCT="0")
    await prometheus.until_clear("PlaceholderModel")
