"""AccountService: conversion, defaults and bounds."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.support.builders import NOW, position
from tests.support.ledgers import BOOKS
from tests.support.memory_account import MemoryAccount
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import MemoryStore

from tradingsignals.v1 import account_pb2
from tradingsignals.v1.account_service_pb2 import (
    GetAccountRequest,
    HaltTradingRequest,
    HaltTradingResponse,
    ListEquityRequest,
    ListEquityResponse,
    ResumeTradingRequest,
    ResumeTradingResponse,
)
from tradingsignals_server.api.mapping.account_to_proto import account_message, equity_point_message
from tradingsignals_server.api.once import RunOnce
from tradingsignals_server.api.services.account import AccountServicer
from tradingsignals_server.application.account_queries import AccountQueries
from tradingsignals_server.application.ingest.once import Once
from tradingsignals_server.application.ports.idempotency import CallKey
from tradingsignals_server.application.ports.outcomes import StoredAccount
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.account_errors import AccountNotReady
from tradingsignals_server.domain.equity import EquityPoint
from tradingsignals_server.domain.errors import InvalidPageToken, InvalidRequest
from tradingsignals_server.domain.events import TradingControl
from tradingsignals_server.domain.protections import NO_PROTECTIONS, PROTECTION_RULES, Protections

FIRST = datetime(2024, 3, 4, 13, 5, tzinfo=UTC)
POINTS = [
    EquityPoint(
        FIRST + timedelta(hours=12 * n), FIRST.date() + timedelta(days=n // 2), 100.0 + n, 1.0, 1.0, 1.0, 2, 3.0, 4.0
    )
    for n in range(6)
]


class Halting:
    """An engine that keeps the calls that halt and resume trading, and nothing else."""

    def __init__(self) -> None:
        self.account = Account.opened(1000.0)
        self.calls: list[tuple[str, str, bool]] = []

    async def control_trading(self, reason: str, by: str, *, halted: bool, key: CallKey[Account] | None) -> Account:
        assert key is None
        self.calls.append((reason, by, halted))
        self.account = self.account.after(TradingControl(halted, reason, by, NOW))
        return self.account


def servicer_of(outcomes: MemoryOutcomes, engine: Any, protections: Protections = NO_PROTECTIONS) -> AccountServicer:
    return AccountServicer(AccountQueries(MemoryAccount(outcomes)), engine, protections, RunOnce(Once(MemoryStore())))


@pytest.fixture
def outcomes() -> MemoryOutcomes:
    store = MemoryOutcomes()
    store.equity = {point.time: point for point in POINTS}
    return store


@pytest.fixture
def servicer(outcomes: MemoryOutcomes) -> AccountServicer:
    return servicer_of(outcomes, Halting())


async def listed(servicer: AccountServicer, **fields_: Any) -> ListEquityResponse:
    return await servicer.list_equity(ListEquityRequest(**fields_))


def test_every_field_of_the_account_is_sent() -> None:
    held = replace(position(), pnl_account=110.0)
    account = Account(1000.0, 1300.0, 1200.0, 1250.0, realised=5.0, as_of=FIRST, day=FIRST.date(), closed=3)
    account = account.after(held).after(TradingControl(halted=True, reason="news", by="desk", at=NOW))
    message = account_message(StoredAccount(7, account, "USD"), Protections(trading_halted=True))
    assert {field.name for field, _ in message.ListFields()} == set(account_pb2.Account.DESCRIPTOR.fields_by_name)
    assert (message.open_positions, message.closed_positions, message.realised_pnl) == (1, 3, 5.0)
    assert message.equity == 1000.0 + 5.0 + message.unrealised_pnl
    assert message.day_pnl == message.equity - 1250.0
    assert message.drawdown == 1300.0 - message.equity
    assert (message.day, message.as_of.ToDatetime(UTC)) == ("2024-03-04", FIRST)
    assert (message.halt_reason, message.halted_by, message.halted_at.ToDatetime(UTC)) == ("news", "desk", NOW)


def test_absent_times_of_an_account_are_absent() -> None:
    message = account_message(StoredAccount(0, BOOKS.account, "USD"), NO_PROTECTIONS)
    absent = {"as_of", "halted_at", "day", "trading_halted", "halted_by_setting"}
    assert not {field.name for field, _ in message.ListFields()} & absent
    assert message.equity == message.peak_equity == message.day_start_equity == message.initial_equity


def test_every_field_of_a_point_is_sent() -> None:
    message = equity_point_message(POINTS[1])
    assert len(message.ListFields()) == len(account_pb2.EquityPoint.DESCRIPTOR.fields) == len(fields(EquityPoint))
    assert (message.session_day, message.equity) == ("2024-03-04", 101.0)
    assert equity_point_message(replace(POINTS[1], session_day=None)).session_day == ""


async def test_account_is_that_of_the_sequence_it_names(servicer: AccountServicer, outcomes: MemoryOutcomes) -> None:
    with pytest.raises(AccountNotReady):
        await servicer.get_account(GetAccountRequest())
    await outcomes.restart_ledger(1, BOOKS.account, "COP")
    outcomes.place = replace(outcomes.place, sequence=12)
    response = await servicer.get_account(GetAccountRequest())
    assert (response.account.currency, response.through_sequence) == ("COP", 12)


async def test_account_has_every_protection_as_it_stands(outcomes: MemoryOutcomes) -> None:
    await outcomes.restart_ledger(1, Account(1000.0, 1000.0, 1000.0, 1000.0, realised=-20.0, as_of=FIRST), "COP")
    protections = Protections(max_daily_loss_pct=0.02, max_open_positions=3)
    response = await servicer_of(outcomes, Halting(), protections).get_account(GetAccountRequest())
    states = {each.name: each for each in response.protections}
    assert list(states) == [rule.name for rule in PROTECTION_RULES]
    loss = states["MAX_DAILY_LOSS_PCT"]
    assert {field.name for field, _ in loss.ListFields()} == set(account_pb2.Protection.DESCRIPTOR.fields_by_name)
    assert (loss.unit, loss.limit, loss.value, loss.reached) == (account_pb2.Protection.FRACTION, 0.02, 0.02, True)
    assert loss.until.ToDatetime(UTC) == datetime(2024, 3, 5, tzinfo=UTC)
    held, off, switch = (states[name] for name in ("MAX_OPEN_POSITIONS", "MAX_EXPOSURE_PCT", "HALTED_BY_HAND"))
    assert (held.unit, held.limit, held.value, held.reached) == (account_pb2.Protection.COUNT, 3.0, 0.0, False)
    assert not held.HasField("until")
    assert (off.HasField("limit"), off.limit, off.HasField("value")) == (True, 0.0, False)
    assert (switch.HasField("limit"), switch.HasField("value"), switch.value) == (False, True, 0.0)


async def test_equity_is_by_bar_unless_days_are_requested(servicer: AccountServicer) -> None:
    by_bar, by_day = await listed(servicer), await listed(servicer, resolution="DAY")
    assert [point.equity for point in by_bar.points] == [105.0, 104.0, 103.0, 102.0, 101.0, 100.0]
    assert [point.equity for point in by_day.points] == [105.0, 103.0, 101.0]
    assert (by_bar.count, by_day.count, by_day.next_page_token) == (6, 3, "")
    assert [point.session_day for point in by_day.points] == [date(2024, 3, day).isoformat() for day in (6, 5, 4)]


@pytest.mark.parametrize("resolution", ["BAR", "DAY"])
async def test_pages_follow_one_another_newest_first(servicer: AccountServicer, resolution: str) -> None:
    found, token = list[account_pb2.EquityPoint](), ""
    while token or not found:
        page = await listed(servicer, resolution=resolution, limit=2, page_token=token, end_date="2024-03-06T14:00:00Z")
        found += page.points
        token = page.next_page_token
    assert found == list((await listed(servicer, resolution=resolution, end_date="2024-03-06T14:00:00Z")).points)
    assert len(found) > 2 - (resolution == "DAY")


@pytest.mark.parametrize(
    "fields_",
    [{"limit": 0}, {"limit": 1001}, {"resolution": 0}, {"resolution": 99}, {"start_date": "x"}, {"end_date": "x"}],
)
async def test_value_outside_its_bounds_is_refused(servicer: AccountServicer, fields_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await listed(servicer, **fields_)
    assert caught.value.violations[0].field == next(iter(fields_))


async def test_token_of_another_resolution_is_refused(servicer: AccountServicer) -> None:
    token = (await listed(servicer, limit=1)).next_page_token
    with pytest.raises(InvalidPageToken):
        await listed(servicer, limit=1, page_token=token, resolution="DAY")


async def test_halt_and_resume_say_how_trading_is(outcomes: MemoryOutcomes) -> None:
    engine = Halting()
    servicer = servicer_of(outcomes, engine, Protections(trading_halted=True))
    response = await servicer.halt_trading(HaltTradingRequest(reason=" news \u00e0 10h ", by="ana"))
    halted = HaltTradingResponse.FromString(response).trading
    assert {field.name for field, _ in halted.ListFields()} == set(account_pb2.Trading.DESCRIPTOR.fields_by_name)
    assert (halted.reason, halted.by, halted.halted_at.ToDatetime(UTC)) == ("news \u00e0 10h", "ana", NOW)
    response = await servicer.resume_trading(ResumeTradingRequest(by="bob"))
    resumed = ResumeTradingResponse.FromString(response).trading
    assert {field.name for field, _ in resumed.ListFields()} == {"halted_by_setting"}
    assert engine.calls == [("news \u00e0 10h", "ana", True), ("", "bob", False)]


@pytest.mark.parametrize("field", ["reason", "by"])
@pytest.mark.parametrize("text", ["x" * 201, "two\nlines", "a\x1b[2J"])
async def test_reason_that_is_no_short_line_is_refused(outcomes: MemoryOutcomes, field: str, text: str) -> None:
    engine = Halting()
    with pytest.raises(InvalidRequest) as refused:
        await servicer_of(outcomes, engine).halt_trading(HaltTradingRequest(**{field: text}))
    assert [violation.field for violation in refused.value.violations] == [field]
    assert engine.calls == []
