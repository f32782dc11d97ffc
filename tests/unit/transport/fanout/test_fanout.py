"""Many followers of one connection, without a socket and on a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator

import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.support import http2 as h2
from tests.support.logs import Log

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.transport.fanout.server import LeanServer
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.http2.protocol import Http2Protocol

TimePasses = Callable[[float], Awaitable[None]]


@pytest.fixture
async def time_passes(monkeypatch: pytest.MonkeyPatch) -> TimePasses:
    """Puts the event loop's clock forward."""
    loop, skipped = asyncio.get_running_loop(), [0.0]
    running_clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: running_clock() + sum(skipped))

    async def pass_(seconds: float) -> None:
        skipped.append(seconds)
        await settled()

    return pass_


async def settled() -> None:
    """Let everyone do what is due."""
    for _ in range(20):
        await asyncio.sleep(0)


class Follower:
    """A connection that follows on so many streams, and what it was sent."""

    def __init__(self, server: LeanServer, requests: list[StreamEventsRequest], window: int = 2**31 - 1) -> None:
        self.transport = h2.RecordingTransport()
        self.connection = Http2Protocol(server, Limits(turn_seconds=math.inf))
        self.connection.connection_made(self.transport)
        self.connection.data_received(
            h2.PREFACE
            + h2.settings({h2.INITIAL_WINDOW_SIZE: window})
            + h2.window_update(0, 2**31 - 1 - 65_535)
            + b"".join(h2.request(2 * n + 1, request) for n, request in enumerate(requests))
        )

    def told(self) -> dict[int, list[StreamEventsResponse]]:
        """The answers on each stream since the last time."""
        found: dict[int, list[StreamEventsResponse]] = {}
        for stream, came in h2.bodies(bytes(self.transport.written)).items():
            body = came
            while body:
                end = 5 + int.from_bytes(body[1:5], "big")
                found.setdefault(stream, []).append(StreamEventsResponse.FromString(body[5:end]))
                body = body[end:]
        self.transport.written.clear()
        return found


def kinds(told: list[StreamEventsResponse]) -> list[str | None]:
    return [event.WhichOneof("payload") for answer in told for event in answer.events]


async def test_a_heartbeat_comes_after_silence_and_not_before(time_passes: TimePasses) -> None:
    log = await Log.with_entries(0)
    server = LeanServer(log.broadcast, {}, (), 300.0, Limits())
    server.start()
    loop = asyncio.get_running_loop()
    follower = Follower(server, [StreamEventsRequest(heartbeat_seconds=10), StreamEventsRequest(heartbeat_seconds=30)])
    await settled()
    follower.told()
    await time_passes(9.0)
    log.append()
    await settled()
    await time_passes(9.0)
    server.look_after(loop.time())
    assert {stream: kinds(told) for stream, told in follower.told().items()} == {
        1: ["market_update"],
        3: ["market_update"],
    }
    await time_passes(2.0)
    server.look_after(loop.time())
    told = follower.told()
    assert {stream: kinds(found) for stream, found in told.items()} == {1: ["heartbeat"]}
    assert told[1][0].through_sequence == 1
    server.look_after(loop.time())
    assert not follower.told(), "once is enough"
    follower.connection.connection_lost(None)


async def test_all_frames_of_a_connection_go_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await Log.with_entries(0)
    server = LeanServer(log.broadcast, {}, (), 300.0, Limits())
    server.start()
    follower = Follower(server, [StreamEventsRequest()] * 50 + [StreamEventsRequest(symbols=["NOBODY"])] * 50)
    await settled()
    follower.told()
    writes: list[bytes] = []
    monkeypatch.setattr(follower.transport, "write", writes.append)
    log.append()
    await settled()
    assert len(writes) == 1
    assert len(h2.bodies(writes[0])) == 50
    follower.connection.connection_lost(None)


