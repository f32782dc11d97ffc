"""`tradingsignals report`: what the service made of a period, as one HTML file."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..adapters.postgres.live_period import live_period
from ..application.backtest.comparisons import GivenChoice
from ..application.backtest.result import Comparison
from ..application.backtest.run import BacktestRun, NothingToTest
from ..application.live_report import LiveComparisons, LivePeriod, live_report
from ..bootstrap.backtest import backtest_plan, rule_settings
from ..bootstrap.storage import readable_database
from ..config.settings import Settings
from ..domain.symbols import parse_symbol
from .backtest.display import BacktestDisplay
from .backtest.options import BacktestOptions
from .backtest.outputs import require_writable, write_report


async def report(options: BacktestOptions, out: Path, console: Console | None = None) -> int:
    """Write the report and return the exit code.

    Args:
        options: the period and the symbols.
        out: the file.
        console: where to print; default: standard output.

    Raises:
        InvalidOptions: the file cannot be written.
        InvalidSettings: a setting is impossible.
        NothingToTest: the service has stored no bars of the period.
        StorageUnavailable, DatabaseRefused, EmbeddedPostgresError: the database cannot be read.
    """
    console, settings = console or Console(), options.settings()
    require_writable(out)
    symbols = tuple(parse_symbol(symbol) for symbol in options.symbols)
    with BacktestDisplay(console) as display:
        async with readable_database(settings) as dsn:
            period = await live_period(dsn, symbols, options.start, options.end)
        if not len(period.bars):
            raise NothingToTest("the service has stored no bars of this period; name another one with --from and --to")
        comparisons = await _comparisons(settings, period, display)
    data = live_report(period, settings.risk_rules, settings.calendar_of, rule_settings(settings), comparisons)
    write_report(out, data, console)
    return 0


async def _comparisons(settings: Settings, period: LivePeriod, display: BacktestDisplay) -> tuple[Comparison, ...]:
    plan = backtest_plan(settings, GivenChoice("none"), "stored bars", compare=False)
    comparisons = LiveComparisons(period, plan.rules, plan.calendar_of, plan.seed)
    await BacktestRun(plan, comparisons.take).run(period.bars.chunks(), len(period.bars), display.progress)
    return comparisons.results()
