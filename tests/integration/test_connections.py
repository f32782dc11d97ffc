"""Connections: their settings, their limits, and the messages of refusals."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, cast

import asyncpg
import pytest
from tests.support.builders import NOW, bar
from tests.support.deadlines import within

from tradingsignals_server.adapters.postgres import connection as module
from tradingsignals_server.adapters.postgres.connection import (
    READER_CONNECTIONS,
    Connections,
    Database,
    DatabaseRefused,
    connections,
)
from tradingsignals_server.adapters.postgres.membership import Membership
from tradingsignals_server.adapters.postgres.place import place_of
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.bootstrap.storage import migrate_schema
from tradingsignals_server.bootstrap.supervisor import multi_server
from tradingsignals_server.config.settings import Settings
from tradingsignals_server.domain.errors import Overloaded, ReadTimedOut, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate

Lending = Callable[[Connections], AbstractAsyncContextManager[Database]]

# ------------------------------------------------------------------------------------------------- what is relied on

HOSTILE = {
    "default_transaction_isolation": "serializable",
    "timezone": "Asia/Kathmandu",
    "statement_timeout": "300ms",
    "lock_timeout": "1ms",
    "idle_session_timeout": "300ms",
    "synchronous_commit": "off",
    "jit": "on",
}


async def hostile(sql: asyncpg.Connection) -> None:
    """Set defaults of the database under which the service could not work."""
    name = await sql.fetchval("SELECT current_database()")
    for setting, value in HOSTILE.items():
        await sql.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")


async def test_no_default_of_the_database_is_relied_on(dsn: str, sql: asyncpg.Connection) -> None:
    await hostile(sql)
    expected = {
        "default_transaction_isolation": "read committed",
        "timezone": "UTC",
        "lock_timeout": "0",
        "idle_session_timeout": "0",
        "synchronous_commit": "on",
        "jit": "off",
        "idle_in_transaction_session_timeout": "10s",
        "application_name": "tradingsignals",
    }
    async with connections(dsn) as pool:
        for lent, statement_timeout in ((pool.for_engine(), "0"), (pool.for_read(), "10s")):
            async with lent as database:
                for setting, value in {**expected, "statement_timeout": statement_timeout}.items():
                    assert await database.fetchval("SELECT current_setting($1)", setting) == value, setting


async def test_connection_whose_rollback_was_cut_off_is_not_used_again(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connections(dsn) as pool:
        with suppress(LookupError):
            async with pool.for_engine() as database:
                first = await database.fetchval("SELECT pg_backend_pid()")
                await database.execute("BEGIN")
                raise LookupError
        async with pool.for_engine() as database:
            assert not database.is_in_transaction()
            assert await database.fetchval("SELECT pg_backend_pid()") != first
    assert caplog.records == []


async def test_two_servers_commit_concurrently_under_any_default_isolation(dsn: str, sql: asyncpg.Connection) -> None:
    """With serializable or repeatable read every second commit would fail."""
    await hostile(sql)
    async with connections(dsn) as one, connections(dsn) as other:
        stores = [PostgresStore(pool, encode) for pool in (one, other)]

        async def write(number: int, store: PostgresStore) -> None:
            for n in range(40):
                await store.commit([MarketUpdate(bar(n, symbol=f"S{number}"), Disposition.ACCEPTED)], NOW)

        await within(asyncio.gather(*(write(number, store) for number, store in enumerate(stores * 2))))
    assert await sql.fetchval("SELECT count(*) FROM bars") == 160


@pytest.mark.parametrize(("times", "raised"), [(2, None), (3, StorageUnavailable)], ids=["twice", "at every attempt"])
async def test_commit_rolled_back_in_favour_of_another_is_tried_again(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, times: int, raised: type[Exception] | None
) -> None:
    failures = [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError(), asyncpg.DeadlockDetectedError()][:times]
    append = store._append

    async def often_rolled_back(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return await append(*given)

    monkeypatch.setattr(store, "_append", often_rolled_back)
    if raised is not None:
        with pytest.raises(raised):
            await store.commit([MarketUpdate(bar(0), Disposition.ACCEPTED)], NOW)
    else:
        assert len(await store.commit([MarketUpdate(bar(0), Disposition.ACCEPTED)], NOW)) == 1


@pytest.mark.parametrize("of", [Connections.for_engine, Connections.for_read])
async def test_connection_is_kept_between_uses_and_lent_once(pool: Connections, of: Lending) -> None:
    pid = "SELECT pg_backend_pid()"
    async with of(pool) as first, of(pool) as second:
        released, kept = await first.fetchval(pid), await second.fetchval(pid)
    assert released != kept
    async with of(pool) as again:
        assert await again.fetchval(pid) == kept, "the one that was given back first"


@pytest.mark.parametrize("of", [Connections.for_engine, Connections.for_read])
async def test_kept_connection_that_is_lost_is_replaced(
    pool: Connections, sql: asyncpg.Connection, of: Lending
) -> None:
    async with of(pool) as kept:
        lost = await kept.fetchval("SELECT pg_backend_pid()")
        ended = asyncio.Event()
        kept.add_termination_listener(lambda _: ended.set())
    await sql.execute("SELECT pg_terminate_backend($1)", lost)
    await within(ended.wait())
    async with of(pool) as database:
        assert await database.fetchval("SELECT pg_backend_pid()") != lost


async def test_read_that_was_cancelled_leaves_a_connection_that_works(pool: Connections) -> None:
    async def read() -> None:
        async with pool.for_read() as database:
            begun.set()
            await database.execute("SELECT pg_sleep(60)")

    for _ in range(READER_CONNECTIONS + 1):
        begun = asyncio.Event()
        reading = asyncio.ensure_future(read())
        await within(begun.wait())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
    async with pool.for_read() as database:
        assert await within(database.fetchval("SELECT 1")) == 1


# ------------------------------------------------------------------------------------------------------------ reads


@asynccontextmanager
async def all_readers_taken(pool: Connections) -> AsyncIterator[None]:
    async with AsyncExitStack() as taken:
        for _ in range(READER_CONNECTIONS):
            await taken.enter_async_context(pool.for_read())
        yield


async def test_reads_never_block_the_engine(pool: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_READS", 20)
    store = PostgresStore(pool, encode)
    async with all_readers_taken(pool):
        waiting = [asyncio.ensure_future(store.statistics()) for _ in range(20)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await store.statistics()
        await within(store.commit([MarketUpdate(bar(0), Disposition.ACCEPTED)], NOW))
        await within(store.signal_totals())
    assert {found.bars_stored for found in await within(asyncio.gather(*waiting))} == {1}


async def test_read_that_waits_too_long_is_refused_as_overload(
    pool: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_WAIT_S", 0.01)
    async with all_readers_taken(pool):
        with pytest.raises(Overloaded):
            await PostgresStore(pool, encode).statistics()
    await PostgresStore(pool, encode).statistics()


async def test_slow_read_is_no_outage(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    async with connections(dsn) as pool:
        with pytest.raises(ReadTimedOut):
            async with pool.for_read() as database:
                await database.execute("SELECT pg_sleep(60)")


async def test_read_that_is_canceled_from_outside_is_a_temporary_error_and_no_timeout(pool: Connections) -> None:
    with pytest.raises(StorageUnavailable, match="canceled the read before its time"):
        async with pool.for_read() as database:
            await within(database.execute("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)"))
    async with pool.for_read() as database:
        assert await database.fetchval("SELECT 1") == 1


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("pattern", "change", "why"),
    [
        (r"://[^:@]+", "://somebody-else", "authentication failed|does not exist"),
        (r"@/\w+\?", "@/not_there?", "does not exist"),
    ],
    ids=["user", "database"],
)
async def test_refusal_has_the_address_and_the_reason(dsn: str, pattern: str, change: str, why: str) -> None:
    with pytest.raises(DatabaseRefused, match=why) as raised:
        async with connections(re.sub(pattern, change, dsn)):
            pass
    assert str(raised.value).startswith(f"the database at {place_of(dsn)} does not let us in: ")
    assert "\n" not in str(raised.value)


async def test_unreachable_database_is_named() -> None:
    with pytest.raises(StorageUnavailable, match=r"the database at 127\.0\.0\.1:1 cannot be reached: .*efused"):
        async with connections("postgresql://someone:secret@127.0.0.1:1/none"):
            pass


async def test_database_is_migrated_before_servers_start() -> None:
    """It is migrated before they start, because that may take longer than their start may; so it is named once."""
    settings = Settings(database_url="postgresql://u@127.0.0.1:1/none", servers=2, grpc_port=0, signal_service_port=0)
    with pytest.raises(StorageUnavailable, match=r"the database at 127\.0\.0\.1:1 cannot be reached"):
        async with multi_server(settings):
            pass


@pytest.mark.parametrize("url", ["postgresql://u:secret@h:1,v:secret@h:x/db", "postgresql://u:secret@h:nine/db"])
async def test_invalid_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseRefused) as raised:
        async with connections(url):
            pass
    assert "secret" not in str(raised.value)


async def test_schema_without_privileges_is_refused_in_one_line(dsn: str, sql: asyncpg.Connection) -> None:
    await sql.execute("DROP TABLE peer_secret; DELETE FROM schema_migrations WHERE version = 8")
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_read_only = 'on'")
    async with connections(dsn) as pool:
        with pytest.raises(DatabaseRefused, match=r"^the database at .+ cannot be migrated: .+ read-only transaction$"):
            await migrate_schema(pool)


class _Pooled:
    """A connection of a pooler that gives each transaction another database session."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids

    async def fetchval(self, _: str) -> int:
        return self._pids.pop(0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


class _Pooler:
    def __init__(self, pids: list[int]) -> None:
        self._connection = _Pooled(pids)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[_Pooled]:
        yield self._connection


@pytest.mark.parametrize("pids", [[7, 7, 7], [7, 8, 9]], ids=["one session for two", "another one each time"])
async def test_transaction_pooler_is_refused(pids: list[int]) -> None:
    with pytest.raises(DatabaseRefused, match="pool_mode=session"):
        await module._require_sessions(cast(Any, _Pooler(pids)))


async def test_connections_with_their_own_sessions_are_accepted() -> None:
    await module._require_sessions(cast(Any, _Pooler([7, 8, 7])))


async def test_connection_of_the_lease_has_the_settings(dsn: str, sql: asyncpg.Connection) -> None:
    await hostile(sql)
    membership = Membership(dsn, lambda: None)
    await membership.join("here")
    assert (await membership.claim(("USDCOP",))).ours == {"USDCOP"}
    await membership.leave()
