"""Failures of the writer: results agree with what is stored, and an interruption leaves no trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import NOW, SURE, bar, walk
from tests.support.following import follow
from tests.support.memory_store import Fault, MemoryStore
from tests.support.running import Running, ScriptedPolicy, always, commit_held_up, dispositions, running_engine, started

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ingest import writer as writer_module
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import NotEnoughBars, ServiceError, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate, Receipt
from tradingsignals_server.domain.features import M5_V1, Observation
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Probabilities

WALK = walk(180)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
WARMING_UP, ACCEPTED, DUPLICATE = Disposition.WARMING_UP, Disposition.ACCEPTED, Disposition.DUPLICATE


async def undisturbed(bars: Sequence[Bar]) -> list[Event]:
    """Return the log of a run without failures."""
    async with running_engine() as running:
        await running.publish(bars)
        return running.store.events


async def delivered(running: Running, bars: Sequence[Bar]) -> None:
    """Publish bars until each is stored, and repeat those that were refused, as a feed does."""
    waiting = list(bars)
    while waiting:
        results = await running.engine.publish(waiting)
        refused = [one for one, result in zip(waiting, results, strict=True) if not isinstance(result, Receipt)]
        assert all(isinstance(result, Receipt | StorageUnavailable) for result in results)
        waiting = refused


# ----------------------------------------------------------------------------------------------- a failed commit


async def test_failed_commit_is_reported_and_leaves_nothing_behind() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:60])
        log = list(running.store.events)
        running.store.faults.append(Fault.BEFORE)
        results = await running.engine.publish(WALK[60:64])
        assert dispositions(results) == ["STORAGE_UNAVAILABLE"] * 4
        assert running.store.events == log
        assert running.log_tail.newest == len(log)
        assert running.engine.states() == [], "what is in doubt is read again"
        assert await running.engine.last_bar("USDCOP") == WALK[59]
        assert dispositions(await running.publish(WALK[60:64])) == [ACCEPTED] * 4
        assert running.store.events == await undisturbed(WALK[:64])


async def test_position_stays_open_if_the_commit_of_its_close_fails() -> None:
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        await running.publish(WALK[:52])
        name = running.store.positions()[0].position_id
        running.store.faults.append(Fault.BEFORE)
        with pytest.raises(StorageUnavailable):
            await running.engine.close_position(name, None)
        await running.publish(WALK[52:53])
        assert [(held.position_id, held.is_open) for held in running.store.positions()] == [(name, True)]
        await running.engine.close_position(name, None)
        assert not running.store.positions()[0].is_open


async def test_commit_whose_result_was_lost_is_found_again() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:60])
        running.store.faults.append(Fault.AFTER)
        assert dispositions(await running.engine.publish(WALK[60:64])) == ["STORAGE_UNAVAILABLE"] * 4
        assert dispositions(await running.publish(WALK[60:66])) == [DUPLICATE] * 4 + [ACCEPTED] * 2
        assert running.store.events == await undisturbed(WALK[:66])


async def test_receipt_for_a_commit_found_again_covers_its_events() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.AFTER)
        await running.engine.publish(WALK[:60])
        receipts = await running.publish(WALK[:60])
        assert {receipt.sequence for receipt in receipts} == {len(running.store.events)}


async def test_followers_get_a_commit_found_again_at_once() -> None:
    """The lost result may be that of the last bar of a week, and its exit must not wait for Monday."""
    async with running_engine() as running:
        batches = await follow(running.log_tail, heartbeat_seconds=0.01)
        running.store.faults.append(Fault.AFTER)
        await running.engine.publish(WALK[:60])
        await running.publish(WALK[:60])
        found = [*(await anext(batches)).entries, *(await anext(batches)).entries]
        assert [entry.sequence for entry in found] == [entry.sequence for entry in running.store.entries]


async def test_failed_reads_are_reported_as_storage_unavailable() -> None:
    async with running_engine() as running:
        running.store.down = True
        assert dispositions(await running.engine.publish([WALK[0]])) == ["STORAGE_UNAVAILABLE"]
        for call in (
            running.engine.generate("USDCOP", Quote(4000.0)),
            running.engine.generate_from_stored("USDCOP", 100),
            running.engine.last_bar("USDCOP"),
        ):
            with pytest.raises(StorageUnavailable):
                await call
        running.store.down = False
        assert dispositions(await running.publish([WALK[0]])) == [WARMING_UP]


async def test_another_writer_is_noticed_and_nothing_is_stored_twice(caplog: pytest.LogCaptureFixture) -> None:
    async with running_engine() as running:
        await running.publish(WALK[:3])
        running.store.put([MarketUpdate(WALK[3], WARMING_UP)], NOW)
        with caplog.at_level(logging.WARNING):
            assert dispositions(await running.engine.publish(WALK[3:5])) == ["STORAGE_UNAVAILABLE"] * 2
        assert "newer" in caplog.text
        assert dispositions(await running.publish(WALK[3:5])) == [DUPLICATE, WARMING_UP]
        assert [update.bar for update in running.store.market_updates()] == WALK[:5]


async def test_later_bars_of_a_publisher_do_not_overtake_a_failure() -> None:
    """Otherwise the failed bars would be late when they are sent again, and their signals never made."""
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        bars = walk(600)
        await delivered(running, bars)
        assert dispositions_of(running.store) == dispositions_of_log(await undisturbed(bars))


async def test_queued_bars_do_not_overtake_a_failure() -> None:
    bars = walk(400)
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, bars[0]) as first:
            rest = await started(*(running.engine.publish(bars[n : n + 100]) for n in range(1, 400, 100)))
        results = [result for task in (first, *rest) for result in await task]
        refused = [one for one, result in zip(bars, results, strict=True) if isinstance(result, ServiceError)]
        await delivered(running, refused)
        assert dispositions_of(running.store) == dispositions_of_log(await undisturbed(bars))


async def test_bars_blocked_by_a_full_queue_do_not_overtake_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_PENDING", 2)
    bars = [bar(n) for n in range(1000)]
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        results = await running.engine.publish(bars)
        assert set(dispositions(results)) == {"STORAGE_UNAVAILABLE"}
    assert running.store.events == [], "not even later"


async def test_failure_while_stopping_does_not_keep_the_writer() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, WALK[0]) as first:
            (waiting,) = await started(running.engine.publish(WALK[1:3]))
            await running.engine.stop()
        await running.writer
        assert dispositions([*await first, *await waiting]) == ["STORAGE_UNAVAILABLE"] * 3


def dispositions_of(store: MemoryStore) -> dict[object, Disposition]:
    return dispositions_of_log(store.events)


def dispositions_of_log(log: Sequence[Event]) -> dict[object, Disposition]:
    return {event.bar.time: event.disposition for event in log if isinstance(event, MarketUpdate)}


# ---------------------------------------------------------------------------------------------- one bad command


async def test_refused_call_does_not_affect_the_others_of_its_batch() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            before, refused, after = await started(
                running.publish(WALK[1:3]),
                running.engine.generate_from_stored("USDCOP", 100),
                running.publish(WALK[3:5]),
            )
        await first
        with pytest.raises(NotEnoughBars):
            await refused
        for task in (before, after):
            assert dispositions(await task) == [WARMING_UP] * 2  # type: ignore[arg-type]
        assert running.store.commits == [1, 4]


def breaking_on_a_jump() -> ScriptedPolicy:
    """A policy with a defect: it raises on a move of more than nine percent."""

    def probabilities(observation: Observation) -> Probabilities:
        if observation[M5_V1.names.index("return_1")] > 9.0:
            raise RuntimeError("a defect")
        return SURE[Action.HOLD]

    return ScriptedPolicy(probabilities)


JUMP = bar(WALK[60].time, 8000.0, symbol="EURCOP")


async def test_defect_is_raised_to_its_caller_and_the_writer_continues(caplog: pytest.LogCaptureFixture) -> None:
    async with running_engine(policy=breaking_on_a_jump()) as running:
        await running.publish(walk(60, symbol="EURCOP"))
        with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="a defect"):
            await running.engine.publish([JUMP])
        assert "a defect" in caplog.text
        assert running.store.market_updates()[-1].bar.time == WALK[59].time
        assert dispositions(await running.publish(WALK[:3])) == [WARMING_UP] * 3


async def test_bars_behind_a_defect_of_the_same_publisher_are_not_stored_before_it() -> None:
    """Otherwise the bars that met it would be late when they are sent again, and their signals never made."""
    calm = walk(60, symbol="EURCOP")
    async with running_engine(policy=breaking_on_a_jump()) as running:
        await running.publish(calm)
        chunk = [JUMP, *walk(64, symbol="GBPCOP")[1:]]
        behind = bar(1000, symbol="EURCOP")
        with pytest.raises(RuntimeError, match="a defect"):
            await running.engine.publish([*chunk, behind])
        await running.publish(WALK[:1])  # the queued commands are done
        assert running.store.market_updates("EURCOP")[-1].bar == calm[-1]


async def test_unexpected_failure_is_retryable_for_queued_commands() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.STRANGE)
        async with commit_held_up(running, WALK[0]) as first:
            (waiting,) = await started(running.engine.publish(WALK[1:3]))
        with pytest.raises(RuntimeError, match="strange"):
            await first
        assert dispositions(await waiting) == ["STORAGE_UNAVAILABLE"] * 2
        assert dispositions(await running.publish(WALK[:3])) == [WARMING_UP] * 3


async def test_defect_does_not_affect_commands_that_share_the_commit() -> None:
    calm = walk(60, symbol="EURCOP")
    async with running_engine(policy=breaking_on_a_jump()) as running:
        await running.publish(calm[:59])
        async with commit_held_up(running, bar(0, symbol="GBPCOP")) as first:
            before, broken, after = await started(
                running.engine.publish(WALK[:2]),
                running.engine.publish([calm[59], JUMP]),
                running.engine.publish([*WALK[2:4], calm[59]]),
            )
        await asyncio.gather(first, before, broken, after, return_exceptions=True)
        assert [before.exception(), after.exception()] == [None, None]
        assert isinstance(broken.exception(), RuntimeError)
        assert dispositions([*before.result(), *after.result()]) == [WARMING_UP] * 4 + [ACCEPTED]
        # The failed command has left no trace, so the same bar was new to the command behind it.
        assert [update.bar for update in running.store.market_updates("EURCOP")] == calm


async def test_defect_discards_the_shadow_events_of_its_command() -> None:
    calm = walk(60, symbol="EURCOP")
    async with running_engine(policy=breaking_on_a_jump(), shadow=always(Action.HOLD)) as running:
        await running.publish(calm[:59])
        stored = len(running.store.shadow_events)
        async with commit_held_up(running, bar(0, symbol="GBPCOP")) as first:
            broken, again = await started(running.engine.publish([calm[59], JUMP]), running.engine.publish([calm[59]]))
        await asyncio.gather(first, broken, again, return_exceptions=True)
        assert isinstance(broken.exception(), RuntimeError)
        assert dispositions(again.result()) == [ACCEPTED]
        assert len(running.store.shadow_events) == stored + 1


# --------------------------------------------------------------------------------------------- cancelled callers


async def test_cancelled_caller_does_not_affect_others() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            stays, leaves, call, later = await started(
                running.publish(WALK[1:3]),
                running.publish(WALK[3:5]),
                running.engine.generate("USDCOP", Quote(4000.0)),
                running.publish(WALK[5:7]),
            )
            leaves.cancel()
            call.cancel()
        for task in (first, stays, later):
            assert set(dispositions(await task)) == {WARMING_UP}  # type: ignore[arg-type]
        await asyncio.wait((leaves, call))
        assert leaves.cancelled()
        assert call.cancelled()
        again = await running.publish(WALK[:8])
        assert {receipt.disposition for receipt in again} <= {WARMING_UP, DUPLICATE, Disposition.LATE}
        assert {update.bar.time for update in running.store.market_updates()} == {one.time for one in WALK[:8]}


async def test_caller_cancelled_during_a_failing_commit_does_not_affect_others() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, WALK[0]) as first:
            first.cancel()
        await asyncio.wait((first,))
        assert dispositions(await running.publish(WALK[:3])) == [WARMING_UP] * 3


# ----------------------------------------------------------------------------------------- failures at any time

faults = st.lists(st.sampled_from([Fault.NOTHING, Fault.NOTHING, Fault.BEFORE, Fault.AFTER]), max_size=12)


@settings(max_examples=40)
@given(faults=faults, sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12))
@pytest.mark.slow
async def test_interrupted_run_ends_with_the_log_of_an_undisturbed_one(faults: list[Fault], sizes: list[int]) -> None:
    async with running_engine() as running:
        running.store.faults.extend(faults)
        sent = 0
        for size in (*sizes, len(WALK)):
            await delivered(running, WALK[sent : min(sent + size, len(WALK))][:60])
            sent = min(sent + min(size, 60), len(WALK))
        log = running.store.events
    assert log == await undisturbed(WALK[:sent])
