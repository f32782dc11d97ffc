"""Responses concatenated from bytes are the messages that protobuf itself would write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from tradingsignals.v1 import (
    event_pb2,
    event_service_pb2,
    market_data_service_pb2,
    outcome_pb2,
    position_pb2,
    position_service_pb2,
    signal_pb2,
    signal_service_pb2,
)
from tradingsignals_server.api.encoding import wire
from tradingsignals_server.api.encoding.stream_messages import MessageEncoding
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.events import EventKind

NOW = datetime(2025, 6, 30, 13, tzinfo=UTC)
sequences = st.integers(0, 2**63 - 1)
times = st.timedeltas(timedelta(0), timedelta(days=70_000)).map(lambda age: datetime(1990, 1, 1, tzinfo=UTC) + age)
signals = st.builds(
    signal_pb2.Signal,
    symbol=st.text(max_size=200),
    sequence=sequences,
    confidence=st.floats(allow_nan=False),
    stop_loss=st.none() | st.floats(allow_nan=False),
    reasoning=st.lists(st.text(max_size=100), max_size=5),
    action=st.sampled_from([0, 1, 2, 3]),
)
positions = st.builds(position_pb2.Position, symbol=st.text(max_size=20), bars_held=st.integers(0, 2**31 - 1))
updates = st.builds(event_pb2.MarketUpdate, disposition=st.sampled_from([1, 2, 3, 4]))
controls = st.builds(event_pb2.TradingControl, halted=st.booleans(), reason=st.text(max_size=50))
outcomes = st.builds(outcome_pb2.Outcome, symbol=st.text(max_size=20), r_multiple=st.floats(allow_nan=False))
MESSAGES = {
    EventKind.SIGNAL: (signals, "signal"),
    EventKind.POSITION_UPDATE: (positions, "position_update"),
    EventKind.MARKET_UPDATE: (updates, "market_update"),
    EventKind.OUTCOME: (outcomes, "outcome"),
    EventKind.TRADING_CONTROL: (controls, "trading_control"),
}


def entry_of(kind: EventKind, message: Message) -> LogEntry:
    return LogEntry(1, NOW, kind, "", None, None, message.SerializeToString(), NOW)


@st.composite
def entries(draw: st.DrawFn) -> tuple[LogEntry, event_pb2.Event]:
    """An entry of the log, and the event that protobuf makes of it."""
    kind = draw(st.sampled_from(EventKind))
    strategy, field = MESSAGES[kind]
    message: Message = draw(strategy)
    sequence, time = draw(st.integers(1, 2**63 - 1)), draw(times)
    event = event_pb2.Event(sequence=sequence, **{field: message})  # type: ignore[arg-type]  # the field is its kind's
    event.event_time.FromDatetime(time)
    return LogEntry(sequence, time, kind, "USDCOP", None, None, message.SerializeToString(), time), event


@given(st.integers(0, 2**64 - 1) | st.integers(0, 9).map(lambda sevens: 1 << 7 * sevens))
@example(2**7 - 1)
@example(2**14 - 1)
def test_varint_is_minimal_and_decodes_to_its_value(value: int) -> None:
    read, shift = 0, 0
    encoded = wire.varint(value)
    for byte in encoded:
        read |= (byte & 0x7F) << shift
        shift += 7
    assert read == value
    assert [byte < 0x80 for byte in encoded] == [False] * (len(encoded) - 1) + [True]
    assert len(encoded) == max(1, -(-value.bit_length() // 7))


@given(st.lists(signals, max_size=5), sequences)
def test_stream_response_of_signals_equals_that_of_protobuf(messages: list[signal_pb2.Signal], through: int) -> None:
    entries_ = [entry_of(EventKind.SIGNAL, message) for message in messages]
    expected = signal_service_pb2.StreamSignalsResponse(signals=messages, through_sequence=through)
    response = MessageEncoding(signal_service_pb2.StreamSignalsResponse).entries(entries_, through)
    assert signal_service_pb2.StreamSignalsResponse.FromString(response) == expected


@given(st.lists(positions, max_size=5), sequences)
def test_stream_response_of_positions_equals_that_of_protobuf(
    messages: list[position_pb2.Position], through: int
) -> None:
    entries_ = [
        LogEntry(1, NOW, EventKind.POSITION_UPDATE, "", None, None, m.SerializeToString(), NOW) for m in messages
    ]
    expected = position_service_pb2.StreamPositionsResponse(positions=messages, through_sequence=through)
    response = MessageEncoding(position_service_pb2.StreamPositionsResponse).entries(entries_, through)
    assert position_service_pb2.StreamPositionsResponse.FromString(response) == expected


@given(st.lists(entries(), max_size=5), sequences)
def test_stream_response_of_events_equals_that_of_protobuf(
    found: list[tuple[LogEntry, event_pb2.Event]], through: int
) -> None:
    encoding = MessageEncoding(event_service_pb2.StreamEventsResponse)
    response = encoding.entries([entry for entry, _ in found], through)
    expected = event_service_pb2.StreamEventsResponse(events=[event for _, event in found], through_sequence=through)
    assert event_service_pb2.StreamEventsResponse.FromString(response) == expected


@given(entries())
def test_event_has_the_bytes_of_protobuf(found: tuple[LogEntry, event_pb2.Event]) -> None:
    entry, event = found
    assert wire.event(entry) == event.SerializeToString(deterministic=True)


@given(signals)
def test_record_is_the_response_with_one_resource(message: signal_pb2.Signal) -> None:
    response = signal_service_pb2.GetLatestSignalResponse.FromString(wire.record(message.SerializeToString()))
    assert response.signal == message


@given(st.lists(signals, max_size=3), st.integers(0, 1000), st.text(max_size=20))
def test_records_and_other_fields_concatenate_to_a_list_response(
    messages: list[signal_pb2.Signal], count: int, token: str
) -> None:
    rest = signal_service_pb2.ListSignalsResponse(count=count, next_page_token=token)
    joined = wire.records(message.SerializeToString() for message in messages) + rest.SerializeToString()
    expected = signal_service_pb2.ListSignalsResponse(signals=messages, count=count, next_page_token=token)
    assert signal_service_pb2.ListSignalsResponse.FromString(joined) == expected


# ------------------------------------------------------------------------------------ numbers against descriptors


def number_of(message: type[Message], field: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[field].number)


def test_events_have_the_field_numbers_of_the_contract() -> None:
    payloads = {kind: number_of(event_pb2.Event, field) for kind, (_, field) in MESSAGES.items()}
    assert payloads == wire.EVENT_FIELDS
    assert set(wire.EVENT_FIELDS) == set(EventKind)


LISTS: list[tuple[type[Message], str]] = [
    (signal_service_pb2.StreamSignalsResponse, "signals"),
    (position_service_pb2.StreamPositionsResponse, "positions"),
    (event_service_pb2.StreamEventsResponse, "events"),
    (signal_service_pb2.ListSignalsResponse, "signals"),
    (position_service_pb2.ListActivePositionsResponse, "positions"),
    (position_service_pb2.ListClosedPositionsResponse, "positions"),
]
SINGLE: list[tuple[type[Message], str]] = [
    (signal_service_pb2.GetLatestSignalResponse, "signal"),
    (signal_service_pb2.GenerateSignalResponse, "signal"),
    (signal_service_pb2.GenerateSignalFromDbResponse, "signal"),
    (position_service_pb2.ClosePositionResponse, "position"),
]


@pytest.mark.parametrize(("response", "field"), [*LISTS, *SINGLE])
def test_lists_and_resources_have_the_field_number_of_the_encoder(response: type[Message], field: str) -> None:
    described = response.DESCRIPTOR.fields_by_name[field]
    assert described.number == wire.LIST_FIELD
    assert described.type == FieldDescriptor.TYPE_MESSAGE


@pytest.mark.parametrize("response", [message for message, _ in LISTS[:3]])
def test_streams_have_the_sequence_at_the_field_of_the_encoder(response: type[Message]) -> None:
    assert number_of(response, "through_sequence") == wire.THROUGH_FIELD


def test_list_of_bars_is_field_1() -> None:
    """ListBars is encoded by protobuf: bars are no entries of the log."""
    assert number_of(market_data_service_pb2.ListBarsResponse, "bars") == 1
