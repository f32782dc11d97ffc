"""Calls with one response: the HTTP/2 server responds like grpc.aio to every request."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_status import rpc_status
from tests.support import http2 as h2
from tests.support.deadlines import within
from tests.support.http2 import http2_peer
from tests.support.logs import Log

from tradingsignals.v1 import (
    market_data_service_pb2,
    model_service_pb2,
    position_service_pb2,
    signal_service_pb2,
    system_service_pb2,
)
from tradingsignals_server.api.contract import SERVICES
from tradingsignals_server.api.methods import methods_of
from tradingsignals_server.transport.fanout.server import FanoutServer

from .conftest import RULES, Endless, Sides, both

LIST_SIGNALS = "SignalService/ListSignals"
MODEL_INFO = "ModelService/GetModelInfo"

REQUESTS: dict[str, tuple[str, Any]] = {
    "a page": (LIST_SIGNALS, signal_service_pb2.ListSignalsRequest(limit=5)),
    "a page of one symbol": (LIST_SIGNALS, signal_service_pb2.ListSignalsRequest(symbol="EURUSD")),
    "all fields invalid": (LIST_SIGNALS, signal_service_pb2.ListSignalsRequest(limit=5000, symbol="!", end_date="x")),
    "an unknown token": (LIST_SIGNALS, signal_service_pb2.ListSignalsRequest(page_token="x")),  # noqa: S106
    "the newest": ("SignalService/GetLatestSignal", signal_service_pb2.GetLatestSignalRequest()),
    "nothing found": ("SignalService/GetLatestSignal", signal_service_pb2.GetLatestSignalRequest(symbol="GBPCOP")),
    "an empty page": ("PositionService/ListClosedPositions", position_service_pb2.ListClosedPositionsRequest()),
    "an invalid id": ("PositionService/ClosePosition", position_service_pb2.ClosePositionRequest(position_id="x")),
    "a defect": ("MarketDataService/ListBars", market_data_service_pb2.ListBarsRequest()),
    "no message": (LIST_SIGNALS, b"\xff\xff\xff"),
    "no such method": ("SystemService/Reboot", system_service_pb2.GetHealthRequest()),
    "no such service": ("NoService/GetHealth", system_service_pb2.GetHealthRequest()),
}


@dataclass
class Result:
    """All that the caller can see."""

    body: bytes = b""
    begins_with: dict[str, Any] | None = None
    code: Any = None
    message: str | None = None
    details: Any = None
    ends_with: Any = None


async def called(
    port: int, method: str, request: Any, deadline: float | None = None, compression: Any = None
) -> Result:
    """Make one call."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method_call: Any = channel.unary_unary(f"/tradingsignals.v1.{method}", None, None)
        sent = request if isinstance(request, bytes) else request.SerializeToString()
        metadata = (("x-request-id", "conforming"),)
        call = method_call(sent, timeout=deadline, metadata=metadata, compression=compression)
        found = Result()
        try:
            found.body = await within(call)
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has the methods that are read
            found.details = [] if status is None else [MessageToDict(detail) for detail in status.details]
        found.begins_with = dict(await call.initial_metadata())
        found.code, found.message = await call.code(), await call.details()
        found.ends_with = sorted(key for key, _ in await call.trailing_metadata())
        return found


@pytest.mark.parametrize("what", REQUESTS)
async def test_both_servers_give_equal_responses(sides: Sides, what: str) -> None:
    method, request = REQUESTS[what]
    aio, fanout = await called(sides.aio, method, request), await called(sides.fanout, method, request)
    assert fanout == aio
    assert (aio.code is grpc.StatusCode.OK) == bool(aio.body)
    assert "AssertionError" not in f"{aio.message}{aio.details}"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("length", [0, 10, 5_000])
async def test_compressed_request_has_the_response_of_the_plain_one(
    sides: Sides, compression: grpc.Compression, length: int
) -> None:
    """grpcio compresses messages that become shorter."""
    request = signal_service_pb2.ListSignalsRequest(limit=5, page_token="x" * length)
    plain = await called(sides.aio, LIST_SIGNALS, request)
    for port in (sides.aio, sides.fanout):
        assert await called(port, LIST_SIGNALS, request, compression=compression) == plain


async def test_compressed_request_is_limited_by_its_inflated_size(sides: Sides) -> None:
    request = signal_service_pb2.ListSignalsRequest(page_token="x" * 10_000_000)
    for port in (sides.aio, sides.fanout):
        found = await called(port, LIST_SIGNALS, request, compression=grpc.Compression.Gzip)
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED


HALF_CLOSED = {
    "headers only": h2.frame(
        h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, h2.block(h2.headers(f"/tradingsignals.v1.{LIST_SIGNALS}"))
    ),
    "empty data": h2.frame(h2.HEADERS, h2.END_HEADERS, 3, h2.block(h2.headers(f"/tradingsignals.v1.{LIST_SIGNALS}")))
    + h2.frame(h2.DATA, h2.END_STREAM, 3, b""),
}


@pytest.mark.parametrize("sent", HALF_CLOSED.values(), ids=HALF_CLOSED)
async def test_call_without_a_message_is_an_error_of_its_caller(
    sides: Sides, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    for port in (sides.aio, sides.fanout):
        async with http2_peer(port) as peer:
            peer.send(sent)
            ended = await peer.headers(3)
        assert ended["grpc-status"] == "3"
        assert "message 0 of the call" in ended["grpc-message"]
        assert ended["grpc-status-details-bin"]
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


async def test_response_larger_than_the_window_is_complete() -> None:
    """Some 300 KB, while a stream begins with a window of 64."""
    async with both(await Log.with_entries(3000)) as sides:
        request = signal_service_pb2.ListSignalsRequest(limit=1000)
        aio, fanout = (
            await called(sides.aio, LIST_SIGNALS, request),
            await called(sides.fanout, LIST_SIGNALS, request),
        )
        assert fanout == aio
        assert len(aio.body) > 100_000


async def test_concurrent_calls_on_one_connection_get_their_own_responses(sides: Sides) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{sides.fanout}") as channel:
        page: Any = channel.unary_unary(f"/tradingsignals.v1.{LIST_SIGNALS}", None, None)
        requests = [signal_service_pb2.ListSignalsRequest(limit=1 + n % 7).SerializeToString() for n in range(300)]
        responses = await within(asyncio.gather(*(page(request) for request in requests)))
        counts = [len(signal_service_pb2.ListSignalsResponse.FromString(response).signals) for response in responses]
    assert counts == [1 + n % 7 for n in range(300)]


async def test_deadline_ends_a_call() -> None:
    async with both(await Log.with_entries(1)) as sides:
        for port in (sides.aio, sides.fanout):
            found = await called(port, MODEL_INFO, model_service_pb2.GetModelInfoRequest(), deadline=0.2)
            assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_reset_of_the_caller_cancels_the_handler() -> None:
    log, endless = await Log.with_entries(1), Endless()
    server = FanoutServer(methods_of(SERVICES["ModelService"], endless), RULES, log.log_tail.subscribe)
    async with server.running("127.0.0.1", 0), http2_peer(server.port) as peer:
        peer.send(h2.request(1, b"", f"/tradingsignals.v1.{MODEL_INFO}"))
        await within(endless.begun.wait())
        peer.send(h2.frame(h2.RST_STREAM, 0, 1, h2.CANCEL.to_bytes(4, "big")))
        peer.send(h2.frame(h2.PING, 0, 0, b"ordering"))
        await peer.next(h2.PING)
    assert endless.cancelled == 1
