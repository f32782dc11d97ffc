"""The keeper of the ledger, on stores in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.builders import NOW, bar, signal, walk
from tests.support.deadlines import within
from tests.support.engine import running_engine
from tests.support.ledgers import BOOKS, RULES, folded, keeper_on, values_of
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ledger.keeper import REBUILT_CHECK_SECONDS, WINDOW_ENTRIES, LedgerKeeper
from tradingsignals_server.application.ports.event_log import LogHead
from tradingsignals_server.application.ports.outcomes import LedgerCommit, LedgerPlace, ResolvedOutcome
from tradingsignals_server.domain.errors import StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.ledger import LEDGER_VERSION
from tradingsignals_server.domain.outcomes import Outcome, Resolution
from tradingsignals_server.domain.signals import Action


def keeper_of(store: MemoryStore, outcomes: MemoryOutcomes) -> LedgerKeeper:
    return keeper_on(LogTail(store, LogHead(store.epoch, 1, len(store.entries))), store, outcomes)


def live_of(store: MemoryStore) -> Sequence[Outcome]:
    return folded(store).live


@pytest.fixture
async def traded() -> MemoryStore:
    """A store after three days of trading."""
    store = MemoryStore()
    async with running_engine(store, rules=RULES) as running:
        for one in walk(180, seed=3):
            await running.publish([one])
    return store


async def test_outcomes_are_those_of_the_ledger_folded_at_once(traded: MemoryStore) -> None:
    outcomes = MemoryOutcomes(traded)
    assert await keeper_of(traded, outcomes).catch_up()
    assert outcomes.outcomes == live_of(traded)
    assert {one.acted for one in outcomes.outcomes} == {True, False}
    assert outcomes.place.sequence <= len(traded.events)


async def test_restart_after_each_commit_leaves_the_same_outcomes(traded: MemoryStore) -> None:
    assert len(traded.entries) > WINDOW_ENTRIES / 2
    outcomes = MemoryOutcomes(traded)
    log_tail = LogTail(traded, LogHead(traded.epoch, 1, 0))
    for newest in range(7, len(traded.entries) + 7, 7):
        log_tail.advance(min(newest, len(traded.entries)))
        assert await keeper_on(log_tail, traded, outcomes).catch_up()
    assert outcomes.outcomes == live_of(traded)


async def test_outage_between_read_and_commit_loses_nothing(traded: MemoryStore) -> None:
    outcomes = MemoryOutcomes(traded)
    keeper = keeper_of(traded, outcomes)
    traded.down = True
    with pytest.raises(StorageUnavailable):
        await keeper.catch_up()
    traded.down = False
    assert await keeper.catch_up()
    assert outcomes.outcomes == live_of(traded)


async def test_ledger_moved_by_another_keeper_is_read_anew(traded: MemoryStore) -> None:
    outcomes = MemoryOutcomes(traded)
    first, second = keeper_of(traded, outcomes), keeper_of(traded, outcomes)
    assert (await first.catch_up(), await second.catch_up()) == (True, True)
    new = bar(walk(181, seed=3)[-1].time, 4000.0)
    made = replace(signal(time=new.close_time, price=4000.0, atr=10.0, name=77), bar_time=new.time)
    crash = bar(new.close_time, 3900.0)
    traded.put([MarketUpdate(new, Disposition.ACCEPTED), made, MarketUpdate(crash, Disposition.ACCEPTED)], NOW)
    for keeper in (first, second):
        keeper._log_tail.advance(len(traded.entries))
        assert await keeper.catch_up()
    assert outcomes.outcomes == live_of(traded)
    assert outcomes.outcomes[-1].resolution is not Resolution.EXPIRED


async def test_ledger_of_another_version_is_left_alone_until_it_is_rebuilt(
    traded: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes, pauses = MemoryOutcomes(traded), asyncio.Queue[float]()
    outcomes.place = LedgerPlace(0, LEDGER_VERSION + 1)

    async def paused(seconds: float) -> None:
        await pauses.put(seconds)
        await asyncio.sleep(0)

    log_tail = LogTail(traded, LogHead(traded.epoch, 1, len(traded.entries)))
    keeper = keeper_on(log_tail, traded, outcomes, paused)
    with caplog.at_level(logging.ERROR):
        running = asyncio.create_task(keeper.run())
        assert [await within(pauses.get()) for _ in range(3)] == [REBUILT_CHECK_SECONDS] * 3
    try:
        assert caplog.text.count("tradingsignals ledger rebuild") == 1
        assert (outcomes.outcomes, outcomes.commits, keeper.lag) == ([], 0, None)
        await outcomes.restart_ledger(LEDGER_VERSION, BOOKS.account, BOOKS.currency)
        await within(outcomes.committed.wait())
    finally:
        running.cancel()
    assert outcomes.outcomes == live_of(traded)
    assert keeper.lag is not None, "it keeps the ledger again"


async def test_lag_is_known_while_the_ledger_cannot_be_committed(traded: MemoryStore) -> None:
    outcomes, lags = MemoryOutcomes(traded), asyncio.Queue[int | None]()
    log_tail = LogTail(traded, LogHead(traded.epoch, 1, len(traded.entries)))

    async def refuse(_: LedgerCommit) -> None:
        lags.put_nowait(keeper.lag)
        raise StorageUnavailable

    async def paused(_: float) -> None:
        await lags.put(keeper.lag)
        await asyncio.sleep(0)

    keeper = keeper_on(log_tail, traded, outcomes, paused)
    outcomes.commit_ledger = refuse  # type: ignore[method-assign, assignment]  # a fault
    running = asyncio.create_task(keeper.run())
    found = [await within(lags.get()) for _ in range(4)]
    running.cancel()
    assert found == [len(traded.entries)] * 4


async def test_running_keeper_follows_what_is_committed(traded: MemoryStore) -> None:
    outcomes, log_tail = MemoryOutcomes(traded), LogTail(traded, LogHead(traded.epoch, 1, 0))
    pauses = asyncio.Queue[float]()

    async def paused(seconds: float) -> None:
        await pauses.put(seconds)
        await asyncio.sleep(0)

    running = asyncio.create_task(keeper_on(log_tail, traded, outcomes, paused).run())
    try:
        await asyncio.sleep(0)
        traded.down = True
        log_tail.advance(len(traded.entries))
        await within(pauses.get())
        await within(pauses.get())
        traded.down = False
        outcomes.committed.clear()
        await within(outcomes.committed.wait())
    finally:
        running.cancel()
    assert outcomes.outcomes == live_of(traded)


async def test_place_follows_entries_that_change_nothing_with_one_commit_at_the_end_of_the_log(
    traded: MemoryStore,
) -> None:
    outcomes = MemoryOutcomes(traded)
    keeper = keeper_of(traded, outcomes)
    assert await keeper.catch_up()
    commits = outcomes.commits
    traded.put([signal(Action.HOLD, name=n) for n in range(5000, 5000 + 2 * WINDOW_ENTRIES)], NOW)
    keeper._log_tail.advance(len(traded.entries))
    for _ in range(2):
        assert await keeper.catch_up()
    assert (outcomes.place.sequence, outcomes.commits) == (len(traded.entries), commits + 1)
    assert outcomes.outcomes == live_of(traded)


async def test_keeper_that_was_cancelled_while_it_folds_goes_on_from_its_last_commit(
    traded: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = MemoryOutcomes(traded)
    keeper = keeper_of(traded, outcomes)
    for turns in (80, 60, 40):  # a server may lose the role of the keeper, and get it again
        running = asyncio.create_task(keeper.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
    assert outcomes.commits == 0
    assert await keeper_runs_once(keeper, outcomes)
    assert not caplog.records
    assert outcomes.outcomes == live_of(traded)


async def keeper_runs_once(keeper: LedgerKeeper, outcomes: MemoryOutcomes) -> bool:
    """Run until the next commit."""
    outcomes.committed.clear()
    running = asyncio.create_task(keeper.run())
    try:
        return await within(outcomes.committed.wait())
    finally:
        running.cancel()


class OutcomeRecorder:
    """Keeps the outcomes that it is notified of."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def resolved(self, outcomes: Sequence[ResolvedOutcome]) -> None:
        self.outcomes += [one.outcome for one in outcomes]


async def test_observer_gets_each_outcome_once(traded: MemoryStore) -> None:
    outcomes, recorder = MemoryOutcomes(traded), OutcomeRecorder()
    log_tail = LogTail(traded, LogHead(traded.epoch, 1, len(traded.entries)))
    keeper = keeper_on(log_tail, traded, outcomes, observer=recorder)
    assert keeper.account is None, "it keeps nothing yet"
    assert keeper.lag is None
    await keeper.catch_up()
    assert recorder.outcomes == live_of(traded)
    await keeper.rebuild()
    assert recorder.outcomes == live_of(traded), "the log has them already"
    assert keeper.lag == 0
    assert keeper.account is not None
    assert values_of(keeper.account) == values_of(folded(traded).account)
