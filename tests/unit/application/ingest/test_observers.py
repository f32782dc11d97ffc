"""What observers of the engine are notified of."""

from __future__ import annotations

import pytest
from tests.support.builders import NOW, walk
from tests.support.memory_store import Fault, MemoryStore
from tests.support.running import always, dispositions, running_engine

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ports.idempotency import CallKey, KeyedRequest, UsedKey
from tradingsignals_server.application.ports.observer import CommittedBatch, current_trace
from tradingsignals_server.domain.events import Disposition, Receipt
from tradingsignals_server.domain.idempotency import KeyUsedMeanwhile
from tradingsignals_server.domain.signals import Action, Origin

BARS = walk(52)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Recorder:
    """Keeps what it is notified of."""

    def __init__(self) -> None:
        self.batches: list[CommittedBatch] = []
        self.failures = 0

    def committed(self, batch: CommittedBatch) -> None:
        self.batches.append(batch)

    def commit_failed(self) -> None:
        self.failures += 1

    @property
    def dispositions(self) -> list[Disposition]:
        results = [result for batch in self.batches for command in batch.commands for result in command.results]
        return [result.disposition for result in results if isinstance(result, Receipt)]


async def test_every_bar_and_decision_is_reported_once_it_is_durable() -> None:
    recorder = Recorder()
    async with running_engine(policy=always(Action.BUY), observers=[recorder]) as running:
        await running.publish(BARS)
        await running.publish(BARS[-1:])
    assert recorder.dispositions == [Disposition.WARMING_UP] * 49 + [Disposition.ACCEPTED] * 3 + [Disposition.DUPLICATE]
    decisions = [decision for batch in recorder.batches for decision in batch.decisions]
    assert [one.signal.origin for one in decisions] == [Origin.BAR] * 3
    assert all(len(one.observation) and one.inference_seconds > 0.0 for one in decisions)
    assert sum(batch.entries for batch in recorder.batches) == len(running.store.entries)
    assert recorder.batches[-1].entries == 0, "a duplicate needs no commit"
    assert recorder.failures == 0


async def test_times_of_a_batch_are_in_their_order() -> None:
    recorder = Recorder()
    async with running_engine(observers=[recorder]) as running:
        await running.publish(BARS[:1])
    (batch,) = recorder.batches
    (command,) = batch.commands
    assert command.received_at <= batch.staged_at <= batch.committing_at <= batch.committed_at


async def test_command_carries_the_trace_of_its_call() -> None:
    recorder = Recorder()
    async with running_engine(observers=[recorder]) as running:
        token = current_trace.set(TRACE)
        await running.publish(BARS[:1])
        current_trace.reset(token)
        await running.publish(BARS[1:2])
    assert [command.trace for batch in recorder.batches for command in batch.commands] == [TRACE, ""]


async def test_key_that_another_server_was_first_with_is_no_failed_commit() -> None:
    recorder = Recorder()
    async with running_engine(observers=[recorder]) as running:
        request = KeyedRequest("key:a", "k", "Method", bytes(32))
        running.store.keys["key:a", "k"] = NOW, UsedKey("Method", bytes(32), b"theirs")
        with pytest.raises(KeyUsedMeanwhile):
            await running.engine.generate("USDCOP", Quote(4000.0), CallKey(request, bytes))
    assert recorder.failures == 0


async def test_failed_commit_is_reported_and_its_bars_are_not() -> None:
    recorder, store = Recorder(), MemoryStore()
    async with running_engine(store, observers=[recorder]) as running:
        await running.publish(BARS[:1])
        store.faults.append(Fault.BEFORE)
        assert dispositions(await running.engine.publish(BARS[1:2])) == ["STORAGE_UNAVAILABLE"]
    assert recorder.failures == 1
    assert recorder.dispositions == [Disposition.WARMING_UP]
