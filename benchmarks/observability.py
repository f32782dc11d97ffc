"""What metrics and traces cost: the same load on services with and without them, side by side.

Measured: processor time and rate of PublishBars (100 symbols, 250 bars a message, by grpc.aio) and of POST generate
through Envoy (16 clients), with neither; with metrics of server and edge, scraped every five seconds; and with metrics
and a trace for a tenth, or for each, of the calls and batches, sent to a collector. Ratios are to neither.

How: four services, each on a PostgreSQL of its own, measured in turn; those that are not measured are idle but for
their scrapes. The collector is in this process and throws the spans away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any

import grpc
import httpx

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, side_by_side, simulated_bars
from .cpu import compared, metered
from .generate import QUOTE, SYMBOL
from .load import rest_load
from .measure import Effort, Figure, at_most, in_turn
from .processes import free_port
from .publish import BARS, SYMBOLS, stream
from .service import Service, running_database, running_service

NEITHER = "neither"
SIDES: Mapping[str, tuple[bool, float | None]] = {
    NEITHER: (False, None),
    "metrics": (True, None),
    "metrics and 10% traced": (True, 0.1),
    "metrics and all traced": (True, 1.0),
}
"""Whether there are metrics, and the share that is traced."""

TARGET = at_most(1.02)

CLIENTS = 16
SCRAPE_SECONDS = 5.0
"""A third of the interval of the configuration that is shipped."""

Measurement = Callable[[], Awaitable[float]]
"""Applies a load, and returns how many bars or calls it was."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(_collector())
        services = {
            name: await stack.enter_async_context(_service(effort, with_metrics, share, collector))
            for name, (with_metrics, share) in SIDES.items()
        }
        for service in services.values():
            await service.publish(simulated_bars(SYMBOL, WARMING_BARS))
        generating = {name: partial(generated, service, effort.seconds) for name, service in services.items()}
        for figure in await _compared(effort, services, "POST generate, 16 clients", generating):
            yield figure
        publishing = {name: partial(_publish, service, iter(_shares(effort))) for name, service in services.items()}
        for service in services.values():
            await service.publish(side_by_side(SYMBOLS, WARMING_BARS))
        for figure in await _compared(effort, services, "PublishBars, 100 symbols", publishing):
            yield figure


async def _compared(
    effort: Effort, services: Mapping[str, Service], what: str, loads: Mapping[str, Measurement]
) -> list[Figure]:
    sides = {name: partial(metered, services[name].processes, load) for name, load in loads.items()}
    runs = await in_turn(effort, sides)
    cpu = {name: [(one.cpu_seconds, one.result) for one in of_side] for name, of_side in runs.items()}
    return compared(what, cpu, NEITHER, TARGET)


async def generated(service: Service, seconds: float) -> float:
    """Generate signals through Envoy for a time; return how many calls it were."""
    return (await rest_load(service.rest_port, "POST /api/signals/generate", CLIENTS, seconds, json.dumps(QUOTE))).sent


async def _publish(service: Service, shares: Iterator[Sequence[Bar]]) -> float:
    bars = next(shares)
    await stream(service, bars)
    return len(bars)


def _shares(effort: Effort) -> Iterator[Sequence[Bar]]:
    each = effort.bars(BARS) // len(SYMBOLS)
    bars = iter(side_by_side(SYMBOLS, WARMING_BARS + effort.runs * each)[WARMING_BARS * len(SYMBOLS) :])
    for _ in range(effort.runs):
        yield list(islice(bars, each * len(SYMBOLS)))


@asynccontextmanager
async def _service(effort: Effort, with_metrics: bool, share: float | None, collector: int) -> AsyncIterator[Service]:
    ports = [free_port(), free_port()] if with_metrics else [0, 0]
    settings = {"METRICS_PORT": str(ports[0]), "EDGE_METRICS_PORT": str(ports[1])}
    if share is not None:
        settings |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}",
            "OTEL_TRACES_SAMPLER_ARG": str(share),
        }
    async with (
        running_database() as database,
        running_service(database, effort.service_python, settings=settings) as service,
    ):
        urls = [f"http://127.0.0.1:{ports[0]}/metrics", f"http://127.0.0.1:{ports[1]}/stats/prometheus"]
        scraping = asyncio.create_task(_scrape(urls if with_metrics else []))
        try:
            yield service
        finally:
            scraping.cancel()
            with suppress(asyncio.CancelledError):
                await scraping


async def _scrape(urls: Sequence[str]) -> None:
    async with httpx.AsyncClient(timeout=30.0) as caller:
        while urls:
            for url in urls:
                (await caller.get(url)).raise_for_status()
            await asyncio.sleep(SCRAPE_SECONDS)


@asynccontextmanager
async def _collector() -> AsyncIterator[int]:
    """Run a collector that throws away what it gets; give its port."""

    async def export(_: bytes, __: object) -> bytes:
        return b""

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic for the checker only
        def service(self, _: grpc.HandlerCallDetails) -> Any:
            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
