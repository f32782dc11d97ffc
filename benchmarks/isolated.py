"""One event to many followers: a steady four events a second to 1,000 followers, until the last of them has it.

Measured: from the call that publishes an event until the last of 1,000 followers has received it, p50 and p99 over the
events of all runs; beside it, as `each p50` and `each p99`, until any one follower has it; and the processor time of
an event. Ours are bars, decided and committed in between, and followed directly from the server and through Envoy, as
in `fanout`; the older design makes its signal by POST generate, in memory or with a commit.

How: events are published on time, whether or not the one before was received; the sides are measured in turn. The
followers' process reads a thousand small responses for each event, which is included for all sides: the floor that
`stream_generator` measures is that time with a server that only writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from statistics import median

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .cpu import Cpu, Metered, cpu_figures, metered
from .load import Delivery, Way, following, p50_p99, to_each, to_the_last
from .measure import Effort, Figure, Older, Target, at_most, in_turn
from .service import VOLATILE, Peer, running_database, running_peers, running_service
from .streams import SYMBOL, Publisher, peer_steadily, publishing, straight, through_envoy, websocket

FOLLOWERS = 1000
PER_SECOND = 4.0
SECONDS = 8.0
"""Duration of a full run, in seconds."""

AT_MOST_OF_VOLATILE = {"gRPC-Web through Envoy": 0.8, "SSE through Envoy": 0.8}
"""Targets for the ratio to the volatile older design, by way of following; 1 for others."""

Published = Delivery[list[float]]
Runs = Sequence[Metered[Published]]


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    events = max(4, round(PER_SECOND * effort.lasting(SECONDS)))
    async with (
        running_database() as database,
        running_service(database, effort.service_python) as service,
        running_peers(database, effort.peer_python) as peers,
        publishing(service.grpc_port) as publisher,
    ):
        ways = [*straight(service), *through_envoy(service)]
        bars = iter(simulated_bars(SYMBOL, WARMING_BARS + len(ways) * effort.runs * events))
        await service.publish(list(islice(bars, WARMING_BARS)))
        sides = {
            way.name: partial(metered, service.processes, partial(_ours, way, events, bars, publisher)) for way in ways
        }
        sides |= {
            name: partial(metered, peer.processes, partial(_theirs, peer, events)) for name, peer in peers.items()
        }
        runs = await in_turn(effort, sides)
    for way in ways:
        target = at_most(AT_MOST_OF_VOLATILE.get(way.name, 1.0))
        older = {name: runs[name] for name in peers}
        for figure in _figures(f"one event to the last of {FOLLOWERS:,} by {way.name}", runs[way.name], older, target):
            yield figure


def _figures(what: str, ours: Runs, older: Mapping[str, Runs], target: Target) -> Iterator[Figure]:
    """p50, p99 and processor time; `target` is for the p99 to that of the volatile older design."""
    last, their_last = _percentiles(ours), {name: _percentiles(runs) for name, runs in older.items()}
    each = [p50_p99(to_each(run.result)) for run in ours]
    besides = {
        "each p50": median(p50 for p50, _ in each),
        "each p99": median(p99 for _, p99 in each),
        "generator busy": median(run.result.busy for run in ours),
    }
    p50s = {name: Older([p50 for p50, _ in runs]) for name, runs in their_last.items()}
    p99s = {
        name: Older([p99 for _, p99 in runs], target if name == VOLATILE else None) for name, runs in their_last.items()
    }
    yield Figure(f"{what}, p50", "ms", [p50 for p50, _ in last], older=p50s)
    yield Figure(f"{what}, p99", "ms", [p99 for _, p99 in last], besides=besides, older=p99s)
    yield from cpu_figures(
        f"{what}, server CPU an event", _cpu(ours), {name: _cpu(runs) for name, runs in older.items()}
    )


def _percentiles(runs: Runs) -> list[tuple[float, float]]:
    return [p50_p99(to_the_last(run.result)) for run in runs]


def _cpu(runs: Runs) -> Cpu:
    return [(run.cpu_seconds, run.result.events) for run in runs]


async def _ours(way: Way, events: int, bars: Iterator[Bar], publisher: Publisher) -> Published:
    async with following(way, FOLLOWERS) as followers:
        publish = publisher.steadily(list(islice(bars, events)), PER_SECOND)
        return await followers.receive(events, publish, each=True)


async def _theirs(peer: Peer, events: int) -> Published:
    async with following(websocket(peer), FOLLOWERS) as followers:
        return await followers.receive(events, peer_steadily(peer, events, PER_SECOND), each=True)
