"""A refusal is below 4 KB for any request, on both servers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import http2 as h2
from tests.support.deadlines import within
from tests.support.http2 import http2_peer
from tests.support.logs import Log

from tradingsignals.v1 import event_service_pb2, signal_service_pb2
from tradingsignals.v1.event_pb2 import Event
from tradingsignals_server.api.contract import SERVICES, path_of
from tradingsignals_server.api.encoding.stream_messages import bare_response
from tradingsignals_server.api.mapping import errors
from tradingsignals_server.api.methods import all_methods
from tradingsignals_server.api.services.market_data import MarketDataServicer
from tradingsignals_server.application.event_log.follower import Followers
from tradingsignals_server.domain.errors import ServiceError
from tradingsignals_server.transport.grpc import headers
from tradingsignals_server.transport.methods import ServerStreaming, Unary

from .conftest import BACKTESTS, Sides, servicers

LIMIT = 4096
METHODS = [
    method
    for name, service in SERVICES.items()
    for method in service.methods
    if not method.client_streaming and name in {"SignalService", "PositionService", "EventService", "MarketDataService"}
]

Text = tuple[str, int]
texts = st.tuples(st.text(min_size=1, max_size=20), st.sampled_from([1, 2, 30, 1000, 20_000])).map(
    lambda t: t[0] * t[1]
)
numbers = st.sampled_from([0, 1, -1, 2**31 - 1])
counts = st.sampled_from([0, 1, 2, 11, 999, 1001])


def fill(message: Message, data: st.DataObject) -> None:
    """Set every field of a request to something that is likely to be refused."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None:
            if field.message_type.full_name.startswith("tradingsignals."):
                fill(getattr(message, field.name), data)
        elif field.is_repeated:
            values = data.draw(texts if field.type == FieldDescriptor.TYPE_STRING else numbers)
            getattr(message, field.name).extend([values] * data.draw(counts))
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, data.draw(texts))
        elif field.type == FieldDescriptor.TYPE_DOUBLE:
            setattr(message, field.name, data.draw(st.floats()))
        else:
            setattr(message, field.name, data.draw(numbers))


def trailer_bytes(error: ServiceError) -> int:
    """The size of the block that ends a call with an error."""
    status: Any = errors.status_of(error, "r" * 128)
    return len(headers.trailers_only(status.code, status.message, status.metadata))


async def refusal(call: Awaitable[Any]) -> ServiceError | None:
    """Return the error of a call, None if it was accepted."""
    try:
        await call
    except ServiceError as error:
        return error
    except (AttributeError, TypeError):
        pass  # it was accepted, and there is no engine behind it
    return None


@pytest.mark.untraced
@settings(deadline=None, max_examples=150)
@given(descriptor=st.sampled_from(METHODS), data=st.data())
async def test_refusal_of_any_request_is_below_4_kb(descriptor: MethodDescriptor, data: st.DataObject) -> None:
    log = await Log.with_entries(1)
    nothing: Any = None
    found = {**servicers(log), "MarketDataService": MarketDataServicer(nothing, nothing, nothing)}
    method = all_methods(found, Followers(log.log_tail), BACKTESTS)[path_of(descriptor)]
    request = GetMessageClass(descriptor.input_type)()
    fill(request, data)
    assert isinstance(method, Unary | ServerStreaming)
    serve: Any = method.open if isinstance(method, ServerStreaming) else method.call
    error = await refusal(serve(request.SerializeToString()))
    if error is not None:
        assert trailer_bytes(error) < LIMIT
        assert bare_response(event_service_pb2.StreamEventsResponse, 0, error).ByteSize() < LIMIT


BAD_SYMBOLS = ["!"] * 350


async def ended(port: int, method: str, request: Message) -> grpc.aio.AioRpcError:
    """Return the error of a call of a client that accepts 8 KB of trailers."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_metadata_size", 8192)]) as channel:
        call: Any = channel.unary_stream(f"/tradingsignals.v1.{method}", None, None)(request.SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await within(call.read())
        return failed.value


@pytest.mark.parametrize("side", ["aio", "fanout"])
async def test_ten_of_many_violations_are_listed_and_the_rest_counted(sides: Sides, side: str) -> None:
    request = signal_service_pb2.StreamSignalsRequest(symbols=BAD_SYMBOLS)
    error = await ended(getattr(sides, side), "SignalService/StreamSignals", request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").endswith("; and 341 more")
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has the methods that are read
    bad = error_details_pb2.BadRequest()
    assert status is not None
    assert status.details[1].Unpack(bad)
    assert [violation.field for violation in bad.field_violations] == [f"symbols[{n}]" for n in range(10)]


@pytest.mark.parametrize("side", ["aio", "fanout"])
async def test_count_is_checked_before_the_elements(sides: Sides, side: str) -> None:
    request = event_service_pb2.StreamEventsRequest(symbols=["!"] * 1001, kinds=[Event.SIGNAL] * 101)
    error = await ended(getattr(sides, side), "EventService/StreamEvents", request)
    assert error.details() == "symbols: must be at most 1000; kinds: must be at most 100"


@pytest.mark.parametrize("side", ["aio", "fanout"])
async def test_refusal_takes_less_than_4_kb_on_the_wire(sides: Sides, side: str) -> None:
    request = signal_service_pb2.StreamSignalsRequest(symbols=BAD_SYMBOLS, heartbeat_seconds=99, min_confidence=7)
    path = "/tradingsignals.v1.SignalService/StreamSignals"
    async with http2_peer(getattr(sides, side)) as peer:
        head = h2.block(h2.headers(path, x_request_id="r" * 128))
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, head))
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, h2.framed(request)))
        size, flags = 0, 0
        while not flags & h2.END_STREAM:
            found = await peer.next(h2.HEADERS, 1)
            size, flags = size + len(found.payload), found.flags
        assert 1000 < size < LIMIT


@pytest.mark.parametrize("side", ["aio", "fanout"])
async def test_headers_that_decode_to_too_much_are_refused_at_once(sides: Sides, side: str) -> None:
    repeated = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 10  # an entry of the dynamic table, and references
    async with http2_peer(getattr(sides, side)) as peer:
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers()) + repeated))
        assert (await peer.headers(1))["grpc-status"] == "8"
