"""The embedded PostgreSQL with the real programs: it starts, restarts, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
from tests.support.deadlines import DEADLINE

from tradingsignals_server.adapters.postgres.embedded import postmaster, running
from tradingsignals_server.adapters.postgres.embedded.cluster import name_of
from tradingsignals_server.adapters.postgres.embedded.programs import EmbeddedPostgresError
from tradingsignals_server.adapters.postgres.embedded.running import EmbeddedPostgres, running_postgres
from tradingsignals_server.adapters.processes.exits import wait_for_exit

T = TypeVar("T")
DATABASE = "signals"


@pytest.fixture(scope="module")
async def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yield a folder with a cluster that has been used: one row in table `kept`."""
    folder = tmp_path_factory.mktemp("used")
    async with running_postgres(folder, DATABASE) as server, connected(server.dsn) as connection:
        await connection.execute("CREATE TABLE kept (n int PRIMARY KEY); INSERT INTO kept VALUES (0)")
    return folder


@pytest.fixture
def folder(used: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    copy = tmp_path / "data"
    run("cp", "-a", str(used), str(copy))
    return copy


async def test_data_remains_after_a_stop_and_nothing_else(tmp_path: Path) -> None:
    async with running_postgres(tmp_path, DATABASE) as server, connected(server.dsn) as connection:
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)")
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())
    assert entries(tmp_path) == ["postgres"]
    assert not list((tmp_path / "postgres").glob(".s.PGSQL*"))
    assert processes_of(tmp_path) == []

    async with running_postgres(tmp_path, DATABASE) as server, connected(server.dsn) as connection:
        assert await connection.fetchval("SELECT count(*) FROM kept") == 2


async def test_settings_of_the_server(folder: Path) -> None:
    (folder / "postgres/postgresql.auto.conf").write_text("fsync = off\nlisten_addresses = '*'\n")
    async with running_postgres(folder, DATABASE) as server, connected(server.dsn) as connection:
        settings = {row["name"]: row["setting"] for row in await connection.fetch("SELECT * FROM pg_settings")}
    expected = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": ""}
    expected |= {"data_checksums": "on", "server_encoding": "UTF8", "TimeZone": "UTC"}
    assert {name: settings[name] for name in expected} == expected


async def test_environment_is_ignored_and_not_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "nowhere",
        "PGDATABASE": "none",
        "POSTGRES_PASSWORD": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    async with running_postgres(folder, DATABASE) as server:
        assert await kept(server) == 1
        assert b"secret" not in environment_of(server.pid)


async def test_second_database_is_created_beside_the_first(folder: Path) -> None:
    async with running_postgres(folder, 'odd "näme" 100%/') as server, connected(server.dsn) as connection:
        assert await connection.fetchval("SELECT current_database()") == 'odd "näme" 100%/'
    async with running_postgres(folder, DATABASE) as server:
        assert await kept(server) == 1


async def test_killed_postmaster_is_restarted_every_time(folder: Path) -> None:
    async with running_postgres(folder, DATABASE) as server:
        dsn, pids = server.dsn, {server.pid}
        for times in (1, 2, 3):
            async with connected(dsn) as connection:
                await connection.execute("INSERT INTO kept VALUES ($1)", times)
                os.kill(server.pid, signal.SIGKILL)
                await within(server.wait_for_restart(times))
            pids.add(server.pid)
            assert await kept(server) == times + 1
        assert server.dsn == dsn
        assert len(pids) == 4
    assert processes_of(folder) == []


async def test_server_restarts_after_one_of_its_processes_is_killed(folder: Path) -> None:
    async with running_postgres(folder, DATABASE) as server:
        async with connected(server.dsn) as connection:
            os.kill(connection.get_server_pid(), signal.SIGKILL)
            await within(server.wait_for_restart(1))
        assert await kept(server) == 1


async def test_query_that_outlives_its_postmaster_is_ended(folder: Path) -> None:
    endless = "DO $$ BEGIN RAISE NOTICE 'begun'; LOOP END LOOP; END $$"
    async with running_postgres(folder, DATABASE) as server, connected(server.dsn) as connection:
        begun = asyncio.Event()
        connection.add_log_listener(lambda *_: begun.set())
        query = asyncio.create_task(connection.execute(endless))
        await within(begun.wait())
        os.kill(server.pid, signal.SIGKILL)
        await within(server.wait_for_restart(1))
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await within(query)
        assert await kept(server) == 1


