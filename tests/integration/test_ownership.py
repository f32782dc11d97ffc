"""Servers on one database: a symbol has one owner at a time, and a former owner commits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest
from tests.support import builders
from tests.support.builders import now, walk
from tests.support.deadlines import poll, within
from tests.support.following import follow

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.adapters.postgres import membership as membership_module
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.membership import Membership
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.cluster.router import Router
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.event_log.tailer import LogReader
from tradingsignals_server.application.ingest.engine import Engine
from tradingsignals_server.application.ports.peer import PeerGone
from tradingsignals_server.application.ports.store import StaleState
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.buckets import BUCKETS, bucket_of
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.errors import ServiceError, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate, Receipt
from tradingsignals_server.domain.risk import RiskRules

BARS = walk(200, seed=3)
TWINS = ("ACLXA", "AFHDB")
"""Two symbols of one bucket."""


@dataclass
class Server:
    """A server without gRPC, which others call as a function as long as it is `reachable`."""

    store: PostgresStore
    membership: Membership
    engine: Engine
    log_tail: LogTail
    router: Router
    reachable: bool = True

    async def publish(self, bars: list[Bar]) -> list[Receipt | ServiceError]:
        return await within(self.router.publish(bars))


class Way:
    """Implements Peer: the way to a server of the same process."""

    def __init__(self, servers: dict[str, Server], address: str) -> None:
        self._servers = servers
        self._address = address

    async def process(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        """See Peer."""
        if self._address not in self._servers:
            raise PeerGone
        return await self._servers[self._address].router.process_here(bars)

    async def forward(self, path: str, request: bytes) -> bytes:
        """See Peer."""
        raise AssertionError("these tests do not call it")

    async def ready(self) -> bool:
        """See Peer."""
        return self._address in self._servers


Start = Callable[[str], Awaitable[Server]]


@pytest.fixture
async def start(dsn: str) -> AsyncIterator[Start]:
    """Yield a function that starts a server on one database, with a name as its address."""
    servers: dict[str, Server] = {}
    async with AsyncExitStack() as running:

        async def start(address: str) -> Server:
            servers[address] = await running.enter_async_context(_running(dsn, address, servers))
            return servers[address]

        yield start


@asynccontextmanager
async def _running(dsn: str, address: str, servers: dict[str, Server]) -> AsyncIterator[Server]:
    async with connections(dsn) as pool:
        store = PostgresStore(pool, encode)
        log_tail = LogTail(store, await store.log_head())
        reader = LogReader(store, log_tail)
        membership = Membership(dsn, reader.wake)
        pipeline = Pipeline(Trader(PlaceholderPolicy(), RiskRules()), calendar_for)
        engine = Engine(store, pipeline, log_tail, now, ownership=membership, reader=reader)
        router = Router(engine, membership, store, lambda at: Way(servers, at), store.symbols_with_open_positions)
        await membership.join(address)
        tasks = [asyncio.create_task(work) for work in (engine.run(), membership.run(), router.run())]
        try:
            yield Server(store, membership, engine, log_tail, router)
        finally:
            await engine.stop()
            await within(tasks[0])
            await membership.leave()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def dispositions(results: list[Receipt | ServiceError]) -> set[Disposition | str]:
    return {one.disposition if isinstance(one, Receipt) else one.reason for one in results}


TAKEN = {Disposition.ACCEPTED, Disposition.WARMING_UP}


async def cut(sql: asyncpg.Connection, server: Server) -> None:
    """End the database session of a server, as a broken network would, and wait until the server has noticed.

    Until then it may refuse bars that it has begun to process: their publishers retry.
    """
    lease_id = server.membership.lease_id
    pid = await sql.fetchval(
        "SELECT pid FROM pg_locks JOIN servers ON objid = lock_key::int8::oid AND classid = $1::int8::oid "
        "WHERE server_id = $2 AND locktype = 'advisory'",
        0x7453_0002,
        lease_id,
    )
    assert pid is not None
    await sql.execute("SELECT pg_terminate_backend($1)", pid)
    await within(_changes(server, lease_id))


async def _changes(server: Server, lease_id: UUID | None) -> None:
    while server.membership.lease_id == lease_id:
        await poll()


async def test_first_server_owns_the_symbol_and_others_forward_their_bars(start: Start) -> None:
    first, second = await start("first"), await start("second")
    assert dispositions(await first.publish(BARS[:60])) == TAKEN
    assert dispositions(await second.publish(BARS[60:120])) == {Disposition.ACCEPTED}
    assert dispositions(await second.publish(BARS[100:120])) == {Disposition.DUPLICATE}
    assert first.membership.holds("USDCOP")
    assert not second.membership.holds("USDCOP")
    assert not second.engine.states()


async def test_every_server_streams_the_whole_log(start: Start) -> None:
    first, second = await start("first"), await start("second")
    batches = await follow(second.log_tail, resume_after=0)
    results = await first.publish(BARS)
    last = max(one.sequence for one in results if isinstance(one, Receipt))
    seen: list[int] = []
    while not seen or seen[-1] < last:
        seen += [entry.sequence for entry in (await within(anext(batches))).entries]
    assert seen == list(range(1, last + 1))


async def test_symbol_is_taken_over_when_its_owner_leaves(start: Start) -> None:
    first, second = await start("first"), await start("second")
    await first.publish(BARS[:100])
    await second.publish(BARS[100:101])
    await first.engine.stop()
    await first.membership.leave()
    assert dispositions(await second.publish(BARS[101:])) == {Disposition.ACCEPTED}
    assert second.membership.holds("USDCOP")
    assert len(await second.store.list_bars("USDCOP", None, None, 1000)) == len(BARS)


async def test_owner_that_lost_its_lease_commits_nothing(start: Start, sql: asyncpg.Connection) -> None:
    """It does not know yet, and continues from its memory: the database refuses the commit."""
    first, second = await start("first"), await start("second")
    await first.publish(BARS[:100])
    before = first.membership.lease_id
    await cut(sql, first)
    await within(second.membership.claim(("USDCOP",)))
    assert dispositions(await second.publish(BARS[100:150])) == {Disposition.ACCEPTED}
    with pytest.raises(StaleState):
        await first.store.commit([MarketUpdate(BARS[150], Disposition.ACCEPTED)], now(), owner=before)
    assert dispositions(await first.publish(BARS[150:])) == {Disposition.ACCEPTED}
    assert second.membership.holds("USDCOP")
    assert await sql.fetchval("SELECT count(*) FROM bars") == len(BARS)
    assert await sql.fetchval("SELECT count(*) FROM signals") == len(BARS) - 49


async def test_takeover_between_snapshot_and_lock_is_detected(start: Start, dsn: str, sql: asyncpg.Connection) -> None:
    """The commit has read the owner of its symbol, and waits for the lock on the log, which the taker holds."""
    first = await start("first")
    await first.publish(BARS[:100])
    watching = await asyncpg.connect(dsn)
    async with sql.transaction():
        await sql.execute("UPDATE event_log SET takeovers = takeovers + 1")
        await sql.execute("UPDATE bucket_owners SET server_id = gen_random_uuid()")
        bar = MarketUpdate(BARS[100], Disposition.ACCEPTED)
        committing = asyncio.create_task(first.store.commit([bar], now(), owner=first.membership.lease_id))
        await within(_waits_for_a_lock(watching))
    with pytest.raises(StaleState):
        await within(committing)
    await watching.close()


async def _waits_for_a_lock(watching: asyncpg.Connection) -> None:
    """Poll, because PostgreSQL does not notify that a statement waits for a lock."""
    while not await watching.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        await poll()


async def test_takeover_is_counted(start: Start, sql: asyncpg.Connection) -> None:
    """A commit that waits for the taker's lock detects it by this count."""
    server = await start("server")
    before = await sql.fetchval("SELECT takeovers FROM event_log")
    await server.publish(BARS[:1])
    assert await sql.fetchval("SELECT takeovers FROM event_log") == before + 1


