"""Main program of a backtest process: reads a pickled BacktestJob from stdin, and writes frames to stdout.

Arguments: the limit of processor time in seconds and the limit of memory in bytes.
"""

from __future__ import annotations

import asyncio
import sys
from time import monotonic
from typing import BinaryIO

from ..adapters.postgres.bar_history import bar_history
from ..adapters.postgres.connection import DatabaseRefused
from ..adapters.processes.frames import write_error, write_response
from ..adapters.processes.worker import worker_job
from ..api.mapping.backtests import progress_message, result_messages
from ..application.backtest.columns import BarColumns, TooManyBars
from ..application.backtest.result import BacktestProgress
from ..application.backtest.run import DEFAULT_SEED, BacktestRun, NothingToTest
from ..config.settings import Settings
from ..domain.errors import BacktestFailed, ServiceError
from .backtest import backtest_plan, load_policy
from .backtest_job import BacktestJob

MAXIMUM_STORED_BARS = 1_000_000
PROGRESS_SECONDS = 0.25


def main() -> None:
    """Run the job, and write its responses."""
    job: BacktestJob = worker_job()
    out = sys.stdout.buffer
    try:
        asyncio.run(_run(job, out))
    except ServiceError as error:
        write_error(out, error)
    except (NothingToTest, TooManyBars, DatabaseRefused) as error:
        write_error(out, BacktestFailed(str(error)))
    except MemoryError:
        write_error(out, BacktestFailed("the backtest needs more memory than it may take"))


async def _run(job: BacktestJob, out: BinaryIO) -> None:
    order = job.order
    settings = Settings.from_env(model_path=job.model, **job.changed)
    policy = load_policy(settings)
    if order.bars is None:
        history = bar_history(job.dsn, order.symbols, None, order.end)
        columns = await BarColumns.read(history, MAXIMUM_STORED_BARS)
    else:
        columns = BarColumns.of([order.bars])
    plan = backtest_plan(
        settings,
        policy,
        "stored bars" if order.bars is None else "bars sent along",
        start=order.start,
        end=order.end,
        compare=order.compare,
        seed=DEFAULT_SEED if order.seed is None else order.seed,
    )
    reporter = _Reporter(out)
    result = await BacktestRun(plan).run(columns.chunks(), len(columns), reporter.report)
    for message in result_messages(result):
        write_response(out, message.SerializeToString())


class _Reporter:
    """Writes the progress, not more often than every PROGRESS_SECONDS."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._due_at = 0.0

    def report(self, progress: BacktestProgress) -> None:
        if monotonic() >= self._due_at:
            self._due_at = monotonic() + PROGRESS_SECONDS
            write_response(self._out, progress_message(progress).SerializeToString())


if __name__ == "__main__":
    main()
