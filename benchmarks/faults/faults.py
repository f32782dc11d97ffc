"""The faults: each has a service under load, breaks something, and mends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg

import tradingsignals

from .alerts import watching_alerts
from .machine import FAKETIME, fill, no_faketime, no_mount, small_file_system
from .observers import MINUTE, SYMBOLS, WARMING_BARS, Follower, Prober, Publisher, bars_of
from .patroni import missing, patroni_cluster
from .report import Report, report_of
from .setups import Setup, descendants, on_own_database, running_service
from .upgrade import Program, no_version_before, replace_servers

BEFORE_S = 15.0
"""Load before the fault: symbols are warm, and signals are made."""

MINUTE_S = 60.0
SIDE_BY_SIDE_S = 20.0
"""For servers of two versions on one database."""

RECOVERED_WITHIN_S = 120.0
FOLLOWERS = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, by name. run: runs it in an empty folder and reports. needs: says why it cannot run here, or None."""

    name: str
    about: str
    run: Callable[[Path], Coroutine[Any, Any, Report]]
    needs: Callable[[], str | None] = lambda: None


async def under_load(
    name: str,
    setup: Setup,
    break_and_mend: Callable[[], Awaitable[None]],
    publishers: Sequence[Publisher] = (),
) -> Report:
    """Run users of a service while something breaks and is mended, until all of them have recovered.

    `publishers` are those of SYMBOLS unless they are given.

    Raises:
        PromiseBroken: see report_of.
        TimeoutError: they have not recovered in RECOVERED_WITHIN_S.
    """
    of_the_past = () if publishers else ("BarsStale",)  # whose symbols are stale throughout
    publishers = publishers or [Publisher(setup.address, bars_of(symbol)) for symbol in SYMBOLS]
    followers, prober = [Follower(setup.address) for _ in range(FOLLOWERS)], Prober(setup.address)
    publishing = [asyncio.create_task(publisher.run()) for publisher in publishers]
    watching = [asyncio.create_task(prober.run()), *(asyncio.create_task(each.run()) for each in followers)]
    try:
        async with watching_alerts(setup) as alerts:
            await asyncio.sleep(BEFORE_S)
            before = {*of_the_past, *await alerts.fired()}
            await break_and_mend()
            ended = monotonic()
            async with asyncio.timeout(RECOVERED_WITHIN_S):
                await asyncio.gather(*(publisher.until_success(ended) for publisher in publishers))
                recovery = monotonic() - ended
            fired = [each for each in await alerts.fired() if each not in before]
        async with asyncio.timeout(RECOVERED_WITHIN_S):
            for publisher in publishers:
                publisher.stop()
            await asyncio.gather(*publishing)
            await _settled(setup.dsn, followers)
    finally:
        for task in (*publishing, *watching):
            task.cancel()
        await asyncio.wait((*publishing, *watching))
    report = await report_of(name, setup.dsn, publishers, followers, prober, recovery)
    return replace(report, alerts=fired)


async def _settled(dsn: str, followers: Sequence[Follower]) -> None:
    """Wait until nothing more is appended, and all is received: the keeper of outcomes works behind the bars."""
    quiet, newest = 0, await _newest(dsn)
    while quiet < 3:
        await asyncio.sleep(1.0)
        before, newest = newest, await _newest(dsn)
        quiet = quiet + 1 if newest == before else 0
    await asyncio.gather(*(follower.until(newest) for follower in followers))


async def _newest(dsn: str) -> int:
    database = await asyncpg.connect(dsn, timeout=10.0)
    try:
        return int(await database.fetchval("SELECT last_sequence FROM event_log"))
    finally:
        await database.close()


async def database_gone(folder: Path) -> Report:
    """PostgreSQL is killed, and does not come back for a minute."""
    async with on_own_database(folder) as (setup, database):

        async def fault() -> None:
            async with database.gone():
                await asyncio.sleep(MINUTE_S)

        return await under_load("database-gone", setup, fault)


async def edge_killed(folder: Path) -> Report:
    """Envoy is killed five times, and started again by the service each time."""
    async with on_own_database(folder) as (setup, _):

        async def fault() -> None:
            for _ in range(5):
                for pid in descendants(setup.process.pid, "envoy"):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(3.0)

        return await under_load("edge-killed", setup, fault)


