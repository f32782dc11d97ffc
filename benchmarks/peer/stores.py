"""Where the older design keeps its signals: in memory, or in PostgreSQL with one commit for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Protocol

import asyncpg

from .messages import Signal

KEPT_SIGNALS = 10_000
CONNECTIONS = 10
"""Concurrent database connections of each variant."""

_NEWEST_BARS = "SELECT time, open, high, low, close, volume FROM bars WHERE symbol = $1 ORDER BY time DESC LIMIT $2"
_TABLE = """
    CREATE TABLE IF NOT EXISTS older_design_signals (
        signal_id uuid PRIMARY KEY,
        time timestamptz NOT NULL,
        symbol text NOT NULL,
        action text NOT NULL,
        confidence float8 NOT NULL,
        signal jsonb NOT NULL
    );
    CREATE INDEX IF NOT EXISTS older_design_signals_time ON older_design_signals (time DESC);
"""
_INSERT = """
    INSERT INTO older_design_signals (signal_id, time, symbol, action, confidence, signal)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_NEWEST_SIGNALS = "SELECT signal FROM older_design_signals ORDER BY time DESC LIMIT $1"


class Store(Protocol):
    """Signals that were made, and bars."""

    async def save(self, signal: Signal) -> None:
        """Keep `signal`."""

    async def newest(self, limit: int) -> list[Signal]:
        """The newest signals, the newest first."""

    async def bars(self, symbol: str, limit: int) -> Sequence[asyncpg.Record]:
        """The newest bars of `symbol`, the newest first."""


class VolatileStore:
    """Signals in memory; a connection for each reading of bars."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._newest: deque[Signal] = deque(maxlen=KEPT_SIGNALS)
        # PostgreSQL limits connections, and closed ones linger.
        self._connecting = asyncio.Semaphore(CONNECTIONS)

    async def save(self, signal: Signal) -> None:
        self._newest.appendleft(signal)

    async def newest(self, limit: int) -> list[Signal]:
        return list(islice(self._newest, limit))

    async def bars(self, symbol: str, limit: int) -> Sequence[asyncpg.Record]:
        async with self._connecting:
            database = await asyncpg.connect(self._dsn)
            try:
                return await database.fetch(_NEWEST_BARS, symbol, limit)
            finally:
                await database.close()


class DurableStore:
    """Signals in a table, each committed by itself, over a pool of connections."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def save(self, signal: Signal) -> None:
        await self._pool.execute(
            _INSERT,
            signal.signal_id,
            signal.timestamp,
            signal.symbol,
            signal.action,
            signal.confidence,
            signal.model_dump_json(),
        )

    async def newest(self, limit: int) -> list[Signal]:
        rows = await self._pool.fetch(_NEWEST_SIGNALS, limit)
        return [Signal.model_validate_json(row["signal"]) for row in rows]

    async def bars(self, symbol: str, limit: int) -> Sequence[asyncpg.Record]:
        return await self._pool.fetch(_NEWEST_BARS, symbol, limit)


@asynccontextmanager
async def opened(variant: str, dsn: str) -> AsyncIterator[Store]:
    """The store of the variant "volatile" or "durable"."""
    if variant == "volatile":
        yield VolatileStore(dsn)
        return
    async with asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute(_TABLE)
        yield DurableStore(pool)
