"""The pool of connections, and what counts as the database being away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import asyncpg.pool

from ...domain.errors import StorageUnavailable

Database = asyncpg.pool.PoolConnectionProxy
"""A connection lent by the pool."""

POOL_SIZE = 8
"""One for the writer, the rest for readers."""

KEEPALIVES = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}
"""Has PostgreSQL find out within seconds that a server's machine is gone, and free its locks. Sockets of this machine
need and know none of it."""

COMMAND_SECONDS = 30.0
ACQUIRE_SECONDS = 5.0


class DatabaseRefused(Exception):
    """A wrong user, password or database. The message is one line."""


UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.OperatorInterventionError,  # shutdown, crash recovery, cannot connect now
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # failed over to a standby
)
"""Failures that pass by themselves or through the operator, and after which nothing of the transaction stands."""

REFUSALS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # asyncpg's own for a value that its type cannot hold, and protobuf's
    TypeError,
    OverflowError,
)
"""Failures of what was to be stored: it would fail again, and nothing of the transaction stands."""


async def _keep_as_it_is(_: asyncpg.Connection) -> None:
    """No session state is ever set on a pooled connection, so the round trip that would reset it is saved."""


@asynccontextmanager
async def connection_pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool to the database, closed at the end.

    Raises:
        StorageUnavailable: the database cannot be reached.
        DatabaseRefused: it answers, and does not let us in.
    """
    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=2,
            max_size=POOL_SIZE,
            command_timeout=COMMAND_SECONDS,
            timeout=ACQUIRE_SECONDS,
            reset=_keep_as_it_is,
            server_settings={
                "application_name": "tradingsignals",
                "timezone": "UTC",
                # A server that stands still in the middle of a commit would hold all others up.
                "idle_in_transaction_session_timeout": "10s",
                **KEEPALIVES,
            },
        )
    except UNAVAILABLE as error:
        raise StorageUnavailable from error
    except asyncpg.PostgresError as error:
        raise DatabaseRefused(f"the database does not let us in: {error}") from error
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def connection(pool: asyncpg.Pool) -> AsyncIterator[Database]:
    """A connection for one piece of work.

    Raises:
        StorageUnavailable: the database is away, or goes away before the work is done.
    """
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as acquired:
            yield acquired
    except UNAVAILABLE as error:
        if isinstance(error, REFUSALS):
            raise
        raise StorageUnavailable from error


async def fetch_one(database: Database, statement: str, *values: object) -> asyncpg.Record:
    """The row of a statement that always has one."""
    row = await database.fetchrow(statement, *values)
    if row is None:
        raise LookupError(f"no row from: {statement}")
    return row
