"""The spans of calls and batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextvars import copy_context

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.builders import OPENING

from tradingsignals_server.adapters.tracing.spans import ReportingExporter, Tracing, context_of
from tradingsignals_server.application.ports.observer import CommittedBatch, HandledCommand, current_trace
from tradingsignals_server.domain.events import Disposition, Receipt
from tradingsignals_server.transport.grpc.status import OK, CallStatus

GENERATE = "/tradingsignals.v1.SignalService/GenerateSignal"
TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-00"
RECEIPT = Receipt("USDCOP", OPENING, Disposition.ACCEPTED, None, 1)


class Traced:
    """A Tracing whose spans are kept in memory."""

    def __init__(self, share: float) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(self._exporter, share, lambda: 0.5)
        self.begin = self.tracing.calls([GENERATE])

    def finished(self) -> Sequence[ReadableSpan]:
        self.tracing._provider.force_flush()
        return self._exporter.get_finished_spans()


@pytest.fixture
def traced() -> Iterator[Traced]:
    """All calls and batches are traced."""
    found = Traced(1.0)
    yield found
    found.tracing.close()


@pytest.fixture
def untraced() -> Iterator[Traced]:
    """No call or batch is traced unless its caller asks for it."""
    found = Traced(0.0)
    yield found
    found.tracing.close()


def batch(*traces: str) -> CommittedBatch:
    commands = [HandledCommand(10.0 + at, [RECEIPT], trace) for at, trace in enumerate(traces)]
    return CommittedBatch(commands, (), 2, 13.0, 14.0, 15.5)


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def test_call_continues_the_trace_of_its_caller_and_has_its_status(traced: Traced) -> None:
    span = traced.begin(GENERATE, SAMPLED)
    assert span is not None
    assert span.trace_id == TRACE
    span.end(CallStatus(grpc.StatusCode.INTERNAL, reason="INTERNAL_ERROR"))
    (found,) = traced.finished()
    assert (found.name, id_of(found)) == ("tradingsignals.v1.SignalService/GenerateSignal", TRACE)
    assert found.parent is not None
    assert found.parent.span_id == 0xB7AD6B7169203331
    assert found.attributes is not None
    assert found.attributes["rpc.grpc.status_code"] == 13
    assert found.attributes["tradingsignals.reason"] == "INTERNAL_ERROR"
    assert not found.status.is_ok


def test_refused_call_is_no_error_of_ours(traced: Traced) -> None:
    span = traced.begin(GENERATE, None)
    assert span is not None
    span.end(CallStatus(grpc.StatusCode.INVALID_ARGUMENT))
    (found,) = traced.finished()
    assert (found.parent, found.status.is_unset) == (None, True)


def test_streams_and_unknown_methods_have_no_span(traced: Traced) -> None:
    assert traced.begin("/tradingsignals.v1.EventService/StreamEvents", SAMPLED) is None
    assert traced.begin("/made/up", SAMPLED) is None


def test_caller_decides_whether_a_call_is_traced(traced: Traced, untraced: Traced) -> None:
    assert traced.begin(GENERATE, NOT_SAMPLED) is None
    assert untraced.begin(GENERATE, None) is None
    found = untraced.begin(GENERATE, SAMPLED)
    assert found is not None
    found.end(OK)


@pytest.mark.parametrize(
    "wrong", ["", "00-abc", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE}-b7ad6b7169203331-01"]
)
def test_malformed_traceparent_is_as_none(traced: Traced, wrong: str) -> None:
    assert context_of(wrong) is None
    span = traced.begin(GENERATE, wrong)
    assert span is not None
    assert span.trace_id != TRACE
    span.end(OK)


def test_commands_of_a_call_carry_its_trace(traced: Traced) -> None:
    span = traced.begin(GENERATE, SAMPLED)
    assert span is not None
    context = copy_context()
    context.run(span.activate)
    assert context.run(current_trace.get) == span.traceparent
    assert current_trace.get() == ""
    span.end(OK)


def test_batch_is_part_of_its_first_trace_and_linked_to_the_others(traced: Traced) -> None:
    traced.tracing.committed(batch("", SAMPLED, SAMPLED, f"00-{OTHER}-00f067aa0ba902b7-01"))
    (found,) = traced.finished()
    assert (found.name, id_of(found)) == ("batch", TRACE)
    assert [f"{link.context.trace_id:032x}" for link in found.links] == [OTHER]
    assert found.attributes is not None
    assert (found.attributes["tradingsignals.commands"], found.attributes["tradingsignals.bars"]) == (4, 4)
    assert found.start_time is not None
    assert found.end_time is not None
    times = [0, *(event.timestamp - found.start_time for event in found.events), found.end_time - found.start_time]
    assert [round(each / 1e9, 3) for each in times] == [0.0, 3.0, 4.0, 5.5]
    assert [event.name for event in found.events] == ["decide", "commit"]


def test_batch_without_a_traced_call_is_traced_by_chance(traced: Traced, untraced: Traced) -> None:
    traced.tracing.committed(batch("", ""))
    untraced.tracing.committed(batch("", ""))
    assert len(traced.finished()) == 1
    assert len(untraced.finished()) == 0
    untraced.tracing.committed(batch(SAMPLED))
    assert len(untraced.finished()) == 1


class FailingExporter(SpanExporter):
    """Fails as long as it is told."""

    fails = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if self.fails else SpanExportResult.SUCCESS


def test_collector_that_is_away_is_logged_once_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    inner = FailingExporter()
    exporter = ReportingExporter(inner, "http://collector:4317")
    with caplog.at_level(logging.INFO):
        assert [exporter.export(()) for _ in range(3)] == [SpanExportResult.FAILURE] * 3
        inner.fails = False
        assert [exporter.export(()) for _ in range(3)] == [SpanExportResult.SUCCESS] * 3
    away, back = caplog.messages
    assert "http://collector:4317 takes no traces" in away
    assert "takes traces again" in back