async def test_lost_lease_is_replaced_by_one_with_another_id(start: Start, sql: asyncpg.Connection) -> None:
    server = await start("only")
    await server.publish(BARS[:100])
    before = server.membership.lease_id
    await cut(sql, server)
    assert dispositions(await server.publish(BARS[100:])) == {Disposition.ACCEPTED}
    assert server.membership.lease_id not in {None, before}
    with pytest.raises(StaleState):
        await server.store.commit([MarketUpdate(BARS[0], Disposition.LATE)], now(), owner=before)
    assert await sql.fetchval("SELECT count(*) FROM servers") == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """Shorten the seconds after which a silent session is ended; return them."""
    monkeypatch.setattr(membership_module, "HEARTBEAT_INTERVAL_S", 0.05)
    monkeypatch.setattr(membership_module, "SILENT_S", 2.0)  # a busy machine may stand still for half a second
    return 2.0


async def test_silent_session_is_ended_by_another_server(start: Start, dsn: str, impatient: float) -> None:
    """Its server hangs with its connection, locks and memory; here its `run` is never called."""
    still = Membership(dsn, lambda: None)
    await still.join("no server here")
    assert (await still.claim(("USDCOP",))).ours == {"USDCOP"}
    before = still.lease_id
    server = await start("server")
    assert dispositions(await server.publish(BARS[:100])) == TAKEN
    assert server.membership.holds("USDCOP")
    with pytest.raises(StaleState):
        await server.store.commit([MarketUpdate(BARS[100], Disposition.ACCEPTED)], now(), owner=before)
    claim = await within(still.claim(("USDCOP",)))
    assert (claim.ours, claim.elsewhere) == (frozenset(), {bucket_of("USDCOP"): "server"})
    assert still.lease_id not in {None, before}
    assert dispositions(await server.publish(BARS[100:])) == {Disposition.ACCEPTED}
    await still.leave()


