"""One log, followed over both servers and through both edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.support.deadlines import DEADLINE, poll
from tests.support.logs import Log
from tests.support.memory_outcomes import MemoryOutcomes

from tradingsignals_server.api.contract import SERVICES
from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.api.methods import all_methods, is_routine
from tradingsignals_server.api.services.backtests import BacktestServicer
from tradingsignals_server.api.services.json_bodies import json_body_servicer
from tradingsignals_server.api.services.json_servicer import json_servicer
from tradingsignals_server.api.services.positions import PositionServicer
from tradingsignals_server.api.services.signals import SignalServicer
from tradingsignals_server.application.event_log.follower import Followers
from tradingsignals_server.application.ports.backtests import BacktestOrder, RunningBacktest
from tradingsignals_server.application.queries import Queries
from tradingsignals_server.domain.errors import TooManyBacktests
from tradingsignals_server.domain.intervals import default_interval
from tradingsignals_server.transport.certificates import Certificates
from tradingsignals_server.transport.fanout.server import FanoutServer
from tradingsignals_server.transport.grpc.server import RunningServer, running_server
from tradingsignals_server.transport.grpc.status import CallRules
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.methods import Method

METADATA = (("x-epoch", "00000000-0000-0000-0000-000000000004"),)
STALL_SECONDS = 60.0
RULES = CallRules(status_of, is_routine)


class _Absent:
    """A servicer whose methods are not called."""

    def __getattr__(self, name: str) -> Any:
        async def absent(_: Any) -> Any:
            raise AssertionError(f"{name} was called")

        return absent


@dataclass
class Sides:
    """The same log on two ports."""

    log: Log
    aio: int
    fanout: int
    server: FanoutServer


class Endless:
    """A servicer whose calls never return; `cancelled` counts those that were cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = 0

    async def get_model_info(self, _: Any) -> Any:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1

    async def reload_model(self, _: Any) -> Any:
        raise AssertionError("it is not called")


def servicers(log: Log) -> dict[str, object]:
    """Servicers of streams and lists; calls of ModelService never return, and all others are defects."""
    nothing, queries = cast(Any, None), Queries(log.store, log.log_tail, MemoryOutcomes())
    signals = SignalServicer(nothing, queries, nothing, nothing, nothing, nothing, nothing)
    positions = PositionServicer(nothing, queries, nothing, nothing)
    public: dict[str, object] = {
        **{name: _Absent() for name in SERVICES},
        "SignalService": signals,
        "PositionService": positions,
        "ModelService": Endless(),
    }
    written = json_servicer(public)
    return public | {"JsonService": written, "JsonBodyService": json_body_servicer(written)}


async def _no_backtest(_: BacktestOrder) -> RunningBacktest:
    raise TooManyBacktests(0)


BACKTESTS = BacktestServicer(_no_backtest, default_interval).methods()
"""The streams that are computed, of a service that runs none."""


def methods(log: Log, stall_seconds: float = STALL_SECONDS) -> dict[str, Method]:
    """All methods of the contract."""
    return all_methods(servicers(log), Followers(log.log_tail, stall_seconds), BACKTESTS)


@asynccontextmanager
async def fanout_server(
    log: Log,
    stall_seconds: float = STALL_SECONDS,
    limits: Limits | None = None,
    certificates: Certificates | None = None,
) -> AsyncIterator[FanoutServer]:
    """The HTTP/2 server alone."""
    table = methods(log, stall_seconds)
    subscribe = log.log_tail.subscribe
    server = FanoutServer(table, RULES, subscribe, METADATA, limits, certificates=certificates)
    async with server.running("127.0.0.1", 0):
        try:
            yield server
        finally:
            log.log_tail.stop()


@asynccontextmanager
async def aio_server(
    log: Log, stall_seconds: float = STALL_SECONDS, certificates: Certificates | None = None
) -> AsyncIterator[RunningServer]:
    """The server on grpc.aio alone."""
    names = [service.full_name for service in SERVICES.values()]
    table = methods(log, stall_seconds)
    subscribe = log.log_tail.subscribe
    async with running_server(
        "127.0.0.1", 0, table, RULES, subscribe, names, METADATA, certificates=certificates
    ) as server:
        yield server


@asynccontextmanager
async def both(
    log: Log, stall_seconds: float = STALL_SECONDS, certificates: Certificates | None = None
) -> AsyncIterator[Sides]:
    """Both servers."""
    async with (
        aio_server(log, stall_seconds, certificates) as aio,
        fanout_server(log, stall_seconds, certificates=certificates) as server,
    ):
        yield Sides(log, aio.port, server.port, server)


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    """Both servers on a log of 200 entries."""
    async with both(await Log.with_entries(200)) as found:
        yield found


async def followers(server: FanoutServer, count: int) -> None:
    """Wait until there are `count` followers."""
    async with asyncio.timeout(DEADLINE):
        while server.streams != count:
            await poll()
