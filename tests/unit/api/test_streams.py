"""The table of streams: every server-streaming method, in all its forms, with the messages of the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.support.logs import Log

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.api.contract import EDGE_SERVICES, SERVICES
from tradingsignals_server.api.mapping.validation import stream_request
from tradingsignals_server.api.services.backtests import METHOD
from tradingsignals_server.api.streams import STREAMS, stream_methods
from tradingsignals_server.application.event_log.follower import Follower, Followers
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.domain.events import EventKind
from tradingsignals_server.transport.grpc.metadata import last_event_id
from tradingsignals_server.transport.methods import Budget

EDGE = "/tradingsignals.edge.v1"
STREAM_EVENTS = "/tradingsignals.v1.EventService/StreamEvents"
FORMS = {
    STREAM_EVENTS: "",
    f"{EDGE}.ServerSentEventsService/StreamEvents": "text/event-stream",
    f"{EDGE}.NewlineDelimitedService/StreamEvents": "application/x-ndjson",
}


@pytest.fixture
def reconnects() -> Iterator[None]:
    """A browser that has received the event 7."""
    token = last_event_id.set("7")
    yield
    last_event_id.reset(token)


async def opened(path: str, request: StreamEventsRequest) -> Follower:
    """A follower of a log of 20 entries, as a method opens it."""
    log = await Log.with_entries(20)
    source = await stream_methods(Followers(log.log_tail))[path].open(request.SerializeToString())
    assert isinstance(source, Follower)
    return source


def test_every_server_streaming_method_is_declared() -> None:
    public = {
        method.full_name for service in SERVICES.values() for method in service.methods if method.server_streaming
    }
    assert {stream.method.full_name for stream in STREAMS} | {METHOD.full_name} == public


@pytest.mark.parametrize("name", ["ServerSentEventsService", "NewlineDelimitedService"])
def test_edge_has_every_stream_with_its_request(name: str) -> None:
    public = {stream.method.name: stream.method.input_type for stream in STREAMS}
    found = {method.name: method.input_type for method in EDGE_SERVICES[name].methods}
    assert [field.name for field in found.pop(METHOD.name).fields] == ["body"]
    assert found == public


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.method.name)
def test_stream_sends_kinds_of_the_contract(stream: object) -> None:
    (found,) = (each for each in STREAMS if each is stream)
    assert found.kinds <= set(EventKind)
    assert found.kinds or "kinds" in found.method.input_type.fields_by_name


async def test_every_form_of_a_stream_has_a_method() -> None:
    methods = stream_methods(Followers((await Log.with_entries(0)).log_tail))
    assert len(methods) == 3 * len(STREAMS)
    assert set(FORMS) <= set(methods)


@pytest.mark.parametrize(("path", "content_type"), FORMS.items())
async def test_method_returns_responses_of_its_form(path: str, content_type: str) -> None:
    follower = await opened(path, StreamEventsRequest(resume_after=4))
    response = follower.next(0.0, Budget()) or b""
    if content_type:
        assert HttpBody.FromString(response).content_type == content_type
    else:
        assert follower.awaits == "page"
        await follower.read()
        response = follower.next(0.0, Budget()) or b""
        assert StreamEventsResponse.FromString(response).through_sequence == 20


@pytest.mark.usefixtures("reconnects")
@pytest.mark.parametrize("path", FORMS)
async def test_server_sent_events_resume_after_the_last_event_id(path: str) -> None:
    follower = await opened(path, StreamEventsRequest(resume_after=3))
    assert follower.cursor == (7 if "ServerSentEvents" in path else 3)


@pytest.mark.parametrize("sent", ["", "-1", "1.0", "x", " 7", "\u0667", str(2**63), "9" * 20])
def test_last_event_id_that_is_no_sequence_is_refused_with_its_field(sent: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        stream_request(StreamEventsRequest(heartbeat_seconds=99), last_event_id=sent)
    assert [violation.field for violation in refused.value.violations] == ["heartbeat_seconds", "last-event-id"]


@pytest.mark.parametrize(("sent", "after"), [("0", 0), ("007", 7), (str(2**63 - 1), 2**63 - 1)])
def test_last_event_id_overrides_the_request(sent: str, after: int) -> None:
    assert stream_request(StreamEventsRequest(resume_after=3), last_event_id=sent).resume_after == after
