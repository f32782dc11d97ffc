"""Many streams of one connection, without a socket and with the clock of the test."""

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
from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.api.methods import is_routine
from tradingsignals_server.api.streams import stream_methods
from tradingsignals_server.application.event_log.follower import Followers
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.transport.fanout.server import FanoutServer
from tradingsignals_server.transport.grpc.status import CallRules
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.http2.protocol import Http2Protocol

RULES = CallRules(status_of, is_routine)
TimePasses = Callable[[float], Awaitable[None]]


@pytest.fixture
async def time_passes(monkeypatch: pytest.MonkeyPatch) -> TimePasses:
    """Advances the event loop's clock."""
    loop, skipped = asyncio.get_running_loop(), [0.0]
    running_clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: running_clock() + sum(skipped))

    async def pass_(seconds: float) -> None:
        skipped.append(seconds)
        await settled()

    return pass_


async def settled() -> None:
    """Let all tasks do what is due."""
    for _ in range(20):
        await asyncio.sleep(0)


def server_of(log: Log) -> FanoutServer:
    """A server of the streams of a log."""
    return FanoutServer(dict(stream_methods(Followers(log.log_tail))), RULES, log.log_tail.subscribe)


class Caller:
    """A connection with a stream for each request, which records the responses."""

    def __init__(self, server: FanoutServer, requests: list[StreamEventsRequest], window: int = 2**31 - 1) -> None:
        self.transport = h2.RecordingTransport()
        self.connection = Http2Protocol(server, Limits(turn_seconds=math.inf))
        self.connection.connection_made(self.transport)
        self.connection.data_received(
            h2.PREFACE
            + h2.settings({h2.INITIAL_WINDOW_SIZE: window})
            + h2.window_update(0, 2**31 - 1 - 65_535)
            + b"".join(h2.request(2 * n + 1, request) for n, request in enumerate(requests))
        )

    def received(self) -> dict[int, list[StreamEventsResponse]]:
        """The responses on each stream since the last call."""
        found: dict[int, list[StreamEventsResponse]] = {}
        for stream, came in h2.bodies(bytes(self.transport.written)).items():
            body = came
            while body:
                end = 5 + int.from_bytes(body[1:5], "big")
                found.setdefault(stream, []).append(StreamEventsResponse.FromString(body[5:end]))
                body = body[end:]
        self.transport.written.clear()
        return found


def kinds(received: list[StreamEventsResponse]) -> list[str | None]:
    return [event.WhichOneof("payload") for response in received for event in response.events]


async def test_heartbeat_is_sent_after_silence_and_not_before(time_passes: TimePasses) -> None:
    log = await Log.with_entries(0)
    server = server_of(log)
    server.start()
    loop = asyncio.get_running_loop()
    caller = Caller(server, [StreamEventsRequest(heartbeat_seconds=10), StreamEventsRequest(heartbeat_seconds=30)])
    await settled()
    caller.received()
    await time_passes(9.0)
    log.append()
    await settled()
    await time_passes(9.0)
    server.check(loop.time())
    assert {stream: kinds(received) for stream, received in caller.received().items()} == {
        1: ["market_update"],
        3: ["market_update"],
    }
    await time_passes(2.0)
    server.check(loop.time())
    received = caller.received()
    assert {stream: kinds(found) for stream, found in received.items()} == {1: ["heartbeat"]}
    assert received[1][0].through_sequence == 1
    server.check(loop.time())
    assert not caller.received(), "once is enough"
    caller.connection.connection_lost(None)


async def test_all_frames_of_a_connection_share_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await Log.with_entries(0)
    server = server_of(log)
    server.start()
    caller = Caller(server, [StreamEventsRequest()] * 50 + [StreamEventsRequest(symbols=["UNUSED"])] * 50)
    await settled()
    caller.received()
    writes: list[bytes] = []
    monkeypatch.setattr(caller.transport, "write", writes.append)
    log.append()
    await settled()
    assert len(writes) == 1
    assert len(h2.bodies(writes[0])) == 50
    caller.connection.connection_lost(None)


