"""A real gRPC server with an event log, whose streams end as a test plans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from tradingsignals import Event, Position, Signal
from tradingsignals.v1.event_service_pb2 import StreamEventsResponse
from tradingsignals.v1.position_service_pb2 import StreamPositionsResponse
from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse
from tradingsignals.v1.system_service_pb2 import GetServiceInfoResponse

Ending = Callable[[Any], Awaitable[None]]


async def aborted(context: Any, code: grpc.StatusCode, reason: str = "", **metadata: str) -> None:
    """End a call with this status; without a reason it has the form of an error of a proxy."""
    if not reason:
        await context.abort(code, "something on the way broke")
    status = Status(code=code.value[0], message="as planned by the test")
    status.details.add().Pack(ErrorInfo(reason=reason, domain="tradingsignals", metadata=metadata))
    await context.abort_with_status(rpc_status.to_status(status))


def ends_with(code: grpc.StatusCode, reason: str = "", **metadata: str) -> Ending:
    """Return an end with this status."""
    return lambda context: aborted(context, code, reason, **metadata)


async def ends(_: Any) -> None:
    """An end without an error, which the service never makes."""


async def is_silent(_: Any) -> None:
    """No end, and no heartbeats."""
    await asyncio.Event().wait()


@dataclass
class Plan:
    """The course of one stream: a number of entries, and then this end."""

    ending: Ending
    entries: int = 0
    refused: bool = False
    """It ends before it is accepted."""


@dataclass
class LogServer:
    """Entries 1, 2, ... up to `newest`, in responses of `page`, and the requests of followers."""

    newest: int = 0
    oldest: int = 1
    epoch: str = "first"
    page: int = 3
    plans: list[Plan] = field(default_factory=list)
    """Plans of the next streams. Further streams get all entries, and stay open."""
    requests: list[Any] = field(default_factory=list)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a stream without a plan has got all entries."""
    port: int = 0
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    _RESPONSES: ClassVar[dict[str, Callable[[list[int], int], Any]]] = {
        "StreamEvents": lambda sequences, through: StreamEventsResponse(
            events=[Event(sequence=n, signal=Signal(sequence=n)) for n in sequences], through_sequence=through
        ),
        "StreamSignals": lambda sequences, through: StreamSignalsResponse(
            signals=[Signal(sequence=n) for n in sequences], through_sequence=through
        ),
        "StreamPositions": lambda sequences, through: StreamPositionsResponse(
            positions=[Position(sequence=n) for n in sequences], through_sequence=through
        ),
    }

    @property
    def address(self) -> str:
        """Host and port of the server."""
        return f"127.0.0.1:{self.port}"

    @property
    def resumed_after(self) -> list[int]:
        """The `resume_after` of each request."""
        return [request.resume_after for request in self.requests]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start to listen, on the previous port or, the first time, on a free one."""
        server = grpc.aio.server(handlers=[_Handler(self)], options=[("grpc.so_reuseport", 0)])
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)

    async def info(self, _: Any, __: Any) -> Any:
        """GetServiceInfo."""
        return GetServiceInfoResponse(epoch=self.epoch, through_sequence=self.newest)

    async def stream(self, name: str, request: Any, context: Any) -> None:
        """Any of the streams."""
        self.requests.append(request)
        plan = self.plans.pop(0) if self.plans else None
        if plan is not None and plan.refused:
            await plan.ending(context)
        after = request.resume_after
        if after > self.newest:
            await aborted(context, grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_UNKNOWN", epoch=self.epoch)
        if after + 1 < self.oldest:
            kept = str(self.oldest)
            await aborted(context, grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_PRUNED", oldest_sequence=kept)
        await context.send_initial_metadata((("x-epoch", self.epoch),))
        while plan is None:
            after = await self._send(name, context, after, self.newest)
            grown = self._grown
            self.caught_up.set()
            await grown.wait()
        await self._send(name, context, after, min(self.newest, after + plan.entries))
        await plan.ending(context)

    def append(self, count: int) -> None:
        """Append `count` entries; streams deliver them."""
        self.newest += count
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _send(self, name: str, context: Any, after: int, end: int) -> int:
        while after < end:
            through = min(end, after + self.page)
            await context.write(self._RESPONSES[name](list(range(after + 1, through + 1)), through))
            after = through
        return after


class _Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in its types only
    def __init__(self, log: LogServer) -> None:
        self._log = log

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        service, name = details.method.removeprefix("/").split("/")
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        read = message_factory.GetMessageClass(method.input_type).FromString
        if method.server_streaming:

            async def stream(request: Any, context: Any) -> None:
                await self._log.stream(name, request, context)

            return grpc.unary_stream_rpc_method_handler(stream, read, _serialise)
        return grpc.unary_unary_rpc_method_handler(self._log.info, read, _serialise)


def _serialise(message: Any) -> bytes:
    text: bytes = message.SerializeToString()
    return text
