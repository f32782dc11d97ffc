"""Intervals in the database: the migration, what is read back, and settings that contradict what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest
from tests.support.builders import NOW, OPENING, bar, walk

from tradingsignals_server.adapters.postgres.bars_table import BarsTable
from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.schema import migrations
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.bootstrap.storage import migrate_schema, require_intervals
from tradingsignals_server.config.settings import InvalidSettings, Settings
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.intervals import INTERVALS

from .conftest import Storage

HOUR = timedelta(hours=1)
MIXED = "BTCUSDT=1h,EURUSD=1m,*=5m"


@pytest.fixture
async def dsn(storage: Storage) -> str:
    """Return the address of an empty database."""
    return await storage.new_database()


async def stored(pool: Connections, bars: Sequence[Bar]) -> PostgresStore:
    """Return a store with `bars`."""
    await migrate_schema(pool)
    store = PostgresStore(pool, encode)
    await store.commit([MarketUpdate(one, Disposition.ACCEPTED) for one in bars], NOW)
    return store


async def test_bars_of_an_older_program_are_of_five_minutes(sql: asyncpg.Connection, pool: Connections) -> None:
    for migration in migrations():
        if migration.version < 10:
            await sql.execute(migration.sql)
    await sql.execute(
        "INSERT INTO bars VALUES ('USDCOP', '2024-03-04 13:00Z', 1, 1, 1, 1, 0, false, 'ACCEPTED', now())"
    )
    await sql.execute("INSERT INTO symbols VALUES ('USDCOP') ON CONFLICT DO NOTHING")
    for migration in migrations():
        if migration.version >= 10:
            await sql.execute(migration.sql)
    store = PostgresStore(pool, encode)
    assert await store.list_bars("USDCOP", None, None, 10) == [bar(0, 1.0)]
    assert await store.bar_intervals() == {"USDCOP": timedelta(minutes=5)}


async def test_bars_of_every_interval_are_read_back_unchanged(pool: Connections) -> None:
    bars = {f"S{name}".upper(): walk(1, symbol=f"S{name}".upper(), interval=each) for name, each in INTERVALS.items()}
    store = await stored(pool, [one for each in bars.values() for one in each])
    for symbol, expected in bars.items():
        assert await store.list_bars(symbol, None, None, 10) == expected
        assert (await store.load_symbol(symbol, 10, "v1@", None)).session_bars == expected
    assert await store.bar_intervals() == {symbol: each[0].interval for symbol, each in bars.items()}


async def test_bars_that_the_model_is_not_for_are_in_the_window_after_a_restart(pool: Connections) -> None:
    await migrate_schema(pool)
    store = PostgresStore(pool, encode)
    bars = walk(3, interval=HOUR)
    await store.commit([MarketUpdate(one, Disposition.OTHER_INTERVAL) for one in bars], NOW)
    assert (await store.load_symbol("USDCOP", 10, "v1@", None)).session_bars == bars


async def test_settings_that_agree_with_the_stored_bars_are_accepted(pool: Connections) -> None:
    store = await stored(pool, [bar(0), *walk(2, symbol="BTCUSDT", interval=HOUR)])
    await require_intervals(store, Settings.from_env(bar_interval="BTCUSDT=1h"))
    await require_intervals(store, Settings.from_env(bar_interval="BTCUSDT=1h,USDCOP=5m,*=1d"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "5m",
            "BAR_INTERVAL=5m: the stored bars of BTCUSDT are of 1h, and it says 5m; set BTCUSDT=1h, or use another "
            "database (DATA_DIR)",
        ),
        (
            "1d",
            "BAR_INTERVAL=1d: the stored bars of BTCUSDT (and those of 1 further symbol) are of 1h, and it says 1d; "
            "set BTCUSDT=1h, or use another database (DATA_DIR)",
        ),
    ],
)
async def test_setting_that_contradicts_the_stored_bars_is_refused(
    pool: Connections, setting: str, message: str
) -> None:
    store = await stored(pool, [bar(0), *walk(2, symbol="BTCUSDT", interval=HOUR)])
    with pytest.raises(InvalidSettings) as caught:
        await require_intervals(store, Settings.from_env(bar_interval=setting))
    assert str(caught.value) == message


async def test_table_of_the_user_is_read_at_the_interval_of_each_symbol(
    sql: asyncpg.Connection, pool: Connections
) -> None:
    """A row outside the grid of its symbol, or whose bar has not ended, is no bar."""
    await migrate_schema(pool)
    settings = Settings.from_env(bar_interval=MIXED)
    prices = ", ".join(f"{name} float8" for name in ("open", "high", "low", "close"))
    await sql.execute(f"CREATE TABLE own (time timestamptz, symbol text, {prices})")
    hourly = walk(5, symbol="BTCUSDT", interval=HOUR)
    rows = [(one.time, "BTC/USDT", one.open, one.high, one.low, one.close) for one in hourly]
    off_grid = (OPENING + timedelta(minutes=30), "BTC/USDT", 1.0, 1.0, 1.0, 1.0)
    await sql.copy_records_to_table("own", records=[*rows, off_grid])
    # It ends in half an hour at the earliest, whatever the time is.
    unended = "date_trunc('hour', now() + interval '30 minutes')"
    await sql.execute(f"INSERT INTO own SELECT {unended}, 'BTC/USDT', 1, 1, 1, 1")
    async with pool.for_engine() as database:
        table = await BarsTable.open(database, "own", settings.calendar_of)
        store = PostgresStore(pool, encode, table)
    assert await store.list_bars("BTCUSDT", None, None, 10) == []  # it is spelled BTC/USDT, which is no pair of six
    await sql.execute("UPDATE own SET symbol = 'BTCUSDT'")
    assert await store.list_bars("BTCUSDT", None, None, 10) == hourly[::-1]
    assert await store.session_bars("BTCUSDT", 10) == hourly
    assert await store.find_bars([("BTCUSDT", one.time) for one in hourly]) == hourly
