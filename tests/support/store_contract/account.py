"""The contract of the account store: what a keeper has stored, as callers read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest
from tests.support.builders import NOW
from tests.support.ledgers import BOOKS, folded, follow, trade, values_of
from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.ports.account import AccountStore, EquityQuery, EquityResolution
from tradingsignals_server.application.ports.outcomes import LedgerCommit, OutcomeStore
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.equity import EquityPoint
from tradingsignals_server.domain.ledger import LEDGER_VERSION

DAY = EquityResolution.DAY
MONDAY, TUESDAY = date(2024, 3, 4), date(2024, 3, 5)


@dataclass(frozen=True, slots=True)
class AccountStores:
    """A store, the outcome store on it, and the account store on that."""

    store: Store
    outcomes: OutcomeStore
    account: AccountStore


def point(day: int, hour: int, equity: float, session: date | None) -> EquityPoint:
    """Return the equity at an hour of a day in March 2024."""
    return EquityPoint(datetime(2024, 3, day, hour, tzinfo=UTC), session, equity, 0.0, 0.0, 0.0, 0, 0.0, 0.0)


async def put(outcomes: OutcomeStore, points: Sequence[EquityPoint]) -> None:
    """Store points of equity, by a step of the ledger."""
    await outcomes.restart_ledger(LEDGER_VERSION, BOOKS.account, BOOKS.currency)
    before = (await outcomes.load_ledger()).place
    assert await outcomes.commit_ledger(LedgerCommit(before, 1, (), (), NOW, {}, BOOKS.account, points)) is not None


class AccountContract:
    """A module that derives from it gives the fixture `account_stores`."""

    async def listed(self, stores: AccountStores, query: EquityQuery, page: int = 1000) -> list[EquityPoint]:
        """List equity, the newest first, in pages of some size."""
        found, before = list[EquityPoint](), None
        for _ in count():
            read = await stores.account.list_equity(query, before, page)
            found += read.points
            if (before := read.next_before) is None:
                break
        return found

    async def test_account_is_absent_until_it_is_followed(self, account_stores: AccountStores) -> None:
        assert await account_stores.account.read_account() is None
        page = await account_stores.account.list_equity(EquityQuery(), None, 10)
        assert (page.points, page.next_before, page.through_sequence) == ([], None, 0)

    async def test_account_and_equity_are_those_of_the_log(self, account_stores: AccountStores) -> None:
        counterpart = MemoryStore()
        await trade(counterpart)
        expected = folded(counterpart)
        await trade(account_stores.store)
        await follow(account_stores.store, account_stores.outcomes, step=100)
        read = await account_stores.account.read_account()
        assert read is not None
        assert values_of(read.account) == values_of(expected.account)
        assert read.currency == BOOKS.currency
        assert await self.listed(account_stores, EquityQuery(), page=70) == list(expected.equity)[::-1]

    async def test_account_and_lists_are_complete_up_to_the_end_of_the_log(self, account_stores: AccountStores) -> None:
        await trade(account_stores.store)
        await follow(account_stores.store, account_stores.outcomes)
        await follow(account_stores.store, account_stores.outcomes)  # the outcomes' own entries, which change nothing
        newest = (await account_stores.store.log_head()).newest
        read = await account_stores.account.read_account()
        assert read is not None
        assert read.sequence == newest
        assert (await account_stores.account.list_equity(EquityQuery(), None, 1)).through_sequence == newest

    async def test_day_is_the_last_point_until_the_next_session_begins(self, account_stores: AccountStores) -> None:
        points = [
            point(4, 3, 1.0, None),  # before the first session
            point(4, 13, 2.0, MONDAY),
            point(4, 17, 3.0, MONDAY),
            point(4, 23, 4.0, None),
            point(5, 13, 5.0, TUESDAY),
            point(5, 14, 6.0, MONDAY),  # of a symbol whose Monday is not over
            point(5, 15, 7.0, TUESDAY),
        ]
        await put(account_stores.outcomes, points)
        ends = [replace(points[6], session_day=TUESDAY), replace(points[3], session_day=MONDAY)]
        assert await self.listed(account_stores, EquityQuery(DAY)) == ends
        assert await self.listed(account_stores, EquityQuery(DAY), page=1) == ends

    @pytest.mark.parametrize("resolution", EquityResolution)
    async def test_range_includes_its_start_and_not_its_end(
        self, account_stores: AccountStores, resolution: EquityResolution
    ) -> None:
        first = datetime(2024, 3, 4, 17, tzinfo=UTC)
        days = [point(4 + n, 17, 100.0 + n, MONDAY + timedelta(days=n)) for n in range(4)]
        await put(account_stores.outcomes, days)
        query = EquityQuery(resolution, first + timedelta(days=1), first + timedelta(days=3))
        assert await self.listed(account_stores, query) == days[2:0:-1]
