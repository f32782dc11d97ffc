"""Catch-up of a follower that is a million events behind, and its effect on live followers.

Measured: events a second, from the subscription until the follower has received all, and the processor time of a
thousand events, of one follower that begins at the first of a million events, and of four at once that begin at its
last quarter, so that they too receive a million (`in all`); the server's highest memory meanwhile, and its memory
before; and for 100 live followers of 20 bars a second the p99 latency of each signal, alone and while one and four
others catch up.

How: by gRPC, directly from the server. The log is filled in SQL with copies of the events of real bars, signals and
positions; a message keeps the sequence that was written into it, an event has its own. The followers count by
`through_sequence` of each response, and compare the number of received bytes with the stored ones; this costs them less
than a microsecond an event (`generator busy`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import islice
from statistics import median

import asyncpg

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest

from .bars import simulated_bars
from .cpu import cpu_figures, metered
from .load import Delivery, LoadFailed, Way, caught_up, following, p50_p99, to_each
from .measure import Effort, Figure, at_least, at_most, in_turn, ratio
from .processes import watched_rss
from .service import Database, Service, running_database, running_service
from .streams import SYMBOL, direct, publishing

EVENTS = 1_000_000
SEED_BARS = 1000
AT_ONCE = 4
LIVE = 100
PER_SECOND = 20.0
LIVE_EVENTS = 60

_EVENTS_METHOD = "/tradingsignals.v1.EventService/StreamEvents"
_COLUMNS = """
    SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
    WHERE table_name = 'events' AND table_schema = current_schema() AND column_name <> 'sequence'
"""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    events = round(EVENTS * effort.share)
    async with running_database() as database:
        async with running_service(database, effort.service_python) as service:
            await service.publish(simulated_bars(SYMBOL, SEED_BARS))
        newest = await _fill(database, events)
        async with (
            running_service(database, effort.service_python) as service,
            publishing(service.grpc_port) as publisher,
        ):
            bars = iter(simulated_bars(SYMBOL, SEED_BARS + 3 * effort.runs * LIVE_EVENTS)[SEED_BARS:])
            for followers in (1, AT_ONCE):
                for figure in await _catching_up(effort, database, service, followers, newest):
                    yield figure
            async with following(direct(service), LIVE) as live:

                async def live_p99(followers: int) -> float:
                    publish = publisher.steadily(list(islice(bars, LIVE_EVENTS)), PER_SECOND)
                    async with asyncio.TaskGroup() as group:
                        began = asyncio.Event()
                        behind = group.create_task(_again_and_again(service, followers, newest, began))
                        await began.wait()
                        delivery = await live.receive(LIVE_EVENTS, publish, each=True)
                        behind.cancel()
                    return p50_p99(to_each(delivery))[1]

                p99s = await in_turn(effort, {number: partial(live_p99, number) for number in (0, 1, AT_ONCE)})
    for followers, runs in p99s.items():
        yield Figure(f"{LIVE} live followers while {followers} catch up, p99", "ms", runs)
    yield ratio(f"live followers' p99 while {AT_ONCE} catch up to alone", p99s[AT_ONCE], p99s[0], at_most(1.2))


async def _fill(database: Database, events: int) -> int:
    """Copy the existing events until there are `events`; return the newest sequence."""
    connection = await asyncpg.connect(database.dsn)
    try:
        there = await connection.fetchval("SELECT count(*) FROM events")
        columns = await connection.fetchval(_COLUMNS)
        async with connection.transaction():
            await connection.execute("CREATE TEMP TABLE seeds ON COMMIT DROP AS SELECT * FROM events")
            await connection.execute(
                f"INSERT INTO events (sequence, {columns}) "  # noqa: S608 - names of our own columns
                f"SELECT sequence + copy * $1::bigint, {columns} FROM generate_series(1, $2::bigint) AS copy, seeds "
                "ORDER BY copy, sequence",
                there,
                max(0, events // there - 1),
            )
            await connection.execute("UPDATE event_log SET last_sequence = (SELECT max(sequence) FROM events)")
        await connection.execute("VACUUM ANALYZE events")
        await connection.execute("CHECKPOINT")
        newest: int = await connection.fetchval("SELECT max(sequence) FROM events")
    finally:
        await connection.close()
    return newest


async def _stored_bytes(database: Database, after: int) -> int:
    connection = await asyncpg.connect(database.dsn)
    try:
        stored: int = await connection.fetchval("SELECT sum(length(payload)) FROM events WHERE sequence > $1", after)
    finally:
        await connection.close()
    return stored


async def _catching_up(
    effort: Effort, database: Database, service: Service, followers: int, newest: int
) -> list[Figure]:
    after = newest - newest // followers
    memory: list[float] = []

    async def catch_up() -> Delivery[None]:
        async with watched_rss(service.pid) as seen:
            delivery = await caught_up(_after(service, after), followers, newest - after)
        memory.extend(seen)
        return delivery

    deliveries = (await in_turn(effort, {followers: partial(metered, service.processes, catch_up)}))[followers]
    stored = await _stored_bytes(database, after)
    if any(delivery.result.bytes < followers * stored for delivery in deliveries):
        raise LoadFailed("fewer bytes came than are stored")
    which = "one follower" if followers == 1 else f"{followers} followers at once, in all"
    count = followers * (newest - after)
    what = f"{count:,} events caught up by {which}"
    results = [delivery.result for delivery in deliveries]
    besides = {
        "MB/s": median(result.bytes / result.seconds / 1e6 for result in results),
        "generator busy": median(result.busy for result in results),
        "server MiB before": memory[0],
        "highest": max(memory),
    }
    cpu = [(delivery.cpu_seconds, count / 1000) for delivery in deliveries]
    return [
        Figure(what, "events/s", [result.per_second for result in results], at_least(150_000.0), besides),
        *cpu_figures(f"{what}, server CPU for 1,000 events", cpu),
    ]


async def _again_and_again(service: Service, followers: int, newest: int, began: asyncio.Event) -> None:
    """Catch up repeatedly until cancelled; return at once if no follower does."""
    if not followers:
        began.set()
    while followers:
        await caught_up(_after(service, 0), followers, newest, or_more=True, subscribed=began)


def _after(service: Service, sequence: int) -> Way:
    request = StreamEventsRequest(resume_after=sequence, heartbeat_seconds=60).SerializeToString()
    return Way("gRPC", "grpc", service.fanout_port, _EVENTS_METHOD, request, after=sequence)
