"""Backtests through the public port, beside a running service: results, bounds, cancellation, and parity."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from google.protobuf.json_format import ParseDict
from tests.support.bars import a_month, messages
from tests.support.builders import walk
from tests.support.commands import Ended, run
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.processes import Process, all_ended, with_command
from tests.support.service import RunningService, running_service
from tests.support.settled import settled
from tests.support.statistics import computed, computed_over_rest
from tests.support.tables import tables_of

import tradingsignals
from tradingsignals import Position
from tradingsignals.v1.performance_pb2 import PerformanceGroup
from tradingsignals.v1.signal_service_pb2 import GetPerformanceResponse
from tradingsignals_server.domain.performance.definitions import LATENCIES

BARS = a_month()
LONG = walk(15_000)
"""Bars that are by far not all processed when a caller has got the first progress."""


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[RunningService]:
    """A service that has processed a month."""
    with scratch_folder() as folder:
        async with running_service(folder, CONFIDENCE_THRESHOLD="0.4") as service, service.client() as client:
            await client.publish_bars(messages(BARS))
            yield service


def workers(service: RunningService, module: str = "backtest_worker") -> list[Process]:
    """Return the processes of backtests, or of another module."""
    return with_command(service.processes(), module)


def held(service: RunningService, module: str = "backtest_worker") -> list[Process]:
    """Stop the processes of backtests where they are, so that none ends by itself; return those that have not ended."""
    for process in workers(service, module):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
    return workers(service, module)


async def test_a_backtest_of_stored_bars_has_the_positions_of_the_service(service: RunningService) -> None:
    async with service.database() as database:
        before = await tables_of(database)
    async with service.client() as client:
        backtest = client.run_backtest(symbols=["USDCOP"], compare=True)
        result = await within(backtest.wait())
        live = [position async for position in client.closed_positions()]
    assert result is not None
    assert result.bars.accepted > 1000
    assert len(backtest.equity) > 1000
    assert [comparison.name for comparison in result.comparisons] == ["buy and hold", "coin", "moving average cross"]
    for position in live:
        position.sequence = 0
    assert backtest.positions == list[Position](reversed(live))
    async with service.database() as database:
        assert await tables_of(database) == before


async def test_performance_of_the_service_is_that_of_the_backtest_of_its_bars(service: RunningService) -> None:
    async with service.client() as client, service.rest() as rest:
        await settled(client)
        backtest = await within(client.run_backtest(symbols=["USDCOP"]).wait())
        response = await computed(lambda: client.get_performance(by=["MONTH", "ACTION"]))
        by_rest = await computed_over_rest(rest, by=["MONTH", "ACTION"])
    assert ParseDict(by_rest.json(), GetPerformanceResponse()) == response
    assert backtest is not None
    found = {figure.name: figure for figure in response.performance.figures}
    assert found["trades"].value > 20
    for expected in backtest.figures:
        figure = found.pop(expected.name)
        assert (figure.n, figure.HasField("value")) == (expected.n, expected.HasField("value")), expected.name
        for name in ("value", "low", "high"):
            assert getattr(figure, name) == pytest.approx(getattr(expected, name), rel=1e-9), expected.name
    assert found.keys() == LATENCIES.keys()
    assert found["inference_ms_p50"].n > 1000
    assert response.performance.of_account
    assert [(group.dimension, group.key) for group in response.performance.groups] == [
        (PerformanceGroup.MONTH, "2024-05"),
        (PerformanceGroup.MONTH, "2024-06"),
        (PerformanceGroup.ACTION, "BUY"),
        (PerformanceGroup.ACTION, "SELL"),
    ]


async def test_performance_of_a_caller_that_disappears_leaves_no_process(service: RunningService) -> None:
    async with service.client() as client:
        calling = asyncio.create_task(client.get_performance())
        async with asyncio.timeout(DEADLINE):
            while not (processes := held(service, "performance_worker")):
                if calling.done():  # between two looks
                    calling = asyncio.create_task(client.get_performance())
                await poll()
        calling.cancel()
        await all_ended(processes)


async def test_bars_and_settings_are_taken_along(service: RunningService) -> None:
    async with service.client() as client:
        backtest = client.run_backtest(bars=messages(BARS), settings=["CONFIDENCE_THRESHOLD=1"])
        result = await within(backtest.wait())
    assert result is not None
    assert (result.buy_signals, result.sell_signals) == (0, 0)
    assert "CONFIDENCE_THRESHOLD=1.0" in result.facts.settings
    assert sum(rejection.count for rejection in result.rejections) > 100


async def test_rest_gets_a_line_for_each_response(service: RunningService) -> None:
    async with service.rest() as rest:
        body = {"start_date": "2024-06-10", "settings": ["SPREAD=1"]}
        response = await within(rest.post("/api/backtests", json=body))
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert {next(iter(line)) for line in lines} <= {"progress", "positions", "equity", "result"}
        assert lines[-1]["result"]["facts"]["first_bar"].startswith("2024-06-10")
        refused = await rest.post("/api/backtests", json={"settings": ["SPRED=1"]})
        assert refused.status_code == 400
        assert "did you mean SPREAD?" in refused.text


async def test_a_period_without_bars_is_an_error_of_the_call_and_the_last_line(service: RunningService) -> None:
    async with service.client() as client:
        with pytest.raises(tradingsignals.FailedPrecondition, match="no bar to test on"):
            await within(client.run_backtest(start_date="2040-01-01").wait())
    async with service.rest() as rest:
        response = await within(rest.post("/api/backtests", json={"start_date": "2040-01-01"}))
        assert json.loads(response.text.splitlines()[-1])["error"]["reason"] == "BACKTEST_FAILED"


async def test_a_third_backtest_is_refused_and_cancelled_ones_leave_no_process(service: RunningService) -> None:
    async with service.client() as client:
        running = []
        for _ in range(2):
            running.append(client.run_backtest(bars=messages(LONG)))
            assert (await within(anext(aiter(running[-1])))).total_bars == len(LONG)
            processes = held(service)
        assert len(processes) == 2
        with pytest.raises(tradingsignals.Overloaded, match="2 backtests run already"):
            await within(client.run_backtest().wait())
        for backtest in running:
            backtest.cancel()
        await all_ended(processes)
        again = client.run_backtest()
        assert await within(again.wait()) is not None


async def test_a_caller_that_disappears_ends_its_backtest(service: RunningService) -> None:
    processes = list[Process]()
    async with service.rest() as rest, asyncio.timeout(DEADLINE):
        while not processes:  # again if it has ended by itself before it was held
            async with rest.stream("POST", "/api/backtests", json={"compare": True}):
                processes = held(service)
    assert len(processes) == 1
    await all_ended(processes)


async def parity(service: RunningService, *arguments: str) -> Ended:
    """Run `tradingsignals parity` on the database of the service, in its environment."""
    settings = {"DATA_DIR": str(service.data_dir), "FEED": "push", "MODEL_PATH": "placeholder", "SPREAD": "0"}
    settings["SLIPPAGE"] = "0"
    return await run("parity", *arguments, **settings)


async def test_what_was_live_equals_a_backtest_beside_the_service(service: RunningService) -> None:
    equal = await parity(service, "--set", "CONFIDENCE_THRESHOLD=0.4")
    assert equal.code == 0, equal.output
    assert equal.output.startswith("equal: ")
    different = await parity(service, "--set", "CONFIDENCE_THRESHOLD=0.5", "--json")
    assert different.code == 1, different.output
    assert "other settings: confidence_threshold was 0.4" in json.loads(different.output)["difference"]["reason"]
    impossible = await parity(service, "--from", "2040-01-01")
    assert impossible.code == 2, impossible.output
