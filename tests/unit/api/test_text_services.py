"""What the edge asks for on behalf of REST: the public streams, and where a browser broke off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest
from tradingsignals_server.api.mapping.validation import subscription
from tradingsignals_server.api.text_services import TEXT_SERVICES, resumed_subscription
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.transport.grpc.metadata import last_event_id
from tradingsignals_server.transport.grpc.server import EDGE_SERVICES, SERVICES


@pytest.fixture
def broken_off() -> Iterator[None]:
    """A browser that has seen the event 7."""
    token = last_event_id.set("7")
    yield
    last_event_id.reset(token)


@pytest.mark.parametrize("name", TEXT_SERVICES)
def test_each_has_all_public_streams_with_their_requests(name: str) -> None:
    public = {
        method.name: method.input_type
        for service in SERVICES.values()
        for method in service.methods
        if method.server_streaming
    }
    assert {method.name: method.input_type for method in EDGE_SERVICES[name].methods} == public
    assert {stream.path for stream in TEXT_SERVICES[name].streams} == {
        f"/tradingsignals.edge.v1.{name}/{method}" for method in public
    }
    for stream in TEXT_SERVICES[name].streams:
        assert stream.request.DESCRIPTOR is public[stream.path.rpartition("/")[2]]


@pytest.mark.usefixtures("broken_off")
def test_what_a_browser_has_seen_wins_over_the_address_it_repeats() -> None:
    request = StreamEventsRequest(resume_after=3, heartbeat_seconds=9)
    (wanted, resume_after, *rest), plain = resumed_subscription(request), subscription(request)
    assert (resume_after, plain[1]) == (7, 3)
    assert (wanted, tuple(rest)) == (plain[0], plain[2:])
    assert resumed_subscription(StreamEventsRequest())[1] == 7


@pytest.mark.parametrize("said", ["", "-1", "1.0", "x", " 7", "\u0667", str(2**63), "9" * 20])
def test_what_is_no_sequence_is_refused_by_name(said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        subscription(StreamEventsRequest(heartbeat_seconds=99), said)
    assert [violation.field for violation in refused.value.violations] == ["heartbeat_seconds", "last-event-id"]


@pytest.mark.parametrize(("said", "after"), [("0", 0), ("007", 7), (str(2**63 - 1), 2**63 - 1)])
def test_what_is_one_is_taken(said: str, after: int) -> None:
    assert subscription(StreamEventsRequest(), said)[1] == after
