"""Commits on PostgreSQL, beyond the contract: rows, round trips, lost connections, totals."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from tests.support.builders import NOW, signal
from tests.support.counted import assert_counted
from tests.support.deadlines import poll, within
from tests.support.trades import closed, trade, update

from tradingsignals_server.adapters.postgres.connection import Database
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.signals import Action

TABLES = ("bars", "signals", "positions", "events")


async def counts(sql: asyncpg.Connection) -> dict[str, int]:
    return {table: await sql.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def test_position_is_one_row_however_often_it_changes(store: PostgresStore, sql: asyncpg.Connection) -> None:
    opening, opened = trade(1)
    await store.commit([opening, opened, replace(opened, bars_held=1), replace(opened, bars_held=2)], NOW)
    *_, last = await store.commit([replace(opened, bars_held=3), closed(replace(opened, bars_held=4))], NOW)

    (row,) = await sql.fetch("SELECT * FROM positions")
    assert (row["bars_held"], row["status"], row["sequence"]) == (4, "CLOSED", 6)
    assert row["message"] == last.payload
    assert await counts(sql) == {"bars": 0, "signals": 1, "positions": 1, "events": 6}


async def test_commit_takes_one_statement_unless_another_server_has_committed(
    store: PostgresStore, another_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[PostgresStore, int]] = []
    append = PostgresStore._append

    async def noted(self: PostgresStore, database: Database, commit: Any, head: int) -> Sequence[LogEntry]:
        tried.append((self, head))
        return await append(self, database, commit, head)

    monkeypatch.setattr(PostgresStore, "_append", noted)
    for n in range(3):
        (entry,) = await store.commit([update(n)], NOW)
        assert entry.sequence == n + 1
    assert tried == [(store, 0), (store, 1), (store, 2)]
    await another_store.commit([update(3)], NOW)
    (entry,) = await store.commit([update(4)], NOW)
    assert entry.sequence == 5
    assert (await store.entries_after(4, 9)) == [entry]
    assert tried[3:] == [(another_store, 3), (store, 3), (store, 4)]


async def test_lost_connection_leaves_nothing_of_its_commit(store: PostgresStore, sql: asyncpg.Connection) -> None:
    async with sql.transaction():
        await sql.execute("SELECT FROM bars LIMIT 0")
        await sql.execute("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
        task = asyncio.create_task(store.commit([update(0)], NOW))
        await within(_commit_waits(sql))
        await sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        with pytest.raises(Exception, match="the database cannot be reached"):
            await within(task)
    assert await counts(sql) == dict.fromkeys(TABLES, 0)
    assert (await store.log_head()).newest == 0
    (entry,) = await store.commit([update(0)], NOW)
    assert entry.sequence == 1


async def _commit_waits(sql: asyncpg.Connection) -> None:
    """Poll, because PostgreSQL does not notify that a statement waits for a lock."""
    while not await sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        await poll()


async def test_database_refuses_a_second_open_position_of_a_symbol(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    opening, opened = trade(1)
    await store.commit([opening, opened], NOW)
    with pytest.raises(asyncpg.UniqueViolationError):
        await sql.execute(
            "INSERT INTO positions SELECT (jsonb_populate_record(positions, $1)).* FROM positions",
            f'{{"position_id": "{uuid4()}"}}',
        )


async def test_totals_agree_with_the_rows(store: PostgresStore, sql: asyncpg.Connection) -> None:
    dice = random.Random(3)
    for number in range(1, 60):
        symbol = f"AB{number}" if number > 50 else "USDCOP"
        opening, opened = trade(number, symbol, dice.choice([Action.BUY, Action.SELL]))
        opening = replace(opening, latency_ms=dice.random(), simulated=dice.random() < 0.5)
        hold = signal(Action.HOLD, name=number + 500, symbol=symbol)
        ended = [closed(opened, dice.choice([97.0, 99.5, 100.0, 102.5]))] if number <= 50 else []
        await store.commit([update(number, symbol=symbol), opening, hold, opened, *ended], NOW)
    await assert_counted(await store.statistics(), sql)


async def test_epoch_is_a_random_uuid(store: PostgresStore) -> None:
    assert (await store.log_head()).epoch.version == 4
