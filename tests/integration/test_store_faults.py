"""The store while its database is away, and when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from uuid import uuid4

import asyncpg
import pytest
from tests.support.builders import NOW, OPENING, bar, signal
from tests.support.deadlines import poll, within

from tradingsignals_server.adapters.postgres.connection import ENGINE_CONNECTIONS, READER_CONNECTIONS, connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.store import SignalQuery
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate

from .conftest import Storage

CALLS: dict[str, Callable[[PostgresStore], Awaitable[object]]] = {
    "commit": lambda store: store.commit([signal(name=99)], NOW),
    "load_symbol": lambda store: store.load_symbol("USDCOP", 10, "v1@", "v2@"),
    "known_symbols": lambda store: store.known_symbols(["USDCOP"]),
    "symbol_count": lambda store: store.symbol_count(),
    "list_symbols": lambda store: store.list_symbols((), "", 10, 1),
    "find_bars": lambda store: store.find_bars([("USDCOP", OPENING)]),
    "session_bars": lambda store: store.session_bars("USDCOP", 10),
    "list_bars": lambda store: store.list_bars("USDCOP", None, None, 10),
    "symbol_of_position": lambda store: store.symbol_of_position(uuid4()),
    "latest_signal": lambda store: store.latest_signal(None),
    "list_signals": lambda store: store.list_signals(SignalQuery(), None, 10),
    "active_positions": lambda store: store.active_positions(None),
    "closed_positions": lambda store: store.closed_positions(None, None, 10),
    "statistics": lambda store: store.statistics(),
    "signal_totals": lambda store: store.signal_totals(),
    "log_head": lambda store: store.log_head(),
    "entries_after": lambda store: store.entries_after(0, 10),
    "sequence_range": lambda store: store.sequence_range(None, None, 0),
    "prune": lambda store: store.prune(OPENING, 10),
    "shadow_score": lambda store: store.shadow_score("v1@"),
    "symbols_with_open_positions": lambda store: store.symbols_with_open_positions(),
    "symbols_with_bars_since": lambda store: store.symbols_with_bars_since(OPENING, 10),
    "ping": lambda store: store.ping(),
}


class TestOutage:
    async def test_every_call_fails_in_an_outage_and_works_again_after_it(
        self, store: PostgresStore, storage: Storage
    ) -> None:
        kept = await store.commit([MarketUpdate(bar(0), Disposition.ACCEPTED), signal(name=1)], NOW)
        async with storage.outage():
            for name, call in CALLS.items():
                assert isinstance(await failure_of(call(store)), StorageUnavailable), name
        for call in CALLS.values():
            await within(call(store))
        (_, _, new) = await store.entries_after(0, 10)
        assert await store.entries_after(0, 2) == kept
        assert new.sequence == 3

    async def test_no_commit_is_half_done_when_the_database_dies(self, store: PostgresStore, storage: Storage) -> None:
        """The writers are at different points of their commits when the database dies."""

        async def write(first: int) -> list[int]:
            acknowledged = []
            for n in count(first):
                pair: list[Event] = [MarketUpdate(bar(n), Disposition.ACCEPTED), signal(name=n + 1)]
                try:
                    await store.commit(pair, NOW)
                except StorageUnavailable:
                    break
                acknowledged.append(n)
            return acknowledged

        writers = [asyncio.create_task(write(20_000 * n)) for n in range(4)]
        await within(_some_entries(store))
        async with storage.outage():
            acknowledged = {n for found in await within(asyncio.gather(*writers)) for n in found}

        assert acknowledged
        entries = await store.entries_after(0, 100_000)
        head = await store.log_head()
        assert [entry.sequence for entry in entries] == list(range(1, head.newest + 1))
        bars = await store.list_bars("USDCOP", None, None, 100_000)
        assert 2 * len(bars) == len(entries)
        assert {bar(n).time for n in acknowledged} <= {found.time for found in bars}
        # Each of the four may have lost the response to one commit.
        assert len(bars) <= len(acknowledged) + 4

    async def test_no_pool_opens_during_an_outage(self, storage: Storage, dsn: str) -> None:
        async with storage.outage():
            with pytest.raises(StorageUnavailable):
                async with connections(dsn):
                    pass


async def failure_of(call: Awaitable[object]) -> BaseException | None:
    try:
        await within(call)
    except Exception as error:
        return error
    return None


async def _some_entries(store: PostgresStore) -> None:
    """Poll, because the store does not notify of commits."""
    while (await store.log_head()).newest < 20:
        await poll()


async def test_connections_closed_by_the_server_are_replaced(store: PostgresStore, sql: asyncpg.Connection) -> None:
    """An operator or a firewall may close them. Each connection of the pool may fail one call."""
    for _ in range(3):
        await asyncio.gather(*(store.ping() for _ in range(20)))
        await sql.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(ENGINE_CONNECTIONS + READER_CONNECTIONS):
            with suppress(StorageUnavailable):
                await within(store.ping())
