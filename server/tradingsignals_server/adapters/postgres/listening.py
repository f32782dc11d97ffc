"""Notifications of PostgreSQL, on a connection of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from ...domain.errors import StorageUnavailable
from .connection import UNAVAILABLE, connected

HEARTBEAT_INTERVAL_S = 5.0
"""Between two checks of the connection: the other side of a dead one may never close it."""


async def listen(dsn: str, name: str, channel: str, changed: Callable[[], None]) -> None:
    """Have `changed` called once notifications arrive, and at each one, until the connection is lost.

    Args:
        dsn: address of the database.
        name: of the connection, as `pg_stat_activity` shows it.
        channel: to listen on.
        changed: is to be short.

    Raises:
        StorageUnavailable: the database cannot be reached, or not any more.
    """
    over = asyncio.Event()
    try:
        connection = await connected(dsn, name)
        try:
            connection.add_termination_listener(lambda _: over.set())
            await connection.add_listener(channel, lambda *_: changed())
            changed()
            while not over.is_set():
                await _wait(over)
                await connection.execute("SELECT", timeout=HEARTBEAT_INTERVAL_S)
        finally:
            connection.terminate()
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        raise StorageUnavailable from error
    raise StorageUnavailable


async def _wait(over: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(HEARTBEAT_INTERVAL_S):
            await over.wait()
    except TimeoutError:
        pass
