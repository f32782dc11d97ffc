"""Followers that have stopped reading do not affect others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.curl import curl_stream
from tests.support.deadlines import poll, within
from tests.support.followers import STREAMS, by_grpc, through
from tests.support.quotes import sure_hold
from tests.support.service import RunningService, running_service
from tests.support.sockets import connected

import tradingsignals.errors
from tradingsignals.v1.event_service_pb2 import StreamEventsRequest
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub

FOLLOWERS = 60
BARS = walk(1800, seed=13)


async def test_service_continues_with_many_stalled_followers(folder: Path) -> None:
    """Each has some four megabytes pending, more than all buffers hold, and reads its first bytes only."""
    async with running_service(folder) as service, service.client() as client, service.rest() as rest:
        await client.publish_bars(messages(BARS[:1700]))
        envoy = service.child("envoy")
        async with AsyncExitStack() as stack:
            for path in ("/api/events", "/api/signals/stream") * (FOLLOWERS // 2):
                reader, writer = await stack.enter_async_context(connected(service.port, receive_buffer=4096))
                accept = b"accept: text/event-stream\r\n" if path == "/api/events" else b""
                writer.write(b"GET %s?resume_after=0 HTTP/1.1\r\nhost: localhost\r\n%s\r\n" % (path.encode(), accept))
                assert (await within(reader.readuntil(b"\r\n\r\n"))).startswith(b"HTTP/1.1 200")
                writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a whole transport

            for _ in range(5):
                health = await within(rest.get("/health"))
                assert health.json()["database_connected"] is True
                assert (await within(rest.get("/api/signals/history?limit=100"))).status_code == 200
                await within(client.generate_signal(**sure_hold("EURUSD")))  # type: ignore[arg-type]
            async with by_grpc(service, STREAMS["events"], {"resume_after": 0}) as responses:
                response = await within(client.publish_bars(messages(BARS[1700:])))
                assert response.accepted == 100
                found = await through(responses, response.through_sequence)
            sequences = [event.sequence for one in found for event in one.events]
            assert sequences == list(range(1, response.through_sequence + 1))
        await asyncio.gather(*(within(rest.get("/health")) for _ in range(5)))
        assert service.child("envoy") == envoy
        assert await service.stop() == 0
        assert "Traceback" not in service.log, service.log


async def test_disconnecting_followers_cause_no_error(folder: Path) -> None:
    """They disconnect cleanly or are killed, also while data is being written to them."""
    async with running_service(folder) as service, service.client() as client:
        await client.publish_bars(messages(BARS[:1200]))
        for _ in range(5):
            async with connected(service.port) as (reader, writer):
                writer.write(b"GET /api/events?resume_after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n")
                await within(reader.readuntil(b"\r\n\r\n"))
            stream = client.stream_events(resume_after=0)
            await within(anext(stream))
            stream.cancel()
            # What it prints is not read, so that it stalls; then it is killed.
            everything = {"resume_after": 0}
            async with curl_stream(service.grpc_address, STREAMS["events"].method, everything) as responses:
                await within(anext(responses))
        assert (await client.health()).database_connected
        assert await service.stop() == 0
        assert '"ERROR"' not in service.log, service.log


@pytest.mark.parametrize("edge", [True, False], ids=["through the edge", "direct"])
async def test_stalled_follower_is_ended_with_its_last_sequence(folder: Path, edge: bool) -> None:
    """The server does not wait for it; if it reads on, it gets all entries up to the sequence of the error."""
    async with running_service(folder, STREAM_STALL_SECONDS="0.5", LOG_LEVEL="INFO") as service:
        async with service.client() as client:
            await client.publish_bars(messages(BARS[:1700]))
        address = service.address if edge else service.grpc_address
        small_windows = [("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)]
        async with grpc.aio.insecure_channel(address, options=small_windows) as channel:
            call = EventServiceStub(channel).StreamEvents(StreamEventsRequest(resume_after=0))
            responses: list[Any] = []
            responses.append(await within(call.read()))
            await within(_logged(service, "StreamEvents RESOURCE_EXHAUSTED", "FOLLOWER_STALLED"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await within(_read_on(call, responses))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = tradingsignals.errors.from_rpc_error(caught.value)
        sequences = [event.sequence for response in responses for event in response.events]
        assert sequences == list(range(1, len(sequences) + 1))
        assert (error.reason, error.metadata["sequence"]) == ("FOLLOWER_STALLED", str(len(sequences)))
        assert len(sequences) < 5000
        assert await service.stop() == 0
        assert "Traceback" not in service.log, service.log


async def _read_on(call: Any, responses: list[Any]) -> None:
    while (response := await call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # the stubs lack it
        responses.append(response)
    raise AssertionError("it ended as if nothing had happened")


async def _logged(service: RunningService, *words: str) -> None:
    """Wait until a line of the log contains `words`. It polls, because the file has no notification."""
    while not any(all(word in line for word in words) for line in service.log.splitlines()):
        await poll()
