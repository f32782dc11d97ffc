"""The spans of calls and of batches of bars, and their export by OTLP.

A call with one request has a span, and so has a batch of the engine, from when its first command came in until it was
durable. A stream has none: it lasts as long as its follower likes. Whether a call is traced follows its traceparent;
without one, and for batches, chance decides. What is not traced costs nothing of the SDK.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Sequence
from time import perf_counter, time_ns
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from ... import __version__
from ...application.ports.observer import CommittedBatch, current_trace
from ...transport.grpc.metadata import trace_id_of
from ...transport.grpc.status import CallStatus

SERVICE_NAME: Final = "tradingsignals-server"

FLUSH_MS: Final = 2000
"""How long the end waits for a collector to take the last spans."""

EXPORT_SECONDS: Final = 5

log = logging.getLogger(__name__)


class Tracing:
    """Makes spans and exports them.

    Args:
        exporter: takes the spans, in a thread of its own.
        share: of the calls and batches without a trace of their own that are traced, 0..1.
        chance: returns a number in 0 <= x < 1.
    """

    def __init__(self, exporter: SpanExporter, share: float, chance: Callable[[], float] = random.random) -> None:
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": SERVICE_NAME, "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tradingsignals", __version__)
        self._share = share
        self._chance = chance

    def calls(self, paths: Collection[str]) -> Callable[[str, str | None], TracedCall | None]:
        """Return what begins the span of a call of one of these methods. See transport.grpc.status.BeginSpan."""
        traced = frozenset(paths)

        def begin(path: str, traceparent: str | None) -> TracedCall | None:
            return self._begin(path, traceparent) if path in traced else None

        return begin

    def committed(self, batch: CommittedBatch) -> None:
        """See EngineObserver: make the span of a batch, as a part of the first of the traces that it is of."""
        is_traced = any(command.trace for command in batch.commands)
        if not batch.commands or not (is_traced or self._chance() < self._share):
            return
        traces = list(dict.fromkeys(command.trace for command in batch.commands if command.trace))
        parent, *others = [context_of(trace) for trace in traces] or [None]
        now, at = time_ns(), perf_counter()

        def ns(time: float) -> int:
            return now - int((at - time) * 1e9)

        span = self._tracer.start_span(
            "batch",
            None if parent is None else set_span_in_context(NonRecordingSpan(parent)),
            links=[Link(context) for context in others if context is not None],
            attributes={
                "tradingsignals.commands": len(batch.commands),
                "tradingsignals.bars": sum(len(command.results) for command in batch.commands),
                "tradingsignals.decisions": len(batch.decisions),
                "tradingsignals.entries": batch.entries,
            },
            start_time=ns(min(command.received_at for command in batch.commands)),
        )
        span.add_event("decide", timestamp=ns(batch.staged_at))
        span.add_event("commit", timestamp=ns(batch.committing_at))
        span.end(ns(batch.committed_at))

    def commit_failed(self) -> None:
        """See EngineObserver: the spans of the calls state the error."""

    def close(self) -> None:
        """Export what is left, as far as that is possible soon. It blocks."""
        self._provider.force_flush(FLUSH_MS)
        self._provider.shutdown()

    def _begin(self, path: str, traceparent: str | None) -> TracedCall | None:
        parent = None if traceparent is None else context_of(traceparent)
        if not (parent.trace_flags.sampled if parent is not None else self._chance() < self._share):
            return None
        service, _, method = path[1:].partition("/")
        return TracedCall(
            self._tracer.start_span(
                path[1:],
                None if parent is None else set_span_in_context(NonRecordingSpan(parent)),
                SpanKind.SERVER,
                {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
            )
        )


class TracedCall:
    """Implements transport.grpc.status.CallSpan."""

    __slots__ = ("_span", "trace_id", "traceparent")

    def __init__(self, span: Span) -> None:
        context = span.get_span_context()
        self._span = span
        self.trace_id = f"{context.trace_id:032x}"
        self.traceparent = f"00-{self.trace_id}-{context.span_id:016x}-01"

    def activate(self) -> None:
        """See CallSpan."""
        current_trace.set(self.traceparent)

    def end(self, status: CallStatus) -> None:
        """See CallSpan."""
        self._span.set_attribute("rpc.grpc.status_code", status.code.value[0])
        if status.reason:
            self._span.set_attribute("tradingsignals.reason", status.reason)
        if status.is_fault:
            self._span.set_status(StatusCode.ERROR, status.code.name)
        self._span.end()


def context_of(traceparent: str) -> SpanContext | None:
    """Return the span that a traceparent names; None if it is not one."""
    if not trace_id_of(traceparent):
        return None
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Make what sends spans to a collector at `http://host:port`, by gRPC."""
    return ReportingExporter(OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=EXPORT_SECONDS), endpoint)


class ReportingExporter(SpanExporter):
    """Exports by another exporter, and logs once that the collector is away, and once that it is back."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        result = self._exporter.export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            log.warning("the collector at %s takes no traces; they are dropped until it does", self._endpoint)
        elif self._fails and not fails:
            log.info("the collector at %s takes traces again", self._endpoint)
        self._fails = fails
        return result

    def shutdown(self) -> None:
        """See SpanExporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = FLUSH_MS) -> bool:
        """See SpanExporter."""
        return self._exporter.force_flush(timeout_millis)
