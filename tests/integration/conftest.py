"""Every kind of storage, and a fresh migrated database in it for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.postgres import PASSWORD, USER, postgres_server
from tests.support.processes import all_ended, descendants

from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.embedded.running import EmbeddedPostgres, running_postgres
from tradingsignals_server.adapters.postgres.migrate import migrate
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.config.settings import Settings

_numbers = count(1)
MIGRATED = "migrated"
"""Name of an empty database with the schema, a template."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A kind of storage: the address of a database in it, and a context in which it is unreachable."""

    dsn_of: Callable[[str], str]
    outage: Callable[[], AbstractAsyncContextManager[None]]

    async def new_database(self, template: str = "template1", name: str | None = None) -> str:
        """Create a database from `template`; return its address."""
        name = name or f"test_{next(_numbers)}"
        maintenance = await asyncpg.connect(self.dsn_of("postgres"), timeout=DEADLINE)
        try:
            await maintenance.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await maintenance.close()
        return self.dsn_of(name)


@pytest.fixture(scope="session")
async def embedded_storage() -> AsyncIterator[Storage]:
    """Yield the embedded PostgreSQL, on its socket."""
    with scratch_folder() as folder:
        async with _embedded(folder) as storage:
            await _make_template(storage)
            yield storage


@pytest.fixture(scope="session")
async def server_storage() -> AsyncIterator[Storage]:
    """Yield a user's server, on a TCP port with a password."""
    with scratch_folder() as folder:
        async with _server(folder) as storage:
            await _make_template(storage)
            yield storage


@pytest.fixture(scope="session", params=["embedded", "server"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Return each kind of storage. Both stay running, because the tests of a file change from one to the other."""
    storage: Storage = request.getfixturevalue(f"{request.param}_storage")
    return storage


@asynccontextmanager
async def _embedded(folder: Path) -> AsyncIterator[Storage]:
    async with running_postgres(folder, "tests") as postgres:
        yield Storage(
            dsn_of=lambda name: postgres.dsn.replace("/tests?", f"/{name}?"),
            outage=lambda: _embedded_outage(postgres, folder / "postgres/postgresql.auto.conf"),
        )


@asynccontextmanager
async def _embedded_outage(postgres: EmbeddedPostgres, settings: Path) -> AsyncIterator[None]:
    """Kill it; it cannot restart before the context ends."""
    restarts, running = postgres.restarts, descendants(postgres.pid)
    with _unusable(settings):
        os.kill(postgres.pid, signal.SIGKILL)
        await all_ended(running)
        yield
    await within(postgres.wait_for_restart(restarts + 1))


@contextmanager
def _unusable(settings: Path) -> Iterator[None]:
    """Make these settings invalid for as long as the context lasts, so that PostgreSQL does not start."""
    sound = settings.read_text()
    settings.write_text("work_mem = 'much'\n")
    try:
        yield
    finally:
        settings.write_text(sound)


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[Storage]:
    async with postgres_server(folder) as server:

        def dsn_of(name: str) -> str:
            settings = Settings(
                postgres_host="127.0.0.1",
                postgres_port=server.port,
                postgres_user=USER,
                postgres_password=PASSWORD,
                postgres_db=name,
            )
            return settings.dsn

        yield Storage(dsn_of, server.outage)


@pytest.fixture(scope="session")
def migrated_database(storage: Storage) -> str:
    """Return the name of a database with the schema, as a template."""
    return MIGRATED


async def _make_template(storage: Storage) -> None:
    async with connections(await storage.new_database(name=MIGRATED)) as pool, pool.for_engine() as database:
        await migrate(database)


@pytest.fixture
async def dsn(storage: Storage, migrated_database: str) -> str:
    """Return the address of a fresh database with the schema."""
    return await storage.new_database(migrated_database)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Connections]:
    """Yield connections to it, as the service has them."""
    async with connections(dsn) as pool:
        yield pool


@pytest.fixture
async def store(pool: Connections) -> PostgresStore:
    """Return the store on it."""
    return PostgresStore(pool, encode)


@pytest.fixture
async def another_store(dsn: str) -> AsyncIterator[PostgresStore]:
    """Yield the store of a second server on the same database."""
    async with connections(dsn) as pool:
        yield PostgresStore(pool, encode)


@pytest.fixture
async def sql(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection outside the pools, to read the tables."""
    looking = await asyncpg.connect(dsn, timeout=DEADLINE)
    try:
        yield looking
    finally:
        await looking.close()
