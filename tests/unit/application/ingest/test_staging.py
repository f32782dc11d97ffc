"""Staging while a commit runs: what is staged on top of it holds only if the commit succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from tests.support.builders import SURE, walk
from tests.support.memory_store import Fault
from tests.support.running import (
    PausingStore,
    Running,
    ScriptedPolicy,
    always,
    commit_held_up,
    dispositions,
    running_engine,
    started,
)

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ingest import writer as writer_module
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import PositionAlreadyClosed, ServiceError, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, MarketUpdate, Receipt
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Origin, Probabilities

T = TypeVar("T")

WALK, OTHER = walk(80), walk(80, symbol="EURCOP")
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
WARMING_UP, DUPLICATE = Disposition.WARMING_UP, Disposition.DUPLICATE


def counting(observations: list[Observation]) -> ScriptedPolicy:
    """Return a policy that holds, and records the observations."""

    def probabilities(observation: Observation) -> Probabilities:
        observations.append(observation)
        return SURE[Action.HOLD]

    return ScriptedPolicy(probabilities)


async def test_bars_are_decided_during_a_commit_and_confirmed_after_their_own() -> None:
    observations: list[Observation] = []
    async with running_engine(policy=counting(observations)) as running:
        await running.publish(WALK[:60])
        observations.clear()
        async with commit_held_up(running, WALK[60]):
            (behind,) = await started(running.publish(WALK[61:64]))
            assert len(observations) == 4, "three of them are not even being stored"
            assert not behind.done()
            assert running.log_tail.newest == len(running.store.events)
        assert len(await behind) == 3
        assert running.store.commits[-2:] == [2, 6], "a bar and a signal each"


async def test_bars_staged_on_a_commit_that_fails_are_refused_and_decided_again() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:60])
        running.store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, WALK[60]) as first:
            (behind,) = await started(running.engine.publish(WALK[61:64]))
        assert dispositions([*await first, *await behind]) == ["STORAGE_UNAVAILABLE"] * 4
        again = await running.publish(WALK[60:64])
        assert {receipt.disposition for receipt in again} == {Disposition.ACCEPTED}
        log = running.store.events
    async with running_engine() as undisturbed:
        await undisturbed.publish(WALK[:64])
        assert log == undisturbed.store.events


async def staged_while_a_commit_ends(
    running: Running, store: PausingStore, command: Coroutine[Any, Any, T]
) -> tuple[list[Receipt | ServiceError], asyncio.Task[T]]:
    """Stage a command, which has to read a symbol, until the commit below it has ended; return the commit's results."""
    async with commit_held_up(running, WALK[0]) as first:
        store.pauses = True
        (behind,) = await started(command)
        await store.paused.wait()
    results = await first
    store.resume.set()
    return results, behind


async def store_with(bars: Sequence[Bar]) -> PausingStore:
    """Return a store that holds these bars already."""
    store = PausingStore()
    async with running_engine(store) as running:
        await running.publish(bars)
    return store


async def test_bars_being_staged_on_a_commit_that_fails_are_refused() -> None:
    store = await store_with(OTHER[:60])
    async with running_engine(store) as running:
        store.faults.append(Fault.BEFORE)
        publishing = running.engine.publish(OTHER[60:64])
        first, behind = await staged_while_a_commit_ends(running, store, publishing)
        assert dispositions([*first, *await behind]) == ["STORAGE_UNAVAILABLE"] * 5
        await running.publish(OTHER[60:64])
        log = store.events
    async with running_engine() as undisturbed:
        await undisturbed.publish(OTHER[:64])
        assert log == undisturbed.store.events


async def test_call_being_staged_on_a_commit_that_fails_is_refused() -> None:
    store = await store_with(OTHER[:60])
    async with running_engine(store) as running:
        store.faults.append(Fault.BEFORE)
        generating = running.engine.generate("EURCOP", Quote(OTHER[59].close))
        _, behind = await staged_while_a_commit_ends(running, store, generating)
        with pytest.raises(StorageUnavailable):
            await behind
        assert len(store.signals()) == len([made for made in store.signals() if made.origin is Origin.BAR])


async def test_bars_being_staged_on_a_commit_that_the_store_refuses_are_processed() -> None:
    store = await store_with(OTHER[:60])
    async with running_engine(store) as running:
        store.refuses = lambda event: isinstance(event, MarketUpdate) and event.bar.symbol == "USDCOP"
        publishing = running.engine.publish(OTHER[60:64])
        first, behind = await staged_while_a_commit_ends(running, store, publishing)
        assert dispositions([*first, *await behind]) == ["NOT_STORABLE"] + [Disposition.ACCEPTED] * 4


async def test_repeated_bar_is_not_a_duplicate_of_one_that_was_never_stored() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, WALK[0]) as first:
            (again,) = await started(running.engine.publish([WALK[0]]))
            assert not again.done()
        assert dispositions([*await first, *await again]) == ["STORAGE_UNAVAILABLE"] * 2


async def test_commands_without_a_result_are_pending_wherever_they_are() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            behind = await started(*(running.publish([one]) for one in WALK[1:4]))
            assert (running.engine.queued, running.engine.pending) == (0, 4)
        await asyncio.gather(first, *behind)
        assert running.engine.pending == 0


async def test_repeated_bar_is_a_duplicate_of_one_being_committed() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            (again,) = await started(running.engine.publish([WALK[0]]))
        assert dispositions([*await first, *await again]) == [WARMING_UP, DUPLICATE]
        assert [receipt.sequence for receipt in await again if hasattr(receipt, "sequence")] == [1]


async def test_refusal_waits_until_the_state_it_depends_on_is_durable() -> None:
    """A second close is refused only once the first one is stored."""
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        await running.publish(WALK[:52])
        name = running.store.positions()[0].position_id
        running.store.faults.append(Fault.BEFORE)
        running.store.gate.clear()
        both = await started(*(running.engine.close_position(name, None) for _ in range(2)))
        await running.store.committing.wait()
        assert not any(task.done() for task in both)
        running.store.gate.set()
        for task in both:
            with pytest.raises(StorageUnavailable):
                await task
        await running.engine.close_position(name, None)
        with pytest.raises(PositionAlreadyClosed):
            await running.engine.close_position(name, None)


async def test_full_batch_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BATCH_BARS", 4)
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            behind = await started(*(running.publish([one]) for one in WALK[1:11]))
        await asyncio.gather(first, *behind)
        assert max(running.store.commits) == 4
        assert [update.bar for update in running.store.market_updates()] == WALK[:11]
