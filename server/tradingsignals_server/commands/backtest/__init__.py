"""`tradingsignals backtest`: what a model would have made of past bars, by the steps of the live engine."""

from __future__ import annotations

from rich.console import Console

from ...application.backtest.columns import BarColumns
from ...application.backtest.document import document_of
from ...application.backtest.grid import GridPoint, compared, walk_forward
from ...application.backtest.proof import prove
from ...application.backtest.report_data import backtest_report
from ...application.backtest.run import BacktestPlan, BacktestRun, NothingToTest
from ...bootstrap.backtest import backtest_plan, load_policy
from ...domain.performance.summary import PerformanceSettings
from .display import BacktestDisplay
from .grid_runs import run_grid
from .options import BacktestOptions
from .outputs import require_writable, write_json, write_report
from .sources import read_source
from .tables import print_comparison, print_proof, print_result, print_walk_forward

LOOKAHEAD = 3
"""Exit code of --prove if a decision depends on later bars."""

WIDTH = 110
"""Columns of the tables where the output is no terminal."""


async def backtest(options: BacktestOptions, console: Console | None = None) -> int:
    """Run the backtest, the grid or the proof, print it, and return the exit code.

    Raises:
        InvalidOptions: an option is impossible.
        InvalidSettings: a setting is impossible.
        NothingToTest: there are no bars.
        UnreadableFile: the file does not contain bars of the interval of their symbol.
        ModelNotLoaded: the model is refused.
    """
    console = console or _console()
    settings = options.settings()
    for out in (options.json, options.report):
        require_writable(out)
    with BacktestDisplay(console) as display:
        policy = load_policy(settings)
        columns, source, warnings = await read_source(options, settings, display.reading)
        for warning in warnings:
            display.warn(warning)
        if not len(columns):
            raise NothingToTest(f"{source}: there are no bars to test on")
        plan = backtest_plan(
            settings, policy, source, start=options.start, end=options.end, compare=options.compare, seed=options.seed
        )
        if options.cuts is not None:
            return await _prove(options, plan, columns, display, console)
        if options.grid or options.splits is not None:
            points = await run_grid(options, columns, source, display)
        else:
            result = await BacktestRun(plan).run(columns.chunks(), len(columns), display.progress)
    if options.grid or options.splits is not None:
        _report_grid(options, points, plan.performance, console)
    else:
        write_json(options.json, document_of(result))
        print_result(console, result)
        if options.report is not None:
            write_report(options.report, backtest_report(result, plan, columns), console)
    return 0


async def _prove(
    options: BacktestOptions, plan: BacktestPlan, columns: BarColumns, display: BacktestDisplay, console: Console
) -> int:
    cuts = options.cuts or 0
    proof = await prove(
        plan, columns.between(options.start, None), cuts, lambda done: display.count(done, cuts, "cuts")
    )
    display.stop()
    write_json(options.json, document_of(proof))
    print_proof(console, proof)
    return 0 if proof.lookahead is None else LOOKAHEAD


def _report_grid(
    options: BacktestOptions, points: list[GridPoint], settings: PerformanceSettings, console: Console
) -> None:
    comparison = compared(points, settings)
    walked = None if options.splits is None else walk_forward(points, options.splits, settings)
    listed = [{"settings": document_of(p.settings), "figures": document_of(p.figures)} for p in comparison.points]
    document = {
        "tried": len(points),
        "points": listed,
        "deflated_sharpe": document_of(comparison.deflated_sharpe),
        "walk_forward": document_of(walked),
    }
    write_json(options.json, document)
    if options.grid:
        print_comparison(console, comparison)
    if walked is not None:
        print_walk_forward(console, walked, len(points))


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
