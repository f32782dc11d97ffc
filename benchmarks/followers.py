"""Concurrent followers: their number, the time to subscribe, and the memory of each.

Measured: the server's resident memory before and after the followers have subscribed to its signals, divided by
their number, when each has received a burst of signals: 10,000 by gRPC on shared connections (100 each) and 1,000
on a connection each, directly from the server; 1,000 through Envoy by gRPC-Web and by server-sent events, with Envoy's
own memory for each; and 1,000 WebSockets of the older design. `subscribed in s` is the time until the last one was
subscribed.

How: a new service process for each case, so that memory that one case left allocated is not counted for the next.
docs/performance.md lists the limits for many followers and how to raise them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .load import Way, following
from .measure import Effort, Figure, at_least, at_most
from .processes import child_of, rss_mib
from .service import Database, Service, running_database, running_peers, running_service
from .streams import SYMBOL, direct, peer_burst, publishing, through_envoy, websocket

FOLLOWERS = 10_000
A_CONNECTION_EACH = 1000
BURST = 50
SERVICES = 4
KIB = 1024.0


@dataclass(frozen=True, slots=True)
class _Grown:
    """Memory that each follower took, in KiB by process, and the seconds until all were subscribed."""

    kib_each: list[float]
    seconds: float


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    bars = iter(simulated_bars(SYMBOL, SERVICES * (WARMING_BARS + 2 * BURST)))
    async with running_database() as database:
        async with _warm(database, effort.service_python, bars) as (service, burst):
            grown = await _grown(direct(service), FOLLOWERS, burst, service.pid)
        yield Figure("followers at once on one server process by gRPC", "followers", [FOLLOWERS], at_least(FOLLOWERS))
        yield _memory(f"{FOLLOWERS:,} by gRPC, shared connections: server", grown, bounded=True)
        for number in range(3):
            async with _warm(database, effort.service_python, bars) as (service, burst):
                web, sse = through_envoy(service)[1:]
                way = (direct(service, streams_per_connection=1), web, sse)[number]
                envoy = child_of(service.pid, "envoy")
                grown = await _grown(way, A_CONNECTION_EACH, burst, service.pid, envoy)
            yield _memory(f"{A_CONNECTION_EACH:,} by {way.name}: server", grown, bounded=number == 0)
            if number:
                yield _memory(f"{A_CONNECTION_EACH:,} by {way.name}: Envoy", grown, process=1)
        async with running_peers(database, effort.peer_python) as peers:
            for name, peer in peers.items():
                grown = await _grown(websocket(peer), A_CONNECTION_EACH, peer_burst(peer, BURST), peer.pid)
                yield _memory(f"{A_CONNECTION_EACH:,} by WebSocket, {name}", grown)


@asynccontextmanager
async def _warm(
    database: Database, python: Path, bars: Iterator[Bar]
) -> AsyncIterator[tuple[Service, Callable[[], Awaitable[None]]]]:
    """A new service that has streamed once, and the function that publishes a burst of signals."""
    async with running_service(database, python) as service, publishing(service.grpc_port) as publisher:
        await service.publish(list(islice(bars, WARMING_BARS)))
        async with following(direct(service), 10) as few:
            await few.receive(BURST, publisher.burst(list(islice(bars, BURST))))
        yield service, publisher.burst(list(islice(bars, BURST)))


async def _grown(way: Way, followers: int, burst: Callable[[], Awaitable[None]], *processes: int) -> _Grown:
    before = [rss_mib(pid) for pid in processes]
    started = perf_counter()
    async with following(way, followers) as subscribed:
        seconds = perf_counter() - started
        await subscribed.receive(BURST, burst)
        kib_each = [(rss_mib(pid) - mib) * KIB / followers for pid, mib in zip(processes, before, strict=True)]
    return _Grown(kib_each, seconds)


def _memory(what: str, grown: _Grown, *, process: int = 0, bounded: bool = False) -> Figure:
    return Figure(
        what,
        "KiB each",
        [grown.kib_each[process]],
        at_most(45.0) if bounded else None,
        besides={"subscribed in s": grown.seconds},
    )
