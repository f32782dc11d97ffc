"""Two servers compared with one, on one PostgreSQL behind one Envoy, on the cores of one machine.

Measured, with `up` and with `up --servers 2`, all of it through Envoy, which balances the calls: bars a second by
PublishBars of 100 symbols from four publishers, to the commit; calls a second of GenerateSignal by gRPC, 64 clients
over 100 symbols; events a second of a burst to 1,000 followers by gRPC; and the p99 of one event to the last of them.

How: as in `publish`, `durable`, `fanout` and `isolated`. Both run one after the other, each on a new database.
On two cores the second server shares with Envoy, PostgreSQL and the load generator what the first leaves free.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from itertools import islice
from pathlib import Path

from .bars import WARMING_BARS, side_by_side, simulated_bars
from .durable import GENERATE_METHOD, SYMBOLS, generate_messages, published_at_once
from .load import following, grpc_load, p50_p99, to_the_last
from .measure import Effort, Figure, in_turn, ratio
from .service import CLI, running_database, running_service
from .streams import SYMBOL, publishing, through_envoy

FOLLOWERS = 1000
BURST = 100
EVENTS = 16
PER_SECOND = 4.0
BARS_EACH = 100
PUBLISHERS = 4
CLIENTS = 64

Outcome = dict[str, float]


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    if not _has_servers(effort.service_python):
        print("`tradingsignals up` has no --servers here: left out.", file=sys.stderr, flush=True)
        return
    runs = await in_turn(effort, {"1": partial(_measured, effort, 1), "2": partial(_measured, effort, 2)})
    for what, unit in (
        ("PublishBars, 100 symbols", "bars/s"),
        (f"GenerateSignal, {CLIENTS} clients, 100 symbols", "calls/s"),
        (f"burst to {FOLLOWERS:,} by gRPC", "events/s"),
        (f"one event to the last of {FOLLOWERS:,}, p99", "ms"),
    ):
        one, two = ([outcome[what] for outcome in runs[servers]] for servers in ("1", "2"))
        yield Figure(f"{what}, one server", unit, one)
        yield Figure(f"{what}, two servers", unit, two)
        yield ratio(f"{what}: two servers to one", two, one)


def _has_servers(python: Path) -> bool:
    found = subprocess.run([python, *CLI, "up", "--help"], check=True, capture_output=True, text=True)
    return "--servers" in found.stdout


async def _measured(effort: Effort, servers: int) -> Outcome:
    bars_each = max(5, round(BARS_EACH * effort.share))
    events = max(4, round(EVENTS * effort.share))
    async with (
        running_database() as database,
        running_service(database, effort.service_python, "--servers", str(servers)) as service,
    ):
        port, way = service.rest_port, through_envoy(service)[0]
        warming = side_by_side(SYMBOLS, WARMING_BARS + bars_each)
        follow_bars = iter(simulated_bars(SYMBOL, WARMING_BARS + 2 * BURST + events))
        await service.publish(warming[: WARMING_BARS * len(SYMBOLS)], by_edge=True)
        await service.publish(list(islice(follow_bars, WARMING_BARS)), by_edge=True)
        published = await published_at_once(port, warming[WARMING_BARS * len(SYMBOLS) :], PUBLISHERS)
        generated = await grpc_load(port, GENERATE_METHOD, generate_messages(SYMBOLS), CLIENTS, effort.seconds)
        async with publishing(port) as publisher, following(way, FOLLOWERS) as followers:
            burst = publisher.burst(list(islice(follow_bars, BURST)))
            bursts = await followers.receive(BURST, burst)
            one_by_one = publisher.steadily(list(islice(follow_bars, events)), PER_SECOND)
            isolated = await followers.receive(events, one_by_one, each=True)
    return {
        "PublishBars, 100 symbols": published.per_second,
        f"GenerateSignal, {CLIENTS} clients, 100 symbols": generated.per_second,
        f"burst to {FOLLOWERS:,} by gRPC": bursts.per_second,
        f"one event to the last of {FOLLOWERS:,}, p99": p50_p99(to_the_last(isolated))[1],
    }
