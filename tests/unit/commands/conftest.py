"""A real gRPC server that a test scripts: it stores bars and sends events."""

# ruff: noqa: N802 (methods and arguments have the names of the contract)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from rich.console import Console

from tradingsignals.v1 import event_service_pb2 as events
from tradingsignals.v1 import event_service_pb2_grpc, market_data_service_pb2_grpc, system_service_pb2_grpc
from tradingsignals.v1 import market_data_service_pb2 as market_data
from tradingsignals.v1 import system_service_pb2 as system
from tradingsignals.v1.bar_pb2 import Bar

Ending = Callable[[Any], Any]


@dataclass
class Script:
    """Behavior of the scripted service, and a record of its calls."""

    port: int = 0
    feed: str = "push"
    epoch: str = "of-the-test"
    """Epoch in streams and the service info; "" omits it."""
    through_sequence: int = 0
    simulated: tuple[str, ...] = ()
    intervals: dict[str, str] = field(default_factory=dict)
    """Interval of the bars by symbol, "*" last; an older service does not say."""
    refused_closes: frozenset[float] = frozenset()
    late_before: int = 0
    """Bars that open before this time, in seconds since 1970, are stored as late."""
    stored: dict[tuple[str, int], Bar] = field(default_factory=dict)
    publishing: list[Ending] = field(default_factory=list)
    """How the next PublishBars calls fail after their bars are stored."""
    publishes: list[list[int]] = field(default_factory=list)
    """For every PublishBars call, the number of bars in each message."""
    streams: list[tuple[list[events.StreamEventsResponse], Ending]] = field(default_factory=list)
    """Messages and end of the next StreamEvents calls; a further call gets no messages."""
    followed: list[events.StreamEventsRequest] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a follower has got all messages."""

    server: Any = None

    @property
    def address(self) -> str:
        """Host and port of the service."""
        return f"127.0.0.1:{self.port}"

    @staticmethod
    def broken(
        code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE,
        reason: str = "",
        message: str = "it broke",
        **metadata: str,
    ) -> Ending:
        """Return an end with this status; without a reason it has the form of an error of a proxy."""

        async def end(context: Any) -> None:
            if not reason:
                await context.abort(code, message)
            status = Status(code=code.value[0], message=message)
            status.details.add().Pack(ErrorInfo(reason=reason, domain="tradingsignals", metadata=metadata))
            await context.abort_with_status(rpc_status.to_status(status))

        return end

    @staticmethod
    async def fine(context: Any) -> None:
        """End a stream without an error."""


class Service(
    system_service_pb2_grpc.SystemServiceServicer,
    market_data_service_pb2_grpc.MarketDataServiceServicer,
    event_service_pb2_grpc.EventServiceServicer,
):
    """The scripted service."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def GetServiceInfo(self, request: Any, context: Any) -> Any:
        script = self._script
        return system.GetServiceInfoResponse(
            feed=script.feed,
            through_sequence=script.through_sequence,
            epoch=script.epoch,
            bar_intervals=[system.BarInterval(symbol=name, interval=each) for name, each in script.intervals.items()],
        )

    async def GetHealth(self, request: Any, context: Any) -> Any:
        symbols = [system.SymbolHealth(symbol=symbol) for symbol in self._script.simulated]
        return system.GetHealthResponse(status="healthy", symbols=symbols)

    async def PublishBar(self, request: Any, context: Any) -> Any:
        raise AssertionError("bars must be published in lists")

    async def PublishBars(self, request_iterator: Any, context: Any) -> Any:
        script, response = self._script, market_data.PublishBarsResponse()
        sizes: list[int] = []
        script.publishes.append(sizes)
        async for request in request_iterator:
            sizes.append(len(request.bars))
            for bar in request.bars:
                self._take(bar, response)
        if script.publishing:
            await script.publishing.pop(0)(context)
        return response

    def _take(self, bar: Bar, response: market_data.PublishBarsResponse) -> None:
        key = (bar.symbol, bar.time.seconds)
        if bar.close in self._script.refused_closes:
            response.rejections.add(
                index=response.received, symbol=bar.symbol, time=bar.time, reason="BAR_CONFLICT", message="it differs"
            )
            response.rejected += 1
        elif key in self._script.stored:
            response.duplicates += 1
        else:
            self._script.stored[key] = bar
            is_late = bar.time.seconds < self._script.late_before
            response.late += is_late
            response.accepted += not is_late
        response.received += 1

    async def ListBars(self, request: Any, context: Any) -> Any:
        bars = [bar for (symbol, _), bar in self._script.stored.items() if symbol == request.symbol]
        newest = max(bars, key=lambda bar: bar.time.seconds, default=None)
        return market_data.ListBarsResponse(bars=[] if newest is None else [newest])

    async def ListSymbols(self, request: Any, context: Any) -> Any:
        return market_data.ListSymbolsResponse()

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[events.StreamEventsResponse]:
        script = self._script
        script.followed.append(request)
        messages, end = script.streams.pop(0) if script.streams else ([], None)
        await context.send_initial_metadata((("x-epoch", script.epoch),) if script.epoch else ())
        for message in messages:
            yield message
        if end is not None:
            await end(context)
        script.idle.set()
        await asyncio.Event().wait()


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service: Any = Service(script)
    system_service_pb2_grpc.add_SystemServiceServicer_to_server(service, server)
    market_data_service_pb2_grpc.add_MarketDataServiceServicer_to_server(service, server)
    event_service_pb2_grpc.add_EventServiceServicer_to_server(service, server)
    script.port = server.add_insecure_port("127.0.0.1:0")
    script.server = server
    await server.start()
    yield script
    await server.stop(None)


@dataclass
class FakeTime:
    """A clock that sleeping advances at once."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


class WatchedFile(StringIO):
    """A file on which a test can await that a text has been written a number of times."""

    def __init__(self) -> None:
        super().__init__()
        self._awaited: tuple[str, int, asyncio.Event] | None = None

    def write(self, text: str) -> int:
        written = super().write(text)
        self._notify()
        return written

    async def wait_for(self, text: str, times: int) -> None:
        """Wait until the file contains `text` that many times."""
        self._awaited = (text, times, asyncio.Event())
        self._notify()
        await self._awaited[2].wait()

    def _notify(self) -> None:
        if self._awaited is not None and self.getvalue().count(self._awaited[0]) >= self._awaited[1]:
            self._awaited[2].set()


class Screen:
    """Output without a terminal, or on a terminal of `width`."""

    def __init__(self, width: int | None = None) -> None:
        self._file = WatchedFile()
        if width is None:
            self.console = Console(file=self._file, width=80)
        else:
            self.console = Console(file=self._file, width=width, force_terminal=True, color_system="standard")

    @property
    def text(self) -> str:
        """The whole output."""
        return self._file.getvalue()

    async def shows(self, text: str, times: int = 1) -> None:
        """Wait until the output contains `text` that many times."""
        await self._file.wait_for(text, times)

    @property
    def lines(self) -> list[str]:
        """The lines of the output."""
        return [line.rstrip() for line in self.text.splitlines()]


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def terminal() -> Callable[[int], Screen]:
    return Screen
