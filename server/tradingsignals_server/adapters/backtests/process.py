"""The processes of backtests: see adapters.processes.worker."""

from __future__ import annotations

from collections.abc import Callable

from ...application.ports.backtests import BacktestOrder
from ...domain.errors import BacktestFailed, TooManyBacktests
from ..processes.worker import WorkerKind, WorkerProcess

MAX_RUNNING = 2
"""Backtests that run at once."""

Prepare = Callable[[BacktestOrder], object]
"""Returns what the worker needs, pickled: see bootstrap.backtest_worker. Raises InvalidRequest."""


class BacktestProcesses:
    """Starts backtests.

    Args:
        worker: module that is run.
        prepare: makes the job of an order.
    """

    def __init__(self, worker: str, prepare: Prepare) -> None:
        self._kind = WorkerKind(
            module=worker,
            subject="the backtest",
            advice="choose fewer bars",
            cpu_seconds=600,
            memory_bytes=2 << 30,
            timeout_s=1800.0,
            failed=BacktestFailed,
        )
        self._prepare = prepare
        self._running = 0

    async def start(self, order: BacktestOrder) -> WorkerProcess:
        """See application.ports.backtests.StartBacktest."""
        job = self._prepare(order)
        if self._running >= MAX_RUNNING:
            raise TooManyBacktests(MAX_RUNNING)
        self._running += 1
        return await WorkerProcess.start(self._kind, job, self._ended)

    def _ended(self) -> None:
        self._running -= 1
