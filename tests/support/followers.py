"""The four protocols of streams, with one form of result."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub
from tradingsignals.v1.position_service_pb2 import StreamPositionsRequest, StreamPositionsResponse
from tradingsignals.v1.position_service_pb2_grpc import PositionServiceStub
from tradingsignals.v1.signal_service_pb2 import StreamSignalsRequest, StreamSignalsResponse
from tradingsignals.v1.signal_service_pb2_grpc import SignalServiceStub

from .curl import curl_stream
from .deadlines import within
from .service import RunningService

Responses = AsyncIterator[Any]
Query = Mapping[str, Any]


class Stream:
    """A streaming method: its REST path, its name, and its messages."""

    def __init__(self, path: str, method: str, request: type[Message], response: type[Message], stub: Any) -> None:
        self.path = path
        self.method = method
        self.request = request
        self.response = response
        self.stub = stub


STREAMS = {
    "signals": Stream(
        "/api/signals/stream",
        "SignalService/StreamSignals",
        StreamSignalsRequest,
        StreamSignalsResponse,
        SignalServiceStub,
    ),
    "positions": Stream(
        "/api/signals/positions/stream",
        "PositionService/StreamPositions",
        StreamPositionsRequest,
        StreamPositionsResponse,
        PositionServiceStub,
    ),
    "events": Stream(
        "/api/events", "EventService/StreamEvents", StreamEventsRequest, StreamEventsResponse, EventServiceStub
    ),
}


@asynccontextmanager
async def by_sse(service: RunningService, stream: Stream, query: Query) -> AsyncIterator[Responses]:
    """Follow by server-sent events; the context is entered once the service has accepted the subscription."""
    headers = {"accept": "text/event-stream"}
    async with service.rest() as rest, rest.stream("GET", stream.path, params=query, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield (
            ParseDict(json.loads(line.removeprefix("data: ")), stream.response())
            async for line in response.aiter_lines()
            if line.startswith("data: ")
        )


@asynccontextmanager
async def by_ndjson(service: RunningService, stream: Stream, query: Query) -> AsyncIterator[Responses]:
    """Follow by NDJSON."""
    async with service.rest() as rest, rest.stream("GET", stream.path, params=query) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        yield (ParseDict(json.loads(line), stream.response()) async for line in response.aiter_lines() if line)


@asynccontextmanager
async def by_grpc(service: RunningService, stream: Stream, query: Query) -> AsyncIterator[Responses]:
    """Follow by gRPC through the edge, with the generated stub."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        name = stream.method.rpartition("/")[2]
        call = getattr(stream.stub(channel), name)(ParseDict(dict(query), stream.request()))
        await within(call.initial_metadata())
        yield aiter(call)
        call.cancel()


@asynccontextmanager
async def by_grpc_web(service: RunningService, stream: Stream, query: Query) -> AsyncIterator[Responses]:
    """Follow by gRPC-Web, with buf curl, which does not report when the stream has begun."""
    async with curl_stream(service.address, stream.method, dict(query), protocol="grpcweb") as responses:
        yield (ParseDict(response, stream.response()) async for response in responses)


Way = Callable[[RunningService, Stream, Query], AbstractAsyncContextManager[Responses]]
WAYS: dict[str, Way] = {"sse": by_sse, "ndjson": by_ndjson, "grpc": by_grpc, "grpc-web": by_grpc_web}


async def through(responses: Responses, sequence: int) -> list[Any]:
    """Return the responses until they are complete through `sequence`, without the entries after it.

    There may be some in the last response: outcomes of what was just committed follow by themselves.
    """
    found: list[Any] = []
    while not found or found[-1].through_sequence < sequence:
        found.append(await within(anext(responses)))
    items: Any = next((value for field, value in found[-1].ListFields() if field.is_repeated), [])
    while items and items[-1].sequence > sequence:
        del items[-1]
    return found
