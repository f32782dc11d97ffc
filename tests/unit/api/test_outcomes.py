"""OutcomeService: conversion, filters and bounds."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from tests.support.builders import bar, signal
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import MemoryStore

from tradingsignals.v1.outcome_pb2 import Outcome as OutcomeMessage
from tradingsignals.v1.outcome_service_pb2 import ListOutcomesRequest, ListOutcomesResponse
from tradingsignals_server.api.mapping.outcomes_to_proto import outcome_message
from tradingsignals_server.api.services.outcomes import OutcomeServicer
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ports.event_log import LogHead
from tradingsignals_server.application.queries import Queries
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.errors import InvalidPageToken, InvalidRequest
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.ledger import Ledger
from tradingsignals_server.domain.outcomes import Fill, Outcome, Resolution
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action


def outcomes_of(action: Action, name: int, symbol: str = "USDCOP") -> list[Outcome]:
    """Return the outcomes of a signal that is stopped at the bar of its number, at the open and within the bar."""
    ledger = Ledger(RiskRules(), calendar_for)
    ledger.apply(signal(action, name=name, symbol=symbol))
    price = 98.0 if action is Action.BUY else 102.0
    seen = bar(name, 100.0, max(100.0, price), min(100.0, price), symbol=symbol)
    return ledger.apply(MarketUpdate(seen, Disposition.ACCEPTED))


STORED = [*outcomes_of(Action.BUY, 1), *outcomes_of(Action.SELL, 2), *outcomes_of(Action.BUY, 3, "EURUSD")]


@pytest.fixture
def servicer() -> OutcomeServicer:
    store = MemoryStore()
    outcomes = MemoryOutcomes(store)
    outcomes.outcomes = [*STORED, replace(STORED[0], shadow=True, resolution=Resolution.EXPIRED)]
    return OutcomeServicer(Queries(store, LogTail(store, LogHead(store.epoch, 1, 0)), outcomes))


async def listed(servicer: OutcomeServicer, **fields_: Any) -> ListOutcomesResponse:
    return await servicer.list_outcomes(ListOutcomesRequest(**fields_))


def test_every_field_of_an_outcome_is_sent() -> None:
    outcome = replace(STORED[0], win_probability=0.5, model_key="k", shadow=True, acted=True, simulated=True, mfe_r=0.5)
    message = outcome_message(replace(outcome, bars_held=2, gross_pct=1.0, pnl_account=3.0))
    assert {field.name for field, _ in message.ListFields()} == set(OutcomeMessage.DESCRIPTOR.fields_by_name)
    names = {field.name for field in fields(Outcome)} - {"size"} | {"position_size", "seconds_to_resolve"}
    assert names == set(OutcomeMessage.DESCRIPTOR.fields_by_name)
    assert (message.resolution, message.fill) == (OutcomeMessage.STOP, OutcomeMessage.CLOSE)
    assert (message.entry_price, message.exit_price, message.r_multiple) == (100.0, 98.0, -1.0)
    assert message.exit_time.ToDatetime() == STORED[0].exit_time.replace(tzinfo=None)
    assert not outcome_message(STORED[0]).HasField("win_probability")


@pytest.mark.parametrize(
    ("fields_", "count"),
    [
        ({}, 7),
        ({"symbol": "usd/cop"}, 5),
        ({"action": "SELL"}, 2),
        ({"resolution": "EXPIRED"}, 1),
        ({"fill": "CLOSE"}, 4),
        ({"model_version": "v2"}, 0),
        ({"shadow": True}, 1),
        ({"shadow": False}, 6),
        ({"start_date": "2024-03-04T13:11:00Z"}, 4),
        ({"end_date": "2024-03-04T13:11:00Z"}, 3),
    ],
)
async def test_filters_select_outcomes(servicer: OutcomeServicer, fields_: dict[str, Any], count: int) -> None:
    response = await listed(servicer, **fields_)
    assert (len(response.outcomes), response.count, response.next_page_token) == (count, count, "")


async def test_pages_follow_one_another_newest_first(servicer: OutcomeServicer) -> None:
    found, token = list[OutcomeMessage](), ""
    while token or not found:
        page = await listed(servicer, limit=3, page_token=token)
        found += page.outcomes
        token = page.next_page_token
    assert found == list((await listed(servicer)).outcomes)
    assert [one.fill for one in found[1:3]] == [OutcomeMessage.NEXT_OPEN, OutcomeMessage.CLOSE]
    assert {Fill(OutcomeMessage.Fill.Name(one.fill)) for one in found} == set(Fill)


@pytest.mark.parametrize(
    "fields_",
    [
        {"limit": 0},
        {"limit": 1001},
        {"symbol": "usd!"},
        {"action": "HOLD"},
        {"resolution": 99},
        {"fill": 0},
        {"start_date": "x"},
    ],
)
async def test_value_outside_its_bounds_is_refused(servicer: OutcomeServicer, fields_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await listed(servicer, **fields_)
    assert caught.value.violations[0].field == next(iter(fields_))


async def test_token_of_another_query_is_refused(servicer: OutcomeServicer) -> None:
    token = (await listed(servicer, limit=1)).next_page_token
    with pytest.raises(InvalidPageToken):
        await listed(servicer, limit=1, page_token=token, symbol="USDCOP")
