"""One log, followed over both servers and through both edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.support.logs import Log

from tradingsignals_server.application.streams.broadcast import Broadcast
from tradingsignals_server.rpc.events import EventServicer
from tradingsignals_server.rpc.lean.limits import Limits
from tradingsignals_server.rpc.lean.server import LeanServer, running_lean_server
from tradingsignals_server.rpc.positions import PositionServicer
from tradingsignals_server.rpc.server import SERVICES, running_server
from tradingsignals_server.rpc.signals import SignalServicer

METADATA = (("x-epoch", "00000000-0000-0000-0000-000000000004"),)
STALL_SECONDS = 60.0


class _Absent:
    """A servicer whose methods nobody calls."""

    def __getattr__(self, name: str) -> Any:
        async def absent(_: Any) -> Any:
            raise AssertionError(f"{name} was called")

        return absent


@dataclass
class Sides:
    """The same log on two ports."""

    log: Log
    aio: int
    lean: int
    server: LeanServer


def servicers(broadcast: Broadcast) -> dict[str, object]:
    """Those that stream."""
    nothing = cast(Any, None)
    return {
        **{name: _Absent() for name in SERVICES},
        "SignalService": SignalServicer(nothing, nothing, broadcast, nothing),
        "PositionService": PositionServicer(nothing, nothing, broadcast),
        "EventService": EventServicer(broadcast),
    }


@asynccontextmanager
async def lean(
    log: Log, stall_seconds: float = STALL_SECONDS, limits: Limits | None = None
) -> AsyncIterator[LeanServer]:
    """The lean path alone."""
    async with running_lean_server(
        "127.0.0.1", 0, log.broadcast, servicers(log.broadcast), METADATA, stall_seconds, limits
    ) as server:
        try:
            yield server
        finally:
            log.broadcast.stop()


@asynccontextmanager
async def both(log: Log, stall_seconds: float = STALL_SECONDS) -> AsyncIterator[Sides]:
    """Both paths."""
    async with (
        running_server("127.0.0.1", 0, servicers(log.broadcast), METADATA, stall_seconds) as aio,
        lean(log, stall_seconds) as server,
    ):
        yield Sides(log, aio.port, server.port, server)


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    """Both paths on a log of 200 entries."""
    async with both(await Log.with_entries(200)) as found:
        yield found


async def followers(server: LeanServer, count: int) -> None:
    """Wait until so many follow."""
    async with asyncio.timeout(20.0):
        while server.followers != count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
