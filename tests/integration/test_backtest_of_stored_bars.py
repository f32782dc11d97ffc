"""Backtests of the bars that a service has stored, and their comparison with what it made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console
from tests.support.bars import a_month
from tests.support.builders import feed_bars, now, walk
from tests.support.engine import running_engine

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS
from tradingsignals_server.application.backtest.opening import LogTooShort
from tradingsignals_server.application.backtest.run import NothingToTest
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.event_log.tailer import LogReader
from tradingsignals_server.application.ledger.keeper import LedgerKeeper
from tradingsignals_server.application.ports.policy import PolicyDescription
from tradingsignals_server.bootstrap.engine import books
from tradingsignals_server.commands.backtest import backtest
from tradingsignals_server.commands.backtest.options import BacktestOptions, parse_time
from tradingsignals_server.commands.backtest.parity import DIFFERENT, parity
from tradingsignals_server.config.settings import PLACEHOLDER_PATH, Settings

from .conftest import MIGRATED, Storage

BARS = a_month()
CHANGED = {"confidence_threshold": "0.4"}
SETTINGS = Settings(confidence_threshold=0.4, log_level="INFO")
RULES = SETTINGS.risk_rules
OPTIONS = BacktestOptions(database=True, model=PLACEHOLDER_PATH, changed=CHANGED)


@pytest.fixture(scope="module")
async def month(embedded_storage: Storage) -> str:
    """The name of a database of a service that has processed the month."""
    name = "month"
    dsn = await embedded_storage.new_database(MIGRATED, name)
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        for start in range(0, len(BARS), 250):
            await engine.publish(BARS[start : start + 250])
        await follow(pool)
    return name


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """The name of the database that the test begins with: an empty one, or that of the month if it asks for it."""
    found: str = request.getfixturevalue("month") if "live" in request.fixturenames else MIGRATED
    return found


@pytest.fixture
async def dsn(embedded_storage: Storage, template: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of a copy of it, which the settings name."""
    monkeypatch.chdir(tmp_path)
    address = await embedded_storage.new_database(template)
    # The address of a socket is no URL that a setting may have.
    monkeypatch.setattr(Settings, "embedded_database", False)
    monkeypatch.setattr(Settings, "dsn", address)
    return address


@pytest.fixture
def live(dsn: str) -> str:
    """The address of a database of a service that has processed the month."""
    return dsn


def store_of(pool: Connections) -> PostgresStore:
    return PostgresStore(pool, encode)


async def follow(pool: Connections, settings: Settings = SETTINGS) -> None:
    """Have the keeper follow the log to its end."""
    store = store_of(pool)
    log_tail = LogTail(store, await store.log_head())
    outcomes = PostgresOutcomes(pool, encode, LOG_DECODERS)
    keeper = LedgerKeeper(outcomes, log_tail, books(settings), now, LogReader(store, log_tail).committed)
    assert await keeper.catch_up()


async def open_positions(pool: Connections) -> list[UUID]:
    """Return the ids of the positions that are held."""
    async with pool.for_read() as database:
        rows = await database.fetch("SELECT position_id FROM positions WHERE status = 'OPEN'")
    return [row["position_id"] for row in rows]


async def altered(dsn: str, statement: str) -> None:
    """Change what is stored, as no service does; one row at least."""
    async with connections(dsn) as pool, pool.for_engine() as database:
        assert await database.execute(statement) != "UPDATE 0"


async def compared(options: BacktestOptions = OPTIONS, *, skip_late: bool = False) -> tuple[int, str]:
    """Return the exit code and the output of the comparison."""
    out = StringIO()
    code = await parity(options, skip_late=skip_late, as_json=False, console=Console(file=out, width=200))
    return code, out.getvalue()


async def difference(options: BacktestOptions = OPTIONS) -> dict[str, Any]:
    """Return the difference that a comparison finds, as JSON."""
    out = StringIO()
    assert await parity(options, skip_late=False, as_json=True, console=Console(file=out, width=200)) == DIFFERENT
    document: dict[str, Any] = json.loads(out.getvalue())
    assert not document["equal"]
    found: dict[str, Any] = document["difference"]
    return found


async def counts(options: BacktestOptions = OPTIONS) -> dict[str, int]:
    """Return how much a comparison has found equal."""
    out = StringIO()
    code = await parity(options, skip_late=False, as_json=True, console=Console(file=out, width=200))
    document = json.loads(out.getvalue())
    assert code == 0, document
    assert (document["equal"], document["difference"], document["account_left_out"]) == (True, None, "")
    found: dict[str, int] = document["compared"]
    return found