async def test_nobody_is_left_behind_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far behind in memory, far behind in the store, and live, all on one connection."""
    log = await Log.with_entries(1500)
    server = LeanServer(log.broadcast, {}, (), 300.0, Limits())
    server.start()
    log.append(2000)
    cursors = [0, 700, 1499, 1500, 1501, 2000, 3499, 3500, *range(1600, 1640)]
    follower = Follower(server, [StreamEventsRequest(resume_after=cursor) for cursor in cursors])
    for _ in range(60):
        await settled()
    log.append(1)
    for _ in range(10):
        await settled()
    told = follower.told()
    for n, cursor in enumerate(cursors):
        found = [event.sequence for answer in told[2 * n + 1] for event in answer.events]
        assert found == list(range(cursor + 1, 3502))
    follower.connection.connection_lost(None)
    assert server.followers == 0


@pytest.mark.parametrize("window", [0, 1, 100, 1000])
async def test_a_live_one_that_stalls_loses_nothing(window: int) -> None:
    """What is left of one answer is never written over by the next."""
    log = await Log.with_entries(0)
    server = LeanServer(log.broadcast, {}, (), 300.0, Limits())
    server.start()
    follower = Follower(server, [StreamEventsRequest()], window)
    await settled()
    for _ in range(30):
        log.append(1)
        await settled()
    follower.connection.data_received(h2.window_update(1, 1 << 20))
    await settled()
    found = [event.sequence for answer in follower.told()[1] for event in answer.events]
    assert found == list(range(1, 31))
    follower.connection.connection_lost(None)


async def test_text_begins_with_a_heartbeat_and_waits_for_room() -> None:
    """Without a window nothing is lost of it, and it is what comes first."""
    log = await Log.with_entries(5)
    server = LeanServer(log.broadcast, {}, (), 300.0, Limits())
    server.start()
    transport, connection = h2.RecordingTransport(), Http2Protocol(server, Limits(turn_seconds=math.inf))
    connection.connection_made(transport)
    path = "/tradingsignals.edge.v1.NewlineDelimitedService/StreamEvents"
    request = h2.request(1, StreamEventsRequest(), path)
    connection.data_received(h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 0}) + request)
    await settled()
    assert server.followers == 1
    assert not h2.bodies(bytes(transport.written)).get(1)
    log.append(2)
    await settled()
    connection.data_received(h2.window_update(1, 1 << 20))
    await settled()
    told = [json.loads(body.data) for body in bodies(h2.bodies(bytes(transport.written))[1])]
    assert [answer["through_sequence"] for answer in told] == ["5", "7"]
    assert [[event["sequence"] for event in answer["events"]] for answer in told] == [["5"], ["6", "7"]]
    assert "heartbeat" in told[0]["events"][0]
    connection.connection_lost(None)


def bodies(stream: bytes) -> Iterator[HttpBody]:
    """The messages of a stream of text."""
    while stream:
        end = 5 + int.from_bytes(stream[1:5], "big")
        yield HttpBody.FromString(stream[5:end])
        stream = stream[end:]


async def test_whoever_was_put_off_is_served_once_in_its_turn() -> None:
    """Served twice, the second answer would come before the first where a window lets only a part of it through."""
    log = await Log.with_entries(0)
    server = LeanServer(log.broadcast, {}, (), 300.0, Limits())
    server.start()
    log.append(3000)
    cursors = range(0, 400, 10)
    follower = Follower(server, [StreamEventsRequest(resume_after=cursor) for cursor in cursors], window=20_000)
    came = b""
    for _ in range(200):
        await settled()
        came += bytes(follower.transport.written)
        follower.transport.written.clear()
        grants = [h2.window_update(2 * n + 1, 20_000) for n in range(len(cursors))]
        follower.connection.data_received(b"".join(grants))
    follower.transport.written += came
    told = follower.told()
    found = {stream: [event.sequence for answer in said for event in answer.events] for stream, said in told.items()}
    assert found == {2 * n + 1: list(range(cursor + 1, 3001)) for n, cursor in enumerate(cursors)}
    follower.connection.connection_lost(None)
