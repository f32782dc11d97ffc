"""The report of a live period: what a service stored, against a backtest of the same bars."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.bars import a_month
from tests.support.engine import running_engine

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.live_period import live_period
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.backtest.columns import BarColumns
from tradingsignals_server.application.backtest.comparisons import GivenChoice
from tradingsignals_server.application.backtest.report_data import backtest_report
from tradingsignals_server.application.backtest.run import BacktestPlan, BacktestRun, NothingToTest
from tradingsignals_server.application.live_report import LiveComparisons, live_report
from tradingsignals_server.application.report import ReportData
from tradingsignals_server.commands.backtest.options import BacktestOptions, InvalidOptions, parse_time
from tradingsignals_server.commands.report import report
from tradingsignals_server.config.settings import Settings

from .conftest import Storage

BARS = a_month()
SETTINGS = Settings(confidence_threshold=0.4, log_level="INFO")


@pytest.fixture
async def dsn(storage: Storage, migrated_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of a database, which the settings name, after a service has processed the month."""
    monkeypatch.chdir(tmp_path)
    address = await storage.new_database(migrated_database)
    # The address of a socket is no URL that a setting may have.
    monkeypatch.setattr(Settings, "embedded_database", False)
    monkeypatch.setattr(Settings, "dsn", address)
    async with (
        connections(address) as pool,
        running_engine(PostgresStore(pool, encode), rules=SETTINGS.risk_rules) as engine,
    ):
        for start in range(0, len(BARS), 250):
            await engine.publish(BARS[start : start + 250])
    return address


async def tested() -> ReportData:
    """Return the data of a report on a backtest of the month."""
    columns = BarColumns.of([BARS])
    plan = BacktestPlan(PlaceholderPolicy(), SETTINGS.risk_rules, SETTINGS.calendar_of, compare=False)
    return backtest_report(await BacktestRun(plan).run(columns.chunks(), len(columns)), plan, columns)


async def test_the_report_of_a_period_is_that_of_a_backtest_of_it(dsn: str) -> None:
    period = await live_period(dsn, (), None, None)
    live, other = live_report(period, SETTINGS.risk_rules, SETTINGS.calendar_of, {}), await tested()
    assert len(live.trades) == len(other.trades) > 10
    assert live.trades == other.trades
    assert live.prices == other.prices
    assert live.signals == other.signals
    assert live.open_trades == other.open_trades
    assert {(one.reason, one.count) for one in live.rejections} == {(one.reason, one.count) for one in other.rejections}
    assert live.equity is not None
    assert other.equity is not None
    assert live.equity.times == other.equity.times
    assert live.equity.session_days == other.equity.session_days
    assert live.equity.equity == pytest.approx(other.equity.equity, abs=1e-6)
    assert live.equity.exposure == pytest.approx(other.equity.exposure)
    assert live.placeholder is other.placeholder is True


async def test_comparisons_are_those_of_a_backtest_of_the_period(dsn: str) -> None:
    period = await live_period(dsn, (), None, None)
    rules, calendar_of, chunks, bars = SETTINGS.risk_rules, SETTINGS.calendar_of, period.bars.chunks, len(period.bars)
    beside = BacktestPlan(PlaceholderPolicy(), rules, calendar_of)
    tested = await BacktestRun(beside).run(chunks(), bars)
    comparisons = LiveComparisons(period, rules, calendar_of, beside.seed)
    alone = BacktestPlan(GivenChoice("none"), rules, calendar_of, compare=False)
    await BacktestRun(alone, comparisons.take).run(chunks(), bars)
    assert comparisons.results() == tested.comparisons
    coin = next(one for one in comparisons.results() if one.name == "coin")
    assert coin.figures["trades"].n > 10


async def test_a_period_has_what_was_entered_in_it(dsn: str) -> None:
    start, end = parse_time("2024-06-10"), parse_time("2024-06-12T15:00")
    period = await live_period(dsn, ("USDCOP",), start, end)
    data = live_report(period, SETTINGS.risk_rules, SETTINGS.calendar_of, {})
    assert data.trades
    assert all(start <= one.trade.entry_time <= one.trade.exit_time <= end for one in data.trades)
    assert data.equity is not None
    open_profit = sum(one.pnl for one in data.open_trades)
    total = sum(one.trade.pnl for one in data.trades) + open_profit
    assert data.equity.equity[-1] == pytest.approx(data.equity.initial_equity + total)


async def test_the_command_writes_the_page_beside_the_database(dsn: str, tmp_path: Path) -> None:
    out, said = tmp_path / "june.html", StringIO()
    options = BacktestOptions(database=True, symbols=("usd/cop",), start=parse_time("2024-06-03"))
    assert await report(options, out, Console(file=said)) == 0
    assert "june.html" in said.getvalue()
    page = out.read_text()
    assert "Live period" in page
    assert "PLACEHOLDER DECISIONS" in page
    assert all(name in page for name in ("buy and hold", "coin", "moving average cross"))


async def test_what_cannot_be_reported_is_refused(dsn: str, tmp_path: Path) -> None:
    options = BacktestOptions(database=True)
    with pytest.raises(NothingToTest, match="no bars of this period"):
        await report(replace(options, start=parse_time("2030-01-01")), tmp_path / "out.html")
    with pytest.raises(InvalidOptions, match="cannot be written"):
        await report(options, tmp_path / "nowhere" / "out.html")
