"""The load generator of streams: any number of followers, in processes of their own.

A follower counts every event that it receives, with its time, and each run checks that all followers received every
event once. All processes of a machine share one monotonic clock, so the times of publishing here and of arrival
there can be compared. Each process reports its share of a core.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from time import perf_counter
from typing import Any, Generic, TypeVar

from ..measure import percentile
from ..processes import ROOT
from .clients import LoadFailed

STREAMS_PER_CONNECTION = 100
"""Streams on one connection, as with common gRPC clients."""

_RESPONSE_BYTES = 1 << 28
_SUBSCRIBE_SECONDS = 60.0
_RECEIVE_SECONDS = 90.0
_STOP_SECONDS = 10.0

Given = TypeVar("Given")
Given_co = TypeVar("Given_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Way:
    """How a stream is followed.

    kind: "grpc", "grpc-web", "sse" or "websocket".
    request: the serialised request, for gRPC and gRPC-Web; `after` is its `resume_after`.
    streams_per_connection: followers that share a connection, which gRPC allows.
    """

    name: str
    kind: str
    port: int
    path: str
    request: bytes = b""
    after: int = 0
    streams_per_connection: int = STREAMS_PER_CONNECTION


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Given_co]):
    """The result of one delivery of events.

    seconds: from the start of the publishing until the last follower had the last event.
    busy: the share of a core of the busiest process of followers.
    arrivals: for each event its times of arrival at the followers, in ascending order, if requested.
    given: the return value of the publishing.
    """

    followers: int
    events: int
    seconds: float
    bytes: int
    busy: float
    arrivals: Sequence[Sequence[float]]
    given: Given_co

    @property
    def per_second(self) -> float:
        """Events delivered in a second, each counted for every follower."""
        return self.events * self.followers / self.seconds


class Followers:
    """Followers that are subscribed."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process], followers: int) -> None:
        self._processes = processes
        self._followers = followers

    async def receive(
        self, events: int, meanwhile: Callable[[], Awaitable[Given]], *, each: bool = False
    ) -> Delivery[Given]:
        """Cause `events` events, and wait until every follower has them all.

        Raises:
            LoadFailed: a stream ended, or events arrived twice, or not in time.
        """
        for process in self._processes:
            _send(process, {"events": events, "each": each})
        for process in self._processes:
            await _response(process)
        started = perf_counter()
        return await self._delivered(events, started, await meanwhile())

    async def _delivered(self, events: int, started: float, given: Given, *, or_more: bool = False) -> Delivery[Given]:
        try:
            async with asyncio.timeout(_RECEIVE_SECONDS):
                responses = [await _response(process) for process in self._processes]
        except TimeoutError:
            raise LoadFailed(f"not all of {self._followers} followers had {events} events in time") from None
        for response in responses:
            if response["ended"] or (response["too_many"] and not or_more):
                raise LoadFailed(
                    f"{response['too_many']} followers had events twice; streams ended: {response['ended']}"
                )
        seconds = max(response["last"] for response in responses) - started
        arrivals = [
            sorted(chain(*of_one)) for of_one in zip(*(response["arrivals"] for response in responses), strict=True)
        ]
        return Delivery(
            followers=self._followers,
            events=events,
            seconds=seconds,
            bytes=sum(response["bytes"] for response in responses),
            busy=max(response["cpu_seconds"] for response in responses) / seconds,
            arrivals=arrivals,
            given=given,
        )


@asynccontextmanager
async def following(way: Way, followers: int, *, processes: int = 1, stalled: bool = False) -> AsyncIterator[Followers]:
    """`followers` followers, subscribed, in `processes` processes; `stalled` ones do not read.

    Raises:
        LoadFailed: not all could subscribe.
    """
    shares = [followers // processes + (place < followers % processes) for place in range(processes)]
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(_process()) for _ in shares]
        for process, share in zip(started, shares, strict=True):
            _send(process, _options(way, share, stalls=stalled))
        await _until_subscribed(started, way, followers)
        yield Followers(started, followers)


async def caught_up(
    way: Way, followers: int, events: int, *, or_more: bool = False, subscribed: asyncio.Event | None = None
) -> Delivery[None]:
    """Subscribe `followers` followers, and wait until each has the `events` events that are stored already.

    `or_more` allows for further events meanwhile; `subscribed` is set when all are subscribed.

    Raises:
        LoadFailed: not all could subscribe, or received the events in time.
    """
    async with _process() as process:
        started = perf_counter()
        _send(process, _options(way, followers) | {"events": events})
        await _until_subscribed([process], way, followers)
        if subscribed is not None:
            subscribed.set()
        return await Followers([process], followers)._delivered(events, started, None, or_more=or_more)


def _options(way: Way, followers: int, *, stalls: bool = False) -> dict[str, Any]:
    return {
        "kind": way.kind,
        "port": way.port,
        "path": way.path,
        "request": way.request.hex(),
        "after": way.after,
        "streams_per_connection": way.streams_per_connection,
        "followers": followers,
        "stalls": stalls,
        "events": 0,
    }


async def _until_subscribed(processes: Sequence[asyncio.subprocess.Process], way: Way, followers: int) -> None:
    try:
        async with asyncio.timeout(_SUBSCRIBE_SECONDS):
            responses = [await _response(process) for process in processes]
    except TimeoutError:
        raise LoadFailed(f"not all of {followers} followers by {way.name} could subscribe") from None
    subscribed = sum(response["subscribed"] for response in responses)
    if subscribed < followers:
        raise LoadFailed(
            f"{subscribed} of {followers} followers by {way.name} could subscribe: {responses[0]['ended']}"
        )


@asynccontextmanager
async def _process() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load.follow"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_RESPONSE_BYTES,
    )
    try:
        await _response(process)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()


def _send(process: asyncio.subprocess.Process, options: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(options).encode() + b"\n")


async def _response(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise LoadFailed("a process of followers has ended")
    response: dict[str, Any] = json.loads(line)
    return response


def to_the_last(delivery: Delivery[Sequence[float]]) -> list[float]:
    """Milliseconds from each event's publishing, which is in `given`, until its last follower had it; ascending."""
    return sorted(
        (times[-1] - published) * 1e3 for published, times in zip(delivery.given, delivery.arrivals, strict=True)
    )


def to_each(delivery: Delivery[Sequence[float]]) -> list[float]:
    """The same until each of the followers had it."""
    return sorted(
        (time - published) * 1e3
        for published, times in zip(delivery.given, delivery.arrivals, strict=True)
        for time in times
    )


def p50_p99(ascending: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    return percentile(ascending, 50), percentile(ascending, 99)
