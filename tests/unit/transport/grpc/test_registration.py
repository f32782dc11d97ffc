"""Every method of the contract is served on grpc.aio, in its shape, and streams are sent by their source's rules."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Literal

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from tests.support.logs import Log

from tradingsignals.v1 import system_service_pb2
from tradingsignals_server.api.contract import SERVICES, path_of
from tradingsignals_server.api.methods import all_methods, methods_of
from tradingsignals_server.api.services.access import AccessServicer
from tradingsignals_server.api.services.account import AccountServicer
from tradingsignals_server.api.services.backtests import BacktestServicer
from tradingsignals_server.api.services.market_data import MarketDataServicer
from tradingsignals_server.api.services.model import ModelServicer
from tradingsignals_server.api.services.notifications import NotificationServicer
from tradingsignals_server.api.services.outcomes import OutcomeServicer
from tradingsignals_server.api.services.positions import PositionServicer
from tradingsignals_server.api.services.signals import SignalServicer
from tradingsignals_server.api.services.system import SystemServicer
from tradingsignals_server.application.event_log.follower import End, Followers
from tradingsignals_server.domain.errors import FollowerStalled, ServiceError, ShuttingDown
from tradingsignals_server.transport.grpc.interceptors import StreamBlocked
from tradingsignals_server.transport.grpc.registration import MethodHandlers
from tradingsignals_server.transport.methods import Budget, Methods, ServerStreaming

SERVICERS: dict[str, type] = {
    "SystemService": SystemServicer,
    "SignalService": SignalServicer,
    "OutcomeService": OutcomeServicer,
    "AccessService": AccessServicer,
    "AccountService": AccountServicer,
    "PositionService": PositionServicer,
    "MarketDataService": MarketDataServicer,
    "ModelService": ModelServicer,
    "NotificationService": NotificationServicer,
}
METHODS = [method for service in SERVICES.values() for method in service.methods]
METADATA = (("x-epoch", "of-the-log"),)


class _Blank:
    """Has every method; none is called."""

    def __getattr__(self, name: str) -> Any:
        return name


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


def handler_of(methods: Methods, path: str) -> Any:
    return MethodHandlers(methods, lambda _: lambda: None, METADATA).service(_Details(path))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_every_method_has_the_shape_of_the_contract(method: MethodDescriptor) -> None:
    blank: dict[str, object] = {name: object.__new__(servicer) for name, servicer in SERVICERS.items()}
    edge: dict[str, object] = {"JsonService": _Blank(), "JsonBodyService": _Blank()}
    computed = object.__new__(BacktestServicer).methods()
    methods = all_methods(blank | edge, Followers((await Log.with_entries(0)).log_tail), computed)
    handler = handler_of(methods, path_of(method))
    shape = handler.request_streaming, handler.response_streaming
    assert shape == (method.client_streaming, method.server_streaming)


def test_unknown_method_has_no_handler() -> None:
    assert handler_of({}, "/tradingsignals.v1.SignalService/Unknown") is None


def test_missing_method_fails_at_start() -> None:
    class Half:
        async def get_service_info(self, _: object) -> bytes:
            return b""

    with pytest.raises(AttributeError, match="get_health"):
        methods_of(SERVICES["SystemService"], Half())


async def test_responses_are_messages_or_bytes() -> None:
    response = system_service_pb2.GetServiceInfoResponse(service="s")

    class Servicer:
        async def get_service_info(self, _: object) -> system_service_pb2.GetServiceInfoResponse:
            return response

        async def get_health(self, _: object) -> bytes:
            return b"raw"

    methods = methods_of(SERVICES["SystemService"], Servicer())
    info, health = (handler_of(methods, path_of(method)) for method in SERVICES["SystemService"].methods)
    assert await info.unary_unary(b"", None) == response.SerializeToString()
    assert await health.unary_unary(b"", None) == b"raw"


# ------------------------------------------------------------------------------------------------------- streams


class Source:
    """Returns these responses, then ends with an error."""

    def __init__(self, *responses: bytes, error: ServiceError | None = None, stall_seconds: float = 60.0) -> None:
        self.awaits: Literal["entries", "page", "turn", "end"] = "entries"
        self.end: End | None = None
        self.due_at = 0.0
        self._responses = deque(responses)
        self._error = error
        self._stall_seconds = stall_seconds
        self._is_blocked = False

    def next(self, now: float, _: Budget) -> bytes | None:
        if self._responses and not self._is_blocked:
            return self._responses.popleft()
        self.awaits = "end"
        error = FollowerStalled(7, 0.0) if self._is_blocked else self._error
        self.end = End(error, None if self._is_blocked else b"end")
        return None

    def last_response(self, _: Exception) -> bytes | None:
        return None if self._is_blocked else b"end"

    async def read(self) -> None:
        raise AssertionError("it awaits no page")

    def blocked(self, now: float, *, sent: bool = False) -> None:
        self._is_blocked = True
        self.due_at = now + self._stall_seconds

    def unblocked(self, now: float) -> None:
        self._is_blocked = False


class Context:
    """Records the metadata and responses of a handler, in order."""

    def __init__(self, *, reads: bool = True) -> None:
        self.done: list[Any] = []
        self._reads = reads

    async def send_initial_metadata(self, metadata: object) -> None:
        self.done.append(metadata)

    async def write(self, response: Any) -> None:
        self.done.append(response)
        if not self._reads:
            await asyncio.Event().wait()


async def stream(source: Source | Exception, context: Context) -> None:
    async def open_(_: bytes) -> Source:
        if isinstance(source, Exception):
            raise source
        return source

    handler = handler_of({"/stream": ServerStreaming(open_)}, "/stream")
    await handler.unary_stream(b"", context)


async def test_stream_begins_with_its_metadata() -> None:
    context = Context()
    await stream(Source(b"one", b"two"), context)
    assert context.done == [METADATA, b"one", b"two"]


async def test_refused_stream_sends_no_metadata() -> None:
    context = Context()
    with pytest.raises(ValueError, match="refused"):
        await stream(ValueError("refused"), context)
    assert context.done == []


async def test_stream_that_ends_with_an_error_sends_its_last_response() -> None:
    context = Context()
    with pytest.raises(ShuttingDown):
        await stream(Source(b"one", error=ShuttingDown(1)), context)
    assert context.done == [METADATA, b"one", b"end"]


async def test_caller_that_does_not_read_is_ended_by_the_source() -> None:
    context = Context(reads=False)
    with pytest.raises(StreamBlocked) as blocked:
        await stream(Source(b"one", b"two", stall_seconds=0.01), context)
    assert isinstance(blocked.value.error, FollowerStalled)
    assert context.done == [METADATA, b"one"]
