"""A real Envoy before a small real gRPC server, whose responses contain the request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from tests.support.deadlines import DEADLINE, within

from tradingsignals.v1 import (
    bar_pb2,
    event_pb2,
    event_service_pb2,
    market_data_service_pb2,
    model_service_pb2,
    position_pb2,
    position_service_pb2,
    signal_pb2,
    signal_service_pb2,
    system_service_pb2,
)
from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig
from tradingsignals_server.api.contract import EDGE_SERVICES
from tradingsignals_server.api.encoding.json_text import json_text
from tradingsignals_server.api.encoding.stream_text import Framing, json_body, ndjson_line, server_sent_event
from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.api.methods import is_routine, method_name
from tradingsignals_server.api.services.json_bodies import json_body_servicer
from tradingsignals_server.transport.grpc.interceptors import CallInterceptor
from tradingsignals_server.transport.grpc.server import OPTIONS
from tradingsignals_server.transport.grpc.status import CallRules

FRAMINGS: dict[str, Framing] = {
    EDGE_SERVICES["ServerSentEventsService"].full_name: server_sent_event,
    EDGE_SERVICES["NewlineDelimitedService"].full_name: ndjson_line,
}


def echo(request: Message) -> signal_pb2.Signal:
    """Return a signal that contains the request."""
    fields = MessageToDict(request, preserving_proto_field_name=True)
    return signal_pb2.Signal(action=signal_pb2.Signal.BUY, reasoning=[json.dumps(fields)])


async def fail(context: Any, code: int, message: str, *details: Message) -> None:
    packed = [any_pb2.Any() for _ in details]
    for box, detail in zip(packed, details, strict=True):
        box.Pack(detail)
    status = status_pb2.Status(code=code, message=message, details=packed)
    await context.abort_with_status(rpc_status.to_status(status))


class Stub(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in its types only
    """A server with the RPCs that have a method of their name here."""

    def __init__(self) -> None:
        self.port = 0
        self.released = asyncio.Event()  # set to let the streams send their messages
        self.flooded = asyncio.Event()  # set at each response of the flood
        self.healthy = True
        self.metadata: dict[str, str | bytes] = {}  # of the newest single call
        self.following = 0
        self.changed = asyncio.Event()  # set when a stream begins or ends

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        service, _, name = details.method.removeprefix("/").partition("/")
        rpc = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), None)
        if rpc is None or not service.startswith("tradingsignals."):
            return None
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        coding = {
            "request_deserializer": message_factory.GetMessageClass(method.input_type).FromString,
            "response_serializer": lambda item: item if isinstance(item, bytes) else item.SerializeToString(),
        }
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self.streaming(rpc, FRAMINGS.get(service)), **coding)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(rpc, **coding)
        if service == EDGE_SERVICES["JsonService"].full_name:
            rpc = self.as_json(rpc)
        if service == EDGE_SERVICES["JsonBodyService"].full_name:
            rpc = self.as_read(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        return grpc.unary_unary_rpc_method_handler(rpc, **coding)

    def as_json(self, rpc: Any) -> Any:
        async def text(request: Any, context: Any) -> bytes:
            return json_body(json_text(await rpc(request, context)).encode())

        return text

    def as_read(self, name: str) -> Any:
        async def read(request: Any, context: Any) -> Any:
            async def written(public: Any) -> bytes:
                text: bytes = await self.as_json(getattr(self, name))(public, context)
                return text

            names = [method_name(method) for method in EDGE_SERVICES["JsonBodyService"].methods]
            servicer = json_body_servicer(SimpleNamespace(**dict.fromkeys(names, written)))
            return await getattr(servicer, name)(request)

        return read

    def count(self, change: int) -> None:
        self.following += change
        self.changed.set()

    async def follow(self, count: int) -> None:
        """Wait until there are `count` streams."""
        async with asyncio.timeout(DEADLINE):
            while self.following != count:
                self.changed.clear()
                await self.changed.wait()

    def streaming(self, rpc: Any, framing: Framing | None) -> Any:
        """Return a stream that starts at once: with its headers or, as text, with its sequence."""

        async def stream(request: Any, context: Any) -> AsyncIterator[Message | bytes]:
            if getattr(request, "min_confidence", 0.0) > 1:
                await fail(context, 3, "min_confidence: must be in 0..1")
            await context.send_initial_metadata(())
            if framing is not None:
                yield framing(b'{"through_sequence":"0"}', 0)
            self.count(1)
            try:
                async for message in rpc(request, context):
                    yield message if framing is None else framing(json_text(message).encode(), message.through_sequence)
            finally:
                self.count(-1)

        return stream

    async def get_health(self, _request: Any, context: Any) -> Message:
        if not self.healthy:
            await fail(context, 14, "unhealthy", system_service_pb2.GetHealthResponse(status="unhealthy"))
        return system_service_pb2.GetHealthResponse(status="healthy")

    async def get_latest_signal(self, request: Any, context: Any) -> Message:
        self.metadata = dict(context.invocation_metadata())
        if request.symbol == "NONE":
            reason = error_details_pb2.ErrorInfo(reason="SIGNAL_NOT_FOUND", domain="tradingsignals")
            await fail(context, 5, "no señal", reason)
        if request.symbol == "HANG":
            await asyncio.Event().wait()
        return signal_service_pb2.GetLatestSignalResponse(signal=echo(request))

    async def list_signals(self, request: Any, _context: Any) -> Message:
        if request.limit:
            signal = signal_pb2.Signal(reasoning=["x" * 2_000])
            return signal_service_pb2.ListSignalsResponse(signals=[signal] * request.limit, count=request.limit)
        return signal_service_pb2.ListSignalsResponse(signals=[echo(request)])

    async def generate_signal(self, request: Any, _context: Any) -> Message:
        return signal_service_pb2.GenerateSignalResponse(signal=echo(request))

    async def generate_signal_from_db(self, request: Any, _context: Any) -> Message:
        return signal_service_pb2.GenerateSignalFromDbResponse(signal=echo(request))

    async def close_position(self, request: Any, _context: Any) -> Message:
        position = position_pb2.Position(position_id=request.position_id, exit_price=request.price)
        return position_service_pb2.ClosePositionResponse(position=position)

    async def publish_bar(self, request: Any, _context: Any) -> Message:
        return market_data_service_pb2.PublishBarResponse(receipt=bar_pb2.BarReceipt(symbol=request.bar.symbol))

    async def reload_model(self, _request: Any, _context: Any) -> Message:
        return model_service_pb2.ReloadModelResponse()

    async def publish_bars(self, requests: Any, context: Any) -> Message:
        await context.send_initial_metadata(())
        received = [len(request.bars) async for request in requests]
        return market_data_service_pb2.PublishBarsResponse(received=sum(received))

    async def stream_signals(self, request: Any, _context: Any) -> AsyncIterator[Message]:
        await self.released.wait()
        yield signal_service_pb2.StreamSignalsResponse(signals=[echo(request)], through_sequence=1)
        yield signal_service_pb2.StreamSignalsResponse(through_sequence=2)

    async def stream_positions(self, _request: Any, _context: Any) -> AsyncIterator[Message]:
        await self.released.wait()
        yield position_service_pb2.StreamPositionsResponse(through_sequence=1)
        yield position_service_pb2.StreamPositionsResponse(through_sequence=2)

    async def stream_events(self, request: Any, _context: Any) -> AsyncIterator[Message]:
        if "FLOOD" in request.symbols:
            event = event_pb2.Event(signal=signal_pb2.Signal(reasoning=["x" * 10_000]))
            while True:
                self.flooded.set()
                yield event_service_pb2.StreamEventsResponse(events=[event])
        await self.released.wait()
        yield event_service_pb2.StreamEventsResponse(through_sequence=1)
        yield event_service_pb2.StreamEventsResponse(through_sequence=2)


@pytest.fixture(scope="module")
async def stub() -> AsyncIterator[Stub]:
    stub = Stub()
    interceptor = CallInterceptor(CallRules(status_of, is_routine))
    server = grpc.aio.server(handlers=[stub], interceptors=(interceptor,), options=OPTIONS)
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined] # missing in its types
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection(["tradingsignals.v1.SignalService"], server)
    stub.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield stub
    await server.stop(None)


@pytest.fixture(scope="module")
async def edge(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port))
    async with running_edge(config, tmp_path_factory.mktemp("edge")) as edge:
        await within(edge.sees_all_healthy())
        yield edge


@pytest.fixture(scope="module")
async def rest(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    json_body = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE, headers=json_body) as client:
        yield client


@pytest.fixture
def released(stub: Stub) -> asyncio.Event:
    """An event that, once set, lets the streams send their messages."""
    stub.released.clear()
    return stub.released
