"""Two or three servers on one database, killed and replaced under load: the tables equal those of one server."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from shutil import copytree, ignore_patterns
from uuid import UUID

import asyncpg
import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.processes import Process, all_ended, children, listener
from tests.support.service import RunningService, running_service
from tests.support.tables import Tables, by_symbol, tables_of

import tradingsignals
import tradingsignals_server
from tradingsignals import Bar, Signal, TemporaryError
from tradingsignals_server.domain import bars as domain
from tradingsignals_server.domain.buckets import bucket_of

SYMBOLS = [f"S{n}COP" for n in range(6)]
WALKS: list[list[domain.Bar]] = [walk(400, seed=n, symbol=symbol) for n, symbol in enumerate(SYMBOLS)]
BARS_A_CALL = 20
SECONDS_A_CALL = 0.1
"""Pause between two calls of a publisher, so that there is load throughout a restart."""


def shuffled_together(walks: Sequence[Sequence[domain.Bar]]) -> list[Bar]:
    """Return the bars in the order of a market: all bars of one time together."""
    return messages(bar for together in zip_longest(*walks) for bar in together if bar is not None)


@pytest.fixture(scope="module")
async def undisturbed() -> dict[str, Tables]:
    """The tables of one undisturbed server."""
    with scratch_folder() as folder:
        async with running_service(folder) as service, service.client() as client:
            response = await client.publish_bars(shuffled_together(WALKS))
            assert response.rejected == 0
            async with service.database() as database:
                return by_symbol(await tables_of(database))


@asynccontextmanager
async def multi_server(folder: Path, count: int, **settings: str) -> AsyncIterator[RunningService]:
    async with running_service(folder, "up", "--servers", str(count), LOG_LEVEL="INFO", **settings) as service:
        yield service


def servers(service: RunningService) -> list[Process]:
    """Return the processes of the running servers."""
    return [process for process in children(service.pid) if not {"envoy", "postgres"} & {process.name}]


async def addresses(database: asyncpg.Connection, count: int) -> list[str]:
    """Return the addresses of the servers, as soon as there are `count`."""
    async with asyncio.timeout(DEADLINE):
        while True:
            rows = await database.fetch("SELECT address FROM servers ORDER BY address")
            if len(rows) == count:
                return [row["address"] for row in rows]
            await poll()


async def come_to(database: asyncpg.Connection, sequence: int) -> None:
    """Wait until the log has reached a sequence."""
    async with asyncio.timeout(DEADLINE):
        while await database.fetchval("SELECT last_sequence FROM event_log") < sequence:
            await poll()


async def has_said(service: RunningService, text: str) -> None:
    """Wait until the service has logged a line."""
    async with asyncio.timeout(3 * DEADLINE):  # several servers start one after the other
        while text not in service.log:
            await poll()


async def replaced(service: RunningService, gone: Process, count: int) -> None:
    """Wait until another server has replaced a process."""
    await all_ended([gone])
    async with asyncio.timeout(DEADLINE):
        while len(servers(service)) < count:
            await poll()


async def publish(service: RunningService, bars: Sequence[Bar], may_end: asyncio.Event | None = None) -> int:
    """Publish bars through the edge, with retries until acknowledgement; return the number of retries.

    The last quarter is published once `may_end` is set, if it is given.
    """
    repeated = 0
    async with service.client() as client:
        for start in range(0, len(bars), BARS_A_CALL):
            if may_end is not None and start >= len(bars) * 3 // 4:
                await within(may_end.wait(), 3 * DEADLINE)
            calling = bars[start : start + BARS_A_CALL]
            while True:
                try:
                    response = await client.publish_bars(calling, timeout=15.0)
                    break
                except TemporaryError:
                    repeated += 1
                    await poll()
            assert (response.received, response.rejected, response.late) == (len(calling), 0, 0)
            await asyncio.sleep(SECONDS_A_CALL)
    return repeated


async def follow(address: str, count: int, seen: list[int]) -> None:
    """Follow all events at `address` until `count` are no outcomes, resuming after every error."""
    while count:
        async with tradingsignals.connect(address, timeout=DEADLINE) as client:
            try:
                async for event in client.stream_events(resume_after=seen[-1] if seen else 0):
                    seen.append(event.sequence)
                    count -= not event.HasField("outcome")
                    if not count:
                        return
            except TemporaryError:
                await poll()


KILLED = ("kill", "kill", "restart")
STILL = ("stand still", "stand still", "kill")


@pytest.mark.parametrize(
    ("count", "seed", "happening"), [(2, 0, KILLED), (2, 1, KILLED), (3, 2, KILLED), (3, 3, KILLED), (3, 4, STILL)]
)
async def test_tables_equal_those_of_an_undisturbed_run(
    folder: Path, undisturbed: dict[str, Tables], count: int, seed: int, happening: Sequence[str]
) -> None:
    dice = random.Random(seed)
    last = sum(len(tables["events"]) for tables in undisturbed.values())
    moments = sorted(dice.sample(range(1, last // 2), 3))
    async with multi_server(folder, count) as service, service.database() as database, asyncio.timeout(4 * DEADLINE):
        seen: dict[str, list[int]] = {address: [] for address in (service.address, *await addresses(database, count))}
        assert len(seen) == count + 1
        async with asyncio.TaskGroup() as followers:
            for address, events_seen in seen.items():
                followers.create_task(follow(address, last, events_seen))
            async with asyncio.TaskGroup() as publishers:
                for walks in (WALKS[:2], WALKS[2:4], WALKS[4:]):
                    publishers.create_task(publish(service, shuffled_together(walks)))
                for moment, what in zip(moments, dice.sample(happening, 3), strict=True):
                    await come_to(database, moment)
                    if what == "restart":
                        os.kill(service.pid, signal.SIGHUP)
                        await has_said(service, "every server has been restarted")
                    elif what == "stand still":
                        await stand_still(database, dice)
                    else:
                        victim = dice.choice(servers(service))
                        os.kill(victim.pid, signal.SIGKILL)
                        await replaced(service, victim, count)
        for address, events_seen in seen.items():
            assert events_seen == list(range(1, len(events_seen) + 1)), address
        found = by_symbol(await tables_of(database))
        assert found == undisturbed
        assert "Traceback" not in service.log, service.log


MIGRATION = "adapters/postgres/migrations/9001_later.sql"
"""In the program's folder."""
LOCKS_THE_LOG = "ALTER TABLE events ADD CONSTRAINT later CHECK (sequence > 0) NOT VALID"