async def test_what_was_live_equals_a_backtest(live: str) -> None:
    async with connections(live) as pool, pool.for_read() as database:
        (stored,) = await database.fetch(
            "SELECT (SELECT count(*) FROM signals) AS signals, (SELECT count(*) FROM outcomes) AS outcomes, "
            "(SELECT count(*) FROM positions WHERE status = 'CLOSED') AS positions, "
            "(SELECT count(*) FROM equity) AS equity"
        )
    assert await counts() == dict(stored)
    assert all(count > 10 for count in stored.values())


@pytest.mark.parametrize("changed", [{}, {"trailing_stop_atr": "1.5", "close_at_session_end": "false"}])
async def test_a_period_begins_with_what_the_service_had_before_it(dsn: str, changed: dict[str, str]) -> None:
    options = replace(OPTIONS, changed={**CHANGED, **changed})
    settings = options.settings()
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=settings.risk_rules) as engine:
        await engine.publish(BARS[:400])
        await engine.engine.generate("USDCOP", Quote(close_price=BARS[399].close))  # no backtest makes it
        for start in range(400, len(BARS), 250):
            await engine.publish(BARS[start : start + 250])
        await follow(pool, settings)
        async with pool.for_read() as database:
            entries = await database.fetch("SELECT entry_time FROM positions WHERE bars_held > 3 ORDER BY entry_time")
    for entry in entries[len(entries) // 2 :: len(entries) // 3]:  # a position is held when the period begins
        found = await counts(replace(options, start=entry["entry_time"] + timedelta(minutes=10)))
        assert all(found.values())


async def test_a_period_that_the_log_does_not_reach_back_to_is_an_error(live: str) -> None:
    await altered(live, "DELETE FROM events WHERE sequence < 2000")
    await altered(live, "UPDATE event_log SET oldest_sequence = 2000")
    start = parse_time("2024-06-06")
    with pytest.raises(LogTooShort, match="leave --from out"):
        await compared(replace(OPTIONS, start=start))
    assert await counts()
    assert (await counts(replace(OPTIONS, start=parse_time("2024-06-24"))))["equity"] > 100


@pytest.mark.parametrize("batch", [1, 30])
async def test_bars_of_several_symbols_come_in_the_order_of_a_log_that_is_pruned(dsn: str, batch: int) -> None:
    """They come in another order than that of times and names, and each symbol has closes that the other has not."""
    commits = count()

    def clock() -> datetime:
        return now() + timedelta(seconds=next(commits))

    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES, clock=clock) as engine:
        one = [bar for number, bar in enumerate(walk(400)) if number % 7]
        other = [bar for number, bar in enumerate(walk(400, symbol="EURCOP", seed=2)) if number % 5]
        for start in range(0, len(one), batch):
            await engine.publish([*one[start : start + batch], *other[start : start + batch]])
        await follow(pool)
    before = await counts()
    assert all(before.values())
    await altered(dsn, "DELETE FROM events")
    await altered(dsn, "UPDATE event_log SET oldest_sequence = last_sequence + 1")
    after = await counts()
    assert before["equity"] > after.pop("equity") > 200  # it is not compared while they warm up
    assert after.items() < before.items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": parse_time("2040-01-01")}, "no bars in this period"),
        ({"end": parse_time("2010-01-01")}, "no bars in this period"),
        ({"symbols": ("EURCOP",)}, "no bars of EURCOP$"),
    ],
)
async def test_a_period_without_bars_is_an_error(live: str, changes: dict[str, Any], message: str) -> None:
    assert live
    with pytest.raises(NothingToTest, match=message):
        await compared(replace(OPTIONS, **changes))


