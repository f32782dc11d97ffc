"""Behind Envoy: whoever asks by gRPC, gRPC-Web or REST hears the same, whichever path the streams take."""

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
            yield Edges(sides, aio.port, fanout.port)


def plain(answer: Any) -> list[Any]:
    """The nouns of an answer, however they were batched; heartbeats are not compared."""
    found: list[Any] = next((answer[name] for name in ("events", "signals", "positions") if name in answer), [])
    return [noun for noun in found if "heartbeat" not in noun]


async def by_rest(port: int, path: str, accept: str) -> list[Any]:
    """What comes up to the hundredth entry, and the headers that matter."""
    found: list[Any] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as rest:
        query = {"resume_after": "0", "heartbeat_seconds": "1"}
        async with rest.stream("GET", path, params=query, headers={"accept": accept}) as answer:
            found.append((answer.status_code, answer.headers["content-type"], answer.headers.get("x-epoch")))
            async for line in answer.aiter_lines():
                if line.startswith(("data: ", "{")):
                    responses = json.loads(line.removeprefix("data: "))
                    found.extend(plain(responses))
                    if int(responses["through_sequence"]) >= 100:
                        return found
    raise AssertionError("the stream ended")


async def by_curl(port: int, method: str, protocol: str) -> list[Any]:
    found: list[Any] = []
    body = {"resume_after": 0, "heartbeat_seconds": 1}
    async with curl_stream(f"127.0.0.1:{port}", method, body, protocol=protocol) as answers:
        async for answer in answers:
            found.extend(plain(answer))
            if int(answer["throughSequence"]) >= 100:
                return found
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("path", PATHS)
async def test_both_edges_give_equal_streams(edges: Edges, path: str) -> None:
    for accept in ACCEPTED.values():
        fanout = await by_rest(edges.fanout, path, accept)
        assert fanout == await by_rest(edges.aio, path, accept)
        assert fanout[0][0] == 200
        assert len(fanout) > 30
    for protocol in ("grpc", "grpcweb"):
        fanout = await by_curl(edges.fanout, PATHS[path], protocol)
        assert fanout == await by_curl(edges.aio, PATHS[path], protocol)
        assert len(fanout) > 30


async def test_streams_are_served_by_the_fanout_server_if_configured(edges: Edges) -> None:
    async with connected(edges.fanout) as (reader, writer):
        writer.write(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n")
        assert (await within(reader.readuntil(b"\r\n\r\n"))).startswith(b"HTTP/1.1 200")
        assert edges.sides.server.streams == 1
    async with connected(edges.aio) as (reader, writer):
        writer.write(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await within(reader.readuntil(b"\r\n\r\n"))
        await followers(edges.sides.server, 0)  # the one before has gone: Envoy resets its stream


@pytest.mark.parametrize("path", ["/api/events?resume_after=999", "/api/events?heartbeat_seconds=99&symbols=%C3%B1"])
async def test_refusals_over_rest_are_equal(edges: Edges, path: str) -> None:
    responses = []
    for port in (edges.fanout, edges.aio):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as rest:
            answer = await rest.get(path)
            body = answer.json()
            named = body["details"][0]["metadata"].pop("request_id")
            assert named == answer.headers["x-request-id"], "the name under which the log has it"
            responses.append((answer.status_code, answer.headers["content-type"], body))
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
    """By gRPC and by gRPC-Web, on either path: the same words, and none of Python's."""
    responses = []
    for port in (edges.fanout, edges.aio):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_stream(f"/tradingsignals.v1.{method}", None, None)(b"\xff\xff")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await within(anext(aiter(call)))
        responses.append((str(refused.value.code().value[0]), refused.value.details()))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as browser:
            headers = {"content-type": "application/grpc-web+proto"}
            answer = await browser.post(f"/tradingsignals.v1.{method}", content=b"\0\0\0\0\2\xff\xff", headers=headers)
        responses.append((answer.headers["grpc-status"], unquote(answer.headers["grpc-message"])))
        assert "grpc-status-details-bin" in answer.headers
    assert set(responses) == {("3", MalformedMessage(0).message)}


@pytest.mark.parametrize("symbols", [[], ["USDCOP"] * 300], ids=["short", "long"])
async def test_compressed_request_passes_the_edge(edges: Edges, symbols: list[str]) -> None:
    """By gRPC; grpcio compresses what becomes shorter by it."""
    for port in (edges.fanout, edges.aio):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            follow: Any = channel.unary_stream("/tradingsignals.v1.EventService/StreamEvents", None, None)
            request = StreamEventsRequest(resume_after=0, symbols=symbols)
            call = follow(request.SerializeToString(), compression=grpc.Compression.Gzip)
            assert StreamEventsResponse.FromString(await within(call.read())).events


async def test_stop_of_the_server_reaches_rest_and_grpc_web_followers(edges: Edges) -> None:
    """The error event, and then the end, over each way."""
    async with httpx.AsyncClient(timeout=DEADLINE) as rest:
        url = f"http://127.0.0.1:{edges.fanout}/api/events"
        async with rest.stream("GET", url, headers={"accept": "text/event-stream"}) as answer:
            edges.sides.log.log_tail.stop()
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
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
