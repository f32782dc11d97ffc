"""The load generator of streams against a server that does nothing: its upper limit.

Measured: events a second that 1,000 followers receive, by gRPC on shared connections and on a connection each, by
gRPC-Web, by server-sent events and by WebSocket, with one event and with 50 events in a response, from a process that
writes bytes made beforehand (load/canned_streams.py); and, for one event to 1,000 followers, the time until the last
of them has it.

How: as `fanout` and `isolated` do it, with the same code. The server needs its time too, for one write for each
connection and response; `events/s of its own time` is the number of events over the time that the generator was busy,
which is what it could receive if it never had to wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from statistics import median

from .load import Delivery, Followers, Way, following, p50_p99, to_the_last
from .load.canned_streams import PATHS
from .measure import Effort, Figure, in_turn
from .processes import ROOT, free_port, posted, running, until_healthy
from .service import working_folder
from .streams import steadily

FOLLOWERS = 1000
RESPONSES = 20
EVENTS_A_RESPONSE = (1, 50)
SINGLE_EVENTS = 20
PER_SECOND = 10.0


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    with working_folder() as folder:
        port, log = free_port(), folder / "canned.log"
        async with running(("-m", "benchmarks.load.canned_streams", str(port)), folder=ROOT, log=log) as process:
            await until_healthy(process, port)
            for way in _ways(port):
                async with following(way, FOLLOWERS) as followers:
                    events = EVENTS_A_RESPONSE if way.kind != "websocket" else EVENTS_A_RESPONSE[:1]
                    sides = {str(number): partial(_burst, followers, port, number) for number in events}
                    runs = await in_turn(effort, sides)
                    single = [await _one_by_one(followers, port) for _ in range(effort.runs)]
                for number, deliveries in runs.items():
                    yield Figure(
                        f"ceiling of {way.name}, {number} events a response",
                        "events/s",
                        [delivery.per_second for delivery in deliveries],
                        besides={
                            "generator busy": median(delivery.busy for delivery in deliveries),
                            "events/s of its own time": median(d.per_second / d.busy for d in deliveries),
                        },
                    )
                p50, p99 = zip(*(p50_p99(to_the_last(delivery)) for delivery in single), strict=True)
                yield Figure(
                    f"floor of {way.name}, one event to the last, p99", "ms", p99, besides={"p50": median(p50)}
                )


def _ways(port: int) -> list[Way]:
    return [
        Way("gRPC, shared connections", "grpc", port, PATHS["grpc"]),
        Way("gRPC, a connection each", "grpc", port, PATHS["grpc"], streams_per_connection=1),
        Way("gRPC-Web", "grpc-web", port, PATHS["grpc-web"]),
        Way("SSE", "sse", port, PATHS["sse"]),
        Way("WebSocket", "websocket", port, PATHS["websocket"]),
    ]


async def _burst(followers: Followers, port: int, events: int) -> Delivery[None]:
    write = partial(posted, port, f"/write?responses={RESPONSES}&events={events}", "{}")
    return await followers.receive(RESPONSES * events, write)


async def _one_by_one(followers: Followers, port: int) -> Delivery[list[float]]:
    one = partial(posted, port, "/write?responses=1&events=1", "{}")
    return await followers.receive(SINGLE_EVENTS, partial(steadily, [one] * SINGLE_EVENTS, PER_SECOND), each=True)
