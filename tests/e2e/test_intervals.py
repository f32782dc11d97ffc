"""Bars of 1m, 5m and 1h side by side: stop and kill -9 change no bit, wrong input changes nothing, and all say so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.bars import as_json, messages, rfc3339, write_csv
from tests.support.builders import OPENING, walk
from tests.support.commands import run
from tests.support.deadlines import DEADLINE
from tests.support.folders import scratch_folder
from tests.support.model_files import shipped_model
from tests.support.publisher import Publisher, committed
from tests.support.service import RunningService, running_service, service_in
from tests.support.tables import Tables, assert_same, by_symbol, tables_of

import tradingsignals

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MIXED = {"BAR_INTERVAL": "EURCOP=1m,GBPCOP=1h,*=5m"}
WALKS = {
    "USDCOP": walk(400),
    "EURCOP": walk(700, symbol="EURCOP", seed=2, interval=MINUTE),
    "GBPCOP": walk(120, symbol="GBPCOP", seed=3, interval=HOUR),
}
BARS = sorted((bar for bars in WALKS.values() for bar in bars), key=lambda bar: (bar.close_time, bar.symbol))
"""In the order in which they close."""


@pytest.fixture(scope="module")
async def undisturbed() -> AsyncIterator[tuple[RunningService, Tables]]:
    """A service that got the bars without a fault, and its tables."""
    with scratch_folder() as folder:
        async with running_service(folder, **MIXED) as service:
            await Publisher(service, messages(BARS)).run()
            yield service, await stored(service)


async def stored(service: RunningService) -> Tables:
    """Return the tables of its database."""
    async with service.database() as database:
        return await tables_of(database)


async def test_each_symbol_is_decided_on_at_its_interval(undisturbed: tuple[RunningService, Tables]) -> None:
    _, tables = undisturbed
    for symbol, bars in WALKS.items():
        signals = [row for row in tables["signals"] if row["symbol"] == symbol]
        assert [row["timestamp"] for row in signals] == [bar.close_time for bar in bars[49:]]
        seconds = {row["interval_seconds"] for row in tables["bars"] if row["symbol"] == symbol}
        assert seconds == {bars[0].interval.total_seconds()}
        ends = [row for row in tables["positions"] if (row["symbol"], row["exit_reason"]) == (symbol, "SESSION_END")]
        assert all((row["exit_time"].hour, row["exit_time"].minute) == (18, 0) for row in ends)
    assert {row["symbol"] for row in tables["positions"]} == set(WALKS)


async def test_interval_is_stated_everywhere(undisturbed: tuple[RunningService, Tables]) -> None:
    service, _ = undisturbed
    async with service.rest() as rest:
        info = (await rest.get("/")).json()
        intervals = {item["symbol"]: item["interval"] for item in info["bar_intervals"]}
        assert intervals == {"EURCOP": "1m", "GBPCOP": "1h", "*": "5m"}
        health = (await rest.get("/health")).json()
        assert {one["symbol"]: one["interval"] for one in health["symbols"]} == {
            "EURCOP": "1m",
            "GBPCOP": "1h",
            "USDCOP": "5m",
        }
        for symbol, name in (("EURCOP", "1m"), ("GBPCOP", "1h"), ("USDCOP", "5m")):
            listed = (await rest.get(f"/api/market/bars?symbol={symbol}&limit=3")).json()["bars"]
            assert [bar["interval"] for bar in listed] == [name] * 3


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_interruptions_change_no_bit(folder: Path, undisturbed: tuple[RunningService, Tables], how: str) -> None:
    _, tables = undisturbed
    last = tables["event_log"][0]["last_sequence"]
    moments = sorted(random.Random(how).sample(range(100, last * 4 // 5), 2))
    async with running_service(folder, **MIXED) as service:
        publishing = Publisher(service, messages(BARS))
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as group:
            publishing.pause()
            group.create_task(publishing.run())
            for moment in moments:
                publishing.hold_at = moment
                publishing.go_on()
                await committed(service, moment)
                assert publishing.acknowledged < publishing.total
                if how == "killed":
                    await service.kill()
                else:
                    assert await service.stop() == 0
                await service.start()
            publishing.hold_at = None
            publishing.go_on()
        found, expected = by_symbol(await stored(service)), by_symbol(tables)
        assert found.keys() == expected.keys()
        for symbol in found:
            assert_same(found[symbol], expected[symbol])
        assert "Traceback" not in service.log, service.log


async def test_bar_that_is_none_of_its_symbol_is_refused(undisturbed: tuple[RunningService, Tables]) -> None:
    service, tables = undisturbed
    hourly = as_json(walk(1, symbol="GBPCOP", interval=HOUR)[0])
    async with service.rest() as rest:
        for change, message in (
            ({"time": rfc3339(OPENING + timedelta(minutes=5))}, "must be the open of the bar, on a whole hour"),
            ({"interval": "5m"}, "is '5m', and bars of GBPCOP are of 1h"),
            ({"interval": "7m"}, "is '7m', and bars of GBPCOP are of 1h"),
        ):
            response = await rest.post("/api/market/bars", json={**hourly, **change})
            assert response.status_code == 400
            assert message in response.text
    async with service.client() as client:
        published = await client.publish_bars(
            messages([*walk(1, symbol="EURCOP", interval=HOUR), *walk(2, symbol="GBPCOP", interval=MINUTE)])
        )
        assert (published.received, published.rejected) == (3, 3)
    assert_same(await stored(service), tables)


async def test_start_with_another_interval_than_that_of_the_stored_bars_is_refused_in_one_line(folder: Path) -> None:
    async with running_service(folder) as service, service.client() as client:
        await client.publish_bars(messages(walk(60)))
        assert await service.stop() == 0
    async with service_in(folder, BAR_INTERVAL="1h") as service:
        await service.begin()
        assert await service.ended() == 1
        (line,) = service.log.splitlines()
    assert line == (
        "tradingsignals: BAR_INTERVAL=1h: the stored bars of USDCOP are of 5m, and it says 1h; set USDCOP=5m, or use "
        "another database (DATA_DIR)"
    )
    async with running_service(folder, BAR_INTERVAL="USDCOP=5m,*=1h") as service, service.client() as client:
        assert (await client.statistics()).market_data.bars_stored == 60


async def test_model_makes_no_signal_of_bars_of_another_interval(folder: Path) -> None:
    """The shipped policy is for five minutes."""
    settings = {**MIXED, "MODEL_PATH": str(shipped_model())}
    async with running_service(folder, **settings) as service, service.client() as client, service.rest() as rest:
        response = await client.publish_bars(messages([*WALKS["GBPCOP"][:60], *WALKS["USDCOP"][:60]]))
        assert (response.accepted, response.warming_up, response.other_interval) == (11, 49, 60)
        problem = "are of 1h and the model is for 5m: no decision is made"
        assert f"GBPCOP: its bars {problem}" in (await rest.get("/health")).json()["warnings"]
        quote = {"symbol": "GBPCOP", "close_price": 4000.0}
        for path, body in (("generate", quote), ("generate-from-db", {"symbol": "GBPCOP"})):
            refused = await rest.post(f"/api/signals/{path}", json=body)
            assert refused.status_code == 400
            assert problem in refused.text
            assert "MODEL_INTERVAL" in refused.text
        with pytest.raises(tradingsignals.FailedPrecondition, match=problem):
            await client.generate_signal(4000.0, symbol="GBPCOP")
        signals = (await rest.get("/api/signals/history?limit=100")).json()["signals"]
        assert {signal["symbol"] for signal in signals} == {"USDCOP"}


async def test_file_is_replayed_at_the_intervals_of_the_service(folder: Path) -> None:
    mixed = write_csv(folder / "mixed.csv", BARS)
    daily = write_csv(folder / "daily.csv", walk(60, symbol="GBPCOP", interval=timedelta(days=1)))
    async with running_service(folder, **MIXED) as service:
        ended = await run("replay", mixed, "--address", service.address)
        assert ended.code == 0, ended.output
        assert "accepted             1,073" in ended.output
        ended = await run("replay", daily, "--address", service.address)
        assert ended.code == 1
        assert "bars of GBPCOP are 1 day apart; bars of 1h are needed, or BAR_INTERVAL=GBPCOP=1d" in ended.output
