"""The contract of the outcome store: what a keeper leaves in it is the log folded at once, however it got there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from tests.support.builders import NOW
from tests.support.ledgers import BOOKS, RULES, Folded, books_with, folded, follow, trade, values_of
from tests.support.memory_store import MemoryStore
from tests.support.trades import update

from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.outcomes import (
    LedgerCommit,
    LedgerPlace,
    OutcomeQuery,
    OutcomeStore,
    ResolvedOutcome,
)
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.events import EventKind, TradingControl
from tradingsignals_server.domain.ledger import LEDGER_VERSION
from tradingsignals_server.domain.outcomes import Fill, Outcome, Resolution
from tradingsignals_server.domain.signals import Action


@dataclass(frozen=True, slots=True)
class LedgerStores:
    """A store, and the outcome store on it."""

    store: Store
    outcomes: OutcomeStore


async def outcomes_of(outcomes: OutcomeStore, query: OutcomeQuery | None = None) -> list[Outcome]:
    """Return the stored outcomes, the first resolved first."""
    return list((await outcomes.list_outcomes(query or OutcomeQuery(), None, 5000)).outcomes)[::-1]


async def log_of(store: Store) -> Sequence[LogEntry]:
    """Return the whole log."""
    return await store.entries_after(0, 100_000)


@pytest.fixture(scope="module")
async def expected() -> Folded:
    """What the trading of `traded` comes to."""
    store = MemoryStore()
    await trade(store)
    return folded(store)


class LedgerContract:
    """A module that derives from it gives the fixture `ledger_stores`, and imports `expected`."""

    @pytest.fixture
    async def traded(self, ledger_stores: LedgerStores) -> LedgerStores:
        """Stores after some trading, that nothing has followed yet."""
        await trade(ledger_stores.store)
        return ledger_stores

    @staticmethod
    async def assert_kept(stores: LedgerStores, expected: Folded) -> None:
        """Check that outcomes, account and equity are those of the log folded at once."""
        for shadow, some in ((False, expected.live), (True, expected.shadow)):
            assert await outcomes_of(stores.outcomes, OutcomeQuery(shadow=shadow)) == some
        stored = await stores.outcomes.load_account()
        assert stored is not None
        assert values_of(stored.account) == values_of(expected.account)
        assert stored.currency == BOOKS.currency

    @pytest.mark.parametrize("step", [10_000, 97])
    async def test_outcomes_and_account_are_those_of_the_log_folded_at_once(
        self, traded: LedgerStores, expected: Folded, step: int
    ) -> None:
        assert min(len(expected.live), len(expected.shadow)) > 100
        assert expected.account.closed > 20
        await follow(traded.store, traded.outcomes, step=step)
        await self.assert_kept(traded, expected)

    async def test_rebuild_gives_the_same_and_leaves_the_log_alone(
        self, traded: LedgerStores, expected: Folded
    ) -> None:
        await follow(traded.store, traded.outcomes)
        before = await log_of(traded.store)
        assert await traded.outcomes.restart_ledger(LEDGER_VERSION, BOOKS.account, BOOKS.currency) == 0
        assert await outcomes_of(traded.outcomes) == []
        await follow(traded.store, traded.outcomes, step=300)
        await self.assert_kept(traded, expected)
        assert await log_of(traded.store) == before

    @pytest.mark.parametrize("step", [10_000, 97])
    async def test_log_gets_each_outcome_once_behind_what_resolved_it(self, traded: LedgerStores, step: int) -> None:
        before = await log_of(traded.store)
        await follow(traded.store, traded.outcomes, step=step)
        log = await log_of(traded.store)
        assert [entry.sequence for entry in log] == list(range(1, len(log) + 1))
        assert log[: len(before)] == before
        appended = log[len(before) :]
        assert {(entry.kind, entry.action, entry.confidence, entry.time) for entry in appended} == {
            (EventKind.OUTCOME, None, None, NOW)
        }
        kept = await outcomes_of(traded.outcomes)
        assert [entry.symbol for entry in appended] == [outcome.symbol for outcome in kept]
        # A bar's market time is its open; it decides at its open or at its close.
        bar = timedelta(minutes=5)
        assert {one.exit_time - entry.market_time for one, entry in zip(kept, appended, strict=True)} <= {0 * bar, bar}

    async def test_account_is_absent_until_it_is_followed(self, traded: LedgerStores) -> None:
        assert await traded.outcomes.load_account() is None
        assert (await traded.outcomes.load_ledger()).account is None
        await follow(traded.store, traded.outcomes)
        stored, ledger = await traded.outcomes.load_account(), await traded.outcomes.load_ledger()
        assert stored == ledger.account
        assert stored is not None
        assert stored.sequence == ledger.place.sequence == ledger.reported

    async def test_commit_from_another_place_stores_nothing(self, traded: LedgerStores, expected: Folded) -> None:
        outcomes = traded.outcomes
        before = (await outcomes.load_ledger()).place
        log = await log_of(traded.store)
        entries = {("", "USDCOP"): [{"a": 1.5}]}
        first, *rest = [ResolvedOutcome(outcome, 5, NOW) for outcome in expected.live]
        step = LedgerCommit(before, 5, [first], [first], NOW, entries, expected.account, expected.equity[:3])
        (appended,) = await outcomes.commit_ledger(step) or ()
        assert (appended.sequence, appended.kind) == (len(log) + 1, EventKind.OUTCOME)
        assert await outcomes.commit_ledger(replace(step, sequence=9, resolved=rest, reported=rest)) is None
        stored = await outcomes.load_ledger()
        assert (stored.place, stored.entries, stored.reported) == (LedgerPlace(5, LEDGER_VERSION), entries, 5)
        assert await outcomes_of(outcomes) == [first.outcome]
        assert await log_of(traded.store) == [*log, appended]
        cleared = LedgerCommit(stored.place, 6, (), (), NOW, {("", "USDCOP"): []}, expected.account, ())
        nothing = await outcomes.commit_ledger(cleared)
        assert nothing is not None
        assert not nothing
        assert (await outcomes.load_ledger()).entries == {}

    async def test_account_of_a_pruned_log_begins_with_the_positions_before_it(
        self, traded: LedgerStores, expected: Folded
    ) -> None:
        await follow(traded.store, traded.outcomes)
        assert await traded.store.prune(NOW + timedelta(days=1), 400) == 400
        assert await traded.outcomes.restart_ledger(LEDGER_VERSION, BOOKS.account, BOOKS.currency) == 400
        await follow(traded.store, traded.outcomes)
        stored = await traded.outcomes.load_account()
        assert stored is not None
        assert values_of(stored.account) == values_of(expected.account)

    @pytest.mark.parametrize("pruned", [0, 400])
    async def test_rebuild_with_another_equity_values_the_whole_account_by_it(
        self, traded: LedgerStores, expected: Folded, pruned: int
    ) -> None:
        """Eight times the equity: every amount is eight times what it was, and every percentage the same."""
        await follow(traded.store, traded.outcomes)
        if pruned:
            assert await traded.store.prune(NOW + timedelta(days=1), pruned) == pruned
        books = books_with(replace(RULES, initial_equity=8.0 * RULES.initial_equity))
        await traded.outcomes.restart_ledger(LEDGER_VERSION, books.account, books.currency)
        await follow(traded.store, traded.outcomes, books=books)
        stored = await traded.outcomes.load_account()
        assert stored is not None
        found, before = stored.account, expected.account
        amounts = [(one.equity, one.peak, one.realised, one.unrealised, one.day_loss) for one in (found, before)]
        assert amounts[0] == pytest.approx([8.0 * each for each in amounts[1]])
        parts = [
            (one.drawdown_pct, one.day_loss_pct, one.protected_drawdown_pct, one.exposure) for one in (found, before)
        ]
        assert parts[0] == pytest.approx(parts[1])
        outcomes = await outcomes_of(traded.outcomes, OutcomeQuery(shadow=False))
        assert [one.pnl_account for one in outcomes] == pytest.approx([8.0 * one.pnl_account for one in expected.live])

    @pytest.mark.parametrize(("halted_at", "is_halted"), [(1, True), (410, True), (None, False)])
    async def test_halt_outlives_its_entry_in_a_pruned_log(
        self, ledger_stores: LedgerStores, halted_at: int | None, *, is_halted: bool
    ) -> None:
        store, outcomes = ledger_stores.store, ledger_stores.outcomes
        for number in range(420):
            halt = TradingControl(halted=True, reason="news", by="someone", at=NOW)
            await store.commit([halt if number == halted_at else update(number)], NOW)
        await follow(store, outcomes)
        assert await store.prune(NOW + timedelta(days=1), 400) == 400
        await outcomes.restart_ledger(LEDGER_VERSION, BOOKS.account, BOOKS.currency)
        await follow(store, outcomes)
        stored = await outcomes.load_account()
        assert stored is not None
        assert (stored.account.halted, stored.account.halt_reason) == (is_halted, "news" if is_halted else "")

    async def test_filters_and_pages_of_the_list(self, traded: LedgerStores, expected: Folded) -> None:
        await follow(traded.store, traded.outcomes)
        outcomes, every = traded.outcomes, list(expected.live)
        moment = every[len(every) // 2].exit_time
        for query, some in (
            (OutcomeQuery(shadow=False, symbol="EURCOP"), [one for one in every if one.symbol == "EURCOP"]),
            (OutcomeQuery(shadow=False, action=Action.SELL), [one for one in every if one.action is Action.SELL]),
            (
                OutcomeQuery(shadow=False, resolution=Resolution.STOP, fill=Fill.CLOSE),
                [one for one in every if one.resolution is Resolution.STOP and one.fill is Fill.CLOSE],
            ),
            (OutcomeQuery(shadow=False, start=moment), [one for one in every if one.exit_time >= moment]),
            (OutcomeQuery(shadow=False, end=moment), [one for one in every if one.exit_time < moment]),
            (OutcomeQuery(model_version="none"), []),
        ):
            assert await outcomes_of(outcomes, query) == some
        found, before = list[Outcome](), None
        while True:
            page = await outcomes.list_outcomes(OutcomeQuery(shadow=False), before, 50)
            found += page.outcomes
            if (before := page.next_before) is None:
                break
        assert found == every[::-1]
