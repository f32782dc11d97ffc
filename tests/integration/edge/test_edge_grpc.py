"""gRPC and gRPC-Web through the edge, and the CORS policy."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import cast

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from tests.support.deadlines import DEADLINE

from tradingsignals.v1 import (
    bar_pb2,
    market_data_service_pb2,
    market_data_service_pb2_grpc,
    signal_service_pb2,
    signal_service_pb2_grpc,
)
from tradingsignals_server.adapters.envoy.process import Edge

LATEST = "/tradingsignals.v1.SignalService/GetLatestSignal"
MEBIBYTE = 1 << 20


@pytest.fixture
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"{edge.host}:{edge.port}") as channel:
        yield channel


def web_frames(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Return the messages and the trailers of a gRPC-Web response."""
    messages, trailers = [], {}
    while body:
        flags, length = body[0], int.from_bytes(body[1:5])
        frame, body = body[5 : 5 + length], body[5 + length :]
        if flags & 0x80:
            trailers = dict(line.split(":", 1) for line in frame.decode().split("\r\n") if line)
        else:
            messages.append(frame)
    return messages, trailers


@pytest.mark.parametrize("text", [False, True], ids=["binary", "base64"])
async def test_grpc_web_calls_and_errors(rest: httpx.AsyncClient, text: bool) -> None:
    async def call(symbol: str) -> tuple[list[bytes], dict[str, str]]:
        request = signal_service_pb2.GetLatestSignalRequest(symbol=symbol).SerializeToString()
        framed = b"\0" + len(request).to_bytes(4) + request
        content_type = "application/grpc-web-text" if text else "application/grpc-web+proto"
        headers = {"content-type": content_type, "accept": content_type}
        response = await rest.post(LATEST, content=base64.b64encode(framed) if text else framed, headers=headers)
        assert response.status_code == 200
        body = response.content
        if text:  # a sequence of encodings, each with its own padding
            body = b"".join(base64.b64decode(part) for part in re.findall(b"[^=]+=*", body))
        messages, trailers = web_frames(body)
        return messages, trailers | dict(response.headers)

    (message,), trailers = await call("USDCOP")
    assert json.loads(signal_service_pb2.GetLatestSignalResponse.FromString(message).signal.reasoning[0])
    assert trailers["grpc-status"] == "0"
    none, trailers = await call("NONE")
    assert (none, trailers["grpc-status"]) == ([], "5")
    assert "grpc-status-details-bin" in trailers


@pytest.mark.parametrize(
    "path", ["/x/y", "/api/signals/latest", "/api/signals/stream", "/tradingsignals.v9.X/Y", "/grpc.x/Y"]
)
async def test_path_that_is_no_method_is_unimplemented(
    channel: grpc.aio.Channel, rest: httpx.AsyncClient, path: str
) -> None:
    call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"")
    assert (refused.value.code(), bool(refused.value.details())) == (grpc.StatusCode.UNIMPLEMENTED, True)
    headers = {"content-type": "application/grpc-web+proto"}
    response = await rest.post(path, content=b"\0\0\0\0\0", headers=headers)
    _, trailers = web_frames(response.content)
    assert (trailers | dict(response.headers))["grpc-status"] == "12"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "QUERY"])
@pytest.mark.parametrize("path", ["/tradingsignals.v1.MarketDataService/PublishBars", "/grpc.health.v1.Health/Watch"])
async def test_method_that_is_called_without_post_is_unimplemented(
    rest: httpx.AsyncClient, path: str, method: str
) -> None:
    response = await rest.request(method, path, headers={"content-type": "application/grpc-web+proto"})
    _, trailers = web_frames(response.content)
    assert (trailers | dict(response.headers))["grpc-status"] == "12"
    response = await rest.request(method, path, headers={"content-type": "text/plain"})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_grpc_web_stream_delivers_without_delay(rest: httpx.AsyncClient, released: asyncio.Event) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        rest.stream(
            "POST",
            "/tradingsignals.v1.PositionService/StreamPositions",
            content=b"\0\0\0\0\0",
            headers={"content-type": "application/grpc-web+proto"},
        ) as response,
    ):
        assert response.status_code == 200
        released.set()
        messages, trailers = web_frames(await response.aread())
    assert len(messages) == 2
    assert trailers["grpc-status"] == "0"


async def test_grpc_calls_streams_and_errors(channel: grpc.aio.Channel, released: asyncio.Event) -> None:
    signals = signal_service_pb2_grpc.SignalServiceStub(channel)
    assert (await signals.GetLatestSignal(signal_service_pb2.GetLatestSignalRequest(), timeout=DEADLINE)).signal
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await signals.GetLatestSignal(signal_service_pb2.GetLatestSignalRequest(symbol="NONE"), timeout=DEADLINE)
    assert (missing.value.code(), missing.value.details()) == (grpc.StatusCode.NOT_FOUND, "no señal")
    status = rpc_status.from_call(cast(grpc.Call, missing.value))
    assert status is not None
    assert len(status.details) == 1

    stream = signals.StreamSignals(signal_service_pb2.StreamSignalsRequest(), timeout=DEADLINE)
    await stream.initial_metadata()  # at once
    released.set()
    assert [response.through_sequence async for response in stream] == [1, 2]


async def test_uploads_have_no_body_limit(channel: grpc.aio.Channel) -> None:
    bars = [bar_pb2.Bar(symbol="USDCOP", open=1, high=1, low=1, close=1)] * 1000
    request = market_data_service_pb2.PublishBarsRequest(bars=bars)
    assert request.ByteSize() * 50 > MEBIBYTE
    market = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
    response = await market.PublishBars((request for _ in range(50)), timeout=DEADLINE)
    assert response.received == 50_000


async def test_grpc_health_and_reflection_pass(channel: grpc.aio.Channel) -> None:
    checked = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
    assert checked.status == health_pb2.HealthCheckResponse.SERVING
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter(requests), timeout=DEADLINE)
    (response,) = [response async for response in reflected]
    assert response.list_services_response.service[0].name == "tradingsignals.v1.SignalService"


@pytest.mark.parametrize(
    "path",
    [
        "/tradingsignals.peer.v1.PeerService/ProcessBars",
        "/tradingsignals.edge.v1.ServerSentEventsService/StreamEvents",
        "/tradingsignals.edge.v1.NewlineDelimitedService/StreamEvents",
        "/unknown.Service/Method",
        "/x/y",
    ],
)
async def test_internal_and_unknown_methods_are_not_found(
    channel: grpc.aio.Channel, rest: httpx.AsyncClient, path: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_stream(path, bytes, bytes)(b"", timeout=DEADLINE).read()
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.details() == "there is no such method"
    web = {"content-type": "application/grpc-web+proto"}
    assert (await rest.post(path, content=b"\0\0\0\0\0", headers=web)).headers["grpc-status"] == "12"
    assert (await rest.post(path, json={})).status_code == 404
