"""Answers as text: the JSON of the public answer, framed, and written once for everybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from tests.support.logs import Log
from tests.support.rest_json import rest_json

from tradingsignals.v1.event_service_pb2 import StreamEventsResponse
from tradingsignals.v1.position_service_pb2 import StreamPositionsResponse
from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse
from tradingsignals_server.api.encoding import wire
from tradingsignals_server.api.encoding.responses import AnswerForm
from tradingsignals_server.api.encoding.text_responses import LINES, SERVER_SENT_EVENTS, noun_text
from tradingsignals_server.application.event_log.tail import Batch
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import ShuttingDown
from tradingsignals_server.domain.events import EventKind

FORMS: list[tuple[AnswerForm, AnswerForm, type[Message], str, set[EventKind]]] = [
    (SERVER_SENT_EVENTS.signals, LINES.signals, StreamSignalsResponse, "signals", {EventKind.SIGNAL}),
    (SERVER_SENT_EVENTS.positions, LINES.positions, StreamPositionsResponse, "positions", {EventKind.POSITION_UPDATE}),
    (SERVER_SENT_EVENTS.events, LINES.events, StreamEventsResponse, "events", set(EventKind)),
]
EACH = pytest.mark.parametrize(("event", "line", "response", "name", "kinds"), FORMS)


def read(body: bytes) -> Any:
    """The JSON of an answer in either framing."""
    told = HttpBody.FromString(body)
    text = told.data.decode()
    if told.content_type == "application/x-ndjson":
        assert text.endswith("\n")
        assert text.count("\n") == 1
        return json.loads(text)
    assert told.content_type == "text/event-stream"
    id_, data, *ends = text.split("\n")
    assert ends == ["", ""]
    found = json.loads(data.removeprefix("data: "))
    assert id_ == f"id: {found['through_sequence']}"
    return found


async def entries(kinds: set[EventKind]) -> list[LogEntry]:
    return [entry for entry in (await Log.with_entries(30)).store.entries if entry.kind in kinds]


@EACH
async def test_entries_read_as_the_public_answer(
    event: AnswerForm, line: AnswerForm, response: type[Message], name: str, kinds: set[EventKind]
) -> None:
    listed = await entries(kinds)
    serialised = wire.event_answer(listed, 31) if name == "events" else wire.noun_answer(Batch(listed, 31))
    expected = rest_json(response.FromString(serialised))
    assert len(expected[name]) == len(listed) > 3
    assert read(event.entries(listed, 31)) == read(line.entries(listed, 31)) == expected


@EACH
def test_heartbeats_and_the_end(
    event: AnswerForm, line: AnswerForm, response: type[Message], name: str, kinds: set[EventKind]
) -> None:
    for form in (event, line):
        assert form.begins_with_heartbeat
        quiet, last = read(form.heartbeat(0)), read(form.end(7, ShuttingDown(7)))
        assert quiet["through_sequence"] == "0"
        assert [list(one) for one in quiet[name]] == [["sequence", "event_time", "heartbeat"]] * (name == "events")
        error = last["events"][0]["error"] if name == "events" else last["error"]
        assert (last["through_sequence"], error["reason"], error["retryable"]) == ("7", "SHUTTING_DOWN", True)
        for answer in (quiet, last):
            assert rest_json(ParseDict(answer, response())) == answer


async def test_an_entry_is_written_once_for_all_forms_and_filters() -> None:
    listed = await entries({EventKind.SIGNAL})
    noun_text.cache_clear()
    for form in (SERVER_SENT_EVENTS.signals, LINES.signals, SERVER_SENT_EVENTS.events, LINES.events):
        form.entries(listed, 30)
        form.entries(listed[1:], 30)
    assert noun_text.cache_info().misses == len(listed)
