"""BARS_TABLE: bars in a table of the user are read like stored bars, and never written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest
from tests.support.builders import MONDAY, NOW, OPENING, bar, session_times, walk
from tests.support.engine import running_engine
from tests.support.trades import update

from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals_server.adapters.postgres.bars_table import BarsTable, BarsTableError
from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar, calendar_for
from tradingsignals_server.domain.errors import BarConflict, NotEnoughBars, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate, Receipt
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL

SEEDS = "usdcop_m5_ohlcv"
WITH_ZONE = "time timestamptz, symbol text, open float8, high float8, low float8, close float8, volume float8"
WITHOUT_ZONE = WITH_ZONE.replace("timestamptz", "timestamp")
BARS = walk(240)


async def table(sql: asyncpg.Connection, columns: str = WITH_ZONE, name: str = SEEDS) -> None:
    await sql.execute(f"CREATE TABLE {name} ({columns})")


async def fill(sql: asyncpg.Connection, bars: Sequence[Bar], symbol: str = "USD/COP", *, zone: bool = True) -> None:
    await sql.copy_records_to_table(
        SEEDS,
        records=[
            (b.time if zone else b.time.replace(tzinfo=None), symbol, b.open, b.high, b.low, b.close, b.volume)
            for b in bars
        ],
    )


async def opened(pool: Connections, name: str = SEEDS) -> PostgresStore:
    """Return a store that reads the table too, as bootstrap does."""
    async with pool.for_engine() as database:
        return PostgresStore(pool, encode, await BarsTable.open(database, name, partial(calendar_for)))


@pytest.fixture
async def with_table(sql: asyncpg.Connection, pool: Connections) -> PostgresStore:
    """Return a store with four sessions of USD/COP in the user's table."""
    await table(sql)
    await fill(sql, BARS)
    return await opened(pool)


