"""Backtests of the bars that a service has stored, and their comparison with what it made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.bars import a_month
from tests.support.engine import running_engine

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ports.policy import PolicyDescription
from tradingsignals_server.commands.backtest import backtest
from tradingsignals_server.commands.backtest.options import BacktestOptions, parse_time
from tradingsignals_server.commands.backtest.parity import DIFFERENT, parity
from tradingsignals_server.config import PLACEHOLDER_PATH, Settings

from .conftest import Storage

BARS = a_month()
CHANGED = {"confidence_threshold": "0.4"}
RULES = Settings(confidence_threshold=0.4, log_level="INFO").risk_rules
OPTIONS = BacktestOptions(database=True, model=PLACEHOLDER_PATH, changed=CHANGED)


@pytest.fixture
async def dsn(storage: Storage, migrated_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of an empty database, which the settings name."""
    monkeypatch.chdir(tmp_path)
    address = await storage.new_database(migrated_database)
    # The address of a socket is no URL that a setting may have.
    monkeypatch.setattr(Settings, "embedded_database", False)
    monkeypatch.setattr(Settings, "dsn", address)
    return address


async def live(dsn: str) -> None:
    """Have a service process the month."""
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        for start in range(0, len(BARS), 250):
            await engine.publish(BARS[start : start + 250])


def store_of(pool: Connections) -> PostgresStore:
    return PostgresStore(pool, encode)


async def compared(options: BacktestOptions = OPTIONS, *, skip_late: bool = False) -> tuple[int, str]:
    """Return the exit code and the output of the comparison."""
    out = StringIO()
    code = await parity(options, skip_late=skip_late, console=Console(file=out, width=200))
    return code, out.getvalue()


async def test_what_was_live_equals_a_backtest(dsn: str) -> None:
    await live(dsn)
    code, output = await compared()
    assert code == 0, output
    assert "equal: " in output
    assert " 0 closed positions" not in output


async def test_stored_bars_are_tested_without_a_change_of_the_database(dsn: str, tmp_path: Path) -> None:
    await live(dsn)
    out = tmp_path / "out.json"
    options = replace(OPTIONS, start=parse_time("2024-06-10"), json=out, compare=False)
    assert await backtest(options, Console(file=StringIO())) == 0
    found = json.loads(out.read_text())
    assert found["facts"]["symbols"] == ["USDCOP"]
    assert found["facts"]["bars"] + found["facts"]["warm_up_bars"] == len(BARS)
    assert (await compared())[0] == 0


async def test_other_settings_are_named(dsn: str) -> None:
    await live(dsn)
    code, output = await compared(replace(OPTIONS, changed={"confidence_threshold": "0.5"}))
    assert code == DIFFERENT
    assert "other settings" in output
    assert "live BUY, backtest HOLD" in output or "field action" in output


async def test_another_model_is_named(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await live(dsn)
    other = PolicyDescription(version="other", type="placeholder", mode="placeholder")
    monkeypatch.setattr(PlaceholderPolicy, "description", other)
    code, output = await compared()
    assert code == DIFFERENT
    assert "other model" in output


async def test_a_late_bar_is_named_and_can_be_left_out(dsn: str) -> None:
    missing = 600
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        await engine.publish([*BARS[:missing], *BARS[missing + 1 : missing + 5]])
        await engine.publish([BARS[missing]])
        await engine.publish(BARS[missing + 5 : 900])
    code, output = await compared()
    assert code == DIFFERENT
    assert f"late bar: that of {BARS[missing].time:%Y-%m-%d %H:%M}" in output
    assert (await compared(skip_late=True))[0] == 0


async def test_a_request_in_between_is_named(dsn: str) -> None:
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        await engine.publish(BARS[:700])
        price = BARS[699].close
        bought = Quote(close_price=price, rsi=95.0, ema_20=price * 1.01, ema_50=price, macd=9.0, macd_signal=1.0)
        await engine.engine.generate("USDCOP", bought)
        await engine.publish(BARS[700:])
    code, output = await compared()
    assert code in {0, DIFFERENT}
    assert ("request in between" in output) == (code == DIFFERENT)
