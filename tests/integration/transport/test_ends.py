"""An ended call leaves no follower, task, timer or buffer, on either server, however it ended."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.support import http2 as h2
from tests.support.deadlines import DEADLINE, poll
from tests.support.http2 import Peer, http2_peer
from tests.support.logs import Log

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest
from tradingsignals.v1.model_service_pb2 import GetModelInfoRequest
from tradingsignals_server.application.event_log.follower import Follower
from tradingsignals_server.application.event_log.group import Group
from tradingsignals_server.transport.grpc.call import Call
from tradingsignals_server.transport.grpc.registration import StreamSender
from tradingsignals_server.transport.http2.stream import Stream

from .conftest import Sides, both

KEPT = (Call, Stream, Follower, Group)
"""Objects that live as long as a call. A pending timer holds the call that it would end."""
FOLLOWERS = 20
STREAMS = range(1, 2 * FOLLOWERS, 2)
SHORT = "200m"
NO_WINDOW = {h2.INITIAL_WINDOW_SIZE: 0}


@pytest.fixture
def new_objects_only() -> Iterator[None]:
    """Look for objects among those of the test only: the rest of the process has a million.

    Nothing is logged: pytest captures it, and a traceback in the capture keeps the objects of its frames.
    """
    logging.disable()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    logging.disable(logging.NOTSET)


def left(sides: Sides) -> Counter[str]:
    """Count the objects of calls."""
    gc.collect()
    found = Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, KEPT))
    found["task"] = len([task for task in asyncio.all_tasks() if not task.done()])
    found["waiting"] = sum(len(each._waiting) for each in gc.get_objects() if isinstance(each, StreamSender))
    return +found


async def nothing_left(sides: Sides, before: Counter[str]) -> None:
    """Wait until there are no more objects than `before`."""
    try:
        async with asyncio.timeout(DEADLINE):
            while left(sides) - before:
                await poll()
    except TimeoutError:
        pytest.fail(f"left behind: {left(sides) - before}")


def calls(message: StreamEventsRequest | None = None, path: str = h2.EVENTS_PATH, deadline: str | None = None) -> bytes:
    """Return the frames of FOLLOWERS calls."""
    body = h2.framed(message or StreamEventsRequest())
    return b"".join(
        h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.block(h2.headers(path, grpc_timeout=deadline)))
        + h2.frame(h2.DATA, h2.END_STREAM, stream, body)
        for stream in STREAMS
    )


async def begun(peer: Peer) -> None:
    """Wait until each of the calls has had its headers."""
    for stream in STREAMS:
        await peer.headers(stream)


async def ended(peer: Peer) -> None:
    """Wait until each of the calls has ended."""
    for stream in STREAMS:
        while not (await peer.next(h2.HEADERS, stream)).flags & h2.END_STREAM:
            pass


async def by_deadline(sides: Sides, peer: Peer) -> None:
    peer.send(calls(deadline=SHORT))
    await ended(peer)


async def by_deadline_without_window(_: Sides, peer: Peer) -> None:
    peer.send(h2.settings(NO_WINDOW), calls(StreamEventsRequest(resume_after=0), deadline=SHORT))
    await ended(peer)


async def by_deadline_of_a_replay(_: Sides, peer: Peer) -> None:
    peer.send(calls(StreamEventsRequest(start_time="2020-01-01"), deadline=SHORT))
    await ended(peer)


async def by_deadline_of_a_single_call(_: Sides, peer: Peer) -> None:
    message, path = StreamEventsRequest.FromString(GetModelInfoRequest().SerializeToString()), "/tradingsignals.v1."
    peer.send(calls(message, path + "ModelService/GetModelInfo", deadline=SHORT))
    await ended(peer)


async def by_refusal(_: Sides, peer: Peer) -> None:
    peer.send(calls(StreamEventsRequest(heartbeat_seconds=99)))
    await ended(peer)


async def by_a_missing_method(_: Sides, peer: Peer) -> None:
    peer.send(calls(path="/tradingsignals.v1.EventService/NoSuchMethod"))
    await ended(peer)


async def by_reset(_: Sides, peer: Peer) -> None:
    peer.send(calls())
    await begun(peer)
    peer.send(*(h2.frame(h2.RST_STREAM, 0, stream, h2.CANCEL.to_bytes(4, "big")) for stream in STREAMS))


async def by_reset_at_once(_: Sides, peer: Peer) -> None:
    resets = [h2.frame(h2.RST_STREAM, 0, stream, h2.CANCEL.to_bytes(4, "big")) for stream in STREAMS]
    peer.send(calls(), *resets)


async def by_a_lost_connection(_: Sides, peer: Peer) -> None:
    peer.send(calls())
    await begun(peer)
    peer.writer.transport.abort()


async def by_a_half_closed_socket(_: Sides, peer: Peer) -> None:
    peer.send(calls())
    await begun(peer)
    peer.writer.write_eof()


async def by_an_error_of_the_store(sides: Sides, peer: Peer) -> None:
    sides.log.store.down = True
    peer.send(calls(StreamEventsRequest(resume_after=0)))
    await ended(peer)


async def by_the_end_of_the_server(sides: Sides, peer: Peer) -> None:
    peer.send(calls())
    await begun(peer)
    sides.log.log_tail.stop()
    await ended(peer)


async def by_a_stall(_: Sides, peer: Peer) -> None:
    peer.send(h2.settings(NO_WINDOW), calls(StreamEventsRequest(resume_after=0)))
    await ended(peer)


End = Callable[[Sides, Peer], Awaitable[None]]
ENDS: list[End] = [
    by_deadline,
    by_deadline_without_window,
    by_deadline_of_a_replay,
    by_deadline_of_a_single_call,
    by_refusal,
    by_a_missing_method,
    by_reset,
    by_reset_at_once,
    by_a_lost_connection,
    by_a_half_closed_socket,
    by_an_error_of_the_store,
    by_the_end_of_the_server,
    by_a_stall,
]


# grpc.aio sends no status past a message that is not taken, so a stall ends there when the peer resets the stream.
CASES = [(side, end) for end in ENDS for side in ("aio", "fanout") if (side, end) != ("aio", by_a_stall)]


@pytest.mark.parametrize(("side", "end"), CASES, ids=lambda found: getattr(found, "__name__", found))
async def test_ended_call_leaves_no_object_behind(new_objects_only: None, side: str, end: End) -> None:
    async with both(await Log.with_entries(200), stall_seconds=0.5) as sides:
        before = left(sides)
        # grpc.aio keeps the exception that it has handled last, and with it one that it was raised from.
        before += Counter(Follower=2 if side == "aio" else 0)
        async with http2_peer(getattr(sides, side)) as peer:
            await end(sides, peer)
            if not sides.log.log_tail.is_stopping:
                sides.log.append(3)
            await nothing_left(sides, before + Counter(task=1))
        await nothing_left(sides, before)
        assert sides.server.streams == 0


@pytest.mark.parametrize("side", ["aio", "fanout"])
async def test_no_frame_follows_the_end_of_a_stream(side: str) -> None:
    """Bars are appended while deadlines end the followers."""
    async with both(await Log.with_entries(1)) as sides, http2_peer(getattr(sides, side)) as peer:
        peer.send(calls(deadline=SHORT))
        over: set[int] = set()
        while len(over) < FOLLOWERS:
            sides.log.append()
            found = await peer.next()
            assert found.stream not in over or found.type not in {h2.DATA, h2.HEADERS}
            if found.type == h2.HEADERS and found.flags & h2.END_STREAM:
                over.add(found.stream)
        for _ in range(10):
            sides.log.append()
        peer.send(h2.frame(h2.PING, 0, 0, b"ordering"))
        while (found := await peer.next()).type != h2.PING or not found.flags & h2.ACK:
            assert found.type not in {h2.DATA, h2.HEADERS}
