"""Limits of the edge for one caller: timeouts, headers, and the headers that reach the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
from tests.support import http2 as h2
from tests.support.deadlines import DEADLINE, within
from tests.support.http2 import frame, http2_peer
from tests.support.sockets import connected

from tradingsignals.v1 import market_data_service_pb2, market_data_service_pb2_grpc
from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub

LATEST = "/tradingsignals.v1.SignalService/GetLatestSignal"


@pytest.fixture(scope="module")
async def hasty(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """An edge with timeouts of one second for requests and idle connections."""
    config = EdgeConfig(
        Address("127.0.0.1", 0), Address("127.0.0.1", stub.port), request_timeout_seconds=1, idle_timeout_seconds=1
    )
    async with running_edge(config, tmp_path_factory.mktemp("hasty")) as edge:
        await within(edge.sees_all_healthy())
        yield edge


async def test_idle_connection_is_closed(hasty: Edge) -> None:
    async def end(sent: bytes) -> None:
        async with connected(hasty.port) as (reader, writer):
            writer.write(sent)
            while await reader.read(1 << 16):
                pass

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(
            *map(end, (b"", b"PRI * HTTP/2.0\r\n", h2.PREFACE, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"))
        )


@pytest.mark.parametrize("path", ["/api/signals/generate", "/api/market/bars"])
async def test_slow_body_times_out(hasty: Edge, path: str) -> None:
    async with asyncio.timeout(DEADLINE), connected(hasty.port) as (reader, writer):
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n"
        )
        writer.write(head.encode() + b"{")
        response = asyncio.create_task(reader.read(1 << 16))
        while not response.done():  # a byte every tenth of a second prevents every idle timeout
            writer.write(b" ")
            await asyncio.wait([response], timeout=0.1)
        assert response.result().startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", [LATEST, h2.EVENTS_PATH, "/grpc.health.v1.Health/Check"])
async def test_incomplete_grpc_request_times_out(hasty: Edge, path: str) -> None:
    async with asyncio.timeout(DEADLINE), http2_peer(hasty.port) as peer:
        peer.send(frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers(path))))
        peer.send(frame(h2.DATA, 0, 1, b"\0"))
        await peer.next(h2.HEADERS, 1)


async def test_idle_upload_outlives_the_request_timeout(hasty: Edge) -> None:
    async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(f"{hasty.host}:{hasty.port}") as channel:
        upload = market_data_service_pb2_grpc.MarketDataServiceStub(channel).PublishBars()  # type: ignore[call-arg]  # grpc.aio writes
        await upload.write(market_data_service_pb2.PublishBarsRequest(bars=[{}]))
        async with connected(hasty.port) as (reader, _):  # the time that a request or an idle connection has
            assert await reader.read() == b""
        async with connected(hasty.port) as (reader, _):
            assert await reader.read() == b""
        await upload.write(market_data_service_pb2.PublishBarsRequest(bars=[{}]))
        await upload.done_writing()
        assert (await upload).received == 2


async def test_headers_are_limited_in_size_and_number(rest: httpx.AsyncClient) -> None:
    assert (await rest.get("/health", headers={"x": "a" * 41_000})).status_code == 431
    assert (await rest.get("/health", headers={f"x-{at}": "a" for at in range(65)})).status_code == 431
    symbols = "&".join(f"symbols=SYMBOL%2F{at:013}" for at in range(1000))  # the longest filter
    async with rest.stream("GET", f"/api/signals/stream?{symbols}") as response:
        assert response.status_code == 200


async def test_headers_that_the_server_does_not_read_are_removed(stub: Stub, rest: httpx.AsyncClient) -> None:
    long = "x" * 1025
    sent = [
        *(("x-other", "1"), ("cookie", "a=b"), ("user-agent", "x"), ("accept-language", "es"), ("x_request_id", "x")),
        *(("traceparent", "00-1-2-3"), ("tracestate", long), ("last-event-id", "1"), ("last-event-id", "2")),
        *(("x-tradingsignals-peer", "1"), ("x-forwarded-for", "10.0.0.1"), ("x-request-id", "mine")),
    ]
    assert (await rest.get(f"/api/signals/latest?symbol={long}", headers=sent)).status_code == 200
    path = stub.metadata.pop("x-envoy-original-path")
    assert len(path) == 256
    grpc_core = {"user-agent"} & stub.metadata.keys()  # added by its server
    assert stub.metadata.keys() - grpc_core == {"traceparent", "tracestate", "last-event-id", "x-request-id"}
    assert stub.metadata["tracestate"] == long[:1024]
    assert stub.metadata["last-event-id"] == "1,2"  # which the server refuses
    assert stub.metadata["x-request-id"] == "mine"
    assert stub.metadata.get("user-agent") != "x"


@pytest.mark.parametrize(
    ("name", "is_kept"), [("desk-7/42", True), ("~" * 128, True), ("", False), ("a b", False), ("x" * 129, False)]
)
async def test_valid_request_id_of_the_caller_is_kept(rest: httpx.AsyncClient, name: str, is_kept: bool) -> None:
    response = await rest.get("/health", headers={"x-request-id": name})
    assert (response.headers["x-request-id"] == name) is is_kept
    assert response.headers["x-request-id"]
