"""What every store promises: writing. See application.ports.Store, and test_store_reading.py for what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.support.builders import NOW, bar, position, signal
from tests.support.deadlines import within

from tradingsignals.v1.event_pb2 import MarketUpdate as MarketUpdateMessage
from tradingsignals.v1.position_pb2 import Position as PositionMessage
from tradingsignals.v1.signal_pb2 import Signal as SignalMessage
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.store import StaleState
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.events import Disposition, Event, EventKind, MarketUpdate
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, close
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

TABLES = ("bars", "signals", "positions", "events")
RULES = RiskRules()


def stored(bar: Bar, disposition: Disposition = Disposition.ACCEPTED) -> MarketUpdate:
    return MarketUpdate(bar, disposition)


def trade(name: int, symbol: str = "USDCOP", action: Action = Action.BUY) -> tuple[Signal, Position]:
    """A signal and the position that it opens."""
    made = signal(action, name=name, symbol=symbol)
    held = position(action)
    return made, replace(held, position_id=UUID(int=1000 + name), signal_id=made.signal_id, symbol=symbol)


def ended(held: Position, price: float = 101.0, reason: ExitReason = ExitReason.MANUAL) -> Position:
    return close(held, Exit(NOW, price, reason), RULES)


async def counts(sql: asyncpg.Connection) -> dict[str, int]:
    return {table: await sql.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


class TestCommit:
    async def test_entries_are_numbered_in_the_order_given(self, store: PostgresStore) -> None:
        made, held = trade(1)
        first = await store.commit([stored(bar(0)), made, held], NOW)
        second = await store.commit([stored(bar(1)), ended(held)], NOW + timedelta(seconds=1))

        assert [entry.sequence for entry in (*first, *second)] == [1, 2, 3, 4, 5]
        assert [entry.kind for entry in first] == [
            EventKind.MARKET_UPDATE,
            EventKind.SIGNAL,
            EventKind.POSITION_UPDATE,
        ]
        assert {entry.time for entry in first} == {NOW}
        assert [(entry.action, entry.confidence) for entry in first] == [(None, None), (Action.BUY, 0.9), (None, None)]
        assert {entry.symbol for entry in (*first, *second)} == {"USDCOP"}
        assert await store.entries_after(0, 100) == [*first, *second]

    async def test_what_is_streamed_is_what_is_listed(self, store: PostgresStore) -> None:
        made, held = trade(1)
        bar_entry, signal_entry, position_entry = await store.commit([stored(bar(0)), made, held], NOW)

        assert await store.latest_signal(None) == signal_entry.payload
        assert (await store.active_positions(None)).messages == [position_entry.payload]
        assert SignalMessage.FromString(signal_entry.payload).sequence == signal_entry.sequence
        assert PositionMessage.FromString(position_entry.payload).sequence == position_entry.sequence
        assert MarketUpdateMessage.FromString(bar_entry.payload).bar.symbol == "USDCOP"

    async def test_a_position_is_one_row_however_often_it_changes(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        made, held = trade(1)
        await store.commit([made, held, replace(held, bars_held=1), replace(held, bars_held=2)], NOW)
        *_, last = await store.commit([replace(held, bars_held=3), ended(replace(held, bars_held=4))], NOW)

        (row,) = await sql.fetch("SELECT * FROM positions")
        assert (row["bars_held"], row["status"], row["sequence"]) == (4, "CLOSED", 6)
        assert row["message"] == last.payload
        assert await counts(sql) == {"bars": 0, "signals": 1, "positions": 1, "events": 6}

    async def test_a_position_can_be_reversed_in_one_commit(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        first_signal, first = trade(1)
        await store.commit([first_signal, first], NOW)
        second_signal, second = trade(2, action=Action.SELL)
        third_signal, third = trade(3)
        await store.commit(
            [
                *(replace(first, bars_held=1), second_signal, ended(first, reason=ExitReason.REVERSED), second),
                *(third_signal, ended(second, reason=ExitReason.REVERSED), third),
            ],
            NOW,
        )
        rows = await sql.fetch("SELECT position_id, status FROM positions ORDER BY sequence")
        assert [(row["position_id"].int, row["status"]) for row in rows] == [
            (1001, "CLOSED"),
            (1002, "CLOSED"),
            (1003, "OPEN"),
        ]


def not_storable(made: Signal, held: Position) -> dict[str, Sequence[Event]]:
    """Events that contradict what is stored: a bar at 0, `made`, and `held`, which is open."""
    other, second = trade(2)
    return {
        "the same bar again": [stored(bar(0))],
        "a different bar for the same time": [stored(bar(0, 200.0))],
        "the same signal again": [made],
        "a second open position of the symbol": [other, second],
        "a position without its signal": [replace(second, symbol="EURUSD", signal_id=uuid4())],
        "one bar twice": [stored(bar(5)), stored(bar(5))],
    }


class TestAtomicity:
    @pytest.mark.parametrize("what", not_storable(*trade(1)))
    async def test_one_event_that_cannot_be_stored_leaves_nothing_of_its_commit(
        self, store: PostgresStore, sql: asyncpg.Connection, what: str
    ) -> None:
        made, held = trade(1)
        await store.commit([stored(bar(0)), made, held], NOW)
        before = await counts(sql), await store.log_head()
        good: list[Event] = [stored(bar(1)), signal(name=7), stored(bar(2), Disposition.WARMING_UP)]

        with pytest.raises(StaleState):
            await store.commit([*good, *not_storable(made, held)[what]], NOW)
        assert (await counts(sql), await store.log_head()) == before

        entries = await store.commit(good, NOW)
        assert [entry.sequence for entry in entries] == [4, 5, 6]

    async def test_where_the_log_ends_is_guessed_once_it_was_known(
        self, store: PostgresStore, another_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A commit takes one statement, unless another server has committed in between."""
        stepped: list[PostgresStore] = []
        in_steps = PostgresStore._commit_in_steps

        async def noted(self: PostgresStore, *arguments: Any) -> Sequence[LogEntry]:
            stepped.append(self)
            return await in_steps(self, *arguments)

        monkeypatch.setattr(PostgresStore, "_commit_in_steps", noted)
        for n in range(3):
            (entry,) = await store.commit([stored(bar(n))], NOW)
            assert entry.sequence == n + 1
        assert stepped == [store]
        await another_store.commit([stored(bar(3))], NOW)
        (entry,) = await store.commit([stored(bar(4))], NOW)
        assert entry.sequence == 5
        assert (await store.entries_after(4, 9)) == [entry]
        assert stepped == [store, another_store, store]

    async def test_a_caller_that_gives_up_leaves_nothing_or_all(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        """Whatever moment a commit is cancelled at, the next one finds the log without a gap."""
        for turns in range(30):
            task = asyncio.create_task(store.commit([stored(bar(2 * turns)), stored(bar(2 * turns + 1))], NOW))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            head = await store.log_head()
            found = await counts(sql)
            assert found["bars"] == found["events"] == head.newest
            assert found["bars"] % 2 == 0
        (entry,) = await store.commit([stored(bar(1000))], NOW)
        assert entry.sequence == head.newest + 1

    async def test_a_connection_that_breaks_in_the_middle_leaves_nothing(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        async with sql.transaction():
            await sql.execute("SELECT FROM bars LIMIT 0")
            await sql.execute("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
            task = asyncio.create_task(store.commit([stored(bar(0))], NOW))
            await within(_a_commit_waits(sql))
            await sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database()"
            )
            with pytest.raises(Exception, match="the database cannot be reached"):
                await within(task)
        assert await counts(sql) == dict.fromkeys(TABLES, 0)
        assert (await store.log_head()).newest == 0
        (entry,) = await store.commit([stored(bar(0))], NOW)
        assert entry.sequence == 1


async def _a_commit_waits(sql: asyncpg.Connection) -> None:
    """Polled: PostgreSQL tells nobody that a statement waits for a lock."""
    while not await sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        pass


class TestOneOpenPosition:
    async def test_the_database_itself_refuses_a_second_one(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        made, held = trade(1)
        await store.commit([made, held], NOW)
        with pytest.raises(asyncpg.UniqueViolationError):
            await sql.execute(
                "INSERT INTO positions SELECT (jsonb_populate_record(positions, $1)).* FROM positions",
                f'{{"position_id": "{uuid4()}"}}',
            )

    async def test_other_symbols_and_closed_positions_do_not_count(self, store: PostgresStore) -> None:
        for name, symbol in enumerate(("USDCOP", "EURUSD", "USDCOP"), 1):
            made, held = trade(name, symbol)
            await store.commit([made, held, ended(held)] if name == 1 else [made, held], NOW)
        assert await store.symbols_with_open_positions() == ["EURUSD", "USDCOP"]


NOT_FINITE = ("NaN", "Infinity", "-Infinity")
NO_PRICE = (*NOT_FINITE, "0", "-1")
PRICES = ("open", "high", "low", "close")


class TestConstraints:
    """Whatever the program believes, no table takes a number that cannot be."""

    async def test_a_bar(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit([stored(bar(0, 100.0, 102.0, 98.0))], NOW)
        for price in NO_PRICE:
            await refuse(sql, "bars", dict.fromkeys(PRICES, price))
            for column in PRICES:
                await refuse(sql, "bars", {column: price})
        for volume in (*NOT_FINITE, "-1"):
            await refuse(sql, "bars", {"volume": volume})
        for contradiction in ({"high": "99"}, {"low": "101"}, {"open": "103"}, {"close": "97"}):
            await refuse(sql, "bars", contradiction)
        await refuse(sql, "bars", {"high": "98", "low": "102"})

    async def test_a_signal(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit([signal(name=1)], NOW)
        for column in ("entry_price", "stop_loss", "take_profit"):
            for price in NO_PRICE:
                await refuse(sql, "signals", {column: price})
        for column in ("confidence", "position_size"):
            for fraction in (*NOT_FINITE, "-0.1", "1.1"):
                await refuse(sql, "signals", {column: fraction})
        for column in ("stop_loss", "take_profit"):
            await refuse(sql, "signals", {column: None})

    async def test_a_position(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit(list(trade(1)), NOW)
        for column in ("entry_price", "stop_loss", "take_profit", "initial_stop_loss", "current_price"):
            for price in NO_PRICE:
                await refuse(sql, "positions", {column: price})
        for column in ("pnl", "pnl_pct", "pnl_account", "r_multiple"):
            for value in NOT_FINITE:
                await refuse(sql, "positions", {column: value})
        await refuse(sql, "positions", {"status": "CLOSED"})


async def refuse(sql: asyncpg.Connection, table: str, values: Mapping[str, str | None]) -> None:
    """Check that the one row of `table` cannot have these values."""
    changes = ", ".join(f"{column} = ${number}::text::float8" for number, column in enumerate(values, 1))
    if "status" in values:
        changes = "status = $1"
    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute(f"UPDATE {table} SET {changes}", *values.values())


class TestSeveralWriters:
    async def test_sequences_become_visible_in_order_and_without_gaps(
        self, store: PostgresStore, another_store: PostgresStore
    ) -> None:
        """A follower that reads on from where it was sees every entry, though two servers write at once."""
        commits, writers = 25, 6
        total = sum(1 + n % 3 for n in range(commits)) * writers
        written: dict[int, list[LogEntry]] = {writer: [] for writer in range(writers)}

        async def write(writer: int) -> None:
            to = (store, another_store)[writer % 2]
            for n in range(commits):
                bars = [stored(bar(1000 * n + i, symbol=f"AB{writer}")) for i in range(1 + n % 3)]
                written[writer].extend(await to.commit(bars, NOW))

        async def follow() -> list[LogEntry]:
            seen: list[LogEntry] = []
            while len(seen) < total:
                page = await another_store.entries_after(len(seen), 7)
                assert [entry.sequence for entry in page] == [len(seen) + 1 + i for i in range(len(page))]
                seen.extend(page)
            return seen

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            follower = group.create_task(follow())
            for writer in range(writers):
                group.create_task(write(writer))
        for entries in written.values():
            assert entries == sorted(entries, key=lambda entry: entry.sequence)
        assert follower.result() == sorted(
            (entry for entries in written.values() for entry in entries), key=lambda entry: entry.sequence
        )

    async def test_of_two_that_store_the_same_one_is_told_that_it_is_late(
        self, store: PostgresStore, another_store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        for n in range(10):
            results = await asyncio.gather(
                *(writer.commit([stored(bar(n)), signal(name=n + 1)], NOW) for writer in (store, another_store)),
                return_exceptions=True,
            )
            assert [isinstance(result, StaleState) for result in results].count(True) == 1
        assert await counts(sql) == {"bars": 10, "signals": 10, "positions": 0, "events": 20}
