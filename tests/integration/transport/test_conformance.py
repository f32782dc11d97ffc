"""The HTTP/2 server responds like grpc.aio to every request: messages, statuses, details, metadata."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_status import rpc_status
from tests.support.deadlines import DEADLINE, within
from tests.support.logs import Log

from tradingsignals.v1 import event_service_pb2, position_service_pb2, signal_service_pb2
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals_server.api.contract import SERVICES
from tradingsignals_server.domain.errors import MalformedMessage
from tradingsignals_server.transport.grpc.health import HEALTH_CHECK

from .conftest import Sides, both

Method = tuple[str, Any, Any]
"""A streaming method, and the types of its request and its responses."""

EVENTS: Method = (
    "EventService/StreamEvents",
    event_service_pb2.StreamEventsRequest,
    event_service_pb2.StreamEventsResponse,
)
SIGNALS: Method = (
    "SignalService/StreamSignals",
    signal_service_pb2.StreamSignalsRequest,
    signal_service_pb2.StreamSignalsResponse,
)
POSITIONS: Method = (
    "PositionService/StreamPositions",
    position_service_pb2.StreamPositionsRequest,
    position_service_pb2.StreamPositionsResponse,
)
LIST_FIELDS = {EVENTS[0]: "events", SIGNALS[0]: "signals", POSITIONS[0]: "positions"}


@dataclass
class StreamResult:
    """All that the caller of a stream can see."""

    begins_with: dict[str, Any] = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)
    through: int = 0
    error: Any = None
    code: Any = None
    message: str | None = None
    details: Any = None
    ends_with: list[str] = field(default_factory=list)


Hook = Callable[[], Awaitable[None]]


async def follow(
    port: int,
    stream: Method,
    request: Any,
    *,
    until: int | None = None,
    beats: int = 0,
    metadata: tuple[tuple[str, str], ...] = (("x-request-id", "conforming"),),
    deadline: float | None = None,
    then: Callable[[], None] | None = None,
) -> StreamResult:
    """Follow a stream up to a sequence, a number of heartbeats or its end; `then` is called once it has begun."""
    method, _, response_type = stream
    found, heartbeats = StreamResult(), 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_stream(f"/tradingsignals.v1.{method}", lambda raw: raw, response_type.FromString)(
            request if isinstance(request, bytes) else request.SerializeToString(), metadata=metadata, timeout=deadline
        )
        try:
            found.begins_with = dict(await within(call.initial_metadata()))
            if then is not None:
                then()
            async for response in _deadlined(call):
                found.through = response.through_sequence
                for item in getattr(response, LIST_FIELDS[method], []):
                    if not isinstance(item, Event):
                        found.items.append(item)
                    elif item.HasField("error"):
                        found.error = item.error
                    elif item.HasField("heartbeat"):
                        heartbeats += 1
                    else:
                        found.items.append(item)
                if method != EVENTS[0] and response.HasField("error"):
                    found.error = response.error
                elif method != EVENTS[0] and not getattr(response, LIST_FIELDS[method]):
                    heartbeats += 1
                if (until is not None and found.through >= until) or (beats and heartbeats >= beats):
                    call.cancel()
                    return found
        except grpc.aio.AioRpcError:
            pass
        found.code, found.message = await call.code(), await call.details()
        if found.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            # The caller's own clock ends the call, or the server's if that is first: only then is there more to see.
            found.message = None
            return found
        status = rpc_status.from_call(cast(Any, _Ended(found, await call.trailing_metadata())))
        found.details = [] if status is None else [MessageToDict(detail) for detail in status.details]
        found.ends_with = sorted(key for key, _ in await call.trailing_metadata())
    return found


async def _deadlined(call: Any) -> Any:
    responses = aiter(call)
    while True:
        try:
            yield await within(anext(responses))
        except StopAsyncIteration:
            return


class _Ended:
    """The part of a call that grpc_status reads."""

    def __init__(self, found: StreamResult, metadata: Any) -> None:
        self._found, self._metadata = found, metadata

    def code(self) -> Any:
        return self._found.code

    def details(self) -> Any:
        return self._found.message

    def trailing_metadata(self) -> Any:
        return self._metadata


async def equal_results(sides: Sides, stream: Method, request: Any, **how: Any) -> StreamResult:
    """Return the result of both servers, after checking that it is equal."""
    aio = await follow(sides.aio, stream, request, **how)
    fanout = await follow(sides.fanout, stream, request, **how)
    assert fanout == aio
    return fanout


@pytest.mark.parametrize("stream", [EVENTS, SIGNALS, POSITIONS], ids=lambda stream: stream[0])
@pytest.mark.parametrize("resume_after", [0, 1, 63, 64, 65, 128, 199])
async def test_stream_resumes_after_any_sequence(sides: Sides, stream: Method, resume_after: int) -> None:
    found = await equal_results(
        sides, stream, stream[1](resume_after=resume_after, heartbeat_seconds=1), until=200 - (resume_after == 199)
    )
    assert found.items or resume_after == 199
    assert found.begins_with["x-epoch"].endswith("4")


@pytest.mark.parametrize(
    ("stream", "request_"),
    [
        (EVENTS, EVENTS[1](resume_after=0, kinds=[Event.SIGNAL], min_confidence=0.5)),
        (EVENTS, EVENTS[1](resume_after=0, symbols=["USD/COP"])),
        (EVENTS, EVENTS[1](resume_after=0, kinds=[Event.MARKET_UPDATE, Event.POSITION_UPDATE])),
        (SIGNALS, SIGNALS[1](resume_after=0, actions=[Signal.BUY, Signal.SELL])),
        (SIGNALS, SIGNALS[1](resume_after=0, symbols=["EURUSD"], actions=[Signal.HOLD])),
        (POSITIONS, POSITIONS[1](resume_after=0, symbols=["EURUSD"])),
    ],
)
async def test_filters_select_entries(sides: Sides, stream: Method, request_: Any) -> None:
    request_.heartbeat_seconds = 1
    found = await equal_results(sides, stream, request_, until=200)
    assert 0 < len(found.items) < 200


@pytest.mark.parametrize(
    ("stream", "request_", "code"),
    [
        (EVENTS, EVENTS[1](heartbeat_seconds=99, symbols=["?", "no symbol at all"]), grpc.StatusCode.INVALID_ARGUMENT),
        (EVENTS, EVENTS[1](kinds=[0], min_confidence=1.5), grpc.StatusCode.INVALID_ARGUMENT),
        (EVENTS, EVENTS[1](start_time="mañana"), grpc.StatusCode.INVALID_ARGUMENT),
        (SIGNALS, SIGNALS[1](actions=[77]), grpc.StatusCode.INVALID_ARGUMENT),
        (EVENTS, EVENTS[1](resume_after=201), grpc.StatusCode.OUT_OF_RANGE),
        (EVENTS, EVENTS[1](resume_after=-1), grpc.StatusCode.INVALID_ARGUMENT),
        (("EventService/NoSuchMethod", *EVENTS[1:]), b"", grpc.StatusCode.UNIMPLEMENTED),
        (("NoService/StreamEvents", *EVENTS[1:]), b"", grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_invalid_requests_are_refused(sides: Sides, stream: Method, request_: Any, code: grpc.StatusCode) -> None:
    found = await equal_results(sides, stream, request_)
    assert found.code is code
    assert "x-epoch" not in found.begins_with, "the stream had not begun"


@pytest.mark.parametrize("stream", [EVENTS, SIGNALS, POSITIONS], ids=lambda stream: stream[0])
@pytest.mark.parametrize("sent", [b"\xff\xff", b"\x0a\x05USD", b"\x0a\x02\xff\xfe"], ids=["noise", "cut", "not UTF-8"])
async def test_malformed_message_is_refused_with_its_reason(sides: Sides, stream: Method, sent: bytes) -> None:
    found = await equal_results(sides, stream, sent)
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    (info,) = found.details
    assert (info["reason"], info["domain"]) == ("MALFORMED_MESSAGE", "tradingsignals")
    assert info["metadata"] == {"index": "0", "request_id": "conforming"}


ONE_REQUEST = [
    f"/{service.full_name}/{method.name}"
    for service in SERVICES.values()
    for method in service.methods
    if not method.client_streaming
]
GRPC_METHODS = [
    HEALTH_CHECK,
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


@pytest.mark.parametrize("path", [*ONE_REQUEST, *GRPC_METHODS])
async def test_malformed_message_has_the_same_error_text_in_every_method(sides: Sides, path: str) -> None:
    """This includes the methods of gRPC itself; no method of a servicer is called."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{sides.aio}") as channel:
        call: Any = channel.stream_stream(path, None, None)(iter([b"\xff\xff"]))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await within(anext(aiter(call)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == MalformedMessage(0).message


async def test_pruned_sequence_is_refused_with_the_oldest_one(sides: Sides) -> None:
    sides.log.store.oldest = 50
    sides.log.log_tail.prune(50)
    found = await equal_results(sides, EVENTS, EVENTS[1](resume_after=10))
    assert found.code is grpc.StatusCode.OUT_OF_RANGE
    assert found.details[0]["metadata"]["oldest_sequence"] == "50"


async def test_valid_request_id_is_kept_and_an_invalid_one_replaced(sides: Sides) -> None:
    ids = []
    for given in ("mine", "has a blank", "x" * 129):
        for port in (sides.aio, sides.fanout):
            metadata = (("x-request-id", given),)
            found = await follow(port, EVENTS, EVENTS[1](heartbeat_seconds=99), metadata=metadata)
            ids.append(found.details[0]["metadata"]["request_id"])
    assert ids[:2] == ["mine", "mine"]
    assert all(len(name) == 36 for name in ids[2:]), "an invalid id is replaced"


async def test_idle_stream_sends_heartbeats(sides: Sides) -> None:
    for stream in (EVENTS, SIGNALS, POSITIONS):
        found = await equal_results(sides, stream, stream[1](heartbeat_seconds=1), beats=1)
        assert (found.items, found.through) == ([], 200)


async def test_live_entries_equal_those_of_a_resumed_stream(sides: Sides) -> None:
    """The stream of one server, followed live, equals the streams of both that resume where it began."""
    for stream in (EVENTS, SIGNALS, POSITIONS):
        before = sides.log.newest

        def grow() -> None:
            for count in (1, 1, 5, 100):
                sides.log.append(count)

        request = stream[1](heartbeat_seconds=1)
        fanout = await follow(sides.fanout, stream, request, until=before + 107, then=grow)
        again = stream[1](resume_after=before, heartbeat_seconds=1)
        assert fanout == await follow(sides.aio, stream, again, until=before + 107)
        assert fanout == await follow(sides.fanout, stream, again, until=before + 107)


async def test_deadline_ends_a_stream(sides: Sides) -> None:
    aio, fanout = await at_a_deadline(sides.aio), await at_a_deadline(sides.fanout)
    assert fanout == aio
    assert aio.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(aio.items) == 200


async def at_a_deadline(port: int) -> StreamResult:
    """Follow all entries to a deadline, which is longer each time until they come before it."""
    deadline = 0.3
    while len((found := await follow(port, EVENTS, EVENTS[1](resume_after=0), deadline=deadline)).items) < 200:
        assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert deadline < DEADLINE
        deadline *= 2
    return found


async def test_replay_ends_with_ok_after_its_last_entry(sides: Sides) -> None:
    request = EVENTS[1](start_time="2024-01-01", end_time="2030-01-01")
    found = await equal_results(sides, EVENTS, request)
    assert (found.code, len(found.items)) == (grpc.StatusCode.OK, 200)


async def test_unavailable_database_ends_a_stream_with_its_reason(sides: Sides) -> None:
    sides.log.store.down = True
    found = await equal_results(sides, EVENTS, EVENTS[1](resume_after=0))
    assert (found.code, found.error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")


@pytest.mark.parametrize("stream", [EVENTS, SIGNALS, POSITIONS], ids=lambda stream: stream[0])
@pytest.mark.parametrize("resume_after", [None, 0])
async def test_stopping_server_ends_streams_with_their_last_sequence(stream: Method, resume_after: int | None) -> None:
    """Each server has its own log, because a log is stopped once."""
    found = []
    for side in ("aio", "fanout"):
        log = await Log.with_entries(200)
        async with both(log) as sides:
            port = sides.aio if side == "aio" else sides.fanout
            request = stream[1]() if resume_after is None else stream[1](resume_after=resume_after)
            found.append(await follow(port, stream, request, then=log.log_tail.stop))
    aio, fanout = found
    assert fanout == aio
    assert (fanout.code, fanout.error.reason, fanout.through) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", 200)
    assert len(fanout.items) == (0 if resume_after is None else 200 if stream is EVENTS else 67 - (stream is POSITIONS))
