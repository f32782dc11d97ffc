"""Stored bars in the order of their times, read by a connection of its own that changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from ...domain.bars import Bar
from ...domain.errors import StorageUnavailable
from .connection import REFUSALS, UNAVAILABLE, DatabaseRefused
from .place import place_of
from .tables import BARS, bar_of

_CHUNK_BARS = 5000
_CONNECT_TIMEOUT_S = 10.0
_READ_ONLY = {"default_transaction_read_only": "on", "application_name": "tradingsignals backtest"}

_QUERY = f"""
SELECT {BARS.read_back} FROM bars
WHERE (cardinality($1::text[]) = 0 OR symbol = ANY($1::text[]))
    AND ($2::timestamptz IS NULL OR time >= $2) AND ($3::timestamptz IS NULL OR time < $3)
    AND time < now() + interval '1 day'
ORDER BY time, symbol
"""


async def bar_history(
    dsn: str, symbols: Sequence[str], start: datetime | None, end: datetime | None
) -> AsyncIterator[list[Bar]]:
    """Yield the stored bars of `symbols`, of all if there are none, with start <= time < end, in lists.

    They are of one snapshot, and are read in parts, so that memory does not grow with their number.

    Raises:
        StorageUnavailable: the database is unreachable, or becomes so meanwhile.
        DatabaseRefused: it refuses the connection or the query, as without the tables of the service.
    """
    async with reading(dsn) as connection:
        async for chunk in stored_bars(connection, symbols, start, end):
            yield chunk


async def stored_bars(
    connection: asyncpg.Connection, symbols: Sequence[str], start: datetime | None, end: datetime | None
) -> AsyncIterator[list[Bar]]:
    """Yield the same by a connection that is in a transaction."""
    cursor = await connection.cursor(_QUERY, list(symbols), start, end)
    while rows := await cursor.fetch(_CHUNK_BARS):
        yield [bar_of(row) for row in rows]


@asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection in a transaction that changes nothing and sees one snapshot.

    Raises:
        StorageUnavailable: the database is unreachable, or becomes so meanwhile.
        DatabaseRefused: it refuses the connection or a query, as without the tables of the service.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, server_settings=_READ_ONLY)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close(timeout=_CONNECT_TIMEOUT_S)
    except UNAVAILABLE as error:
        if isinstance(error, REFUSALS):
            raise _refused(dsn, error) from error
        raise StorageUnavailable from error
    except asyncpg.PostgresError as error:
        raise _refused(dsn, error) from error


def _refused(dsn: str, error: BaseException) -> DatabaseRefused:
    return DatabaseRefused(f"the bars at {place_of(dsn)} cannot be read: {error}")