async def test_session_that_waits_for_a_lock_is_not_silent(
    start: Start, sql: asyncpg.Connection, impatient: float
) -> None:
    first, second = await start("first"), await start("second")
    before = first.membership.lease_id, second.membership.lease_id
    async with sql.transaction():
        await sql.execute("SELECT FROM event_log FOR UPDATE")
        claiming = asyncio.create_task(first.membership.claim(("USDCOP",)))
        done, _ = await asyncio.wait((claiming,), timeout=1.5 * impatient)
        assert not done
    assert (await within(claiming)).ours == {"USDCOP"}
    assert (first.membership.lease_id, second.membership.lease_id) == before


async def test_takeover_waits_for_a_commit_in_progress(start: Start, sql: asyncpg.Connection) -> None:
    first, second = await start("first"), await start("second")
    await first.publish(BARS[:100])
    async with sql.transaction():
        await sql.execute("SELECT FROM event_log FOR UPDATE")  # as a commit in progress holds it
        await first.membership.leave()
        claiming = asyncio.create_task(second.membership.claim(("USDCOP",)))
        done, _ = await asyncio.wait((claiming,), timeout=0.3)
        assert not done
    claim = await within(claiming)
    assert claim.ours == {"USDCOP"}


async def test_symbols_of_one_bucket_share_their_owner(start: Start) -> None:
    assert bucket_of(TWINS[0]) == bucket_of(TWINS[1])
    first, second = await start("first"), await start("second")
    one, other = (walk(60, seed=1, symbol=symbol) for symbol in TWINS)
    assert dispositions(await first.publish(one)) <= TAKEN
    assert dispositions(await second.publish(other)) <= TAKEN
    assert first.membership.holds(TWINS[1])
    assert not second.membership.holds(TWINS[0])


async def test_no_bar_is_lost_with_many_publishers_on_every_server(start: Start, sql: asyncpg.Connection) -> None:
    servers = [await start(name) for name in ("first", "second", "third")]
    symbols = [f"M{n}COP" for n in range(9)]

    async def publish(number: int, symbol: str) -> None:
        bars = walk(120, seed=number, symbol=symbol)
        for start_at in range(0, len(bars), 10):
            server = servers[(number + start_at) % len(servers)]
            assert dispositions(await server.publish(bars[start_at : start_at + 10])) <= TAKEN

    await asyncio.gather(*(publish(number, symbol) for number, symbol in enumerate(symbols)))
    assert await sql.fetchval("SELECT count(*) FROM signals") == len(symbols) * (120 - 49)
    assert await sql.fetchval("SELECT count(*) FROM bars WHERE disposition = 'LATE'") == 0


async def test_without_a_database_nothing_can_be_claimed(dsn: str) -> None:
    membership = Membership("postgresql://nobody@127.0.0.1:1/none", lambda: None)
    with pytest.raises(StorageUnavailable):
        await membership.join("nowhere")
    with pytest.raises(StorageUnavailable):
        await membership.claim(("USDCOP",))
    assert not membership.holds("USDCOP")


async def test_later_server_gets_its_share_and_no_bar_is_refused(start: Start) -> None:
    first, second = await start("first"), await start("second")
    walks = {symbol: walk(100, seed=n, symbol=symbol) for n, symbol in enumerate([f"B{n}COP" for n in range(6)])}
    for bars in walks.values():
        await first.publish(bars[:60])
    surplus = await first.membership.surplus()
    assert len(surplus) == 3
    assert not await second.membership.surplus()

    async def publish(bars: list[Bar]) -> None:
        for number, bar in enumerate(bars):
            assert dispositions(await (first, second)[number % 2].publish([bar])) == {Disposition.ACCEPTED}

    async with asyncio.TaskGroup() as group:
        for bars in walks.values():
            group.create_task(publish(bars[60:]))
        group.create_task(first.router.release(surplus))
    held = [sum(map(server.membership.holds, walks)) for server in (first, second)]
    assert sum(held) == 6
    assert {state.symbol for state in first.engine.states()} == {s for s in walks if first.membership.holds(s)}
    assert {state.symbol for state in second.engine.states()} == {s for s in walks if second.membership.holds(s)}


async def test_9000_symbols_take_no_more_locks_than_there_are_buckets(start: Start, sql: asyncpg.Connection) -> None:
    server = await start("server")
    bars = [builders.bar(0, symbol=f"S{n}") for n in range(9_000)]
    results = await server.publish(bars)
    assert dispositions(results) == {Disposition.WARMING_UP}
    assert await sql.fetchval("SELECT count(*) FROM bars") == 9_000
    assert await sql.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") <= BUCKETS + 1
    assert await server.store.symbol_count() == 9_000
