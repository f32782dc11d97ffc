"""One event to many followers: a steady four events a second to 1,000 followers, until the last of them has it.

Measured: from the call that publishes an event until the last of 1,000 followers has received it, p50 and p99 over the
events of all runs; beside it, as `each p50` and `each p99`, until any one follower has it. Ours are bars, decided
and committed in between, and followed directly from the server and through Envoy, as in `fanout`; the older design
makes its signal in memory.

How: events are published on time, whether or not the one before was received; the sides are measured in turn. The
followers' process reads a thousand small responses for each event, which is included for both sides: the floor that
`stream_generator` measures is that time with a server that only writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from statistics import median

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .load import Delivery, Way, following, p50_p99, to_each, to_the_last
from .measure import Effort, Figure, at_most, in_turn, ratio
from .service import running_database, running_peer, running_service
from .streams import OLDER, SYMBOL, Publisher, peer_steadily, publishing, straight, through_envoy, websocket

FOLLOWERS = 1000
PER_SECOND = 4.0
SECONDS = 8.0
"""Duration of a full run, in seconds."""

Published = Delivery[list[float]]


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    events = max(4, round(PER_SECOND * effort.lasting(SECONDS)))
    async with (
        running_database() as database,
        running_service(database) as service,
        running_peer(database, effort.peer_python) as peer,
        publishing(service.grpc_port) as publisher,
    ):
        ways = [*straight(service), *through_envoy(service)]
        bars = iter(simulated_bars(SYMBOL, WARMING_BARS + len(ways) * effort.runs * events))
        await service.publish(list(islice(bars, WARMING_BARS)))
        sides = {way.name: partial(_ours, way, events, bars, publisher) for way in ways}
        if peer is not None:
            sides[OLDER] = partial(_theirs, peer.port, events)
        runs = await in_turn(effort.runs, sides)
    p99s = {}
    for name, deliveries in runs.items():
        last = [p50_p99(to_the_last(delivery)) for delivery in deliveries]
        each = [p50_p99(to_each(delivery)) for delivery in deliveries]
        p99s[name] = [p99 for _, p99 in last]
        besides = {
            "each p50": median(p50 for p50, _ in each),
            "each p99": median(p99 for _, p99 in each),
            "generator busy": median(delivery.busy for delivery in deliveries),
        }
        what = f"one event to the last of {FOLLOWERS:,} by {name}"
        yield Figure(f"{what}, p50", "ms", [p50 for p50, _ in last])
        yield Figure(f"{what}, p99", "ms", p99s[name], besides=besides)
    if peer is not None:
        for way in ways:
            what = f"one event to {FOLLOWERS:,}, p99: {way.name} to the older design"
            yield ratio(what, p99s[way.name], p99s[OLDER], at_most(1.0))


async def _ours(way: Way, events: int, bars: Iterator[Bar], publisher: Publisher) -> Published:
    async with following(way, FOLLOWERS) as followers:
        publish = publisher.steadily(list(islice(bars, events)), PER_SECOND)
        return await followers.receive(events, publish, each=True)


async def _theirs(peer: int, events: int) -> Published:
    async with following(websocket(peer), FOLLOWERS) as followers:
        return await followers.receive(events, peer_steadily(peer, events, PER_SECOND), each=True)
