"""Outcomes in PostgreSQL: those that the ledger makes of the events in memory, whatever interrupts the keeper."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.support.builders import walk
from tests.support.engine import running_engine
from tests.support.memory_store import MemoryStore

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.to_proto import encode
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ledger.keeper import OutcomeKeeper
from tradingsignals_server.application.ports.outcomes import LedgerPlace, OutcomeQuery
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import MarketUpdate
from tradingsignals_server.domain.ledger import LEDGER_VERSION, FollowedSignal, Ledger
from tradingsignals_server.domain.outcomes import Fill, Outcome, Resolution
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

from .conftest import Storage

RULES = RiskRules(confidence_threshold=0.5, trailing_stop_atr=1.5)
BARS = [*walk(300, seed=13), *walk(120, seed=5, symbol="EURCOP")]
SHADOW = PlaceholderPolicy().description.key


def new_ledger(policy: str) -> Ledger:
    return Ledger(RULES, calendar_for, model_key=policy, shadow=bool(policy))


async def trade(store: Store) -> None:
    """Let a live policy and a shadow trade on BARS."""
    async with running_engine(store, rules=RULES, shadow=PlaceholderPolicy()) as running:
        for first in range(0, len(BARS), 20):
            await running.publish(BARS[first : first + 20])


@pytest.fixture(scope="module")
async def expected() -> dict[bool, list[Outcome]]:
    """The outcomes of the live policy and of the shadow, folded at once."""
    store = MemoryStore()
    await trade(store)
    shadowed = {
        # Of a shadow it is only stored whether the bar was simulated.
        (event.symbol, event.bar_time): FollowedSignal.of(replace(event, simulated=False))
        for event in (one.event for one in store.shadow_events)
        if isinstance(event, Signal) and event.action is not Action.HOLD
    }
    live, shadow = new_ledger(""), new_ledger(SHADOW)
    found: dict[bool, list[Outcome]] = {False: [], True: []}
    for event in store.events:
        found[False] += live.apply(event)
        if isinstance(event, MarketUpdate):
            found[True] += shadow.apply(event)
            if (decided := shadowed.get((event.bar.symbol, event.bar.time))) is not None:
                found[True] += shadow.apply(decided)
    return found


@pytest.fixture
async def traded(storage: Storage, migrated_database: str) -> AsyncIterator[Connections]:
    """A database with the same trading, and no outcome yet."""
    async with connections(await storage.new_database(migrated_database)) as pool:
        await trade(PostgresStore(pool, encode))
        yield pool


async def follow(pool: Connections, *, step: int) -> None:
    """Follow the log by a new keeper after every `step` entries."""
    store = PostgresStore(pool, encode)
    newest = (await store.log_head()).newest
    for through in range(step, newest + step, step):
        log_tail = LogTail(store, await store.log_head())
        log_tail.newest = min(through, newest)
        assert await OutcomeKeeper(PostgresOutcomes(pool), log_tail, new_ledger).catch_up()


async def assert_stored(pool: Connections, expected: dict[bool, list[Outcome]]) -> None:
    outcomes = PostgresOutcomes(pool)
    for shadow, some in expected.items():
        page = await outcomes.list_outcomes(OutcomeQuery(shadow=shadow), None, 5000)
        assert list(reversed(page.outcomes)) == some


@pytest.mark.parametrize("step", [10_000, 97])
async def test_outcomes_are_those_of_the_ledger_folded_at_once(
    traded: Connections, expected: dict[bool, list[Outcome]], step: int
) -> None:
    assert min(map(len, expected.values())) > 100
    await follow(traded, step=step)
    await assert_stored(traded, expected)


async def test_rebuild_gives_the_same_outcomes(traded: Connections, expected: dict[bool, list[Outcome]]) -> None:
    await follow(traded, step=10_000)
    assert await PostgresOutcomes(traded).restart_ledger(LEDGER_VERSION) == 0
    await assert_stored(traded, {False: [], True: []})
    await follow(traded, step=10_000)
    await assert_stored(traded, expected)


async def test_commit_from_another_place_stores_nothing(
    traded: Connections, expected: dict[bool, list[Outcome]]
) -> None:
    outcomes = PostgresOutcomes(traded)
    before = (await outcomes.load_ledger()).place
    entries = {("", "USDCOP"): [{"a": 1.5}]}
    assert await outcomes.commit_ledger(before, 5, expected[False][:1], entries)
    assert not await outcomes.commit_ledger(before, 9, expected[False][1:], {("", "USDCOP"): []})
    stored = await outcomes.load_ledger()
    assert (stored.place, stored.entries) == (LedgerPlace(5, LEDGER_VERSION), entries)
    assert len((await outcomes.list_outcomes(OutcomeQuery(), None, 9)).outcomes) == 1
    assert await outcomes.commit_ledger(stored.place, 6, (), {("", "USDCOP"): []})
    assert (await outcomes.load_ledger()).entries == {}


async def test_filters_and_pages_of_the_list(traded: Connections, expected: dict[bool, list[Outcome]]) -> None:
    await follow(traded, step=10_000)
    outcomes, every = PostgresOutcomes(traded), expected[False]
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
        assert list(reversed((await outcomes.list_outcomes(query, None, 5000)).outcomes)) == some
    found, before = list[Outcome](), None
    while True:
        page = await outcomes.list_outcomes(OutcomeQuery(shadow=False), before, 50)
        found += page.outcomes
        if (before := page.next_before) is None:
            break
    assert found == every[::-1]
