"""One log, followed over both servers and through both edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.support.logs import Log

from tradingsignals_server.api.services.events import EventServicer
from tradingsignals_server.api.services.json_bodies import JsonBodyServicer
from tradingsignals_server.api.services.json_servicer import json_servicer
from tradingsignals_server.api.services.positions import PositionServicer
from tradingsignals_server.api.services.signals import SignalServicer
from tradingsignals_server.api.text_services import text_servicers
from tradingsignals_server.application.queries import Queries
from tradingsignals_server.transport.fanout.server import LeanServer, running_lean_server
from tradingsignals_server.transport.grpc.server import SERVICES, running_server
from tradingsignals_server.transport.http2.limits import Limits

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


class Endless:
    """A servicer whose calls never come to an end; `given_up` counts those that were told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.given_up = 0

    async def get_model_info(self, _: Any) -> Any:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up += 1

    async def reload_model(self, _: Any) -> Any:
        raise AssertionError("nobody calls it")


def servicers(log: Log) -> dict[str, object]:
    """Those that stream and list; calls of ModelService are endless, and all others are defects."""
    nothing, broadcast, queries = cast(Any, None), log.broadcast, Queries(log.store, log.broadcast)
    signals = SignalServicer(nothing, queries, broadcast, nothing, nothing)
    positions = PositionServicer(nothing, queries, broadcast, nothing)
    public: dict[str, object] = {
        **{name: _Absent() for name in SERVICES},
        "SignalService": signals,
        "PositionService": positions,
        "EventService": EventServicer(broadcast),
        "ModelService": Endless(),
    }
    written = json_servicer(public)
    return public | {"JsonService": written, "JsonBodyService": JsonBodyServicer(written)} | text_servicers(broadcast)


@asynccontextmanager
async def lean(
    log: Log, stall_seconds: float = STALL_SECONDS, limits: Limits | None = None
) -> AsyncIterator[LeanServer]:
    """The lean path alone."""
    async with running_lean_server(
        "127.0.0.1", 0, log.broadcast, servicers(log), METADATA, stall_seconds, limits
    ) as server:
        try:
            yield server
        finally:
            log.broadcast.stop()


@asynccontextmanager
async def both(log: Log, stall_seconds: float = STALL_SECONDS) -> AsyncIterator[Sides]:
    """Both paths."""
    async with (
        running_server("127.0.0.1", 0, servicers(log), METADATA, stall_seconds) as aio,
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