def program_in(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return a copy of the program that can be replaced while it runs, and settings by which it is used."""
    package, copy = Path(tradingsignals_server.__file__).parent, folder / "program" / "server" / "tradingsignals_server"
    copytree(package, copy, ignore=ignore_patterns("__pycache__"))
    (folder / "program" / "envoy").symlink_to(package.parents[1] / "envoy")
    return copy, {"PYTHONPATH": str(copy.parent)}


@pytest.mark.parametrize("older_servers", ["continue", "stop"])
async def test_servers_of_two_versions_lose_and_repeat_nothing(
    folder: Path, undisturbed: dict[str, Tables], older_servers: str
) -> None:
    """The two versions are this one, and this one with a further migration."""
    last = sum(len(tables["events"]) for tables in undisturbed.values())
    program, settings = program_in(folder)
    async with (
        multi_server(folder, 2, **settings) as service,
        service.database() as database,
        asyncio.timeout(4 * DEADLINE),
    ):
        seen: list[int] = []
        are_side_by_side = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(service.address, last, seen))
            for walks in (WALKS[:2], WALKS[2:4], WALKS[4:]):
                tasks.create_task(publish(service, shuffled_together(walks), are_side_by_side))
            await come_to(database, last // 8)
            (program / MIGRATION).write_text(f"-- Older servers: {older_servers}\n{LOCKS_THE_LOG}")
            await side_by_side(service, database, are_side_by_side)
            os.kill(service.pid, signal.SIGHUP)
            await has_said(service, "every server has been restarted")
        assert seen == list(range(1, len(seen) + 1))
        assert by_symbol(await tables_of(database)) == undisturbed
        stopped = "the database needs a program that knows migration 9001" in service.log
        assert stopped == (older_servers == "stop"), service.log

        # Back to the version before: it is used on a database that lets it, and refused by any other.
        (program / MIGRATION).unlink()
        result = "a newer version was started on it" if older_servers == "continue" else "start the newer version"
        before = service.log.count(result)
        os.kill(servers(service)[0].pid, signal.SIGKILL)
        while service.log.count(result) == before:
            await poll()
        assert "Traceback" not in service.log, service.log


async def side_by_side(service: RunningService, database: asyncpg.Connection, begun: asyncio.Event) -> None:
    """Have one of two servers replaced, set `begun`, and have some events committed before the next is replaced."""
    victim = servers(service)[0]
    os.kill(victim.pid, signal.SIGTERM)
    await replaced(service, victim, 2)
    await has_said(service, "applied migration 9001 later")
    begun.set()
    await come_to(database, await database.fetchval("SELECT last_sequence FROM event_log") + 50)


async def test_symbol_moves_to_another_server_when_its_owner_dies(folder: Path) -> None:
    bars = messages(WALKS[0])
    async with multi_server(folder, 2) as service, service.database() as database, service.client() as client:
        await client.publish_bars(bars[:100])
        owner = await owner_of(database)
        (victim,) = [process for process in servers(service) if process.pid == listener(owner)]
        os.kill(victim.pid, signal.SIGKILL)
        async with asyncio.timeout(DEADLINE):
            await publish(service, bars[100:120])
            signals = [await generated(client) for _ in range(4)]  # at either server, wherever the owner is
        assert len({one.signal_id for one in signals}) == 4
        assert await database.fetchval("SELECT count(*) FROM bars") == 120


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a process for the duration of the context; its connections stay open."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def stand_still(database: asyncpg.Connection, dice: random.Random) -> None:
    """Freeze a server until the others have ended its lease, and wait until it has another one."""
    session, address = dice.choice(list((await sessions(database)).items()))
    with standing_still(listener(address)):
        async with asyncio.timeout(DEADLINE):
            while session in await sessions(database):
                await poll()
    await come_back(database, address)


async def sessions(database: asyncpg.Connection) -> dict[UUID, str]:
    """Return the addresses of the servers that have a lease."""
    rows = await database.fetch(
        "SELECT server_id, address FROM servers JOIN pg_locks ON objid = lock_key::int8::oid "
        "WHERE locktype = 'advisory' AND classid = $1::int8::oid ORDER BY address",
        0x7453_0002,
    )
    return {row["server_id"]: row["address"] for row in rows}


async def test_frozen_server_is_replaced_and_cannot_write_when_it_resumes(
    folder: Path, undisturbed: dict[str, Tables]
) -> None:
    """After it resumes it processes the calls that it got meanwhile, with an outdated state."""
    bars = messages(WALKS[0])
    async with multi_server(folder, 2) as service, service.database() as database, asyncio.timeout(3 * DEADLINE):
        first, second = await addresses(database, 2)
        async with (
            tradingsignals.connect(first, timeout=60.0) as at_first,
            tradingsignals.connect(second, timeout=DEADLINE) as at_second,
        ):
            await at_first.publish_bars(bars[:100])
            owner = listener(first)
            with standing_still(owner):
                waiting = asyncio.create_task(at_first.publish_bars(bars[100:120]))
                response = await at_second.publish_bars(bars[100:300])
                assert (response.accepted, response.late, response.rejected) == (200, 0, 0)
                assert await owner_of(database) == second
            with suppress(TemporaryError):
                assert (await waiting).duplicates == 20
            await come_back(database, first)
            response = await at_first.publish_bars(bars[300:])
            assert (response.accepted, response.late, response.rejected) == (100, 0, 0)
        assert listener(first) == owner
        assert by_symbol(await tables_of(database))[SYMBOLS[0]] == undisturbed[SYMBOLS[0]]
        assert "Traceback" not in service.log, service.log


async def come_back(database: asyncpg.Connection, address: str) -> None:
    """Wait until the server at an address has a lease."""
    async with asyncio.timeout(DEADLINE):
        while address not in (await sessions(database)).values():
            await poll()


async def owner_of(database: asyncpg.Connection) -> str:
    """Return the address of the server that owns the first symbol."""
    address: str = await database.fetchval(
        "SELECT address FROM bucket_owners JOIN servers USING (server_id) WHERE bucket = $1", bucket_of(SYMBOLS[0])
    )
    return address


async def generated(client: tradingsignals.AsyncClient) -> Signal:
    while True:
        try:
            return await client.generate_signal(4000.0, symbol=SYMBOLS[0])
        except TemporaryError:
            await poll()


async def test_feed_moves_when_its_server_dies(folder: Path) -> None:
    async with (
        multi_server(folder, 2, FEED="simulate", SIMULATE_SPEED="6000") as service,
        service.database() as database,
    ):
        for _ in range(2):  # one of the two has it
            newest = await database.fetchval("SELECT last_sequence FROM event_log")
            await come_to(database, newest + 50)
            victim = servers(service)[0]
            os.kill(victim.pid, signal.SIGKILL)
            newest = await database.fetchval("SELECT last_sequence FROM event_log")
            await come_to(database, newest + 100)
            await replaced(service, victim, 2)
        assert await database.fetchval("SELECT count(*) FROM bars WHERE disposition = 'LATE'") == 0


async def test_all_processes_exit_with_their_parent(folder: Path) -> None:
    async with multi_server(folder, 2) as service:
        assert len(servers(service)) == 2
        await service.kill()  # which waits until all that it has started has ended
        await service.start()
        assert await service.stop() == 0
        assert "Traceback" not in service.log, service.log