@pytest.mark.parametrize(
    ("statement", "what", "field", "reason"),
    [
        ("UPDATE outcomes SET mae_r = mae_r + 1e-9 WHERE number = 9", "outcome of ", "mae_r", "other settings"),
        ("UPDATE outcomes SET net_pct = 0 WHERE fill = 'NEXT_OPEN'", "outcome of ", "net_pct", "other settings"),
        ("UPDATE outcomes SET rules_version = 0", "outcome of ", "rules_version", "ledger rebuild"),
        ("DELETE FROM outcomes WHERE number = 9", "outcome", "", "other settings"),
        ("UPDATE equity SET drawdown = drawdown + 1e-9", "account", "drawdown", "other settings"),
        ("UPDATE equity SET exposure = 1 WHERE exposure > 0", "account", "exposure", "other settings"),
        ("DELETE FROM equity WHERE open_positions > 0", "account", "equity", "other settings"),
        (
            "UPDATE ledger SET account = jsonb_set(account::jsonb, '{closed}', '1')",
            *("account", "closed", "other settings"),
        ),
        ("UPDATE positions SET pnl = pnl + 1 WHERE status = 'CLOSED'", "position", "pnl", "other settings"),
        (
            "UPDATE bars SET close = close + 0.01, high = high + 1 WHERE time = '2024-06-11 14:00+00'",
            *("signal", "entry_price", "altered bar: that of 2024-06-11 14:00, its high was"),
        ),
        (
            "DELETE FROM bars WHERE time = '2024-06-11 14:00+00'",
            *("signal", "technical_factors.", "missing bar: the service took that of 2024-06-11 14:00"),
        ),
    ],
)
async def test_the_first_field_that_differs_is_named(
    live: str, statement: str, what: str, field: str, reason: str
) -> None:
    await altered(live, statement)
    found = await difference()
    assert found["what"].startswith(what)
    assert found["field"].startswith(field)
    assert found["live"] != found["backtest"]
    assert reason in found["reason"]


async def test_what_the_service_has_not_followed_yet_is_not_compared(live: str) -> None:
    async with connections(live) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        (later,) = feed_bars(date(2024, 7, 2), date(2024, 7, 2))[:1]
        await engine.publish([later])
    code, output = await compared()
    assert code == 0, output
    assert "as far as the service has followed its log" in output


async def test_without_some_symbols_the_account_is_not_compared(live: str) -> None:
    async with connections(live) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        await engine.publish(walk(60, symbol="EURCOP"))
        await follow(pool)
    assert (await counts())["equity"] > 1000
    code, output = await compared(replace(OPTIONS, symbols=("EURCOP",)))
    assert code == 0, output
    assert "the account was not compared: symbols are left out" in output


async def test_stored_bars_are_tested_without_a_change_of_the_database(live: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = replace(OPTIONS, start=parse_time("2024-06-10"), json=out, compare=False)
    assert await backtest(options, Console(file=StringIO())) == 0
    found = json.loads(out.read_text())
    assert found["facts"]["symbols"] == ["USDCOP"]
    assert found["facts"]["bars"] + found["facts"]["warm_up_bars"] == len(BARS)
    assert (await compared())[0] == 0


async def test_other_settings_are_named(live: str) -> None:
    code, output = await compared(replace(OPTIONS, changed={"confidence_threshold": "0.5"}))
    assert code == DIFFERENT
    assert "other settings: confidence_threshold was 0.4, and 0.5 is set" in output
    assert "live BUY, backtest HOLD" in output or "field action" in output


async def test_another_model_is_named(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("start", [None, 350, 650])
async def test_halts_and_resumes_are_repeated_where_they_were(dsn: str, start: int | None) -> None:
    """Nothing is opened while trading is halted, in the backtest as it was; the newest halt lasts to the end."""
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        for number, place in enumerate(range(0, 1000, 200)):
            await engine.publish(BARS[place : place + 200])
            await engine.engine.control_trading("news", "desk", halted=number % 2 == 0)
        await follow(pool)
        async with pool.for_read() as database:
            reasons = await database.fetchval(
                "SELECT count(*) FROM signals WHERE array_to_string(reasoning, ' ') LIKE '%halted by hand%'"
            )
    assert reasons  # it mattered
    found = await counts(OPTIONS if start is None else replace(OPTIONS, start=BARS[start].time))
    assert found["signals"]
    assert found["equity"]


async def test_a_position_that_a_call_has_closed_is_named_whatever_its_time(dsn: str) -> None:
    async with connections(dsn) as pool, running_engine(store_of(pool), rules=RULES) as engine:
        at = 600
        await engine.publish(BARS[:at])
        while not (held := await open_positions(pool)):
            await engine.publish([BARS[at]])
            at += 1
        # It is closed by the wall clock, years after the bars around it.
        await engine.engine.close_position(held[0], None)
        await engine.publish(BARS[at:])
        await follow(pool)
    assert "request in between" in (await difference())["reason"]
    assert await counts(replace(OPTIONS, start=BARS[at].time))
