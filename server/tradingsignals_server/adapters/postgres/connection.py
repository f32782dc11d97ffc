"""Connections to the database: their settings, their numbers by use, and which errors count as an outage."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import asyncpg.pool

from ...domain.errors import Overloaded, ReadTimedOut, StorageUnavailable
from .place import place_of

Database = asyncpg.pool.PoolConnectionProxy
"""A connection lent by the pool."""

ENGINE_CONNECTIONS = 7
"""For a commit, the reads of the writer, the log (one for new entries, three for pages), and the health check."""

READER_CONNECTIONS = 5
"""For all reads on behalf of callers."""

MAX_WAITING_READS = 500
"""Reads that may wait for one of them; any further one is refused at once."""

READ_WAIT_S = 5.0
"""A read that has waited for so long is refused, before the caller gives up."""

READ_TIMEOUT_S = 10.0
"""For one statement of a read. Below the 15 seconds after which the edge gives up."""

_PASSED = 0.99
"""Of a timeout of the database: its clock may be faster than ours."""

_CANCELED = "the database canceled the read before its time: try again"
"""An operator did (pg_cancel_backend), or the request to cancel an earlier read of the connection came late."""

COMMAND_TIMEOUT_S = 30.0
ACQUIRE_TIMEOUT_S = 5.0

_SETTINGS = {
    "application_name": "tradingsignals",
    "timezone": "UTC",
    # A commit waits for the row lock of the log, and has to see what the commit before it wrote.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # A server that hangs in the middle of a commit would block all others.
    "idle_in_transaction_session_timeout": "10s",
    # Ours are idle when there are no bars, and wait for each other's commits.
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "statement_timeout": "0",
    "lock_timeout": "0",
    # Statements take milliseconds; compiling one takes hundreds.
    "jit": "off",
    # PostgreSQL detects within seconds that a server's machine is gone, and frees its locks. Unix sockets ignore it.
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}
"""Settings that the code relies on, whatever the defaults of the database, the user or postgresql.conf are."""


class DatabaseRefused(Exception):
    """The database responds with a refusal: user, password, database, privilege or pooler. The message is one line."""


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
    asyncpg.TransactionRollbackError,  # serialization failure, deadlock
    asyncpg.LockNotAvailableError,
)
"""Errors that pass by themselves or through the operator. Nothing of the transaction is stored."""

REFUSALS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.RaiseError,  # from a trigger of the operator
    ValueError,  # asyncpg's own for a value that its type cannot hold, and protobuf's
    TypeError,
    OverflowError,
)
"""Errors of the data: it would be refused again. Nothing of the transaction is stored."""


async def set_up(connection: asyncpg.Connection, **changes: str) -> None:
    """Apply the settings, with `changes`, for the life of the connection.

    They are applied by a statement, because a pooler such as PgBouncer refuses most of them at connection start; in the
    simple protocol, because the pooler may not support prepared statements. Settings that this version of PostgreSQL
    does not have are omitted.
    """
    given = ", ".join(f"('{name}', '{value}')" for name, value in (_SETTINGS | changes).items())
    await connection.execute(
        f"SELECT set_config(given.name, given.value, false) FROM (VALUES {given}) AS given(name, value) "
        "JOIN pg_settings ON lower(pg_settings.name) = given.name; "
        # If it is off, a commit is reported before it is durable. Waiting for standbys is up to the operator.
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


async def connected(dsn: str, name: str) -> asyncpg.Connection:
    """Open a connection outside the pools, which `pg_stat_activity` shows as `name`. Raises as asyncpg.connect does."""
    connection = await asyncpg.connect(dsn, timeout=ACQUIRE_TIMEOUT_S)
    try:
        await set_up(connection, application_name=name)
    except BaseException:
        connection.terminate()
        raise
    return connection


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections of a pool that are open, and those of them that are in use, of `limit` at most."""

    open: int
    in_use: int
    limit: int


