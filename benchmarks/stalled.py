"""The effect of a hundred stalled followers on a thousand that read.

Measured: the time from publishing a bar until each of 1,000 healthy followers has its signal, p99 over all of them and
to the last of them, at a steady four bars a second; alone, and with 100 stalled followers, 50 directly at
the server and 50 through Envoy (25 by gRPC, 25 by server-sent events). A stalled follower subscribes on a connection of
its own and never reads again. Before the measurement 2,000 signals are sent, some 900 kB for each follower, so that
the buffers in between are full and flow control blocks the server. The ratio is of neighbouring runs, with and without.
The server's memory is the highest value with the stalled followers, and the value before.

How: as in `isolated`, healthy followers directly at the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .load import Delivery, Way, following, p50_p99, to_each, to_the_last
from .measure import Effort, Figure, at_most, in_turn, ratio
from .processes import rss_mib, watched_rss
from .service import Service, running_database, running_service
from .streams import SYMBOL, Publisher, direct, publishing, through_envoy

HEALTHY = 1000
STALLED_DIRECT, STALLED_BY_ENVOY = 50, 25
FILLING = 2000
PER_SECOND = 4.0
SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class _Steady:
    delivery: Delivery[list[float]]
    before_mib: float
    highest_mib: float


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    events = max(4, round(PER_SECOND * effort.lasting(SECONDS)))
    async with (
        running_database() as database,
        running_service(database, effort.service_python) as service,
        publishing(service.grpc_port) as publisher,
    ):
        bars = iter(simulated_bars(SYMBOL, WARMING_BARS + effort.runs * 2 * (FILLING + events)))
        await service.publish(list(islice(bars, WARMING_BARS)))
        measured = _Measured(service, publisher, bars, events)
        runs = await in_turn(effort, {"alone": measured.alone, "beside": measured.beside_stalled})
    figures = {}
    for side, name in (("alone", "alone"), ("beside", "beside 100 stalled ones")):
        each = [p50_p99(to_each(steady.delivery)) for steady in runs[side]]
        last = [p50_p99(to_the_last(steady.delivery)) for steady in runs[side]]
        figures[side] = [p99 for _, p99 in each]
        yield Figure(
            f"{HEALTHY:,} healthy followers {name}, p99",
            "ms",
            figures[side],
            besides={
                "p50": median(p50 for p50, _ in each),
                "to the last p50": median(p50 for p50, _ in last),
                "to the last p99": median(p99 for _, p99 in last),
                "generator busy": median(steady.delivery.busy for steady in runs[side]),
            },
        )
    yield ratio("p99 beside 100 stalled followers to alone", figures["beside"], figures["alone"], at_most(1.2))
    for side in ("alone", "beside"):
        yield Figure(
            f"server memory, {side}",
            "MiB",
            [steady.highest_mib for steady in runs[side]],
            besides={"before MiB": median(steady.before_mib for steady in runs[side])},
        )


class _Measured:
    """Healthy followers at a steady pace."""

    def __init__(self, service: Service, publisher: Publisher, bars: Iterator[Bar], events: int) -> None:
        self._service = service
        self._publisher = publisher
        self._bars = bars
        self._events = events

    async def alone(self) -> _Steady:
        """Measure without other followers."""
        return await self._steady(())

    async def beside_stalled(self) -> _Steady:
        """Measure beside followers that have stopped reading."""
        by_grpc, _, by_sse = through_envoy(self._service)
        return await self._steady(
            (
                (direct(self._service, streams_per_connection=1), STALLED_DIRECT),
                (replace(by_grpc, streams_per_connection=1), STALLED_BY_ENVOY),
                (by_sse, STALLED_BY_ENVOY),
            )
        )

    async def _steady(self, stalled: Sequence[tuple[Way, int]]) -> _Steady:
        before = rss_mib(self._service.pid)
        async with AsyncExitStack() as stack:
            for way, followers in stalled:
                await stack.enter_async_context(following(way, followers, stalled=True))
            await self._publisher.burst(list(islice(self._bars, FILLING)))()
            healthy = await stack.enter_async_context(following(direct(self._service), HEALTHY))
            seen = await stack.enter_async_context(watched_rss(self._service.pid))
            publish = self._publisher.steadily(list(islice(self._bars, self._events)), PER_SECOND)
            delivery = await healthy.receive(self._events, publish, each=True)
        return _Steady(delivery, before, max(seen))
