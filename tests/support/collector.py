"""A collector of OpenTelemetry that keeps the spans it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from .deadlines import within

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span; ids in hexadecimal digits, the parent's "" if it has none."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, str]


class Collector(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic for the checker only
    """Takes spans by OTLP over gRPC on `port`."""

    def __init__(self) -> None:
        self.port = 0
        self.spans: list[CollectedSpan] = []
        self._changed = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """See grpc.GenericRpcHandler."""
        return grpc.unary_unary_rpc_method_handler(self._export) if details.method == _EXPORT else None

    async def until(self, condition: Callable[[Sequence[CollectedSpan]], bool]) -> Sequence[CollectedSpan]:
        """Return the spans as soon as they meet a condition."""
        return await within(self._until(condition))

    async def _until(self, condition: Callable[[Sequence[CollectedSpan]], bool]) -> Sequence[CollectedSpan]:
        while not condition(self.spans):
            self._changed.clear()
            await self._changed.wait()
        return self.spans

    async def _export(self, sent: bytes, _: object) -> bytes:
        for group in ExportTraceServiceRequest.FromString(sent).resource_spans:
            resource = {each.key: each.value.string_value for each in group.resource.attributes}
            for scope in group.scope_spans:
                for span in scope.spans:
                    attributes = {
                        each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes
                    }
                    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                    self.spans.append(CollectedSpan(resource["service.name"], span.name, *ids, attributes))
        self._changed.set()
        return ExportTraceServiceResponse().SerializeToString()


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """Run a collector on a free port."""
    collector, server = Collector(), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((collector,))
    collector.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(None)