class _Pool:
    """A pool that keeps one connection between its uses: to give it back and take it again costs a sixth of a commit,
    and three tenths of a short read."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._kept: Database | None = None

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Database]:
        """Lend a connection. After an error it goes back to the pool, which resets it."""
        database, self._kept = self._kept, None
        try:
            if database is None or not _is_open(database):
                await self._give_back(database)
                database = None
                database = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
            yield database
            if self._kept is None:
                self._kept, database = database, None
        finally:
            await self._give_back(database)

    def use(self) -> PoolUse:
        """Return how many connections there are, and are lent."""
        size = self._pool.get_size()
        lent = size - self._pool.get_idle_size() - (self._kept is not None)
        return PoolUse(size, max(0, lent), self._pool.get_max_size())

    async def close(self) -> None:
        """Give back what is kept, and close all connections."""
        try:
            async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                await self._give_back(self._kept)
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _give_back(self, database: Database | None) -> None:
        if database is None:
            return
        if _is_open(database) and database.is_in_transaction():
            # A second cancellation has cut off the rollback of the first one: the end of the session does it.
            database.terminate()
        await self._pool.release(database)


class Connections:
    """Two pools of connections to the database at `place`: the engine's, and one for reads on behalf of callers."""

    def __init__(self, place: str, engine: _Pool, readers: _Pool) -> None:
        self.place = place
        self._engine = engine
        self._readers = readers
        self._turns = asyncio.Semaphore(READER_CONNECTIONS)
        self._waiting = 0

    @property
    def waiting_reads(self) -> int:
        """Reads of callers that wait for a connection."""
        return self._waiting

    def use(self) -> dict[str, PoolUse]:
        """Return the use of each pool by its name."""
        return {"engine": self._engine.use(), "readers": self._readers.use()}

    @asynccontextmanager
    async def for_engine(self) -> AsyncIterator[Database]:
        """Lend a connection to the engine.

        Raises:
            StorageUnavailable: the database is unreachable, or becomes so before the end of the context.
        """
        try:
            async with self._engine.lend() as database:
                yield database
        except UNAVAILABLE as error:
            if isinstance(error, REFUSALS):
                raise
            raise StorageUnavailable from error

    @asynccontextmanager
    async def for_read(self) -> AsyncIterator[Database]:
        """Lend a connection for a read on behalf of a caller.

        Raises:
            Overloaded: too many reads wait, or this one has waited for too long.
            ReadTimedOut: a statement took too long.
            StorageUnavailable: the database is unreachable, or becomes so before the end of the context; or a
                statement was canceled from outside.
        """
        await self._turn()
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with self._readers.lend() as database:
                began = clock()
                yield database
        except asyncpg.QueryCanceledError as error:
            if clock() - began >= _PASSED * READ_TIMEOUT_S:
                raise ReadTimedOut(READ_TIMEOUT_S) from error
            raise StorageUnavailable(_CANCELED) from error
        except UNAVAILABLE as error:
            raise StorageUnavailable from error
        finally:
            self._turns.release()

    async def _turn(self) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        if self._waiting >= MAX_WAITING_READS:
            raise Overloaded(MAX_WAITING_READS)
        self._waiting += 1
        try:
            async with asyncio.timeout(READ_WAIT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(self._waiting) from None
        finally:
            self._waiting -= 1


@asynccontextmanager
async def connections(dsn: str) -> AsyncIterator[Connections]:
    """Open the pools, and close them at the end.

    Raises:
        StorageUnavailable: the database cannot be reached; the message has the address and the reason.
        DatabaseRefused: the database responds with a refusal; so has the message.
    """
    place = f"the database at {place_of(dsn)}"
    async with AsyncExitStack() as stack:
        try:
            pool = await _created(dsn, ENGINE_CONNECTIONS, "0", COMMAND_TIMEOUT_S)
            engine = _Pool(pool)
            stack.push_async_callback(engine.close)
            timeout = f"{READ_TIMEOUT_S:g}s"
            # The database's timeout comes first, so that a slow read is not taken for a database that does not respond.
            readers = _Pool(await _created(dsn, READER_CONNECTIONS, timeout, READ_TIMEOUT_S + 2.0))
            stack.push_async_callback(readers.close)
            await _require_sessions(pool)
        except DatabaseRefused as error:
            raise DatabaseRefused(f"{place} {error}") from error
        except ValueError:  # asyncpg.ClientConfigurationError among them
            # The message may contain a password, so it is neither shown nor chained.
            raise DatabaseRefused(f"{place} has an address that cannot be used") from None
        except _REFUSED as error:
            raise DatabaseRefused(f"{place} does not let us in: {_one_line(error)}") from error
        except UNAVAILABLE as error:
            raise StorageUnavailable(f"{place} cannot be reached: {_one_line(error)}") from error
        except asyncpg.PostgresError as error:
            raise DatabaseRefused(f"{place} does not let us in: {_one_line(error)}") from error
        yield Connections(place_of(dsn), engine, readers)


_REFUSED = (asyncpg.ProtocolViolationError, asyncpg.TooManyConnectionsError)
"""Refusals at the start that count as an outage later, once a connection has succeeded."""


async def _created(dsn: str, size: int, statement_timeout: str, command_timeout: float) -> asyncpg.Pool:
    async def begin(connection: asyncpg.Connection) -> None:
        await set_up(connection, statement_timeout=statement_timeout)

    return await asyncpg.create_pool(
        dsn,
        min_size=2,
        max_size=size,
        command_timeout=command_timeout,
        timeout=ACQUIRE_TIMEOUT_S,
        init=begin,
        reset=_keep_settings,
    )


async def _keep_settings(_: asyncpg.Connection) -> None:
    """Save the round trip of the pool's reset: settings are kept for the life of a connection."""


async def _require_sessions(pool: asyncpg.Pool) -> None:
    """Check that a connection keeps its database session.

    Raises:
        DatabaseRefused: a pooler in front of the database changes it for every transaction or statement.
    """
    pid = "SELECT pg_backend_pid()"
    try:
        async with pool.acquire() as one, pool.acquire() as other:
            own: int = await one.fetchval(pid)
            async with other.transaction():
                shared = await other.fetchval(pid) == own or await one.fetchval(pid) != own
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as error:
        raise DatabaseRefused(_POOLED) from error
    if shared:
        raise DatabaseRefused(_POOLED)


_POOLED = (
    "is behind a pooler that gives each transaction another session (PgBouncer's pool_mode=transaction or statement), "
    "and locks and notifications need sessions: use pool_mode=session, or connect to PostgreSQL itself"
)


def _is_open(database: Database) -> bool:
    try:
        return not database.is_closed()
    except asyncpg.InterfaceError:  # it was lost, and so the pool has it back
        return False


def _one_line(error: BaseException) -> str:
    """Return the message of an error on one line, or its type if it has none."""
    if isinstance(error, TimeoutError):
        return f"no response within {ACQUIRE_TIMEOUT_S:g} s"
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
        # asyncio's message for a refused connection repeats the address and omits the reason.
        said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        said = f"{said}: {error.filename}" if error.filename else said
    return " ".join(said.split()) or type(error).__name__


async def fetch_one(database: Database, statement: str, *values: object) -> asyncpg.Record:
    """Return the row of a statement that always has one."""
    row = await database.fetchrow(statement, *values)
    if row is None:
        raise LookupError(f"no row from: {statement}")
    return row
