"""Bursts: events delivered a second to 100, 1,000 and 10,000 followers, compared with the older design.

Measured: a burst of signals (200 to 100 followers, 100 to 1,000, 20 to 10,000), from the call that starts it until the
last follower has the last of them; the figure is signals times followers over that time, and beside it the processor
time for a thousand of those events. Ours are published as bars, decided by an LSTM of 128, committed, and followed by
gRPC directly from the server (100 streams a connection, or a connection each), and for up to 1,000 followers through
Envoy by gRPC (100 streams a connection), gRPC-Web and server-sent events (a connection each). The older design (peer/)
makes as many signals, in memory or with a commit for each, and sends them by WebSocket. A message of either contains
about the same: a signal, some 450 bytes of protobuf or 1,000 of JSON.

How: the followers of all are subscribed, and bursts are sent by one and the other in turn. The followers are a process
each (load/follow.py) that counts events frame by frame; `generator busy` is its share of a core, and
`stream_generator` measures its limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice
from statistics import median

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .cpu import Metered, cpu_figures, metered
from .load import Delivery, Followers, following
from .measure import Effort, Figure, Older, at_least, in_turn
from .service import DURABLE, VOLATILE, Peer, Service, running_database, running_peers, running_service
from .streams import SYMBOL, Publisher, direct, peer_burst, publishing, straight, through_envoy, websocket

BURSTS = {100: 200, 1000: 100, 10_000: 20}
"""Signals in a burst, by followers."""
MOST_THROUGH_ENVOY = 1000
WAYS = 6

Burst = Metered[Delivery[None]]


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with (
        running_database() as database,
        running_service(database, effort.service_python) as service,
        running_peers(database, effort.peer_python) as peers,
        publishing(service.grpc_port) as publisher,
    ):
        bars = iter(simulated_bars(SYMBOL, WARMING_BARS + WAYS * effort.runs * sum(BURSTS.values())))
        await service.publish(list(islice(bars, WARMING_BARS)))
        for followers in BURSTS:
            for figure in await _bursts(effort, followers, bars, publisher, service, peers):
                yield figure


async def _bursts(
    effort: Effort,
    followers: int,
    bars: Iterator[Bar],
    publisher: Publisher,
    service: Service,
    peers: Mapping[str, Peer],
) -> list[Figure]:
    """Bursts to `followers` followers by each way of following."""
    signals = BURSTS[followers]
    figures: list[Figure] = []
    ways = [direct(service)]
    if followers <= MOST_THROUGH_ENVOY:
        ways = [*straight(service), *through_envoy(service)]
    async with AsyncExitStack() as stack:
        sides: dict[str, Callable[[], Awaitable[Burst]]] = {}
        for name, peer in peers.items():
            if followers > MOST_THROUGH_ENVOY and name == DURABLE:
                continue  # the commits of a burst that small say nothing, and subscribing takes half a minute
            theirs = await stack.enter_async_context(following(websocket(peer), followers))
            burst = partial(theirs.receive, signals, peer_burst(peer, signals))
            sides[name] = partial(metered, peer.processes, burst)
        for way in ways:
            async with following(way, followers) as ours:
                burst = partial(_burst, ours, signals, bars, publisher)
                sides["ours"] = partial(metered, service.processes, burst)
                runs = await in_turn(effort, sides)
            figures += _figures(f"burst to {followers:,} by {way.name}", runs, with_target=followers == 1000)
    return figures


async def _burst(followers: Followers, signals: int, bars: Iterator[Bar], publisher: Publisher) -> Delivery[None]:
    return await followers.receive(signals, publisher.burst(list(islice(bars, signals))))


def _figures(what: str, runs: Mapping[str, Sequence[Burst]], *, with_target: bool) -> Iterator[Figure]:
    """The figures of ours, with those of the older design beside them."""
    target = at_least(8.0) if with_target else None
    older = {
        name: Older([burst.result.per_second for burst in theirs], target if name == VOLATILE else None)
        for name, theirs in runs.items()
        if name != "ours"
    }
    busy = median(burst.result.busy for burst in runs["ours"])
    rates = [burst.result.per_second for burst in runs["ours"]]
    yield Figure(what, "events/s", rates, besides={"generator busy": busy}, older=older)
    cpu = {
        name: [(burst.cpu_seconds, burst.result.events * burst.result.followers / 1000) for burst in bursts]
        for name, bursts in runs.items()
    }
    yield from cpu_figures(f"{what}, server CPU for 1,000 events", cpu.pop("ours"), cpu)
