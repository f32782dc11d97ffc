"""Every bound of the contract, from both sides."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals.v1 import backtest_service_pb2, event_service_pb2, position_service_pb2, signal_service_pb2
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals_server.api.mapping.bounds import SYMBOL_PATTERN
from tradingsignals_server.api.mapping.validation import Checks, stream_request
from tradingsignals_server.api.streams import STREAMS
from tradingsignals_server.application.event_log.filter import Filter
from tradingsignals_server.application.event_log.follower import StreamRequest
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.domain.events import EventKind
from tradingsignals_server.domain.signals import Action, reached_from
from tradingsignals_server.domain.symbols import parse_symbol

StreamSignals = signal_service_pb2.StreamSignalsRequest
StreamPositions = position_service_pb2.StreamPositionsRequest
StreamEvents = event_service_pb2.StreamEventsRequest
FOLLOWING: list[Any] = [StreamSignals, StreamPositions, StreamEvents]


def violations(check: Callable[[Checks], object]) -> list[str]:
    """The fields that a check refuses."""
    try:
        with Checks() as checks:
            check(checks)
    except InvalidRequest as refusal:
        return [violation.field for violation in refusal.violations if violation.description]
    return []


def converted(message: Message) -> StreamRequest:
    """The request of a stream as its method converts it."""
    (kinds,) = (stream.kinds for stream in STREAMS if stream.method.input_type is message.DESCRIPTOR)
    return stream_request(message, kinds)


def refused(message: Message) -> set[str]:
    with pytest.raises(InvalidRequest) as caught:
        converted(message)
    return {violation.field for violation in caught.value.violations}


# --------------------------------------------------------------------------------------------------- single checks


def test_all_violations_are_raised_together() -> None:
    def check(checks: Checks) -> None:
        checks.number(signal_service_pb2.ListSignalsRequest(limit=0), "limit")
        checks.symbol("?")
        checks.uuid("?", "position_id")

    assert violations(check) == ["limit", "symbol", "position_id"]


def test_other_error_is_not_hidden_by_violations() -> None:
    def check(checks: Checks) -> None:
        checks.refuse("a", "is wrong")
        raise KeyError

    with pytest.raises(KeyError):
        violations(check)


@pytest.mark.parametrize(
    ("value", "sound"), [(0, False), (1, True), (1000, True), (1001, False), (-1, False), (2**31 - 1, False)]
)
def test_integer_outside_its_bounds_is_refused(value: int, sound: bool) -> None:
    request = signal_service_pb2.ListSignalsRequest(limit=value)
    assert violations(lambda checks: checks.number(request, "limit")) == ([] if sound else ["limit"])


def test_bounds_of_a_message_take_precedence() -> None:
    for limit, sound in ((500, True), (501, False)):
        request = position_service_pb2.ListClosedPositionsRequest(limit=limit)
        assert violations(lambda checks, sent=request: checks.number(sent, "limit")) == ([] if sound else ["limit"])  # type: ignore[misc]


def test_number_without_declared_bounds_is_a_defect() -> None:
    with pytest.raises(KeyError, match=r"RunBacktestRequest\.seed"), Checks() as checks:
        checks.number(backtest_service_pb2.RunBacktestRequest(seed=1), "seed")


@given(st.from_regex(re.compile(SYMBOL_PATTERN, re.ASCII)) | st.text(max_size=24))
def test_every_symbol_that_is_accepted_matches_the_documented_pattern(text: str) -> None:
    try:
        parse_symbol(text)
    except InvalidRequest:
        return
    assert re.fullmatch(SYMBOL_PATTERN, text)


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        (0.0, True),
        (1.0, True),
        (math.nextafter(1.0, 2.0), False),
        (-5e-324, False),
        (math.nan, False),
        (math.inf, False),
    ],
)
def test_probability_outside_0_to_1_is_refused(value: float, sound: bool) -> None:
    request = StreamSignals(min_confidence=value)
    assert violations(lambda checks: checks.number(request, "min_confidence")) == ([] if sound else ["min_confidence"])


@pytest.mark.parametrize(
    ("value", "sound"),
    [(0.01, True), (1e9, True), (0.0, False), (-1.0, False), (math.nan, False), (math.inf, False), (-math.inf, False)],
)
def test_price_that_is_not_positive_and_finite_is_refused(value: float, sound: bool) -> None:
    assert violations(lambda checks: checks.price(value, "price")) == ([] if sound else ["price"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("2025-06-30", datetime(2025, 6, 30, tzinfo=UTC)),
        ("2025-06-30T13:00:00Z", datetime(2025, 6, 30, 13, tzinfo=UTC)),
        ("2025-06-30T08:00:00-05:00", datetime(2025, 6, 30, 13, tzinfo=UTC)),
        ("2025-06-30T13:00:00.5Z", datetime(2025, 6, 30, 13, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_dates_and_times_are_parsed_as_utc(text: str, expected: datetime | None) -> None:
    with Checks() as checks:
        found = checks.date(text, "start_date")
    assert found == expected
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2025-13-01", "2025-02-30", "30.06.2025", "2025-06-30T25:00:00Z", "1751288400", "nan"),
        *("2025-06-30Z", " 2025-06-30", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"),
    ],
)
def test_invalid_date_is_refused(text: str) -> None:
    assert violations(lambda checks: checks.date(text, "end_date")) == ["end_date"]


@given(st.text(max_size=30))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    assert violations(lambda checks: checks.date(text, "f")) in ([], ["f"])
    assert violations(lambda checks: checks.symbol(text, field="f")) in ([], ["f"])
    assert violations(lambda checks: checks.uuid(text, "f")) in ([], ["f"])


def test_symbol_is_normalised_or_has_its_default() -> None:
    with Checks() as checks:
        assert checks.symbol("USD/COP") == "USDCOP"
        assert checks.symbol("") is None
        assert checks.symbol("", default="USDCOP") == "USDCOP"
    assert violations(lambda checks: checks.symbol("usd cop")) == ["symbol"]


def test_uuid_is_parsed_or_refused() -> None:
    with Checks() as checks:
        assert checks.uuid("00000000-0000-0000-0000-000000000001", "id") == UUID(int=1)
    for text in ("", "1", "00000000-0000-0000-0000-00000000000g"):
        assert violations(lambda checks, text=text: checks.uuid(text, "id")) == ["id"]  # type: ignore[misc]


@pytest.mark.parametrize(("value", "action"), [(Signal.BUY, "BUY"), (Signal.SELL, "SELL"), (Signal.HOLD, "HOLD")])
def test_actions_are_converted(value: int, action: str) -> None:
    with Checks() as checks:
        assert checks.action(value, "action") is Action(action)


@pytest.mark.parametrize("value", [0, 4, -1, 99])
def test_unknown_action_or_kind_is_refused_with_the_allowed_ones(value: int) -> None:
    with pytest.raises(InvalidRequest, match=r"action: must be one of BUY, SELL, HOLD$"), Checks() as checks:
        checks.action(value, "action")
    with (
        pytest.raises(InvalidRequest, match=r"must be one of SIGNAL, MARKET_UPDATE, .*OUTCOME, TRADING_CONTROL$"),
        Checks() as c,
    ):
        c.kind({4: 6}.get(value, value), "kind")


@pytest.mark.parametrize(("lookback", "sound"), [(49, False), (50, True), (500, True), (501, False), (0, False)])
def test_lookback_outside_its_bounds_is_refused(lookback: int, sound: bool) -> None:
    request = signal_service_pb2.GenerateSignalFromDbRequest(lookback_bars=lookback)
    assert violations(lambda checks: checks.number(request, "lookback_bars")) == ([] if sound else ["lookback_bars"])


def test_absent_lookback_has_its_default() -> None:
    with Checks() as checks:
        assert checks.number(signal_service_pb2.GenerateSignalFromDbRequest(), "lookback_bars") == 100
        request = signal_service_pb2.GenerateSignalFromDbRequest(lookback_bars=77)
        assert checks.number(request, "lookback_bars") == 77


# --------------------------------------------------------------------------------------------- requests of streams


@pytest.mark.parametrize(
    ("request_", "filter_"),
    [
        (StreamSignals(), Filter(kinds=frozenset({EventKind.SIGNAL}))),
        (StreamPositions(), Filter(kinds=frozenset({EventKind.POSITION_UPDATE}))),
        (StreamEvents(), Filter()),
        (
            StreamSignals(symbols=["USD/COP", "EURUSD"], actions=[Signal.BUY, Signal.HOLD], min_confidence=0.5),
            Filter(
                frozenset({EventKind.SIGNAL}),
                frozenset({"USDCOP", "EURUSD"}),
                reached_from(0.5),
                frozenset({Action.BUY, Action.HOLD}),
            ),
        ),
        (
            StreamPositions(symbols=["USDCOP"]),
            Filter(frozenset({EventKind.POSITION_UPDATE}), frozenset({"USDCOP"})),
        ),
        (
            StreamEvents(kinds=[Event.SIGNAL, Event.MARKET_UPDATE], min_confidence=0.0),
            Filter(frozenset({EventKind.SIGNAL, EventKind.MARKET_UPDATE}), frozenset(), 0.0),
        ),
    ],
)
def test_stream_request_has_its_filter_and_the_defaults(request_: Message, filter_: Filter) -> None:
    assert converted(request_) == StreamRequest(filter_, None, 15.0, None)


@pytest.mark.parametrize("request_type", FOLLOWING)
@pytest.mark.parametrize("sequence", [0, 1, 2**63 - 1])
def test_stream_request_has_the_sequence_to_resume_after(request_type: Any, sequence: int) -> None:
    assert converted(request_type(resume_after=sequence)).resume_after == sequence


@pytest.mark.parametrize("request_type", FOLLOWING)
def test_negative_sequence_is_refused(request_type: Any) -> None:
    assert refused(request_type(resume_after=-1)) == {"resume_after"}


@pytest.mark.parametrize("request_type", FOLLOWING)
@pytest.mark.parametrize(("seconds", "sound"), [(0, False), (1, True), (60, True), (61, False), (-1, False)])
def test_heartbeat_outside_1_to_60_seconds_is_refused(request_type: Any, seconds: int, sound: bool) -> None:
    request = request_type(heartbeat_seconds=seconds)
    if sound:
        assert converted(request).heartbeat_seconds == float(seconds)
    else:
        assert refused(request) == {"heartbeat_seconds"}


@pytest.mark.parametrize("request_type", [StreamSignals, StreamEvents])
@pytest.mark.parametrize("confidence", [-0.01, 1.01, math.nan, math.inf])
def test_confidence_outside_its_bounds_is_refused(request_type: Any, confidence: float) -> None:
    assert refused(request_type(min_confidence=confidence)) == {"min_confidence"}


@pytest.mark.parametrize("request_type", FOLLOWING)
@pytest.mark.parametrize("symbols", [[""], ["USDCOP", "usd cop"], ["?" * 1000]])
def test_invalid_symbol_is_refused(request_type: Any, symbols: list[str]) -> None:
    assert refused(request_type(symbols=symbols)) & {"symbols", f"symbols[{len(symbols) - 1}]"}


@pytest.mark.parametrize("request_type", FOLLOWING)
def test_filter_has_at_most_1000_symbols(request_type: Any) -> None:
    names = [f"S{n:04}" for n in range(1001)]
    assert len(converted(request_type(symbols=names[:1000])).filter.symbols) == 1000
    assert refused(request_type(symbols=names)) == {"symbols"}


def test_unspecified_action_or_kind_is_refused_with_its_index() -> None:
    assert refused(StreamSignals(actions=[Signal.BUY, Signal.ACTION_UNSPECIFIED])) == {"actions[1]"}
    assert refused(StreamEvents(kinds=[Event.KIND_UNSPECIFIED, Event.SIGNAL])) == {"kinds[0]"}


def test_all_violations_of_a_stream_request_are_reported() -> None:
    request = StreamSignals(heartbeat_seconds=0, resume_after=-1, min_confidence=2.0, actions=[0])  # type: ignore[list-item]
    assert refused(request) == {"heartbeat_seconds", "resume_after", "min_confidence", "actions[0]"}
