"""Which embedded database is used: a service uses that of its feed, a command that of the service.

Simulated bars are kept in a database of their own, so that they never mix with those of another feed.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ..adapters.feeds.registry import FEEDS, AnyFeed
from ..adapters.postgres.embedded.cluster import SUPERUSER, Cluster
from ..adapters.postgres.embedded.databases import create_if_missing, databases_in, remember, remembered
from ..adapters.postgres.embedded.running import cluster_exists, cluster_if_running, running_postgres
from ..config.settings import InvalidSettings, Settings

SIMULATED, REAL = "tradingsignals_simulated", "tradingsignals"
"""Names of the databases of simulated bars, and of those of every other feed."""


class NoDatabase(InvalidSettings):
    """The database is not there, and the first start of the service would make it. The message is one line."""


@dataclass(frozen=True, slots=True)
class CommandDatabase:
    """The database that a command works on. is_in_use: another process runs its server, such as the service."""

    dsn: str
    is_in_use: bool


@asynccontextmanager
async def service_database(settings: Settings) -> AsyncIterator[str]:
    """Run PostgreSQL with the database of the feed, record that the service uses it, and give its address."""
    database = _database_of(settings.feed)
    async with running_postgres(settings.data_dir, database, remember_it=True) as postgres:
        yield postgres.dsn


@asynccontextmanager
async def command_database(settings: Settings, holds: str | None = None) -> AsyncIterator[CommandDatabase]:
    """Give the database that a command works on, beside the service if it runs, or with a PostgreSQL of its own.

    It is that of FEED if FEED is set, otherwise the one that the service of the data folder used last, otherwise the
    only one that is there, otherwise that of the default feed. If there are several, a line on standard error says
    which one it is.

    Args:
        settings: name the data folder.
        holds: the database that a backup is restored into; it is recorded as the one that is used.

    Raises:
        NoDatabase: it is not there; only one that a backup is restored into is made.
        InvalidSettings: FEED is set and another database is in use, or `holds` is another one.
    """
    folder = settings.data_dir
    if holds is None and not cluster_exists(folder):
        raise NoDatabase(f"DATA_DIR={folder}: there is no database of a service; name its folder")
    async with _open_cluster(folder) as (cluster, is_in_use):
        present = (await databases_in(cluster)) & {SIMULATED, REAL}
        database = _chosen(settings, present, holds)
        used = remembered(folder)
        if is_in_use and used is not None and database != used:
            raise InvalidSettings(
                f"{_cause(settings, holds)}, and DATA_DIR={folder} is in use with {described(used)}: "
                f"{'leave FEED unset, or stop' if holds is None else 'use another DATA_DIR, or stop'} what uses it"
            )
        if holds is not None:
            await create_if_missing(database, cluster)
        elif database not in present:
            found = " and ".join(map(described, sorted(present))) or "none of a service"
            raise NoDatabase(f"DATA_DIR={folder}: there is no database {described(database)}, only {found}")
        for other in sorted(present - {database}):
            _say(f"working on {described(database)} in {folder}; it also has {described(other)}")
        yield CommandDatabase(cluster.dsn(database), is_in_use)
        if holds is not None:
            remember(folder, database)


def described(database: str) -> str:
    """Return the name of a database with the feeds that use it."""
    feeds = [name for name, kind in FEEDS.items() if _database_of(kind) == database]
    return f"{database} (FEED={' or '.join(feeds)})"


@asynccontextmanager
async def _open_cluster(folder: Path) -> AsyncIterator[tuple[Cluster, bool]]:
    """Give the running cluster of the folder, and whether another process runs it."""
    running = cluster_if_running(folder)
    if running is not None:
        yield running, True
        return
    async with running_postgres(folder, SUPERUSER) as postgres:
        yield postgres.cluster, False


def _chosen(settings: Settings, present: frozenset[str], holds: str | None) -> str:
    by_feed = _database_of(settings.feed)
    if "feed" in settings.model_fields_set:
        if holds not in {None, by_feed}:
            raise InvalidSettings(
                f"FEED={settings.feed}, and the backup is of {described(str(holds))}: leave FEED unset to restore it"
            )
        return by_feed
    if holds is not None:
        return holds
    used = remembered(settings.data_dir)
    if used in {SIMULATED, REAL}:
        return used
    return next(iter(present)) if len(present) == 1 else by_feed


def _cause(settings: Settings, holds: str | None) -> str:
    return f"FEED={settings.feed}" if holds is None else f"the backup is of {described(holds)}"


def _database_of(feed: AnyFeed) -> str:
    return SIMULATED if feed.is_simulated else REAL


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
