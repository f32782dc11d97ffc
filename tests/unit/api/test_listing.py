"""Lists: their text equals their message."""

from __future__ import annotations

import json

import pytest
from google.api import httpbody_pb2
from google.protobuf.message import Message
from tests.support.builders import position, signal
from tests.support.rest_json import rest_json

from tradingsignals.v1 import position_service_pb2, signal_service_pb2
from tradingsignals_server.api.encoding.listing import ITEMS_A_TURN, Listing
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.domain.events import EventKind
from tradingsignals_server.domain.signals import Action

SIGNALS = [encode(signal(list(Action)[n % 3], name=n + 1), n + 1) for n in range(2 * ITEMS_A_TURN + 1)]
POSITIONS = [encode(position(), n + 1) for n in range(3)]


@pytest.mark.parametrize("count", [0, 1, ITEMS_A_TURN, len(SIGNALS)])
async def test_text_of_a_list_of_signals_equals_its_message(count: int) -> None:
    rest = signal_service_pb2.ListSignalsResponse(count=count, next_page_token="[]", through_sequence=7)  # noqa: S106
    await assert_equal_forms(Listing(EventKind.SIGNAL, SIGNALS[:count], rest), count)


async def test_text_of_a_list_of_positions_equals_its_message() -> None:
    await assert_equal_forms(
        Listing(EventKind.POSITION_UPDATE, POSITIONS, position_service_pb2.ListClosedPositionsResponse()), 3
    )


async def assert_equal_forms(listing: Listing, count: int) -> None:
    body = httpbody_pb2.HttpBody.FromString(await listing.text())
    message: Message = type(listing.rest).FromString(listing.serialised())
    expected = rest_json(message)
    assert body.content_type == "application/json"
    assert json.loads(body.data) == expected
    assert len(next(value for value in expected.values() if isinstance(value, list))) == count