class TestOpening:
    @pytest.mark.parametrize("name", ["", "a-b", "a b", "a.b.c", '"bars"', "bars; DROP TABLE bars", "x'", "1st"])
    async def test_invalid_name_is_refused(self, pool: Connections, name: str) -> None:
        with pytest.raises(BarsTableError, match="must be a table's name"):
            await opened(pool, name)

    async def test_missing_table_is_refused(self, pool: Connections) -> None:
        with pytest.raises(BarsTableError, match=f"BARS_TABLE={SEEDS}: there is no such table"):
            await opened(pool)

    @pytest.mark.parametrize("column", ["time", "symbol", "open", "high", "low", "close"])
    async def test_table_without_a_column_is_refused(
        self, sql: asyncpg.Connection, pool: Connections, column: str
    ) -> None:
        await table(sql)
        await sql.execute(f"ALTER TABLE {SEEDS} DROP COLUMN {column}")
        with pytest.raises(BarsTableError, match=f"has no column {column}$"):
            await opened(pool)

    async def test_every_missing_column_is_named(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql, "time timestamptz, price float8")
        with pytest.raises(BarsTableError, match=r"has no column symbol, open, high, low, close$"):
            await opened(pool)

    async def test_table_of_another_schema_is_read(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await sql.execute("CREATE SCHEMA research")
        await table(sql, name="research.m5")
        with pytest.raises(BarsTableError, match="no such table"):
            await opened(pool, "m5")
        store = await opened(pool, "research.m5")
        assert await store.list_bars("USDCOP", None, None, 10) == []

    async def test_table_is_found_along_the_search_path(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql)
        await sql.execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
        assert await (await opened(pool)).list_bars("USDCOP", None, None, 10) == []

    async def test_table_without_privilege_is_refused(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql)
        await sql.execute("CREATE ROLE guest")
        async with pool.for_engine() as database, database.transaction():
            await database.execute("SET LOCAL ROLE guest")
            with pytest.raises(BarsTableError, match="may not read it"):
                await BarsTable.open(database, SEEDS, partial(calendar_for))

    @pytest.mark.parametrize(
        ("column", "type_", "needed"),
        [("time", "date", "a timestamp"), ("time", "bigint", "a timestamp"), ("close", "text", "a number")],
    )
    async def test_column_of_a_wrong_type_is_refused(
        self, sql: asyncpg.Connection, pool: Connections, column: str, type_: str, needed: str
    ) -> None:
        await table(sql)
        await sql.execute(f"ALTER TABLE {SEEDS} DROP COLUMN {column}, ADD COLUMN {column} {type_}")
        with pytest.raises(BarsTableError, match=f"its column {column} is {type_}, and must be {needed}$"):
            await opened(pool)

    @pytest.mark.parametrize(("interval", "found"), [(timedelta(minutes=1), "1m"), (timedelta(days=1), "1d")])
    async def test_bars_of_another_interval_are_refused(
        self, sql: asyncpg.Connection, pool: Connections, interval: timedelta, found: str
    ) -> None:
        await table(sql)
        await fill(sql, BARS[:60], "EURUSD")
        times = [OPENING + number * interval for number in range(60)]
        prices = [(time, "USD/COP", 1.0, 1.0, 1.0, 1.0, 0.0) for time in times]
        await sql.copy_records_to_table(SEEDS, records=prices)
        with pytest.raises(
            BarsTableError, match=f"bars of USDCOP are .* apart; bars of 5m are needed, or BAR_INTERVAL=USDCOP={found}$"
        ):
            await opened(pool)

    async def test_view_is_read_like_a_table(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql)
        await fill(sql, BARS)
        await sql.execute(f"CREATE VIEW mine AS SELECT * FROM {SEEDS}")
        assert await (await opened(pool, "mine")).list_bars("USDCOP", None, None, 1) == BARS[-1:]


class TestColumns:
    @pytest.mark.parametrize("time_type", ["timestamptz", "timestamp"])
    async def test_time_without_a_zone_is_utc(self, sql: asyncpg.Connection, pool: Connections, time_type: str) -> None:
        """The time zone of the database is ignored."""
        await sql.execute("SET timezone = 'America/Bogota'")
        await table(sql, WITH_ZONE.replace("timestamptz", time_type))
        await fill(sql, BARS, zone=time_type == "timestamptz")
        store = await opened(pool)
        assert await store.session_bars("USDCOP", 100) == BARS[-100:]
        assert await store.list_bars("USDCOP", BARS[7].time, BARS[9].time, 100) == [BARS[8], BARS[7]]
        assert await store.find_bars([("USDCOP", BARS[7].time)]) == [BARS[7]]

    async def test_prices_may_be_numeric_and_volume_may_be_missing(
        self, sql: asyncpg.Connection, pool: Connections
    ) -> None:
        numbers = ", ".join(f"{name} numeric(12, 4)" for name in ("open", "high", "low", "close"))
        await table(sql, f"id bigserial PRIMARY KEY, time timestamptz, symbol varchar(10), source text, {numbers}")
        await sql.execute(
            f"INSERT INTO {SEEDS} (time, symbol, open, high, low, close) VALUES ($1, 'USD/COP', 1.1, 1.3, 0.7, 1.2)",
            OPENING,
        )
        assert await (await opened(pool)).list_bars("USDCOP", None, None, 9) == [bar(0, 1.1, 1.3, 0.7, 1.2)]

    async def test_null_volume_is_0(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql)
        await sql.execute(f"INSERT INTO {SEEDS} VALUES ($1, 'USDCOP', 1, 1, 1, 1, NULL)", OPENING)
        assert await (await opened(pool)).list_bars("USDCOP", None, None, 9) == [bar(0, 1.0)]

    async def test_nan_volume_is_0(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql)
        await sql.execute(f"INSERT INTO {SEEDS} VALUES ($1, 'USDCOP', 1, 1, 1, 1, 'NaN')", OPENING)
        assert await (await opened(pool)).list_bars("USDCOP", None, None, 9) == [bar(0, 1.0)]

    async def test_symbols_are_found_in_both_spellings(self, sql: asyncpg.Connection, pool: Connections) -> None:
        await table(sql)
        await fill(sql, BARS[:3], "USD/COP")
        await fill(sql, BARS[3:5], "USDCOP")
        await fill(sql, BARS[5:9], "EUR/USD")
        store = await opened(pool)
        assert await store.list_bars("USDCOP", None, None, 99) == BARS[4::-1]
        assert [found.symbol for found in await store.list_bars("EURUSD", None, None, 99)] == ["EURUSD"] * 4
        assert await store.list_bars("COPUSD", None, None, 99) == []


class TestRows:
    async def test_rows_that_cannot_be_a_bar_are_ignored(
        self, sql: asyncpg.Connection, with_table: PostgresStore
    ) -> None:
        last = BARS[-1].time
        for broken in (
            "'NaN', 1, 1, 1",
            "1, 'Infinity', 1, 1",
            "1, 1, 0, 1",
            "1, 1, -1, 1",
            "1, 2, 3, 1",
            "5, 2, 1, 1",
            "NULL, 1, 1, 1",
        ):
            last += DEFAULT_INTERVAL
            await sql.execute(f"INSERT INTO {SEEDS} VALUES ($1, 'USD/COP', {broken}, 0)", last)
        for time in (
            last + timedelta(seconds=1),
            last + timedelta(minutes=1),
            datetime.max.replace(tzinfo=last.tzinfo),
        ):
            await sql.execute(f"INSERT INTO {SEEDS} VALUES ($1, 'USD/COP', 1, 1, 1, 1, 0)", time)
        await sql.execute(f"INSERT INTO {SEEDS} VALUES ('infinity', 'USD/COP', 1, 1, 1, 1, 0)")
        assert await with_table.list_bars("USDCOP", None, None, 3) == BARS[:-4:-1]
        assert await with_table.session_bars("USDCOP", 3) == BARS[-3:]

    @pytest.mark.parametrize("time_type", ["timestamptz", "timestamp"])
    async def test_bars_that_have_not_ended_are_ignored(
        self, sql: asyncpg.Connection, pool: Connections, time_type: str
    ) -> None:
        zone = time_type == "timestamptz"
        await table(sql, WITH_ZONE.replace("timestamptz", time_type))
        open_now = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 300 * 300, UTC)
        ahead = [bar(time) for time in (open_now + DEFAULT_INTERVAL, datetime(2099, 1, 5, 13, 0, tzinfo=UTC))]
        await fill(sql, [*BARS, *ahead], zone=zone)
        store = await opened(pool)
        assert await store.list_bars("USDCOP", None, None, 3) == BARS[:-4:-1]
        assert await store.session_bars("USDCOP", 3) == BARS[-3:]
        assert await store.find_bars([(one.symbol, one.time) for one in ahead]) == []
        assert (await store.load_symbol("USDCOP", 3, "v1@", None)).last_bar == BARS[-1]

    async def test_bars_behind_thousands_of_invalid_rows_are_found(
        self, sql: asyncpg.Connection, with_table: PostgresStore
    ) -> None:
        await sql.execute(
            f"INSERT INTO {SEEDS} SELECT $1::timestamptz + n * interval '5 minutes', 'USD/COP', 'NaN', 1, 1, 1, 0 "
            "FROM generate_series(1, 2500) n",
            BARS[-1].time,
        )
        assert await with_table.session_bars("USDCOP", 100) == BARS[-100:]
        assert await with_table.list_bars("USDCOP", None, None, 100) == BARS[:-101:-1]

    async def test_one_of_several_rows_for_one_time_is_taken(
        self, sql: asyncpg.Connection, with_table: PostgresStore
    ) -> None:
        await fill(sql, BARS, "USDCOP")
        await fill(sql, BARS)
        assert await with_table.session_bars("USDCOP", 999) == BARS
        for limit in (1, 2, 5, 100):
            assert await with_table.list_bars("USDCOP", None, None, limit) == BARS[: -limit - 1 : -1]

    async def test_invalid_and_contradicting_rows_are_logged_once(
        self, sql: asyncpg.Connection, with_table: PostgresStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        await with_table.list_bars("USDCOP", None, None, 100)
        assert not caplog.messages
        for number in (1, 2):
            time = BARS[-1].time + number * DEFAULT_INTERVAL
            await sql.execute(f"INSERT INTO {SEEDS} VALUES ($1, 'USD/COP', 1, 2, 3, 1, 0)", time)
            await fill(sql, [bar(BARS[-number].time, 9000.0)])
        for _ in range(2):
            await with_table.list_bars("USDCOP", None, None, 100)
        assert ["rows that are not bars" in message for message in caplog.messages] == [True, False]
        assert "bars that contradict each other" in caplog.messages[1]

    async def test_session_bars_are_inside_sessions(self, sql: asyncpg.Connection, pool: Connections) -> None:
        """A table of a round-the-clock market has four rows outside sessions for each one inside."""
        await table(sql)
        around = walk(288 * 14, times=[OPENING + n * DEFAULT_INTERVAL for n in range(288 * 14)])
        await fill(sql, random.Random(1).sample(around, len(around)))
        calendar = BogotaCalendar()
        inside = [found for found in around if calendar.session_of(found.time) is not None]
        assert len(inside) == 600
        store = await opened(pool)
        assert await store.session_bars("USDCOP", 500) == inside[-500:]
        assert await store.session_bars("USDCOP", 5000) == inside


class TestWhileItIsReplaced:
    @pytest.mark.parametrize(
        ("away", "back"),
        [
            (f"ALTER TABLE {SEEDS} RENAME TO aside", f"ALTER TABLE aside RENAME TO {SEEDS}"),
            (f"ALTER TABLE {SEEDS} RENAME close TO aside", f"ALTER TABLE {SEEDS} RENAME aside TO close"),
        ],
    )
    async def test_it_is_unavailable_and_health_says_so(
        self, sql: asyncpg.Connection, with_table: PostgresStore, away: str, back: str
    ) -> None:
        reads = (
            lambda: with_table.list_bars("USDCOP", None, None, 1),
            lambda: with_table.session_bars("USDCOP", 1),
            lambda: with_table.load_symbol("USDCOP", 1, "v1@", None),
            lambda: with_table.find_bars([("USDCOP", BARS[-1].time)]),
        )
        before = [await read() for read in reads]
        assert not await with_table.warnings()
        await sql.execute(away)
        for read in reads:
            with pytest.raises(StorageUnavailable, match=r"BARS_TABLE cannot be read, try again: .* does not exist"):
                await read()
        (warning,) = await with_table.warnings()
        assert "BARS_TABLE cannot be read" in warning
        await sql.execute(back)
        assert [await read() for read in reads] == before
        assert not await with_table.warnings()

    async def test_publishers_get_an_error_that_is_retried(
        self, sql: asyncpg.Connection, with_table: PostgresStore
    ) -> None:
        await sql.execute(f"ALTER TABLE {SEEDS} RENAME TO aside")
        async with running_engine(with_table) as running:
            (refused,) = await running.engine.publish(BARS[-1:])
            assert isinstance(refused, StorageUnavailable)
            assert "BARS_TABLE" in refused.message
            await sql.execute(f"ALTER TABLE aside RENAME TO {SEEDS}")
            (receipt,) = await running.publish(BARS[-1:])
        assert receipt.disposition is Disposition.DUPLICATE


class TestBesideStoredBars:
    async def test_table_is_read_before_the_first_stored_bar(self, with_table: PostgresStore) -> None:
        more = walk(300)[240:]
        async with running_engine(with_table) as running:
            receipts = await running.publish(more)
        assert {receipt.disposition for receipt in receipts} == {Disposition.ACCEPTED}
        assert await with_table.session_bars("USDCOP", 200) == [*BARS, *more][-200:]
        assert await with_table.list_bars("USDCOP", None, None, 200) == [*BARS, *more][: -200 - 1 : -1]

    async def test_stored_bar_wins_over_a_later_row(self, sql: asyncpg.Connection, with_table: PostgresStore) -> None:
        ours = walk(241)[240]
        async with running_engine(with_table) as running:
            await running.publish([ours])
        await fill(sql, [Bar("USDCOP", ours.time, 1.0, 1.0, 1.0, 1.0)])
        assert await with_table.list_bars("USDCOP", None, None, 1) == [ours]
        assert await with_table.find_bars([("USDCOP", ours.time)]) == [ours]

    async def test_list_of_symbols_has_the_newest_bars_of_either(
        self, sql: asyncpg.Connection, with_table: PostgresStore
    ) -> None:
        """A symbol of the table is listed once something of it is stored."""
        assert (await with_table.list_symbols((), "", 9, 2)).symbols == []
        late = MarketUpdate(replace(BARS[-1], close=BARS[-1].high), Disposition.LATE)
        await with_table.commit([late, update(BARS[0].time, symbol="EURUSD")], NOW)
        euro, cop = (await with_table.list_symbols((), "", 9, 2)).symbols
        assert (cop.last_bar_time, cop.closes) == (BARS[-1].time, [BARS[-2].close, BARS[-1].high])
        assert euro.last_bar_time == BARS[0].time
        await sql.execute(f"DELETE FROM {SEEDS} WHERE time < $1", BARS[-1].time)
        (cop,) = (await with_table.list_symbols(("USDCOP",), "", 9, 2)).symbols
        assert cop.closes == [BARS[-1].high]

    async def test_symbol_is_warm_from_the_start(
        self, sql: asyncpg.Connection, with_table: PostgresStore, pool: Connections
    ) -> None:
        """Its first signals equal those of a service that has processed every bar."""
        more = walk(300)[240:]
        async with running_engine(with_table) as running:
            await running.publish(more)
        warm = await signals(sql)
        await sql.execute(
            "TRUNCATE bars, signals, signal_inputs, positions, events; UPDATE event_log SET last_sequence = 0"
        )
        async with running_engine(PostgresStore(pool, encode)) as running:
            await running.publish(BARS)
            await running.publish(more)
        everything = await signals(sql)
        assert len(warm) == len(more)
        assert [_decided(signal) for signal in warm] == [_decided(signal) for signal in everything[-len(more) :]]

    async def test_signal_is_made_from_the_table(self, with_table: PostgresStore, pool: Connections) -> None:
        async with running_engine(with_table) as running:
            found = Signal.FromString(await running.engine.generate_from_stored("USDCOP", 200))
        assert found.bar_time.ToDatetime(UTC) == BARS[-1].time
        assert found.entry_price == BARS[-1].close
        async with running_engine(PostgresStore(pool, encode)) as running:
            with pytest.raises(NotEnoughBars):
                await running.engine.generate_from_stored("USDCOP", 200)

    async def test_bars_of_the_table_are_duplicates_conflicts_or_late(
        self, sql: asyncpg.Connection, with_table: PostgresStore
    ) -> None:
        same, differing = BARS[100], bar(BARS[101].time, 1.0)
        unknown = bar(OPENING - timedelta(days=7), 4000.0)
        newer = walk(241)[240]
        async with running_engine(with_table) as running:
            results = await running.engine.publish([same, differing, unknown, newer])
        kinds = [a.disposition if isinstance(a, Receipt) else type(a) for a in results]
        assert kinds == [Disposition.DUPLICATE, BarConflict, Disposition.LATE, Disposition.ACCEPTED]
        stored = await sql.fetch("SELECT time FROM bars ORDER BY time")
        assert [row["time"] for row in stored] == [unknown.time, newer.time]

    async def test_table_is_never_written(self, sql: asyncpg.Connection, with_table: PostgresStore) -> None:
        before = await sql.fetch(f"SELECT * FROM {SEEDS} ORDER BY time")
        async with running_engine(with_table) as running:
            await running.publish(walk(300)[240:])
        assert await sql.fetch(f"SELECT * FROM {SEEDS} ORDER BY time") == before


async def signals(sql: asyncpg.Connection) -> list[Signal]:
    rows = await sql.fetch("SELECT message FROM signals ORDER BY sequence")
    return [Signal.FromString(row["message"]) for row in rows]


def _decided(signal: Signal) -> Signal:
    """Return a signal without the fields that depend on the log and the clock."""
    bare = Signal()
    bare.CopyFrom(signal)
    bare.ClearField("sequence")
    bare.ClearField("latency_ms")
    return bare


def test_walk_has_whole_sessions() -> None:
    assert [found.time for found in BARS] == session_times(4)
    assert BARS[0].time.date() == MONDAY
