"""The six promises against the real processes, which are killed while connections break: 200 seeded scenarios.

Each publishes some bars, has followers by gRPC, gRPC-Web, server-sent events and NDJSON, and one or two faults. At the
end of each every follower has exactly the matching entries of the log, in order, once. A scenario depends on nothing
but its seed: the name of one that failed is what to run it again with,
`pytest "tests/e2e/test_promises.py::test_every_follower_gets_every_entry[seed17]"`.

Most of a scenario is waiting for what was killed to come back, so several services live side by side and each plays its
share of the seeds; one of them is two servers on one database, and one is three.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.followers import STREAMS
from tests.support.payloads import PAYLOADS, events_of
from tests.support.publisher import reachable
from tests.support.quotes import sure_buy, sure_sell
from tests.support.scenarios import THROUGH_THE_EDGE, Subscriber
from tests.support.service import RunningService, running_service
from tests.support.sockets import connected

from tradingsignals import AsyncClient, Bar, Event, Signal, TemporaryError

T = TypeVar("T")

SEEDS = int(os.environ.get("PROMISES_SEEDS", "200"))
SERVERS = (1, 1, 2, 3)
"""Number of servers of each of the services, which run the seeds in turn."""

SYMBOLS = ("USDCOP", "EURCOP")
WARM = 60
BARS_A_SCENARIO = 12
SCENARIO_SECONDS = 2 * DEADLINE
"""Deadline of one scenario; it takes one or two."""

LINES = {s: messages(walk(WARM + SEEDS * BARS_A_SCENARIO, seed=n, symbol=s)) for n, s in enumerate(SYMBOLS)}
QUERIES: dict[str, list[dict[str, Any]]] = {
    "events": [
        {},
        {"symbols": ["USDCOP"]},
        {"kinds": ["SIGNAL"]},
        {"kinds": ["MARKET_UPDATE", "POSITION_UPDATE"]},
        {"kinds": ["OUTCOME", "SIGNAL"]},
    ],
    "signals": [{}, {"symbols": ["EURCOP"]}, {"min_confidence": 0.7}, {"actions": ["BUY", "SELL"]}],
    "positions": [{}, {"symbols": ["EURCOP"]}],
}


@asynccontextmanager
async def long_lived(servers: int) -> AsyncIterator[RunningService]:
    """A service that runs many scenarios."""
    settings = {"SERVERS": str(servers)} if servers > 1 else {}
    # Generated signals change positions at any time and on old bars.
    settings |= {"SESSION_CALENDAR": "always", "MAX_BAR_AGE": "0"}
    with scratch_folder() as folder:
        async with running_service(folder, STREAM_STALL_SECONDS="1", **settings) as service:
            async with service.client() as client:
                for line in LINES.values():
                    await client.publish_bars(line[:WARM])
            yield service


@pytest.fixture(scope="module")
async def played(request: pytest.FixtureRequest) -> AsyncIterator[dict[int, asyncio.Future[None]]]:
    """The future of each selected seed."""
    mine = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    seeds = [cast(int, item.callspec.params["seed"]) for item in mine]
    outcomes: dict[int, asyncio.Future[None]] = {seed: asyncio.get_running_loop().create_future() for seed in seeds}

    async def play(server: int) -> None:
        async with long_lived(SERVERS[server]) as service:
            for seed in seeds:
                if seed % len(SERVERS) == server:
                    await _into(outcomes[seed], one(service, seed))

    servers = [asyncio.create_task(play(server)) for server in sorted({seed % len(SERVERS) for seed in seeds})]
    for task in servers:
        task.add_done_callback(lambda done: _fail_the_rest(outcomes, done))
    try:
        yield outcomes
    finally:
        if all(outcome.done() for outcome in outcomes.values()):
            await asyncio.wait(servers, timeout=DEADLINE)  # the services are on their way out
        for task in servers:
            task.cancel()
        await asyncio.wait(servers)


async def _into(outcome: asyncio.Future[None], scenario: Awaitable[None]) -> None:
    try:
        await scenario
    except Exception as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(None)


def _fail_the_rest(outcomes: dict[int, asyncio.Future[None]], server: asyncio.Task[None]) -> None:
    """Pass the error of a service that does not start to the futures of its scenarios."""
    if not server.cancelled() and (error := server.exception()) is not None:
        for outcome in outcomes.values():
            if not outcome.done():
                outcome.set_exception(error)


# ------------------------------------------------------------------------------------------------------ the faults


async def kill_server(service: RunningService) -> None:
    """Send SIGKILL to the service, and start it again."""
    await service.kill()
    await service.start()


async def kill_edge(service: RunningService) -> None:
    """Send SIGKILL; the server restarts the process."""
    os.kill(service.child("envoy").pid, signal.SIGKILL)


async def kill_database(service: RunningService) -> None:
    """Send SIGKILL; the server restarts the process."""
    os.kill(service.child("postgres").pid, signal.SIGKILL)


async def restart(service: RunningService) -> None:
    """Stop the service as an operator does, and start it again."""
    await service.stop()
    await service.start()


async def nothing(_: RunningService) -> None:
    """Wait without a fault."""


FAULTS: dict[Callable[[RunningService], Awaitable[None]], int] = {
    kill_server: 2,
    restart: 1,
    kill_edge: 8,
    kill_database: 8,
    nothing: 11,
}
"""Faults and their frequency out of thirty; subscribers stall, vanish and drop connections in any case."""


# -------------------------------------------------------------------------------------------------- the scenario


@dataclass
class Scenario:
    """The scenario of a seed."""

    bars: list[list[Bar]]
    faults: dict[int, Callable[[RunningService], Awaitable[None]]]
    """Faults by the index of the call with which they occur."""
    subscribers: list[tuple[str, str, dict[str, Any], int | None, int | None]]
    """Protocol, stream, query, responses before it disconnects, responses before it stalls."""
    vanishing: int

    @classmethod
    def of(cls, seed: int) -> Scenario:
        dice = random.Random(seed)
        first = WARM + seed * BARS_A_SCENARIO
        bars = [bar for line in LINES.values() for bar in line[first : first + BARS_A_SCENARIO]]
        bars.sort(key=lambda bar: bar.time.seconds)
        calls = []
        while bars:
            size = dice.randint(1, 8)
            calls.append(bars[:size])
            bars = bars[size:]
        happening = dice.choices(list(FAULTS), list(FAULTS.values()), k=dice.randint(1, 2))
        subscribers = []
        for _ in range(dice.randint(2, 4)):
            stream = dice.choice(list(QUERIES))
            habit = dice.choice(["stays", "stays", "hangs up", "stalls"])
            after = dice.randint(1, 4)
            subscribers.append(
                (
                    dice.choice(list(THROUGH_THE_EDGE)),
                    stream,
                    dice.choice(QUERIES[stream]),
                    after if habit == "hangs up" else None,
                    after if habit == "stalls" else None,
                )
            )
        faults = {dice.randrange(len(calls)): fault for fault in happening}
        return cls(calls, faults, subscribers, dice.choice([0, 0, 1, 3]))


class Caller:
    """A client that calls again until it succeeds."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._client = service.client()

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def call(self, call: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """Return the result of `call`, with a new client after each failure, because gRPC reconnects slowly."""
        while True:
            try:
                return await call(self._client)
            except TemporaryError:
                await self._client.close()
                await reachable(self._service)
                self._client = self._service.client()

    async def newest(self) -> int:
        """Return the last sequence in the database, because a server may lag behind another one."""
        await self.call(lambda client: client.service_info())
        async with self._service.database() as database:
            sequence: int = await database.fetchval("SELECT last_sequence FROM event_log")
            return sequence


async def publish(service: RunningService, caller: Caller, scenario: Scenario) -> int:
    """Publish bars with faults in between, and return the last sequence of the log.

    The last are signals of both symbols and the positions they change, so that there is news for every filter.
    """
    for number, bars in enumerate(scenario.bars):
        sending = asyncio.create_task(caller.call(partial(AsyncClient.publish_bars, bars=bars)))
        if number in scenario.faults:
            await scenario.faults[number](service)
        response = await sending
        assert (response.received, response.rejected, response.late) == (len(bars), 0, 0)
    for symbol in SYMBOLS:
        for quote in (sure_buy(symbol), sure_sell(symbol)):
            await caller.call(partial(AsyncClient.generate_signal, **quote))  # type: ignore[arg-type]
    return await caller.newest()


async def logged(service: RunningService, after: int, through: int) -> list[Event]:
    """Return the log between two sequences from the database."""
    async with service.database() as database:
        rows = await database.fetch(
            "SELECT sequence, time, kind, payload FROM events WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence",
            after,
            through,
        )
    assert [row["sequence"] for row in rows] == list(range(after + 1, through + 1)), "the log has no gap"
    return events_of(rows)


def expected(log: Sequence[Event], stream: str, query: dict[str, Any]) -> list[Any]:
    """Return the entries of the log that a subscriber must get."""

    def passes(event: Event) -> bool:
        kind = event.WhichOneof("payload")
        item = getattr(event, kind)
        symbol = item.bar.symbol if kind == "market_update" else item.symbol
        kinds = [PAYLOADS[name][0] for name in query.get("kinds", PAYLOADS)]
        if kind != "signal":
            return kind in kinds and symbol in query.get("symbols", SYMBOLS)
        actions = [Signal.Action.Value(name) for name in query.get("actions", ("BUY", "SELL", "HOLD"))]
        return (
            kind in kinds
            and symbol in query.get("symbols", SYMBOLS)
            and item.action in actions
            and item.confidence >= query.get("min_confidence", 0.0)
        )

    passing = [event for event in log if passes(event)]
    if stream == "events":
        return passing
    field = {"signals": "signal", "positions": "position_update"}[stream]
    return [getattr(event, field) for event in passing if event.WhichOneof("payload") == field]


async def vanishing(service: RunningService, stack: AsyncExitStack) -> None:
    """Subscribe to all entries, read the first bytes only, and stay connected until the connection is closed."""
    with suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await stack.enter_async_context(connected(service.port, receive_buffer=4096))
        writer.write(b"GET /api/events?resume_after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a whole transport


@pytest.mark.parametrize("seed", range(SEEDS), ids="seed{}".format)
async def test_every_follower_gets_every_entry(played: dict[int, asyncio.Future[None]], seed: int) -> None:
    await played[seed]


async def one(service: RunningService, seed: int) -> None:
    """The scenario of a seed."""
    async with asyncio.timeout(SCENARIO_SECONDS), Caller(service) as caller:
        await has_it_all(service, caller, Scenario.of(seed))
    assert "Traceback" not in service.log, service.log


async def has_it_all(service: RunningService, caller: Caller, scenario: Scenario) -> None:
    """Run a scenario, and check the entries of every subscriber at the end."""
    before = await caller.newest()
    subscribers = [
        Subscriber(service, way, STREAMS[stream], query, before, drops_after=hangs_up, stalls_after=stalls)
        for way, stream, query, hangs_up, stalls in scenario.subscribers
    ]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for subscriber in subscribers:
            group.create_task(subscriber.follow())
        for _ in range(scenario.vanishing):
            await vanishing(service, stack)
        last = await publish(service, caller, scenario)
        log = await logged(service, before, last)
        expected_items = [expected(log, stream, query) for _, stream, query, *_ in scenario.subscribers]
        for subscriber, items in zip(subscribers, expected_items, strict=True):
            subscriber.last.set_result(items[-1].sequence)
            subscriber.go_on.set()
    for subscriber, items in zip(subscribers, expected_items, strict=True):
        seen = [item for item in subscriber.seen if item.sequence <= last]  # the keeper's outcomes come later
        assert seen == items, f"{subscriber.stream.path} {subscriber.query} by {subscriber.way}"
