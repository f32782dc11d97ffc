"""Behind Envoy: streams over gRPC, gRPC-Web and REST are equal, whichever server sends them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import httpx
import pytest
from hpack import Encoder
from tests.support import http2 as h2
from tests.support.curl import CurlFailed, curl, curl_stream
from tests.support.deadlines import DEADLINE, within
from tests.support.http2 import frame, framed, http2_peer
from tests.support.logs import Log
from tests.support.sockets import connected

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.adapters.envoy.process import running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig
from tradingsignals_server.domain.errors import MalformedMessage

from .conftest import Sides, both, followers

PATHS = {
    "/api/events": "EventService/StreamEvents",
    "/api/signals/stream": "SignalService/StreamSignals",
    "/api/signals/positions/stream": "PositionService/StreamPositions",
}
ACCEPTED = {"sse": "text/event-stream", "ndjson": "application/json"}


@dataclass
class Edges:
    """Two edges before the same log: streams of one come from grpc.aio, of the other from the HTTP/2 server."""

    sides: Sides
    aio: int
    fanout: int


@pytest.fixture
async def edges(tmp_path: Path) -> AsyncIterator[Edges]:
    async with both(await Log.with_entries(100)) as sides:
        listen, backend = Address("127.0.0.1", 0), Address("127.0.0.1", sides.aio)
        http2 = Address("127.0.0.1", sides.fanout)
        async with (
            running_edge(EdgeConfig(listen, backend), tmp_path / "aio", drain_seconds=0.1) as aio,
            running_edge(
                EdgeConfig(listen, backend, fanout=(http2,)), tmp_path / "fanout", drain_seconds=0.1
            ) as fanout,
        ):
            for edge in (aio, fanout):
                await within(edge.sees_all_healthy())
            yield Edges(sides, aio.port, fanout.port)


def items_of(response: Any) -> list[Any]:
    """Return the items of a response without heartbeats."""
    found: list[Any] = next((response[name] for name in ("events", "signals", "positions") if name in response), [])
    return [item for item in found if "heartbeat" not in item]


async def followed_by_rest(port: int, path: str, accept: str) -> list[Any]:
    """Return the relevant headers, and the items up to entry 100."""
    found: list[Any] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as rest:
        query = {"resume_after": "0", "heartbeat_seconds": "1"}
        async with rest.stream("GET", path, params=query, headers={"accept": accept}) as response:
            found.append((response.status_code, response.headers["content-type"], response.headers.get("x-epoch")))
            async for line in response.aiter_lines():
                if line.startswith(("data: ", "{")):
                    body = json.loads(line.removeprefix("data: "))
                    found.extend(items_of(body))
                    if int(body["through_sequence"]) >= 100:
                        return found
    raise AssertionError("the stream ended")


async def followed_by_curl(port: int, method: str, protocol: str) -> list[Any]:
    found: list[Any] = []
    body = {"resume_after": 0, "heartbeat_seconds": 1}
    async with curl_stream(f"127.0.0.1:{port}", method, body, protocol=protocol) as responses:
        async for response in responses:
            found.extend(items_of(response))
            if int(response["throughSequence"]) >= 100:
                return found
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("path", PATHS)
async def test_both_edges_give_equal_streams(edges: Edges, path: str) -> None:
    for accept in ACCEPTED.values():
        fanout = await followed_by_rest(edges.fanout, path, accept)
        assert fanout == await followed_by_rest(edges.aio, path, accept)
        assert fanout[0][0] == 200
        assert len(fanout) > 30
    for protocol in ("grpc", "grpcweb"):
        fanout = await followed_by_curl(edges.fanout, PATHS[path], protocol)
        assert fanout == await followed_by_curl(edges.aio, PATHS[path], protocol)
        assert len(fanout) > 30


async def test_streams_are_served_by_the_fanout_server_if_configured(edges: Edges) -> None:
    async with connected(edges.fanout) as (reader, writer):
        writer.write(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n")
        assert (await within(reader.readuntil(b"\r\n\r\n"))).startswith(b"HTTP/1.1 200")
        assert edges.sides.server.streams == 1
    async with connected(edges.aio) as (reader, writer):
        writer.write(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await within(reader.readuntil(b"\r\n\r\n"))
        await followers(edges.sides.server, 0)  # Envoy has reset the stream of the first connection


@pytest.mark.parametrize("path", ["/api/events?resume_after=999", "/api/events?heartbeat_seconds=99&symbols=%C3%B1"])
async def test_refusals_over_rest_are_equal(edges: Edges, path: str) -> None:
    responses = []
    for port in (edges.fanout, edges.aio):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as rest:
            response = await rest.get(path)
            body = response.json()
            named = body["details"][0]["metadata"].pop("request_id")
            assert named == response.headers["x-request-id"], "the id in the log"
            responses.append((response.status_code, response.headers["content-type"], body))
    assert responses[0] == responses[1]
    assert responses[0][0] == 400


async def test_refusals_over_grpc_web_are_equal(edges: Edges) -> None:
    responses = []
    for port in (edges.fanout, edges.aio):
        with pytest.raises(CurlFailed) as failed:
            await curl(f"127.0.0.1:{port}", "EventService/StreamEvents", {"resume_after": 999}, protocol="grpcweb")
        body = failed.value.body
        for detail in body["details"]:
            detail.pop("value", None)
            detail.get("debug", {}).get("metadata", {}).pop("request_id", None)
        responses.append(body)
    assert responses[0] == responses[1]
    assert responses[0]["code"] == "out_of_range"


@pytest.mark.parametrize("method", ["EventService/StreamEvents", "SystemService/GetServiceInfo"])
async def test_malformed_message_has_the_same_error_over_grpc_and_grpc_web(edges: Edges, method: str) -> None:
    """The message is ours over each protocol and server, and contains no text of Python."""
    responses = []
    for port in (edges.fanout, edges.aio):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_stream(f"/tradingsignals.v1.{method}", None, None)(b"\xff\xff")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await within(anext(aiter(call)))
        responses.append((str(refused.value.code().value[0]), refused.value.details()))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as browser:
            headers = {"content-type": "application/grpc-web+proto"}
            response = await browser.post(
                f"/tradingsignals.v1.{method}", content=b"\0\0\0\0\2\xff\xff", headers=headers
            )
        responses.append((response.headers["grpc-status"], unquote(response.headers["grpc-message"])))
        assert "grpc-status-details-bin" in response.headers
    assert set(responses) == {("3", MalformedMessage(0).message)}


@pytest.mark.parametrize("symbols", [[], ["USDCOP"] * 300], ids=["short", "long"])
async def test_compressed_request_passes_the_edge(edges: Edges, symbols: list[str]) -> None:
    """grpcio compresses messages that become shorter."""
    for port in (edges.fanout, edges.aio):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            follow: Any = channel.unary_stream("/tradingsignals.v1.EventService/StreamEvents", None, None)
            request = StreamEventsRequest(resume_after=0, symbols=symbols)
            call = follow(request.SerializeToString(), compression=grpc.Compression.Gzip)
            assert StreamEventsResponse.FromString(await within(call.read())).events


async def test_stop_of_the_server_reaches_rest_and_grpc_web_followers(edges: Edges) -> None:
    """The error event comes before the end, over each protocol."""
    async with httpx.AsyncClient(timeout=DEADLINE) as rest:
        url = f"http://127.0.0.1:{edges.fanout}/api/events"
        async with rest.stream("GET", url, headers={"accept": "text/event-stream"}) as response:
            edges.sides.log.log_tail.stop()
            lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    responses = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert responses[-1]["events"][0]["error"]["reason"] == "SHUTTING_DOWN"
    with pytest.raises(CurlFailed) as failed:
        await curl(f"127.0.0.1:{edges.fanout}", "EventService/StreamEvents", {}, protocol="grpcweb")
    assert failed.value.body["code"] == "unavailable"


async def test_trailers_of_a_request_are_not_forwarded(edges: Edges) -> None:
    large = Encoder().encode([("x", "a" * 3000)] * 10)  # a byte for each but the first; more than the server takes
    async with http2_peer(edges.fanout) as peer:
        peer.send(frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers(h2.EVENTS_PATH))))
        peer.send(frame(h2.DATA, 0, 1, framed(StreamEventsRequest(resume_after=0))))
        peer.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, large))
        assert (await peer.headers(1))[":status"] == "200"
        assert StreamEventsResponse.FromString(await peer.message(1)).events
