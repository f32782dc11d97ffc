"""Both servers have a call admitted before they read it, and end it when its permission ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import grpc
import pytest
from tests.support.deadlines import DEADLINE, within
from tests.support.logs import Log

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.api.contract import SERVICES
from tradingsignals_server.domain.access_errors import InvalidKey, RoleNotAllowed
from tradingsignals_server.transport.admission import HeaderOf
from tradingsignals_server.transport.fanout.server import FanoutServer
from tradingsignals_server.transport.grpc.server import running_server
from tradingsignals_server.transport.grpc.status import CallStatus
from tradingsignals_server.transport.methods import ClientStreaming

from .conftest import RULES, methods

EVENTS = "/tradingsignals.v1.EventService/StreamEvents"
LIST = "/tradingsignals.v1.SignalService/ListSignals"
UPLOAD = "/tradingsignals.v1.MarketDataService/PublishBars"
HEALTH = "/grpc.health.v1.Health/Check"


@dataclass
class ScriptedGate:
    """A gate that refuses the paths in `refused`, and records what it admits."""

    refused: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None, str]] = field(default_factory=list)
    held: list[Callable[[Exception], None]] = field(default_factory=list)
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    released: list[str] = field(default_factory=list)
    releasing: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, method: str, header: HeaderOf, peer: str) -> ScriptedGate:
        """See Gate."""
        self.asked.append((method, header("x-api-key"), peer))
        if method in self.refused:
            raise RoleNotAllowed("viewer", "admin")
        return self

    def enter(self) -> None:
        """See Admission."""

    def hold(self, withdraw: Callable[[Exception], None]) -> None:
        """See Admission."""
        self.held.append(withdraw)
        self.holding.set()

    def release(self, status: CallStatus) -> None:
        """See Admission."""
        self.released.append(status.code.name)
        self.releasing.set()


@asynccontextmanager
async def served(kind: str, gate: ScriptedGate) -> AsyncIterator[grpc.aio.Channel]:
    """Serve a log of a few entries, and connect."""
    log = await Log.with_entries(3)
    if kind == "fanout":
        fanout = FanoutServer(methods(log), RULES, log.log_tail.subscribe, gate=gate)
        async with fanout.running("127.0.0.1", 0), grpc.aio.insecure_channel(f"127.0.0.1:{fanout.port}") as channel:
            yield channel
            log.log_tail.stop()
        return
    names = [service.full_name for service in SERVICES.values()]
    table = methods(log) | {UPLOAD: ClientStreaming(_read_all)}
    async with (
        running_server("127.0.0.1", 0, table, RULES, log.log_tail.subscribe, names, gate=gate) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel
        log.log_tail.stop()


async def _read_all(requests: AsyncIterator[bytes]) -> bytes:
    return b"".join([request async for request in requests])


def follow(channel: grpc.aio.Channel) -> grpc.aio.UnaryStreamCall[bytes, bytes]:
    request = StreamEventsRequest(resume_after=0).SerializeToString()
    return channel.unary_stream(EVENTS, None, None)(request, metadata=(("x-api-key", "a key"),))


async def written(channel: grpc.aio.Channel) -> None:
    """Wait until the server knows that what a caller has read is written.

    grpc.aio reports that later than the caller has it, and sends no last response until then. It reports in order, so
    a call that is served is later.
    """
    await within(channel.unary_unary(HEALTH, None, None)(b""))


@pytest.mark.parametrize("kind", ["fanout", "aio"])
async def test_call_is_refused_before_its_message_is_read(kind: str) -> None:
    gate = ScriptedGate(refused={LIST})
    async with served(kind, gate) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(LIST, None, None)(b"this is no message", timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert caught.value.details() == "the role viewer may not make this call, which needs admin"
    assert gate.asked == [(LIST, None, "127.0.0.1")]
    assert gate.released == []


@pytest.mark.parametrize("kind", ["fanout", "aio"])
async def test_stream_ends_with_the_error_when_its_permission_ends(kind: str) -> None:
    gate = ScriptedGate()
    async with served(kind, gate) as channel:
        call = follow(channel)
        first = StreamEventsResponse.FromString(cast(bytes, await within(call.read())))
        assert first.through_sequence == 3
        await written(channel)
        gate.releasing.clear()
        gate.held[0](InvalidKey("revoked", "k"))
        gate.held[0](InvalidKey("revoked", "k"))  # the second time is harmless
        last = StreamEventsResponse.FromString(cast(bytes, await within(call.read())))
        assert (last.events[0].error.reason, last.events[0].error.retryable) == ("UNAUTHENTICATED", False)
        assert last.through_sequence == 3
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await within(call.read())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert caught.value.details() == "the API key is revoked"
        await within(gate.releasing.wait())
    assert gate.asked[0] == (EVENTS, "a key", "127.0.0.1")
    assert gate.released == ["OK", "UNAUTHENTICATED"]


@pytest.mark.parametrize("kind", ["fanout", "aio"])
async def test_permission_is_released_when_the_caller_goes_away(kind: str) -> None:
    gate = ScriptedGate()
    async with served(kind, gate) as channel:
        call = follow(channel)
        await within(call.read())
        call.cancel()
        await within(gate.releasing.wait())
    assert gate.released == ["CANCELLED"]


async def test_upload_ends_with_the_error_when_its_permission_ends() -> None:
    gate = ScriptedGate()
    async with served("aio", gate) as channel:
        call = channel.stream_unary(UPLOAD, None, None)(None)
        await within(gate.holding.wait())
        gate.held[0](InvalidKey("expired", "k"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await within(call)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await within(gate.releasing.wait())  # the caller may have the status earlier
    assert gate.released == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("kind", ["fanout", "aio"])
async def test_health_checks_are_admitted_too(kind: str) -> None:
    gate = ScriptedGate(refused={HEALTH})
    async with served(kind, gate) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(HEALTH, None, None)(b"", timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_reflection_is_admitted_too() -> None:
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    async with served("aio", ScriptedGate(refused={path})) as channel:
        call = channel.stream_stream(path, None, None)(None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await within(call.read())
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
