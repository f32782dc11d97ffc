"""The followers of the client against the real service: every event exactly once, across kills and restarts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.commands import running_command
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.frozen_proxy import frozen_proxy
from tests.support.postgres import postgres_server
from tests.support.publishing import published
from tests.support.service import RunningService, running_service
from tests.support.settled import settled

import tradingsignals
from tradingsignals import (
    Backoff,
    Connected,
    Disconnected,
    EpochChanged,
    EventsPruned,
    Skipped,
    StartedOver,
)

BARS = messages(walk(900, seed=13))
SOON = Backoff(first_seconds=0.05, max_seconds=0.5)
Notices = dict[str, list[Any]]
"""What each follower has reported."""
KINDS = {"follow": "%", "follow_signals": "SIGNAL", "follow_positions": "POSITION_UPDATE"}


class SequenceRecorder:
    """The sequences that a follower has yielded, in order."""

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._grown = asyncio.Event()

    def add(self, sequence: int) -> None:
        """Add a sequence, from any thread."""
        self.sequences.append(sequence)
        self._loop.call_soon_threadsafe(self._grown.set)

    async def wait_for(self, count: int) -> list[int]:
        """Return all sequences once there are `count`."""
        while len(self.sequences) < count:
            self._grown.clear()
            await within(self._grown.wait())
        return self.sequences


async def record_until(follower: Any, last: int, seen: list[int]) -> None:
    """Record the events of an async follower up to `last`."""
    while (follower.sequence or 0) < last:
        seen.append((await anext(follower)).sequence)


@asynccontextmanager
async def following(service: RunningService) -> AsyncIterator[tuple[dict[str, SequenceRecorder], Notices]]:
    """Run followers of all events, of signals and of positions, async and sync, until the end of the context."""
    seen: dict[str, SequenceRecorder] = {}
    notices: Notices = {}

    async def take(follower: Any, found: SequenceRecorder) -> None:
        async for item in follower:
            found.add(item.sequence)

    def take_sync(follower: Any, found: SequenceRecorder) -> None:
        for item in follower:
            found.add(item.sequence)

    with tradingsignals.connect_sync(service.address) as sync_client:
        async with service.client() as client, asyncio.TaskGroup() as tasks:
            followers: list[Any] = []
            for method in KINDS:
                of_both = [notices.setdefault(name, []) for name in (method, f"{method} sync")]
                follower: Any = getattr(client, method)(resume_after=0, backoff=SOON, notify=of_both[0].append)
                sync: Any = getattr(sync_client, method)(resume_after=0, backoff=SOON, notify=of_both[1].append)
                tasks.create_task(take(follower, seen.setdefault(method, SequenceRecorder())))
                tasks.create_task(
                    asyncio.to_thread(take_sync, sync, seen.setdefault(f"{method} sync", SequenceRecorder()))
                )
                followers += [follower, sync]
            try:
                yield seen, notices
            finally:
                for follower in followers:
                    if (closing := follower.close()) is not None:
                        await closing


async def connected(notices: Notices, times: int) -> None:
    """Wait until the service has accepted each follower `times` times. It polls, as notices come in threads, too."""
    async with asyncio.timeout(DEADLINE):
        while any(sum(isinstance(each, Connected) for each in list(own)) < times for own in notices.values()):
            await poll()


async def check_each_once(dsn: str, seen: dict[str, SequenceRecorder]) -> None:
    """Check that every follower has all events of its kind, in order, and no others.

    The log grows behind the last bar, by outcomes. So it is read again for what followers have beyond that.
    """
    database = await asyncpg.connect(dsn, timeout=DEADLINE)

    async def stored(kind: str) -> list[int]:
        rows = await database.fetch("SELECT sequence FROM events WHERE kind LIKE $1 ORDER BY sequence", kind)
        return [row["sequence"] for row in rows]

    for method, kind in KINDS.items():
        expected = await stored(kind)
        assert expected
        for name in (method, f"{method} sync"):
            found = list(await seen[name].wait_for(len(expected)))
            assert found == (await stored(kind))[: len(found)]
    await database.close()


async def disturb(service: RunningService, how: str) -> None:
    """Stop or kill a process, and start it again."""
    match how:
        case "kill -9 of the server":
            await service.kill()
            await service.start()
        case "kill -9 of everything":
            await service.kill_everything()
            await service.start()
        case "stop and start":
            assert await service.stop() == 0
            await service.start()
        case _:
            os.kill(service.child(how.rpartition(" ")[2]).pid, signal.SIGKILL)


async def test_followers_resume_after_restarts_of_any_process(folder: Path) -> None:
    async with running_service(folder) as service, following(service) as (seen, notices):
        ways = [
            "kill -9 of the server",
            "kill -9 of envoy",
            "kill -9 of postgres",
            "kill -9 of everything",
            "stop and start",
        ]
        cuts = 0
        for number, how in enumerate(ways):
            await connected(notices, cuts + 1)
            bars = BARS[number * 150 : number * 150 + 200]  # some of them a second time
            publishing = asyncio.create_task(published(service, bars[:150]))
            await disturb(service, how)
            await publishing
            await published(service, bars[150:])
            cuts += "postgres" not in how  # streams outlast an outage of the database
        await connected(notices, cuts + 1)
        await check_each_once(service.dsn, seen)
        for own in notices.values():
            assert sum(isinstance(each, Disconnected) for each in own) >= cuts
            assert not any(isinstance(each, Skipped | StartedOver) for each in own)


async def test_followers_resume_after_an_outage_of_the_database(folder: Path) -> None:
    async with postgres_server(folder / "theirs") as server:
        connection = await asyncpg.connect(server.url("postgres"), timeout=DEADLINE)
        await connection.execute("CREATE DATABASE signals")
        await connection.close()
        settings = {**server.settings, "POSTGRES_DB": "signals"}
        async with running_service(folder, **settings) as service, following(service) as (seen, _):
            await published(service, BARS[:200])
            publishing = asyncio.create_task(published(service, BARS[200:400]))
            async with server.outage(), service.client() as client:
                async with asyncio.timeout(DEADLINE):
                    while (await client.health()).status != "unhealthy":  # a probe a second finds out
                        await poll()
            await publishing
            await check_each_once(server.url("signals"), seen)


async def test_followers_report_a_new_epoch(folder: Path) -> None:
    seen: list[int] = []
    notices: list[object] = []
    async with running_service(folder) as service, service.client() as client:
        await published(service, BARS[:100])
        last = await settled(client)
        strict = client.follow(resume_after=0, backoff=SOON)
        easy = client.follow(resume_after=0, backoff=SOON, on_new_epoch="start_over", notify=notices.append)
        async with strict, easy:
            for follower in (strict, easy):
                await within(record_until(follower, last, seen))
            assert seen == 2 * list(range(1, last + 1))
            first_epoch = strict.epoch
            assert await service.stop() == 0
            shutil.rmtree(service.data_dir)
            await service.start()
            new_last = await published(service, BARS[:200])
            assert new_last > last  # so that the sequence alone would not show it

            with pytest.raises(EpochChanged) as changed:
                await within(anext(strict))
            seen.clear()
            await within(anext(easy))
            await within(record_until(easy, new_last, seen))
        new_epoch = (await client.service_info()).epoch
        error = changed.value
        assert (error.sequence, error.old_epoch, error.epoch) == (last, first_epoch, new_epoch)
        assert [notice for notice in notices if isinstance(notice, StartedOver)] == [
            StartedOver(first_epoch, new_epoch, last)
        ]
        assert seen == list(range(2, new_last + 1))
        assert easy.epoch == new_epoch

        with pytest.raises(EpochChanged):  # by a bookmark, too, and by a sequence that this log does not have
            await within(anext(client.follow(resume_after=5, epoch=first_epoch)))
        with pytest.raises(EpochChanged):
            await within(anext(client.follow(resume_after=new_last + 1000)))


async def test_followers_report_pruned_events(folder: Path) -> None:
    notices: list[object] = []
    async with running_service(folder) as service, service.client() as client:
        last = await published(service, BARS[:200])
        async with service.database() as database:
            await database.execute("DELETE FROM events WHERE sequence <= 100")
        await service.kill()
        await service.start()
        with pytest.raises(EventsPruned) as pruned:
            await within(anext(client.follow(resume_after=10, backoff=SOON)))
        assert (pruned.value.sequence, pruned.value.oldest_sequence) == (10, 101)
        seen: list[int] = []
        async with client.follow(resume_after=10, backoff=SOON, on_pruned="skip", notify=notices.append) as follower:
            await within(record_until(follower, last, seen))
        assert seen == list(range(101, last + 1))
        assert Skipped(10, 101) in notices


async def moved_to(follower: Any, sequence: int) -> None:
    """Wait until the bookmark has reached a sequence. It polls, because no event is yielded for it."""
    while (follower.sequence or 0) < sequence:
        await poll()


async def test_follower_detects_a_dead_connection_by_missing_heartbeats(service: RunningService, symbol: str) -> None:
    """Missing heartbeats reveal it; earlier heartbeats have moved the bookmark."""
    notices: list[object] = []
    async with frozen_proxy(service.port) as proxy, tradingsignals.connect(f"127.0.0.1:{proxy.port}") as client:
        narrow = client.follow_signals(
            symbols=[symbol], heartbeat_seconds=1, resume_after=0, backoff=SOON, notify=notices.append
        )
        async with narrow, service.client() as other:
            newest = (await other.service_info()).through_sequence
            waiting = asyncio.create_task(narrow.__anext__())
            await within(moved_to(narrow, newest))
            proxy.freeze()
            made = await other.generate_signal(4000.0, symbol=symbol)
            assert (await within(waiting)).sequence == made.sequence
            assert proxy.connections >= 2, "more if a heartbeat took three seconds on the way"
            lost = [str(notice.error) for notice in notices if isinstance(notice, Disconnected)]
            assert any("no response for 3 seconds" in error for error in lost)


async def test_watch_continues_across_a_restart(folder: Path) -> None:
    """This runs the command as a user does in a terminal."""
    async with (
        running_service(folder) as service,
        running_command("watch", "--address", service.address) as command,
    ):
        process = command.process
        assert process.stdout is not None
        output: asyncio.StreamReader = process.stdout

        async def shows(text: str) -> None:
            while text not in (line := await output.readline()).decode():
                assert line, f"it never printed {text!r}"

        await within(shows("TIME (UTC)"))
        await published(service, BARS[:60])
        await within(shows("2024-"))
        await service.stop()
        await within(shows("has gone away"))
        await service.start()
        await within(shows("following again"))
        await service.stop()
        shutil.rmtree(service.data_dir)
        await service.start()
        await within(shows("the database is a new one"))
        await published(service, BARS[:60])
        await within(shows("2024-"))
        process.send_signal(signal.SIGINT)
        assert (await command.ended()).code == 0
