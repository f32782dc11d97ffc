"""Responses of streams as text: the JSON of the public response, framed, and made once for all callers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.json_format import ParseDict
from tests.support.logs import Log
from tests.support.rest_json import rest_json

from tradingsignals.v1.event_service_pb2 import StreamEventsResponse
from tradingsignals.v1.position_service_pb2 import StreamPositionsResponse
from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse
from tradingsignals_server.api.encoding.stream_messages import MessageEncoding
from tradingsignals_server.api.encoding.stream_text import TextEncoding, item_text, ndjson_line, server_sent_event
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import ShuttingDown
from tradingsignals_server.domain.events import EventKind

STREAMS: list[tuple[Any, str, set[EventKind]]] = [
    (StreamSignalsResponse, "signals", {EventKind.SIGNAL}),
    (StreamPositionsResponse, "positions", {EventKind.POSITION_UPDATE}),
    (StreamEventsResponse, "events", set(EventKind)),
]
EACH = pytest.mark.parametrize(("response", "name", "kinds"), STREAMS)


def encodings(response: Any) -> tuple[TextEncoding, TextEncoding]:
    return TextEncoding(response, server_sent_event), TextEncoding(response, ndjson_line)


def read(body: bytes) -> Any:
    """The JSON of a response in either framing."""
    sent = HttpBody.FromString(body)
    text = sent.data.decode()
    if sent.content_type == "application/x-ndjson":
        assert text.endswith("\n")
        assert text.count("\n") == 1
        return json.loads(text)
    assert sent.content_type == "text/event-stream"
    id_, data, *ends = text.split("\n")
    assert ends == ["", ""]
    found = json.loads(data.removeprefix("data: "))
    assert id_ == f"id: {found['through_sequence']}"
    return found


async def entries(kinds: set[EventKind]) -> list[LogEntry]:
    return [entry for entry in (await Log.with_entries(30)).store.entries if entry.kind in kinds]


@EACH
async def test_text_of_entries_equals_the_public_response(response: Any, name: str, kinds: set[EventKind]) -> None:
    listed = await entries(kinds)
    expected = rest_json(response.FromString(MessageEncoding(response).entries(listed, 31)))
    assert len(expected[name]) == len(listed) > 3
    for encoding in encodings(response):
        assert read(encoding.entries(listed, 31)) == expected


@EACH
def test_text_of_heartbeats_and_the_end_equals_the_public_response(
    response: Any, name: str, kinds: set[EventKind]
) -> None:
    for encoding in encodings(response):
        assert encoding.begins_with_heartbeat
        heartbeat, end = read(encoding.heartbeat(0)), read(encoding.end(7, ShuttingDown(7)))
        assert heartbeat["through_sequence"] == "0"
        events = [list(one) for one in heartbeat[name]]
        assert events == [["sequence", "event_time", "heartbeat"]] * (name == "events")
        error = end["events"][0]["error"] if name == "events" else end["error"]
        assert (end["through_sequence"], error["reason"], error["retryable"]) == ("7", "SHUTTING_DOWN", True)
        for sent in (heartbeat, end):
            assert rest_json(ParseDict(sent, response())) == sent


async def test_item_is_encoded_once_for_all_encodings_and_filters() -> None:
    listed = await entries({EventKind.SIGNAL})
    item_text.cache_clear()
    for response in (StreamSignalsResponse, StreamEventsResponse):
        for encoding in encodings(response):
            encoding.entries(listed, 30)
            encoding.entries(listed[1:], 30)
    assert item_text.cache_info().misses == len(listed)
