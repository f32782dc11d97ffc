"""The processes that compute performance: one at a time, so that the service keeps its processors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..application.ports.performance import PerformanceQuery
from ..domain.statistics_errors import StatisticsLimit
from .processes.worker import WorkerKind, WorkerProcess

MOST_PENDING = 8
"""Computations that run or wait; one more is refused."""

TIMEOUT_S = 12.0
"""From the request on: below the 15 s of the edge, so that a caller gets an error that says what to do."""


class PerformanceProcesses:
    """Computes performance.

    Args:
        worker: module that is run.
        job_of: makes what the worker needs, pickled, from the query.
    """

    def __init__(self, worker: str, job_of: Callable[[PerformanceQuery], object]) -> None:
        self._kind = WorkerKind(
            module=worker,
            subject="the statistics",
            advice="choose a shorter period",
            cpu_seconds=30,
            memory_bytes=1 << 30,
            timeout_s=TIMEOUT_S,
            failed=StatisticsLimit,
        )
        self._job_of = job_of
        self._pending = 0
        self._turn = asyncio.Semaphore(1)

    async def compute(self, query: PerformanceQuery) -> bytes:
        """See application.ports.performance.ComputePerformance."""
        if self._pending >= MOST_PENDING:
            raise StatisticsLimit(f"{MOST_PENDING} calls for statistics are pending already; try again later")
        self._pending += 1
        try:
            async with asyncio.timeout(TIMEOUT_S), self._turn:
                return await self._computed(query)
        except TimeoutError:
            raise StatisticsLimit(f"the statistics took longer than {TIMEOUT_S:g} s; try again later") from None
        finally:
            self._pending -= 1

    async def _computed(self, query: PerformanceQuery) -> bytes:
        process = await WorkerProcess.start(self._kind, self._job_of(query), lambda: None)
        try:
            response = await process.next()
            if response is None:
                raise StatisticsLimit("the statistics ended without a result")
            return response
        finally:
            process.end()
