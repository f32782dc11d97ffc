"""The runs of a grid, on all cores: each process loads the model and gets the bars once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from ...application.backtest.columns import BarColumns
from ...application.backtest.grid import GridPoint
from ...application.backtest.record import trade_of
from ...application.backtest.run import BacktestRun, NothingToTest
from ...application.ports.policy import Policy
from ...bootstrap.backtest import backtest_plan, load_policy
from ...domain.outcomes import Fill
from .display import BacktestDisplay
from .options import BacktestOptions, InvalidOptions

NICENESS = 10
"""Of the processes: a service beside them goes first."""


class _Worker:
    """What a process keeps between its runs."""

    def __init__(self, options: BacktestOptions, columns: BarColumns, source: str) -> None:
        self.options = options
        self.columns = columns
        self.source = source
        self.policy: Policy = load_policy(options.settings())


_worker: _Worker


def _begin(options: BacktestOptions, columns: BarColumns, source: str) -> None:
    global _worker  # noqa: PLW0603 - the only way to keep something in a process of a pool
    os.nice(NICENESS)
    _worker = _Worker(options, columns, source)


def _run(changed: Mapping[str, str]) -> GridPoint:
    """Run the backtest with some settings changed."""
    options = _worker.options
    settings = options.settings(changed)
    plan = backtest_plan(
        settings,
        _worker.policy,
        _worker.source,
        start=options.start,
        end=options.end,
        compare=False,
        seed=options.seed,
        resamples=0,
    )
    result = asyncio.run(BacktestRun(plan).run(_worker.columns.chunks(), len(_worker.columns)))
    if result.equity is None:
        raise NothingToTest("no bar lies in a session")
    return GridPoint(
        settings={name.upper(): value for name, value in changed.items()},
        figures=result.performance.figures,
        sessions=result.equity.by_session(),
        trades=tuple(
            trade_of(outcome, settings.calendar_of(outcome.symbol))
            for outcome in result.outcomes
            if outcome.acted and outcome.fill is Fill.CLOSE
        ),
    )


async def run_grid(
    options: BacktestOptions, columns: BarColumns, source: str, display: BacktestDisplay
) -> list[GridPoint]:
    """Run every combination of the grid and return the results in the order of the combinations.

    Raises:
        InvalidSettings: a combination is impossible; nothing is run then.
        InvalidOptions: a process ended, most likely for lack of memory.
    """
    combinations = options.combinations()
    for changed in combinations:
        options.settings(changed)
    jobs = min(options.jobs or os.cpu_count() or 1, len(combinations))
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(options, columns, source))
    display.count(0, len(combinations), "runs")
    runs: list[asyncio.Future[GridPoint]] = []
    try:
        runs += [asyncio.wrap_future(pool.submit(_run, changed)) for changed in combinations]
        for done, run in enumerate(asyncio.as_completed(runs), 1):
            await run
            display.count(done, len(combinations), "runs")
        return [run.result() for run in runs]
    except BrokenProcessPool as error:
        raise InvalidOptions("a process of the grid ended unexpectedly; try fewer --jobs") from error
    finally:
        # Those that still work are not needed any more, also after Ctrl-C.
        for run in runs:
            run.cancel()
        for child in multiprocessing.active_children():
            child.terminate()
        pool.shutdown(cancel_futures=True)