async def test_every_caller_receives_every_event_after_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams of one connection begin in the store, in memory, and live."""
    log = await Log.with_entries(1500)
    server = server_of(log)
    server.start()
    log.append(2000)
    cursors = [0, 700, 1499, 1500, 1501, 2000, 3499, 3500, *range(1600, 1640)]
    caller = Caller(server, [StreamEventsRequest(resume_after=cursor) for cursor in cursors])
    for _ in range(60):
        await settled()
    log.append(1)
    for _ in range(10):
        await settled()
    received = caller.received()
    for n, cursor in enumerate(cursors):
        found = [event.sequence for response in received[2 * n + 1] for event in response.events]
        assert found == list(range(cursor + 1, 3502))
    caller.connection.connection_lost(None)
    assert server.streams == 0


async def test_other_work_has_its_turn_after_each_response_of_a_page() -> None:
    log = await Log.with_entries(1500)
    server = server_of(log)
    server.start()
    caller = Caller(server, [StreamEventsRequest(resume_after=0)])
    in_a_turn: list[int] = []
    while sum(in_a_turn) < 1500 / ResponseLimits().entries:
        await asyncio.sleep(0)
        in_a_turn.append(len(caller.received().get(1, [])))
    assert max(in_a_turn) == 1
    caller.connection.connection_lost(None)


@pytest.mark.parametrize("window", [0, 1, 100, 1000])
async def test_live_caller_that_stalls_loses_nothing(window: int) -> None:
    """The unsent part of a response is not overwritten by the next one."""
    log = await Log.with_entries(0)
    server = server_of(log)
    server.start()
    caller = Caller(server, [StreamEventsRequest()], window)
    await settled()
    for _ in range(30):
        log.append(1)
        await settled()
    caller.connection.data_received(h2.window_update(1, 1 << 20))
    await settled()
    found = [event.sequence for response in caller.received()[1] for event in response.events]
    assert found == list(range(1, 31))
    caller.connection.connection_lost(None)


async def test_text_begins_with_a_heartbeat_and_waits_for_the_window() -> None:
    """Without a window the heartbeat stays pending, and is sent first."""
    log = await Log.with_entries(5)
    server = server_of(log)
    server.start()
    transport, connection = h2.RecordingTransport(), Http2Protocol(server, Limits(turn_seconds=math.inf))
    connection.connection_made(transport)
    path = "/tradingsignals.edge.v1.NewlineDelimitedService/StreamEvents"
    request = h2.request(1, StreamEventsRequest(), path)
    connection.data_received(h2.PREFACE + h2.settings({h2.INITIAL_WINDOW_SIZE: 0}) + request)
    await settled()
    assert server.streams == 1
    assert not h2.bodies(bytes(transport.written)).get(1)
    log.append(2)
    await settled()
    connection.data_received(h2.window_update(1, 1 << 20))
    await settled()
    received = [json.loads(body.data) for body in bodies(h2.bodies(bytes(transport.written))[1])]
    assert [response["through_sequence"] for response in received] == ["5", "7"]
    assert [[event["sequence"] for event in response["events"]] for response in received] == [["5"], ["6", "7"]]
    assert "heartbeat" in received[0]["events"][0]
    connection.connection_lost(None)


def bodies(stream: bytes) -> Iterator[HttpBody]:
    """The messages of a stream of text."""
    while stream:
        end = 5 + int.from_bytes(stream[1:5], "big")
        yield HttpBody.FromString(stream[5:end])
        stream = stream[end:]


async def test_deferred_caller_is_served_once_in_its_turn() -> None:
    """Served twice, the second response would overtake the first if a window accepts only a part of that."""
    log = await Log.with_entries(0)
    server = server_of(log)
    server.start()
    log.append(3000)
    cursors = range(0, 400, 10)
    caller = Caller(server, [StreamEventsRequest(resume_after=cursor) for cursor in cursors], window=20_000)
    came = b""
    for _ in range(200):
        await settled()
        came += bytes(caller.transport.written)
        caller.transport.written.clear()
        grants = [h2.window_update(2 * n + 1, 20_000) for n in range(len(cursors))]
        caller.connection.data_received(b"".join(grants))
    caller.transport.written += came
    received = caller.received()
    found = {
        stream: [event.sequence for response in responses for event in response.events]
        for stream, responses in received.items()
    }
    assert found == {2 * n + 1: list(range(cursor + 1, 3001)) for n, cursor in enumerate(cursors)}
    caller.connection.connection_lost(None)
