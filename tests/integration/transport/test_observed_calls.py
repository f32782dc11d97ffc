"""What both servers report of a call: its end, its span, and the trace in its log lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from tests.support.deadlines import DEADLINE

from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.transport.fanout.server import FanoutServer
from tradingsignals_server.transport.grpc.metadata import trace_id, trace_id_of
from tradingsignals_server.transport.grpc.server import running_server
from tradingsignals_server.transport.grpc.status import CallRules, CallStatus
from tradingsignals_server.transport.methods import Unary

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OWN = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD, BAD = "/tests.Calls/Good", "/tests.Calls/Bad"


class FakeSpan:
    """A span that notes what is done with it."""

    trace_id = OWN

    def __init__(self) -> None:
        self.notes: list[object] = []

    def activate(self) -> None:
        self.notes.append("active")

    def end(self, status: CallStatus) -> None:
        self.notes.append(status.code)


class Observed:
    """What the rules of a server report."""

    def __init__(self, *, traces: bool) -> None:
        self.ended: asyncio.Queue[tuple[str, grpc.StatusCode]] = asyncio.Queue()
        self.spans: dict[str, FakeSpan] = {}
        self.seen: list[str] = []
        """The trace ids that the methods found."""
        self.rules = CallRules(
            status_of, lambda _: False, self._on_end, (lambda path, _: self._begin(path)) if traces else None
        )

    def _on_end(self, path: str, status: CallStatus, seconds: float) -> None:
        assert 0.0 <= seconds < DEADLINE
        self.ended.put_nowait((path, status.code))

    def _begin(self, path: str) -> FakeSpan:
        self.spans[path] = FakeSpan()
        return self.spans[path]

    async def good(self, _: bytes) -> bytes:
        self.seen.append(trace_id.get())
        return b"done"

    async def bad(self, _: bytes) -> bytes:
        raise InvalidRequest.field("limit", "must be at most 1000")


def nobody(_: Callable[[], None]) -> Callable[[], None]:
    """Subscribe to nothing."""
    return lambda: None


@asynccontextmanager
async def served(observed: Observed, server: str) -> AsyncIterator[int]:
    """Serve two methods on one of the servers."""
    methods = {GOOD: Unary(observed.good), BAD: Unary(observed.bad)}
    if server == "fanout":
        async with FanoutServer(methods, observed.rules, nobody).running("127.0.0.1", 0) as fanout:
            yield fanout.port
    else:
        async with running_server("127.0.0.1", 0, methods, observed.rules, nobody, []) as aio:
            yield aio.port


async def call(port: int, path: str, **metadata: str) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(path, None, None)
        await method(b"", timeout=DEADLINE, metadata=tuple(metadata.items()))


@pytest.mark.parametrize("server", ["fanout", "aio"])
async def test_end_of_each_call_is_reported_with_its_status(server: str) -> None:
    observed = Observed(traces=False)
    async with asyncio.timeout(DEADLINE), served(observed, server) as port:
        await call(port, GOOD)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(port, BAD)
        found = [await observed.ended.get(), await observed.ended.get()]
    assert found == [(GOOD, grpc.StatusCode.OK), (BAD, grpc.StatusCode.INVALID_ARGUMENT)]


@pytest.mark.parametrize("server", ["fanout", "aio"])
async def test_span_of_a_call_is_active_in_its_method_and_ends_with_its_status(server: str) -> None:
    observed = Observed(traces=True)
    async with asyncio.timeout(DEADLINE), served(observed, server) as port:
        await call(port, GOOD, traceparent=TRACEPARENT)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(port, BAD)
        await observed.ended.get()
        await observed.ended.get()
    assert observed.seen == [OWN], "the trace is the one of the span"
    assert observed.spans[GOOD].notes == ["active", grpc.StatusCode.OK]
    assert observed.spans[BAD].notes == ["active", grpc.StatusCode.INVALID_ARGUMENT]


@pytest.mark.parametrize("server", ["fanout", "aio"])
async def test_log_lines_have_the_trace_of_the_caller_though_nothing_is_traced(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    observed = Observed(traces=False)
    found: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        if record.name == "tradingsignals.call":
            found.append(trace_id.get())
        return True

    caplog.handler.addFilter(note)
    try:
        with caplog.at_level(logging.INFO):
            async with asyncio.timeout(DEADLINE), served(observed, server) as port:
                await call(port, GOOD, traceparent=TRACEPARENT)
                await call(port, GOOD, traceparent="no-traceparent")
                await observed.ended.get()
                await observed.ended.get()
    finally:
        caplog.handler.removeFilter(note)
    assert observed.seen == [TRACE, ""]
    assert found == [TRACE, ""]


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (TRACEPARENT, TRACE),
        (f"{TRACEPARENT}-of-a-later-version", TRACE),
        (None, ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"ff-{TRACE}-b7ad6b7169203331-01", ""),
        (TRACEPARENT.upper(), ""),
        (f"{TRACEPARENT}\n", ""),
    ],
)
def test_trace_is_taken_from_a_valid_traceparent_only(traceparent: str | None, trace: str) -> None:
    assert trace_id_of(traceparent) == trace
