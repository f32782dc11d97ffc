"""The embedded database that a command works on: that of the service of its data folder, unless FEED says otherwise."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder

from tradingsignals_server.adapters.postgres.backup import back_up
from tradingsignals_server.adapters.postgres.connection import DatabaseRefused, connections
from tradingsignals_server.adapters.postgres.embedded.running import EmbeddedPostgres, running_postgres
from tradingsignals_server.bootstrap.embedded import (
    REAL,
    SIMULATED,
    NoDatabase,
    command_database,
    described,
    service_database,
)
from tradingsignals_server.bootstrap.storage import migrate_schema
from tradingsignals_server.commands.backup import restore
from tradingsignals_server.commands.ledger import rebuild
from tradingsignals_server.config.settings import InvalidSettings, Settings

BAR = "'USDCOP', '2024-03-04T13:00Z', 1, 1, 1, 1, 1"


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEED", raising=False)


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


def settings_in(folder: Path, feed: str | None = None) -> Settings:
    return Settings.from_env(data_dir=folder, feed=feed)


def name_in(dsn: str) -> str:
    return urlsplit(dsn).path.removeprefix("/")


async def used_by_a_command(settings: Settings) -> str:
    async with command_database(settings) as found:
        return name_in(found.dsn)


@asynccontextmanager
async def service(folder: Path, feed: str) -> AsyncIterator[str]:
    """What `up` and `serve` run beneath a server, with FEED given on the command line alone."""
    async with service_database(settings_in(folder, feed)) as dsn:
        yield dsn


async def test_commands_work_on_the_database_of_the_service(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with service(folder, "simulate"):
        assert await used_by_a_command(settings_in(folder)) == SIMULATED
    assert capsys.readouterr().err == ""
    async with service(folder, "push"):
        assert await used_by_a_command(settings_in(folder)) == REAL
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            f"working on {described(REAL)} in {folder}; it also has tradingsignals_simulated (FEED=simulate)"
        )
        assert await used_by_a_command(settings_in(folder, "push")) == REAL
        with pytest.raises(InvalidSettings) as refused:
            await used_by_a_command(settings_in(folder, "simulate"))
    assert str(refused.value) == (
        f"FEED=simulate, and DATA_DIR={folder} is in use with {described(REAL)}: leave FEED unset, or stop what uses it"
    )
    # The service is stopped: its database is found, and the other one by its feed.
    assert await used_by_a_command(settings_in(folder)) == REAL
    assert await used_by_a_command(settings_in(folder, "simulate")) == SIMULATED
    assert await used_by_a_command(settings_in(folder)) == REAL


def test_database_is_described_by_the_feeds_that_use_it() -> None:
    assert described(SIMULATED) == "tradingsignals_simulated (FEED=simulate)"
    assert described(REAL).startswith("tradingsignals (FEED=replay or push")


async def test_only_database_of_an_older_service_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_postgres(folder, REAL):
        pass
    assert await used_by_a_command(settings_in(folder)) == REAL
    assert capsys.readouterr().err == ""


async def test_commands_make_no_database(folder: Path) -> None:
    async with service(folder, "simulate"):
        pass
    with pytest.raises(NoDatabase) as refused:
        await used_by_a_command(settings_in(folder, "push"))
    assert str(refused.value) == (
        f"DATA_DIR={folder}: there is no database tradingsignals (FEED=replay or push or twelvedata), "
        "only tradingsignals_simulated (FEED=simulate)"
    )
    with pytest.raises(DatabaseRefused, match="is not a database of this service"):
        await rebuild(settings_in(folder))
    async with command_database(settings_in(folder)) as found, connections(found.dsn) as pool, pool.for_read() as new:
        databases = await new.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'trading%'")
        assert [row["datname"] for row in databases] == [SIMULATED]
        assert await new.fetchval("SELECT to_regclass('event_log') IS NULL")


async def test_socket_that_a_power_failure_left_is_no_running_service(folder: Path) -> None:
    async with service(folder, "push"):
        pass
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "postgres/.s.PGSQL.5432"))
    async with command_database(settings_in(folder)) as found:
        assert not found.is_in_use
        assert name_in(found.dsn) == REAL


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server with databases of any name."""
    async with running_postgres(folder, "postgres") as server:
        yield server


async def backup_of(server: EmbeddedPostgres, name: str, out: Path, *, simulated: bool) -> Path:
    """Back up a database with a bar."""
    database = await asyncpg.connect(server.dsn, timeout=DEADLINE)
    await database.execute(f"CREATE DATABASE {name}")
    await database.close()
    dsn = server.cluster.dsn(name)
    async with connections(dsn) as pool:
        await migrate_schema(pool)
        async with pool.for_engine() as new:
            await new.execute(
                "INSERT INTO bars (symbol, time, open, high, low, close, volume, simulated, disposition, received_at) "
                f"VALUES ({BAR}, $1, 'ACCEPTED', now())",
                simulated,
            )
    await within(back_up(dsn, out))
    return out


async def test_backup_is_restored_to_the_database_that_it_came_from(server: EmbeddedPostgres, tmp_path: Path) -> None:
    files = {
        "real": await backup_of(server, REAL, tmp_path / "real", simulated=False),
        # Bars may be published beside simulated ones, so the name decides.
        "simulated": await backup_of(server, SIMULATED, tmp_path / "simulated", simulated=False),
        "own": await backup_of(server, "signals", tmp_path / "own", simulated=False),
        "own demonstration": await backup_of(server, "demonstration", tmp_path / "demonstration", simulated=True),
    }
    expected = {"real": REAL, "simulated": SIMULATED, "own": REAL, "own demonstration": SIMULATED}
    found = {}
    for kind, file in files.items():
        with scratch_folder() as new:
            await within(restore(settings_in(new), file, same_epoch=False))
            found[kind] = await used_by_a_command(settings_in(new))
    assert found == expected


async def test_backup_is_not_restored_against_a_feed_or_a_service(server: EmbeddedPostgres, tmp_path: Path) -> None:
    file = await backup_of(server, REAL, tmp_path / "real", simulated=False)
    with scratch_folder() as new:
        with pytest.raises(InvalidSettings, match="FEED=simulate, and the backup is of tradingsignals "):
            await within(restore(settings_in(new, "simulate"), file, same_epoch=False))
        async with service(new, "simulate"):
            with pytest.raises(
                InvalidSettings, match=r"the backup is of tradingsignals .* in use with tradingsignals_s"
            ):
                await within(restore(settings_in(new), file, same_epoch=False))
