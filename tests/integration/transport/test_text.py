"""The streams as text: equal on both servers, with a heartbeat at once, and resumed by browsers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from tests.support.deadlines import within
from tests.support.logs import Log

from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.event_service_pb2 import StreamEventsRequest
from tradingsignals_server.api.contract import NEWLINE_DELIMITED_SERVICE, SERVER_SENT_EVENTS_SERVICE, path_of
from tradingsignals_server.api.streams import STREAMS

from .conftest import Sides, both

TEXTS = [
    service.methods_by_name[stream.method.name]
    for service in (SERVER_SENT_EVENTS_SERVICE, NEWLINE_DELIMITED_SERVICE)
    for stream in STREAMS
]
"""The streams of the log as text; a stream that is computed, such as RunBacktest, is not among them."""
EACH = pytest.mark.parametrize("stream", TEXTS, ids=path_of)
SSE = SERVER_SENT_EVENTS_SERVICE.methods_by_name["StreamEvents"]
LINES = NEWLINE_DELIMITED_SERVICE.methods_by_name["StreamEvents"]


async def responses_of(port: int, stream: MethodDescriptor, request: Any, **metadata: str) -> AsyncIterator[Any]:
    """The responses of a stream, as JSON."""
    key = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_stream(path_of(stream), lambda raw: raw, HttpBody.FromString)(
            request.SerializeToString(), metadata=key
        )
        assert dict(await within(call.initial_metadata()))["x-epoch"].endswith("4")
        try:
            while (body := await within(call.read())) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # not in its stubs
                yield json.loads(body.data.decode().partition("data: ")[2] or body.data)
        finally:
            call.cancel()


def request_of(stream: MethodDescriptor, **fields: int) -> Any:
    """Return a request of a stream."""
    request: Any = GetMessageClass(stream.input_type)
    return request(**fields)


def items(response: Any) -> list[Any]:
    listed: list[Any] = next(iter(response.values()))
    return [item for item in listed if "heartbeat" not in item]


async def through(port: int, stream: MethodDescriptor, request: Any, last: int, **metadata: str) -> list[Any]:
    """Responses until one is complete up to `last`."""
    found: list[Any] = []
    async for response in responses_of(port, stream, request, **metadata):
        found.append(response)
        if int(response["through_sequence"]) >= last:
            return found
    raise AssertionError("the stream ended")


@EACH
async def test_both_servers_send_equal_text_after_a_heartbeat(sides: Sides, stream: MethodDescriptor) -> None:
    listed = []
    for port in (sides.aio, sides.fanout):
        first, *rest = await through(port, stream, request_of(stream, resume_after=5, heartbeat_seconds=1), 200)
        assert (items(first), first["through_sequence"]) == ([], "5")
        listed.append([item for response in rest for item in items(response)])
    assert listed[0] == listed[1]
    assert len(listed[0]) > 60


@pytest.mark.parametrize("path", ["aio", "fanout"])
@EACH
async def test_idle_text_stream_sends_its_sequence_at_once(sides: Sides, stream: MethodDescriptor, path: str) -> None:
    (first,) = await through(getattr(sides, path), stream, request_of(stream, heartbeat_seconds=60), 200)
    assert (items(first), first["through_sequence"]) == ([], "200")


@pytest.mark.parametrize("path", ["aio", "fanout"])
async def test_server_sent_events_resume_after_the_last_event_id(sides: Sides, path: str) -> None:
    request = StreamEventsRequest(resume_after=3, heartbeat_seconds=1)
    port = getattr(sides, path)
    first, *rest = await through(port, SSE, request, 200, last_event_id="190")
    assert first["through_sequence"] == "190"
    assert [item["sequence"] for response in rest for item in items(response)] == [str(n) for n in range(191, 201)]
    first, *_ = await through(port, LINES, request, 200, last_event_id="190")
    assert first["through_sequence"] == "3", "lines have no ids"


@pytest.mark.parametrize("path", ["aio", "fanout"])
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("one", grpc.StatusCode.INVALID_ARGUMENT),
        ("-1", grpc.StatusCode.INVALID_ARGUMENT),
        ("201", grpc.StatusCode.OUT_OF_RANGE),
    ],
)
async def test_impossible_last_event_id_is_refused(sides: Sides, path: str, sent: str, code: grpc.StatusCode) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{getattr(sides, path)}") as channel:
        call: Any = channel.unary_stream(path_of(SSE), bytes, bytes)(b"", metadata=(("last-event-id", sent),))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await within(call.read())
    assert refused.value.code() is code
    assert ("last-event-id" in (refused.value.details() or "")) is (code is grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize("path", ["aio", "fanout"])
async def test_replay_is_sent_as_text(sides: Sides, path: str) -> None:
    request = StreamEventsRequest(start_time="2024-01-01", end_time="2030-01-01", kinds=[Event.SIGNAL])
    found = [response async for response in responses_of(getattr(sides, path), SSE, request)]
    assert len([item for response in found for item in items(response)]) == 67
    assert items(found[0]) == []


@pytest.mark.parametrize("path", ["aio", "fanout"])
async def test_reason_of_the_end_is_sent_as_text(path: str) -> None:
    log = await Log.with_entries(20)
    async with both(log) as sides:
        found: list[Any] = []

        async def follow() -> None:
            async for response in responses_of(getattr(sides, path), LINES, StreamEventsRequest()):
                found.append(response)
                log.log_tail.stop()

        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await follow()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    heartbeat, last = [response["events"][0] for response in found]
    assert "heartbeat" in heartbeat
    assert last["error"]["reason"] == "SHUTTING_DOWN"
