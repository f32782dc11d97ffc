"""Databases and feeds: the settings that users change first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.support.bars import messages, write_csv
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.followers import STREAMS, WAYS
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.processes import running, with_command
from tests.support.service import RunningService, health_with, running_service, service_in
from tests.support.tables import assert_same, tables_of
from tests.support.twelvedata import KEY, FakeTwelveData

from tradingsignals import Event, Signal, TemporaryError

BARS = walk(300, seed=13)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    """A PostgreSQL server of the user."""
    with scratch_folder() as folder:
        async with postgres_server(folder) as server:
            yield server


@pytest.fixture
async def database(server: PostgresServer, symbol: str) -> str:
    """The name of a new, empty database of that server."""
    name = f"db_{symbol}".lower()
    connection = await asyncpg.connect(server.url("postgres"), timeout=DEADLINE)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return name


class TestAServerOfTheUsers:
    @pytest.mark.parametrize("by", ["POSTGRES_HOST", "DATABASE_URL"])
    async def test_configured_database_is_used_instead_of_the_embedded_one(
        self, folder: Path, server: PostgresServer, database: str, by: str
    ) -> None:
        named = {"DATABASE_URL": server.url(database)}
        if by == "POSTGRES_HOST":
            named = {**server.settings, "POSTGRES_DB": database}
        async with running_service(folder, **named) as service:
            assert [process.name for process in service.processes() if process.name == "postgres"] == []
            async with service.client() as client:
                response = await client.publish_bars(messages(BARS))
                assert response.accepted == 251
            assert await service.stop() == 0
            assert not (folder / "data/postgres").exists()
            await service.start()
            async with service.client() as client:
                assert (await client.statistics()).market_data.bars_stored == 300
        assert "p@ss" not in service.log

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"POSTGRES_PASSWORD": "wrong"}, "password"),
            ({"POSTGRES_USER": "nobody"}, "password"),
            ({"POSTGRES_DB": "no_such_database"}, "no_such_database"),
            ({"POSTGRES_PORT": "1"}, "cannot be reached"),
        ],
    )
    async def test_refused_database_connection_is_reported_in_one_line(
        self, folder: Path, server: PostgresServer, database: str, changed: dict[str, str], named: str
    ) -> None:
        settings = {**server.settings, "POSTGRES_DB": database, **changed}
        async with service_in(folder, **settings) as service:
            await service.begin()
            assert await service.ended() == 1
            (line,) = service.log.splitlines()
        assert line.startswith("tradingsignals: ")
        assert named in line

    async def test_service_recovers_after_an_outage_of_the_database(
        self, folder: Path, server: PostgresServer, database: str
    ) -> None:
        named = {**server.settings, "POSTGRES_DB": database}
        async with running_service(folder, **named) as service, service.client() as client, service.rest() as rest:
            await client.publish_bars(messages(BARS[:100]))
            stream = client.stream_events(resume_after=0)
            seen = [(await within(anext(stream))).sequence]
            async with server.outage():
                with pytest.raises(TemporaryError) as caught:
                    await client.publish_bars(messages(BARS[100:]))
                assert caught.value.reason == "STORAGE_UNAVAILABLE"
                await health_with(rest, 503)
                assert (await rest.get("/api/signals/latest")).status_code == 503
                assert (await rest.get("/")).status_code == 200
            await health_with(rest, 200)
            response = await client.publish_bars(messages(BARS))
            assert (response.duplicates, response.accepted) == (100, 200)
            while seen[-1] < response.through_sequence:
                seen.append((await within(anext(stream))).sequence)
            assert seen == list(range(1, response.through_sequence + 1))

    async def test_bars_table_of_the_user_is_read(self, folder: Path, server: PostgresServer, database: str) -> None:
        own = await asyncpg.connect(server.url(database), timeout=DEADLINE)
        prices = ", ".join(f"{name} float8" for name in ("open", "high", "low", "close", "volume"))
        await own.execute(f"CREATE TABLE usdcop_m5_ohlcv (time timestamptz, symbol text, {prices})")
        rows = [(b.time, "USD/COP", b.open, b.high, b.low, b.close, b.volume) for b in BARS[:240]]
        await own.copy_records_to_table("usdcop_m5_ohlcv", records=rows)
        named = {**server.settings, "POSTGRES_DB": database, "BARS_TABLE": "usdcop_m5_ohlcv"}
        async with running_service(folder, **named) as service, service.rest() as rest, service.client() as client:
            made = (await rest.post("/api/signals/generate-from-db", json={"symbol": "USD/COP"})).json()["signal"]
            assert made["bar_time"] == "2024-03-07T17:55:00.000000Z"
            response = await client.publish_bars(messages(BARS[230:]))
            assert (response.duplicates, response.accepted) == (10, 60)
            listed = (await rest.get("/api/market/bars?limit=300")).json()
            assert listed["count"] == 300
        assert await own.fetchval("SELECT count(*) FROM usdcop_m5_ohlcv") == 240
        await own.close()


class TestFeeds:
    async def test_default_feed_is_simulated_and_marked_on_every_protocol(self, folder: Path) -> None:
        """This is the state after `make run`; every signal is marked as simulated."""
        async with running_service(folder, FEED="", MODEL_PATH="", SIMULATE_SPEED="3000") as service:

            async def watch(way: str) -> Signal:
                async with WAYS[way](service, STREAMS["signals"], {"resume_after": 0}) as responses:
                    while not (response := await within(anext(responses))).signals:
                        pass
                    signal: Signal = response.signals[0]
                    return signal

            first = await asyncio.gather(*(watch(way) for way in WAYS))
            assert first == [first[0]] * len(WAYS)
            assert first[0].simulated
            async with service.client() as client:
                positions = client.stream_positions(resume_after=0)
                await within(anext(positions))
                assert (await client.service_info()).feed == "simulate"
            assert "/tradingsignals_simulated?" in service.dsn

    async def test_simulated_bars_are_refused_beside_real_ones(self, folder: Path) -> None:
        simulating = running_service(folder, FEED="simulate", SIMULATE_SPEED="0")
        async with simulating as service, service.client() as client:
            await within(anext(client.stream_signals(resume_after=0)))
        async with running_service(folder) as service, service.client() as client:
            assert (await client.statistics()).market_data.bars_stored == 0

    async def test_file_feed_of_up_continues_after_a_restart(self, folder: Path) -> None:
        file = write_csv(folder / "bars.csv", BARS)
        async with service_in(folder, "up", "--bars", str(file)) as service:
            for _ in range(2):
                await service.start()
                await within(_all_stored(service))
                async with service.database() as database:
                    tables = await tables_of(database)
                assert await service.stop() == 0
        with scratch_folder() as other:
            async with running_service(other) as service, service.client() as client:
                await client.publish_bars(messages(BARS))
                async with service.database() as database:
                    assert_same(tables, await tables_of(database))

    async def test_live_feed_makes_up_what_it_missed_in_an_outage_and_shows_no_key(self, folder: Path) -> None:
        fake = FakeTwelveData(lambda: datetime.now(UTC), "EUR/USD")
        last = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        fake.through = last - timedelta(hours=3)
        async with (
            fake.listening() as url,
            running_service(
                folder,
                FEED="twelvedata",
                TWELVEDATA_API_KEY=KEY,
                TWELVEDATA_URL=url,
                SYMBOLS="EUR/USD",
                BAR_INTERVAL="1h",
                LOG_LEVEL="DEBUG",
            ) as service,
            service.rest() as rest,
        ):
            async with service.client() as client:
                bars = client.stream_events(resume_after=0, kinds=["MARKET_UPDATE"])
                times = await within(_bars_until(bars, fake.through))
                fake.away = True
                warnings = await within(_warnings_of(rest, "Twelve Data cannot be reached"))
                fake.away, fake.through = False, last  # also if the next bar closes meanwhile
                times += await within(_bars_until(bars, last))
                first = last - timedelta(hours=len(times) - 1)
                assert times == [first + timedelta(hours=n) for n in range(len(times))]
                assert len(times) >= 200
                assert (await client.latest_signal("EURUSD")).bar_time.ToDatetime(UTC) == last
            health = await rest.get("/health")
            assert "Twelve Data" not in health.text
            assert KEY not in "\n".join([service.log, health.text, *warnings])
            assert with_command(running(), KEY) == []


async def _bars_until(events: AsyncIterator[Event], last: datetime) -> list[datetime]:
    """Return the times of the bars up to `last`."""
    times = []
    async for event in events:
        times.append(event.market_update.bar.time.ToDatetime(UTC))
        if times[-1] == last:
            return times
    raise AssertionError("the stream ended")


async def _warnings_of(rest: httpx.AsyncClient, text: str) -> list[str]:
    """Return the warnings of /health once one of them contains `text`; it polls, as a monitor does."""
    while True:
        warnings: list[str] = (await rest.get("/health")).json()["warnings"]
        if any(text in warning for warning in warnings):
            return warnings
        await poll()


async def _all_stored(service: RunningService) -> None:
    async with service.client() as client:
        async for event in client.stream_events(resume_after=0, kinds=["MARKET_UPDATE"]):
            if event.market_update.bar.time.ToDatetime() == BARS[-1].time.replace(tzinfo=None):
                return