async def test_restart_is_repeated_until_it_succeeds(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, running.__name__)
    settings = folder / "postgres/postgresql.auto.conf"
    async with running_postgres(folder, DATABASE) as server:
        sound = settings.read_text()
        settings.write_text("work_mem = 'much'\n")
        with logged("does not come back yet", times=3) as failed:
            os.kill(server.pid, signal.SIGKILL)
            await within(failed.wait())
        assert server.restarts == 0
        settings.write_text(sound)
        await within(server.wait_for_restart(1))
        assert await kept(server) == 1
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "PostgreSQL ended (killed by signal 9); starting it again"
    assert "work_mem" in messages[1]
    assert messages[-1] == "PostgreSQL is back"


async def test_normal_operation_logs_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, running.__name__.rsplit(".", 2)[0])
    async with running_postgres(folder, DATABASE) as server, connected(server.dsn) as connection:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO kept VALUES (0)")
    assert [record.getMessage() for record in caplog.records] == []


# After kill -9 of the owner

OWNER = """
import asyncio, json, sys
from pathlib import Path
from tradingsignals_server.adapters.postgres.embedded.running import running_postgres

async def main():
    async with running_postgres(Path(sys.argv[1]), sys.argv[2]) as server:
        print(json.dumps([server.dsn, server.pid, str(server.socket_dir)]), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_server_ends_when_its_owner_is_killed(folder: Path) -> None:
    async with owner_of(folder) as owner:
        await fill(owner.dsn)
        await kill(owner)
        await within(wait_for_exit(owner.postmaster))
    assert (folder / "lock").exists()

    async with running_postgres(folder, DATABASE) as server:
        assert await kept(server) == 1001
    assert processes_of(folder) == []


@pytest.mark.parametrize("and_the_server", [False, True])
async def test_start_right_after_the_kill_succeeds(folder: Path, and_the_server: bool) -> None:
    async with owner_of(folder) as owner:
        await fill(owner.dsn)
        await kill(owner, and_the_server)
        async with running_postgres(folder, DATABASE) as server:
            assert await kept(server) == 1001


async def test_server_that_outlives_its_owner_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmaster, "_STOP_STEPS", ((signal.SIGINT, 0.1), (signal.SIGKILL, DEADLINE)))
    async with owner_of(folder) as owner:
        await fill(owner.dsn)
        os.kill(owner.postmaster, signal.SIGSTOP)
        await kill(owner)
        async with running_postgres(folder, DATABASE) as server:
            assert await kept(server) == 1001
        await within(wait_for_exit(owner.postmaster))


async def test_recycled_pid_is_not_taken_for_a_server(folder: Path) -> None:
    async with owner_of(folder) as owner:
        await kill(owner, and_the_server=True)
    note = folder / "postgres/postmaster.pid"
    with bystander(uid=note.stat().st_uid) as pid:
        note.write_text(re.sub(r"\A\d+", str(pid), note.read_text()))
        async with running_postgres(folder, DATABASE) as server:
            assert await kept(server) == 1
        os.kill(pid, 0)  # it lives


# Refusals


async def test_folder_in_use_is_refused_with_the_pid_of_its_holder(folder: Path) -> None:
    async with owner_of(folder) as owner:
        await refused(folder, f"in use by process {owner.process.pid}:")
        async with connected(owner.dsn) as connection:  # and is none the worse for it
            assert await connection.fetchval("SELECT count(*) FROM kept") == 1
        assert (folder / "lock").exists()


async def test_failed_start_has_a_reason_and_leaves_nothing(folder: Path) -> None:
    (folder / "postgres/postgresql.auto.conf").write_text("work_mem = 'much'\n")
    await refused(folder, "does not start.*work_mem")
    assert entries(folder) == ["postgres"]
    assert processes_of(folder) == []


async def test_interrupted_initdb_is_repeated(tmp_path: Path) -> None:
    started = asyncio.create_task(started_once(tmp_path))
    while not (remains := incomplete(tmp_path)):
        await asyncio.sleep(0)  # no more than a turn of the loop
        assert not started.done()
    started.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(started)
    assert not {"postgres", "lock"} & set(entries(tmp_path))

    remains[0].mkdir(exist_ok=True)  # as kill -9 leaves it
    (remains[0] / "PG_VERSION").write_text("18\n")
    async with running_postgres(tmp_path, DATABASE) as server, connected(server.dsn) as connection:
        assert await connection.fetchval("SELECT current_database()") == DATABASE
    assert entries(tmp_path) == ["postgres"]


async def test_initdb_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    process = await start_owner(tmp_path)
    while not (initdb := processes_of(tmp_path)):
        assert process.returncode is None
        await asyncio.sleep(0)
    process.kill()
    await within(process.wait())
    for pid in initdb:
        await within(wait_for_exit(pid))
    assert not (tmp_path / "postgres").exists()
    async with running_postgres(tmp_path, DATABASE):
        pass


# Helpers


@dataclass(frozen=True)
class Owner:
    process: asyncio.subprocess.Process
    folder: Path
    dsn: str
    postmaster: int
    socket_dir: Path


async def kill(owner: Owner, and_the_server: bool = False) -> None:
    """Kill every process of the server by SIGKILL, and wait for their end."""
    for pid in (owner.process.pid, *(processes_of(owner.folder) if and_the_server else ())):
        with suppress(ProcessLookupError):  # the others make short work of themselves when one is gone
            os.kill(pid, signal.SIGKILL)
    await within(owner.process.wait())


async def start_owner(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(folder), DATABASE, stdout=asyncio.subprocess.PIPE
    )


@asynccontextmanager
async def owner_of(folder: Path) -> AsyncIterator[Owner]:
    """Run the server from another process, which is killed at the end."""
    process = await start_owner(folder)
    try:
        assert process.stdout
        dsn, postmaster, socket_dir = json.loads(await within(process.stdout.readline()))
        yield Owner(process, folder, dsn, postmaster, Path(socket_dir))
    finally:
        if process.returncode is None:
            process.kill()
        await within(process.wait())
        for pid in processes_of(folder):
            await within(wait_for_exit(pid))


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=DEADLINE)
    try:
        yield connection
    finally:
        connection.terminate()


async def kept(server: EmbeddedPostgres) -> int:
    async with connected(server.dsn) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))


async def fill(dsn: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")


async def started_once(folder: Path) -> int:
    async with running_postgres(folder, DATABASE) as server:
        return await kept(server)


async def refused(folder: Path, why: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match=why) as raised:
        await within(started_once(folder))
    assert "\n" not in str(raised.value)


async def within(work: Awaitable[T]) -> T:
    async with asyncio.timeout(DEADLINE):
        return await work


@contextmanager
def logged(text: str, times: int) -> Iterator[asyncio.Event]:
    """Return an event that is set when a message with `text` has been logged `times` times."""
    event, seen = asyncio.Event(), []

    def watch(record: logging.LogRecord) -> bool:
        if text in record.getMessage():
            seen.append(record)
        if len(seen) == times:
            event.set()
        return True

    logger = logging.getLogger(running.__name__)
    logger.addFilter(watch)
    try:
        yield event
    finally:
        logger.removeFilter(watch)


@contextmanager
def bystander(uid: int) -> Iterator[int]:
    """Run an unrelated process."""
    with subprocess.Popen(["sleep", "600"], user=uid) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def incomplete(folder: Path) -> list[Path]:
    """Return the incomplete clusters that initdb is writing."""
    return [path.parent for path in folder.glob("postgres.incomplete-*/PG_VERSION")]


def processes_of(folder: Path) -> list[int]:
    """Return PostgreSQL's processes in `folder`."""
    path, title = folder.resolve(), b"postgres: " + name_of(folder.resolve() / "postgres").encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            program = Path(os.fsdecode(command.split(b"\0")[0])).name
            ours = program in {"postgres", "initdb"} and (entry / "cwd").readlink().is_relative_to(path)
            if ours or command.startswith(title):
                found.append(int(entry.name))
    return found


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
