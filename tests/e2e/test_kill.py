"""kill -9 of the server, of PostgreSQL and of Envoy during a replay: the tables equal those of an undisturbed run."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from tests.support.bars import messages, write_csv
from tests.support.builders import walk
from tests.support.commands import run, running_command
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.publisher import Publisher, committed, reachable
from tests.support.service import RunningService, running_service
from tests.support.tables import Tables, assert_same, tables_of

from tradingsignals import Backoff, Bar

BARS = walk(2400, seed=13)
MOMENTS = [
    *(("server", seed) for seed in range(3)),
    *(("postgres", seed) for seed in range(3)),
    *(("envoy", seed) for seed in range(2)),
    ("everything", 0),
]


@pytest.fixture(scope="module")
async def undisturbed() -> Tables:
    """The tables after an undisturbed replay."""
    with scratch_folder() as folder:
        async with running_service(folder) as service, service.client() as client:
            response = await client.publish_bars(messages(BARS))
            assert response.rejected == 0
            async with service.database() as database:
                return await tables_of(database)


async def follow(service: RunningService, count: int, seen: list[int]) -> None:
    """Follow all events until `count` are no outcomes, resuming after the last one after every error."""
    backoff = Backoff(first_seconds=0.05, max_seconds=0.5)
    async with service.client() as client, client.follow(resume_after=0, backoff=backoff) as follower:
        while count:
            event = await anext(follower)
            seen.append(event.sequence)
            count -= not event.HasField("outcome")


async def kill(service: RunningService, victim: str) -> None:
    """Send SIGKILL to a process, and start it again if no supervisor does."""
    if victim == "server":
        await service.kill()
    elif victim == "everything":
        await service.kill_everything()
    else:
        os.kill(service.child(victim).pid, signal.SIGKILL)
        return
    await service.start()


async def check_whole(database: asyncpg.Connection, acknowledged: Sequence[Bar]) -> None:
    """Check that every acknowledged bar is stored, and that no bar is stored in part."""
    times = {row["time"] for row in await database.fetch("SELECT time FROM bars")}
    assert {bar.time.ToDatetime(tzinfo=next(iter(times)).tzinfo) for bar in acknowledged} <= times
    assert await database.fetchval(
        "SELECT (SELECT array_agg(sequence ORDER BY sequence) FROM events) = "
        "(SELECT array_agg(n) FROM event_log, generate_series(1, last_sequence) n)"
    )
    for kind, table in (("MARKET_UPDATE", "bars"), ("SIGNAL", "signals")):
        assert await database.fetchval(
            f"SELECT (SELECT count(*) FROM events WHERE kind = '{kind}') = (SELECT count(*) FROM {table})"
        )
    assert not await database.fetch(
        "SELECT time FROM bars b LEFT JOIN signals s ON s.symbol = b.symbol AND s.bar_time = b.time "
        "WHERE disposition = 'ACCEPTED' AND signal_id IS NULL"
    )
    assert not await database.fetch(
        "SELECT 1 FROM positions JOIN events USING (sequence) WHERE payload <> message "
        "UNION ALL SELECT 1 FROM positions LEFT JOIN events USING (sequence) WHERE payload IS NULL"
    )


@asynccontextmanager
async def finishing(*work: object) -> AsyncIterator[None]:
    """Run `work` until the end of the context, and cancel it if the block fails."""
    async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)  # type: ignore[arg-type]
        yield


@pytest.mark.parametrize(("victim", "seed"), MOMENTS)
async def test_tables_equal_those_of_an_undisturbed_run(
    folder: Path, undisturbed: Tables, victim: str, seed: int
) -> None:
    last = undisturbed["event_log"][0]["last_sequence"]
    moment = random.Random(f"{victim} {seed}").randrange(1, last - 1000)
    bars = messages(BARS)
    seen: list[int] = []
    async with running_service(folder) as service:
        publisher = Publisher(service, bars)
        publisher.hold_at = last - 500  # a late check finds it waiting, not done
        async with finishing(publisher.run(), follow(service, last, seen)):
            await committed(service, moment)
            assert publisher.acknowledged < publisher.total
            publisher.pause()
            await kill(service, victim)
            if victim in {"server", "everything"}:
                async with service.database() as database:
                    await check_whole(database, bars[: publisher.acknowledged])
            publisher.hold_at = None
            publisher.go_on()
        assert seen == list(range(1, len(seen) + 1))
        async with service.database() as database:
            await check_whole(database, bars)
            assert_same(await tables_of(database), undisturbed)
        assert "Traceback" not in service.log, service.log


async def test_replay_command_continues_across_kills(folder: Path, undisturbed: Tables) -> None:
    file = write_csv(folder / "bars.csv", BARS)
    last = undisturbed["event_log"][0]["last_sequence"]
    async with running_service(folder) as service:
        async with running_command("replay", file, "--address", service.address) as replay:
            for share, victim in ((0.1, "envoy"), (0.3, "postgres"), (0.5, "server")):
                await within(committed(service, int(last * share)))
                assert replay.process.returncode is None
                await kill(service, victim)
                await reachable(service)
            ended = await replay.ended()
        assert ended.code == 0, ended.output
        assert "done" in ended.output
        async with service.database() as database:
            assert_same(await tables_of(database), undisturbed)


async def test_two_concurrent_replays_store_the_same_as_one(folder: Path, undisturbed: Tables) -> None:
    file = write_csv(folder / "bars.csv", BARS)
    async with running_service(folder) as service:
        replays = await asyncio.gather(*(run("replay", file, "--address", service.address) for _ in range(2)))
        assert [ended.code for ended in replays] == [0, 0]
        async with service.database() as database:
            assert_same(await tables_of(database), undisturbed)
