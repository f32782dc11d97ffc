"""Latency from a published bar to its received signal, with the commit in between.

Measured: one symbol, one bar at a time, the next one when the signal of the last has been received; the time from the
call that publishes the bar until a follower on another connection has received its signal, p50 and p99, and the
processor time of a bar. A bar is published by PublishBar or as a message of one PublishBars stream, directly to the
server; its signal is received from StreamSignals by gRPC, directly from the server, or as a server-sent event through
Envoy.

How: publisher and follower are the published Python client (for server-sent events a plain socket), in one process
other than the server, so both times are of one clock. The client's own time, some 0.3 ms, is included: it is what a
Python program sees. With one bar in flight the client cannot be the bottleneck.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any

import tradingsignals
from tradingsignals import AsyncClient
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .cpu import cpu_figures, metered
from .measure import Effort, Figure, at_most, in_turn, percentile
from .service import Service, running_database, running_service

BARS = 1500
SYMBOL = "USDCOP"

Publish = Callable[[Bar], Awaitable[Any]]
BarTimes = AsyncIterator[datetime]
"""The bar times of the signals that a follower receives, one after the other."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    count = effort.bars(BARS)
    bars = iter(simulated_bars(SYMBOL, WARMING_BARS + 3 * effort.runs * count))
    async with running_database() as database, running_service(database, effort.service_python) as service:
        await service.publish(list(islice(bars, WARMING_BARS)))
        async with (
            tradingsignals.connect(f"127.0.0.1:{service.grpc_port}") as client,
            tradingsignals.connect(f"127.0.0.1:{service.grpc_port}") as follower,
            _publish_bars(client) as write,
        ):
            by_grpc, by_sse = partial(_signals_by_grpc, follower), partial(_signals_by_sse, service)
            one_by_one = partial(_one_by_one, bars, count)
            ways = {
                "PublishBar to StreamSignals by gRPC": partial(one_by_one, _publish_bar(client), by_grpc),
                "PublishBars to StreamSignals by gRPC": partial(one_by_one, write, by_grpc),
                "PublishBar to server-sent event": partial(one_by_one, _publish_bar(client), by_sse),
            }
            sides = {way: partial(metered, service.processes, measured) for way, measured in ways.items()}
            runs = await in_turn(effort, sides)
    for way in ways:
        p50, p99 = ([percentile(run.result, percent) for run in runs[way]] for percent in (50, 99))
        yield Figure(f"{way}, p50", "ms", p50, at_most(2.0))
        yield Figure(f"{way}, p99", "ms", p99, at_most(6.0))
        for figure in cpu_figures(f"{way}, server CPU a bar", [(run.cpu_seconds, count) for run in runs[way]]):
            yield figure


async def _one_by_one(bars: Iterator[Bar], count: int, publish: Publish, followed: Callable[[], Any]) -> list[float]:
    """Publish the next `count` bars; return the milliseconds until each signal, in ascending order."""
    latencies = []
    async with followed() as bar_times:
        for bar in islice(bars, count):
            published = perf_counter()
            publishing = asyncio.ensure_future(publish(bar))
            received = await anext(bar_times)
            latencies.append((perf_counter() - published) * 1e3)
            await publishing
            if received != bar.time:
                raise RuntimeError(f"the signal of {bar.time} did not come; that of {received} did")
    return sorted(latencies)


def _publish_bar(client: AsyncClient) -> Publish:
    async def publish(bar: Bar) -> None:
        await client.publish_bar(bar_message(bar))

    return publish


@asynccontextmanager
async def _publish_bars(client: AsyncClient) -> AsyncIterator[Publish]:
    """A stream of bars that stays open between bars."""
    given: asyncio.Queue[Bar | None] = asyncio.Queue(1)

    async def messages() -> AsyncIterator[Any]:
        while (bar := await given.get()) is not None:
            yield bar_message(bar)

    async with asyncio.TaskGroup() as group:
        group.create_task(client.publish_bars(messages(), batch_size=1))
        yield given.put
        await given.put(None)


@asynccontextmanager
async def _signals_by_grpc(client: AsyncClient) -> AsyncIterator[BarTimes]:
    async with client.stream_signals(symbols=[SYMBOL]) as signals:

        async def bar_times() -> BarTimes:
            async for signal in signals:
                yield signal.bar_time.ToDatetime(UTC)

        yield bar_times()


@asynccontextmanager
async def _signals_by_sse(service: Service) -> AsyncIterator[BarTimes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.rest_port)

    async def bar_times() -> BarTimes:
        # Envoy sends each response as one chunk and one line of data.
        while line := await reader.readline():
            if line.startswith(b"data:"):
                for signal in json.loads(line[5:]).get("signals", ()):
                    yield datetime.fromisoformat(signal["bar_time"])

    try:
        writer.write(
            f"GET /api/signals/stream?symbols={SYMBOL} HTTP/1.1\r\nhost: 127.0.0.1:{service.rest_port}\r\n"
            "accept: text/event-stream\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")  # sent when the follower is subscribed
        yield bar_times()
    finally:
        writer.close()