async def server_stopped(folder: Path) -> Report:
    """One of two servers is stopped for 30 seconds and continued, as on a machine that hangs."""
    async with on_own_database(folder, "--servers", "2") as (setup, _):

        async def fault() -> None:
            pid = servers_of(setup)[0]
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(30.0)
            finally:
                os.kill(pid, signal.SIGCONT)

        return await under_load("server-stopped", setup, fault)


async def server_killed(folder: Path) -> Report:
    """One of two servers is killed, and started again by the service."""
    async with on_own_database(folder, "--servers", "2") as (setup, _):

        async def fault() -> None:
            os.kill(servers_of(setup)[0], signal.SIGKILL)

        return await under_load("server-killed", setup, fault)


async def upgraded(folder: Path) -> Report:
    """One of two servers of the version before is replaced by this version, which migrates; a while later both are."""
    program = Program(folder)
    settings = {**program.settings, "LOG_LEVEL": "INFO"}
    async with on_own_database(folder, "--servers", "2", settings=settings) as (setup, _):

        async def fault() -> None:
            program.install()
            os.kill(servers_of(setup)[0], signal.SIGTERM)  # and started again, as what is installed now
            await asyncio.sleep(SIDE_BY_SIDE_S)
            await replace_servers(setup)

        return await under_load("upgraded", setup, fault)


async def primary_lost(folder: Path) -> Report:
    """The primary of three instances under Patroni is killed, with its Patroni."""
    async with (
        patroni_cluster(folder) as cluster,
        running_service(folder, cluster.dsn, settings=cluster.settings) as setup,
    ):
        return await under_load("primary-lost", setup, cluster.kill_primary)


async def disk_full(folder: Path) -> Report:
    """The file system of the database is full for 20 seconds."""
    place = folder / "database"
    place.mkdir()
    with small_file_system(place):
        async with on_own_database(folder) as (setup, _):

            async def fault() -> None:
                fill(place / "filling")
                try:
                    await asyncio.sleep(20.0)
                finally:
                    (place / "filling").unlink()

            return await under_load("disk-full", setup, fault)


async def clock_moved(folder: Path) -> Report:
    """The clock of the server is an hour ahead for 15 seconds, then an hour behind for as long, then right again."""
    clock = folder / "clock"
    clock.write_text("+0")
    settings = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with on_own_database(folder, settings=settings) as (setup, _):

        async def fault() -> None:
            for moved in ("+3600", "-3600"):
                clock.write_text(moved)
                await asyncio.sleep(1.0)
                async with tradingsignals.connect(setup.address) as client:
                    difference = (await client.health()).timestamp.ToDatetime(UTC) - datetime.now(UTC)
                if abs(difference.total_seconds() - int(moved)) > MINUTE_S:
                    raise RuntimeError(f"the server's clock did not move: it is {difference} from ours")
                await asyncio.sleep(14.0)
            clock.write_text("+0")

        return await under_load("clock-moved", setup, fault)


async def feed_silent(folder: Path) -> Report:
    """Bars of one of two symbols do not come for four minutes, in their session; then all of them come."""
    async with on_own_database(folder, settings={"BAR_INTERVAL": "1m"}) as (setup, _):
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        begin = now - (WARMING_BARS + 1) * MINUTE
        publishers = [Publisher(setup.address, bars_of(symbol, begin, MINUTE), at_close=True) for symbol in SYMBOLS[:2]]

        async def fault() -> None:
            publishers[0].is_silent = True
            await asyncio.sleep(4 * MINUTE_S)
            publishers[0].is_silent = False

        return await under_load("feed-silent", setup, fault, publishers)


def servers_of(setup: Setup) -> list[int]:
    """Return the ids of the servers that `up --servers` runs."""
    return descendants(setup.process.pid, "python")


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("database-gone", "PostgreSQL is killed, and does not come back for a minute", database_gone),
        Fault("edge-killed", "Envoy is killed five times within 15 seconds", edge_killed),
        Fault("server-stopped", "one of two servers is stopped for 30 seconds and continued", server_stopped),
        Fault("server-killed", "one of two servers is killed", server_killed),
        Fault("upgraded", "two servers of the version before are replaced, 20 s apart", upgraded, no_version_before),
        Fault("disk-full", "the file system of the database is full for 20 seconds", disk_full, no_mount),
        Fault("clock-moved", "the server's clock is an hour ahead, then an hour behind", clock_moved, no_faketime),
        Fault("feed-silent", "the bars of one of two symbols do not come for four minutes", feed_silent),
        Fault("primary-lost", "the primary of three under Patroni, synchronous, is killed", primary_lost, missing),
    )
}
