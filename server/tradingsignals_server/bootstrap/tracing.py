"""The traces of a server, if they are exported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..api.methods import is_routine
from ..config.settings import Settings
from ..transport.grpc.status import BeginSpan
from ..transport.methods import Methods, Unary

if TYPE_CHECKING:
    from ..adapters.tracing.spans import Tracing


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncIterator[Tracing | None]:
    """Export traces until the end of the context; None if no collector is named."""
    if settings.otel_exporter_otlp_endpoint is None:
        yield None
        return
    from ..adapters.tracing.spans import Tracing, otlp_exporter  # noqa: PLC0415 - nothing else needs the SDK

    traces = Tracing(otlp_exporter(settings.otel_exporter_otlp_endpoint), settings.otel_traces_sampler_arg)
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


def begins_spans(traces: Tracing | None, methods: Methods) -> BeginSpan | None:
    """Return what begins the spans of those of `methods` that take one request and have one response."""
    if traces is None:
        return None
    return traces.calls(
        [path for path, method in methods.items() if isinstance(method, Unary) and not is_routine(path)]
    )
