"""Bursts: events delivered a second to 100, 1,000 and 10,000 followers, compared with the older design's broadcast.

Measured: a burst of signals (200 to 100 followers, 100 to 1,000, 20 to 10,000), from the call that starts it until
the last follower has the last of them; the figure is signals times followers over that time. Ours are published as
bars, decided by an LSTM of 128, committed, and followed by gRPC directly from the server (100 streams a connection,
or a connection each), and for up to 1,000 followers through Envoy by gRPC (100 streams a connection), gRPC-Web and
server-sent events (a connection each). The older design (peer/) makes as many signals in memory and sends them by
WebSocket. A message of either contains about the same: a signal, some 450 bytes of protobuf or 1,000 of JSON.

How: the followers of both are subscribed, and bursts are sent by one and the other in turn. The followers are a process
each (load/follow.py) that counts events frame by frame; `generator busy` is its share of a core, and
`stream_generator` measures its limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .load import Delivery, Followers, Way, following
from .measure import Effort, Figure, at_least, in_turn, ratio
from .service import Peer, Service, running_database, running_peer, running_service
from .streams import OLDER, SYMBOL, Publisher, direct, peer_burst, publishing, straight, through_envoy, websocket

BURSTS = {100: 200, 1000: 100, 10_000: 20}
"""Signals in a burst, by followers."""
MOST_THROUGH_ENVOY = 1000
WAYS = 6


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with (
        running_database() as database,
        running_service(database) as service,
        running_peer(database, effort.peer_python) as peer,
        publishing(service.grpc_port) as publisher,
    ):
        bars = iter(simulated_bars(SYMBOL, WARMING_BARS + WAYS * effort.runs * sum(BURSTS.values())))
        await service.publish(list(islice(bars, WARMING_BARS)))
        for followers in BURSTS:
            for figure in await _bursts(effort, followers, bars, publisher, service, peer):
                yield figure


async def _bursts(
    effort: Effort, followers: int, bars: Iterator[Bar], publisher: Publisher, service: Service, peer: Peer | None
) -> list[Figure]:
    """Bursts to `followers` followers by each way of following."""
    signals = BURSTS[followers]
    figures: list[Figure] = []
    ways = [direct(service)]
    if followers <= MOST_THROUGH_ENVOY:
        ways = [*straight(service), *through_envoy(service)]
    async with AsyncExitStack() as stack:
        theirs = None
        if peer is not None:
            theirs = await stack.enter_async_context(following(websocket(peer.port), followers))
        for way in ways:
            async with following(way, followers) as ours:
                sides = {"ours": partial(_burst, ours, signals, bars, publisher)}
                if peer is not None and theirs is not None:
                    sides["theirs"] = partial(theirs.receive, signals, peer_burst(peer.port, signals))
                deliveries = await in_turn(effort.runs, sides)
            figures += _figures(way, followers, deliveries, first=way is ways[0])
    return figures


async def _burst(followers: Followers, signals: int, bars: Iterator[Bar], publisher: Publisher) -> Delivery[None]:
    return await followers.receive(signals, publisher.burst(list(islice(bars, signals))))


def _figures(
    way: Way, followers: int, deliveries: Mapping[str, Sequence[Delivery[Any]]], *, first: bool
) -> Iterator[Figure]:
    """The figures of ours, those of theirs if this is the first time, and the ratio."""
    names = {"ours": way.name, "theirs": OLDER}
    for side, runs in deliveries.items():
        if side == "ours" or first:
            busy = median(run.busy for run in runs)
            yield Figure(
                f"burst to {followers:,} by {names[side]}",
                "events/s",
                [run.per_second for run in runs],
                besides={"generator busy": busy},
            )
    if "theirs" in deliveries:
        rates = {side: [run.per_second for run in runs] for side, runs in deliveries.items()}
        target = at_least(8.0) if followers == 1000 and first else None
        what = f"burst to {followers:,}: {way.name} to the older design"
        yield ratio(what, rates["ours"], rates["theirs"], target)
