"""Deciding while a commit runs: what is staged on top of it stands and falls with it."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.builders import SURE, walk
from tests.support.memory_store import Fault
from tests.support.running import ScriptedPolicy, always, commit_held_up, dispositions, running_engine, started

from tradingsignals_server.application.ingest import writer as writer_module
from tradingsignals_server.domain.errors import PositionAlreadyClosed, StorageUnavailable
from tradingsignals_server.domain.events import Disposition
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Probabilities

WALK = walk(80)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
WARMING_UP, DUPLICATE = Disposition.WARMING_UP, Disposition.DUPLICATE


def counting(asked: list[Observation]) -> ScriptedPolicy:
    """A policy that holds, and notes what it was shown."""

    def answer(observation: Observation) -> Probabilities:
        asked.append(observation)
        return SURE[Action.HOLD]

    return ScriptedPolicy(answer)


async def test_bars_are_decided_while_the_commit_before_them_runs_and_answered_only_after_theirs() -> None:
    asked: list[Observation] = []
    async with running_engine(policy=counting(asked)) as running:
        await running.publish(WALK[:60])
        asked.clear()
        async with commit_held_up(running, WALK[60]):
            (behind,) = await started(running.publish(WALK[61:64]))
            assert len(asked) == 4, "three of them are not even being stored"
            assert not behind.done()
            assert running.broadcast.newest == len(running.store.events)
        assert len(await behind) == 3
        assert running.store.commits[-2:] == [2, 6], "a bar and a signal each"


async def test_what_was_staged_on_a_commit_that_fails_is_refused_and_made_anew() -> None:
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


async def test_a_repeated_bar_is_no_duplicate_of_one_that_was_never_stored() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, WALK[0]) as first:
            (again,) = await started(running.engine.publish([WALK[0]]))
            assert not again.done()
        assert dispositions([*await first, *await again]) == ["STORAGE_UNAVAILABLE"] * 2


async def test_a_repeated_bar_is_a_duplicate_of_one_whose_commit_runs() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            (again,) = await started(running.engine.publish([WALK[0]]))
        assert dispositions([*await first, *await again]) == [WARMING_UP, DUPLICATE]
        assert [receipt.sequence for receipt in await again if hasattr(receipt, "sequence")] == [1]


async def test_a_refusal_waits_for_what_it_rests_on() -> None:
    """Closed twice: that it is closed already is true once the first closing is stored, and not before."""
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


async def test_a_batch_that_is_full_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BATCH_BARS", 4)
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            behind = await started(*(running.publish([one]) for one in WALK[1:11]))
        await asyncio.gather(first, *behind)
        assert max(running.store.commits) == 4
        assert [update.bar for update in running.store.market_updates()] == WALK[:11]
