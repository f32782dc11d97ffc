"""Bounds on computations of performance. tests/e2e/test_backtests.py runs the processes."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.deadlines import within

from tradingsignals_server.adapters.performance import MOST_PENDING, PerformanceProcesses
from tradingsignals_server.application.ports.performance import PerformanceQuery
from tradingsignals_server.domain.statistics_errors import StatisticsLimit

QUERY = PerformanceQuery()


async def test_computations_run_one_at_a_time_and_beyond_a_bound_they_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = PerformanceProcesses("none", lambda _: None)
    release, running, most = asyncio.Event(), 0, 0

    async def computed(_: PerformanceQuery) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return b"done"

    monkeypatch.setattr(processes, "_computed", computed)
    pending = [asyncio.create_task(processes.compute(QUERY)) for _ in range(MOST_PENDING)]
    await asyncio.sleep(0)
    with pytest.raises(StatisticsLimit, match="8 calls for statistics are pending"):
        await processes.compute(QUERY)
    pending[-1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(pending.pop())
    pending.append(asyncio.create_task(processes.compute(QUERY)))
    release.set()
    assert await within(asyncio.gather(*pending)) == [b"done"] * MOST_PENDING
    assert most == 1


async def test_process_that_cannot_run_is_an_error_without_details() -> None:
    processes = PerformanceProcesses("tradingsignals_server.no_such_module", lambda _: None)
    for _ in range(MOST_PENDING + 1):  # each leaves its place
        with pytest.raises(StatisticsLimit, match="ended unexpectedly, with exit status 1"):
            await within(processes.compute(QUERY))
