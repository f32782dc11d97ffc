"""Checks of the database: that it can be reached and used, is durable, and has the schema of this program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import asyncpg

from ...adapters.postgres.bars_table import BarsTableError
from ...adapters.postgres.connection import Connections, Database, DatabaseRefused, connections, fetch_one
from ...adapters.postgres.embedded.programs import EmbeddedPostgresError
from ...adapters.postgres.migrate import oldest_program
from ...adapters.postgres.place import place_of
from ...adapters.postgres.restoring import is_unfinished
from ...adapters.postgres.schema import program_version
from ...bootstrap.embedded import NoDatabase
from ...bootstrap.storage import database_as_is, open_store, require_account, require_feed
from ...config.settings import InvalidSettings, Settings
from ...domain.errors import StorageUnavailable
from .finding import Finding, ok, problem, warning

OLDEST_MAJOR = 14
"""Oldest version of PostgreSQL that still gets fixes."""

CLOCK_DIFFERENCE_S = 2.0
"""Difference of the clocks from which on times of bars and of entries in the log disagree visibly."""

CONNECTIONS_OF_A_SERVER = 13

_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "max_connections", "server_version_num")

_STATE = """
SELECT pg_is_in_recovery() AS standby, clock_timestamp() AS now,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used
"""


async def check_database(settings: Settings) -> list[Finding]:
    """Check the configured database; the embedded one is started for it if it is there and no service runs on it."""
    try:
        async with database_as_is(settings) as dsn, connections(dsn) as pool, pool.for_engine() as database:
            found = [ok("database", f"{place_of(dsn)} can be used, with a session for each connection")]
            found += await _check_server(database)
            found += await _check_schema(database)
            return [*found, *await _check_settings(pool, database, settings)]
    except NoDatabase:
        return [ok("database", f"the first start creates the embedded one in {settings.data_dir}")]
    except EmbeddedPostgresError as error:
        return [problem("database", str(error), "see the message; `postgres/` in DATA_DIR has its log")]
    except (StorageUnavailable, DatabaseRefused) as error:
        return [problem("database", str(error), "check address, user, password and network")]
    except asyncpg.PostgresError as error:
        return [problem("database", f"a check was refused: {error}", "check the privileges of its user")]


async def _check_server(database: Database) -> list[Finding]:
    rows = await database.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(_SETTINGS))
    values: dict[str, str] = {row["name"]: row["setting"] for row in rows}
    state = await fetch_one(database, _STATE)
    room = int(values["max_connections"]) - state["used"]
    return list(_findings_of(values, state["standby"], (datetime.now(UTC) - state["now"]).total_seconds(), room))


def _findings_of(values: dict[str, str], standby: bool, difference: float, room: int) -> Iterator[Finding]:
    """Yield findings from PostgreSQL's settings, its role, the lead of our clock in seconds, and free connections."""
    major = int(values["server_version_num"]) // 10_000
    if major < OLDEST_MAJOR:
        yield warning("postgres", f"version {major} gets no fixes", f"upgrade it to {OLDEST_MAJOR} or later")
    if standby:
        yield problem("postgres", "it is a standby, which takes no writes", "name the primary")
    unsafe = [name for name in ("fsync", "full_page_writes") if values[name] == "off"]
    if unsafe:
        yield problem("durability", f"{' and '.join(unsafe)} off: a crash loses or corrupts commits", "set it to on")
    else:
        yield ok("durability", "a commit is on the disk before it is confirmed")
    if abs(difference) > CLOCK_DIFFERENCE_S:
        yield warning("clock", f"this machine is {difference:+.1f} s from the database's", "synchronise both by NTP")
    else:
        yield ok("clock", f"{difference:+.2f} s from the database's")
    if room < CONNECTIONS_OF_A_SERVER:
        yield warning("connections", f"{room} are free", f"a server takes {CONNECTIONS_OF_A_SERVER}: max_connections")


async def _check_settings(pool: Connections, database: Database, settings: Settings) -> list[Finding]:
    """Check the settings that what is stored refuses, if the schema is current."""
    if await database.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return []
    if await database.fetchval("SELECT coalesce(max(version), 0) FROM schema_migrations") < program_version():
        return []
    checks: list[Callable[[Connections, Settings], Awaitable[object]]] = [open_store, require_account]
    if not settings.embedded_database:  # an embedded one is that of the feed
        checks.append(require_feed)
    refusals = []
    for check in checks:
        try:
            await check(pool, settings)
        except (InvalidSettings, BarsTableError) as error:
            refusals.append(problem("settings", str(error), "the service does not start until then"))
    return refusals or [ok("stored", "bars and account have the intervals, the equity and the currency that are set")]


async def _check_schema(database: Database) -> list[Finding]:
    if await is_unfinished(database):
        return [problem("schema", "a restoration of a backup was cut off", "restore it into an empty database")]
    newest = program_version()
    if await database.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return [ok("schema", f"the database is empty; the first start makes version {newest}")]
    found = await database.fetchval("SELECT coalesce(max(version), 0) FROM schema_migrations")
    if found > newest and await oldest_program(database, found) > newest:
        return [problem("schema", f"version {found} is newer than this program's, {newest}", "use the newer program")]
    if found > newest:
        return [ok("schema", f"version {found}, with which this program, of {newest}, can work")]
    if found < newest:
        return [ok("schema", f"version {found}; the next start brings it to {newest}")]
    return [ok("schema", f"version {found}, which is current")]
