"""A call with an idempotency key is done once, whatever happens to its callers, its commits and its server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.support.builders import NOW, walk
from tests.support.deadlines import within
from tests.support.memory_store import Fault
from tests.support.running import Running, always, commit_held_up, running_engine, started

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ingest.once import Done, Once
from tradingsignals_server.application.ports.idempotency import CallKey, KeyedRequest, UsedKey
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.errors import NotEnoughBars, PositionAlreadyClosed, StorageUnavailable
from tradingsignals_server.domain.idempotency import IdempotencyKeyReused
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

BARS = walk(60)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
METHOD = "tradingsignals.v1.SignalService.GenerateSignal"


def respond(result: bytes) -> bytes:
    return b"response " + result


def of_account(account: Account) -> bytes:
    return f"halted {account.halted} by {account.halted_by}".encode()


def request(key: str = "k", *, caller: str = "key:a", request_hash: bytes = b"1" * 32) -> KeyedRequest:
    return KeyedRequest(caller, key, METHOD, request_hash)


@dataclass
class Calls:
    """Calls of an engine with keys."""

    running: Running
    once: Once = field(init=False)

    def __post_init__(self) -> None:
        self.once = Once(self.running.store)

    async def generate(self, keyed: KeyedRequest | None = None) -> Done:
        key = CallKey(keyed or request(), respond)
        return await self.once.run(key, lambda: self.running.engine.generate("USDCOP", Quote(4000.0), key))

    async def from_stored(self, keyed: KeyedRequest | None = None) -> Done:
        key = CallKey(keyed or request(), respond)
        return await self.once.run(key, lambda: self.running.engine.generate_from_stored("USDCOP", 100, key))

    async def close(self, position_id: UUID) -> Done:
        key = CallKey(request(), respond)
        return await self.once.run(key, lambda: self.running.engine.close_position(position_id, None, key))

    async def halt(self, by: str = "", *, halted: bool = True, keyed: KeyedRequest | None = None) -> Done:
        key = CallKey(keyed or request(), of_account)
        engine = self.running.engine
        return await self.once.run(key, lambda: engine.control_trading("news", by, halted=halted, key=key))


async def test_repeated_signal_is_made_once_and_its_response_is_the_first() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        first = await calls.generate()
        assert first == Done(respond(running.store.entries[-1].payload), is_replayed=False)
        assert await calls.generate() == Done(first.response, is_replayed=True)
        assert await Calls(running).generate() == Done(first.response, is_replayed=True), "at another server"
        assert len(running.store.signals()) == 1


async def test_repeated_close_gets_the_first_response_though_the_position_is_closed() -> None:
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        await running.publish(BARS[:52])
        calls, position_id = Calls(running), running.store.positions()[0].position_id
        first = await calls.close(position_id)
        log = list(running.store.events)
        assert await calls.close(position_id) == Done(first.response, is_replayed=True)
        assert running.store.events == log
        with pytest.raises(PositionAlreadyClosed):
            await running.engine.close_position(position_id, None)


async def test_repeated_halt_does_not_halt_again_what_was_resumed() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        assert await calls.halt("ana") == Done(b"halted True by ana", is_replayed=False)
        assert (await calls.halt("bob", keyed=request("k2"))).response == b"halted True by ana"
        await running.engine.control_trading("", "", halted=False)
        log = list(running.store.events)
        assert await calls.halt("ana") == Done(b"halted True by ana", is_replayed=True)
        assert running.store.events == log
        assert not running.engine.account.halted


async def test_calls_that_come_together_share_one_run() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        found = await within(asyncio.gather(*(calls.generate() for _ in range(20))))
        assert len({done.response for done in found}) == 1
        assert [done.is_replayed for done in found].count(False) == 1
        assert len(running.store.signals()) == 1


async def test_callers_and_keys_are_told_apart() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        several = (request(), request("k2"), request(caller="key:b"), request("k2", caller="key:b"))
        found = await asyncio.gather(*map(calls.generate, several))
        assert len({done.response for done in found}) == len(running.store.signals()) == 4
        assert not any(done.is_replayed for done in found)


@pytest.mark.parametrize("at_once", [False, True])
async def test_other_request_with_the_key_is_refused(*, at_once: bool) -> None:
    async with running_engine() as running:
        calls = Calls(running)
        async with commit_held_up(running, BARS[0]):
            (first,) = await started(calls.generate())
            others = await started(*(calls.generate(request(request_hash=b"2" * 32)) for _ in range(at_once)))
        await first
        with pytest.raises(IdempotencyKeyReused) as refused:
            await (others[0] if at_once else calls.generate(request(request_hash=b"2" * 32)))
        assert refused.value.metadata == {"method": METHOD}
        assert len(running.store.signals()) == 1


async def test_request_that_another_server_has_done_is_not_refused_by_one_that_runs_here_with_its_key() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        async with commit_held_up(running, BARS[0]):
            (second,) = await started(calls.generate(request(request_hash=b"2" * 32)))
            (repeated,) = await started(calls.generate())
            running.store.keys["key:a", "k"] = NOW, UsedKey(METHOD, b"1" * 32, b"theirs")
        assert await repeated == Done(b"theirs", is_replayed=True)
        with pytest.raises(IdempotencyKeyReused):
            await second


async def test_other_request_with_the_key_of_a_call_that_fails_meanwhile_is_done() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        failing, other = await started(calls.from_stored(), calls.generate(request(request_hash=b"2" * 32)))
        with pytest.raises(NotEnoughBars):
            await failing
        assert not (await other).is_replayed


@pytest.mark.parametrize("seed", range(20))
async def test_of_two_requests_at_once_with_one_key_the_first_is_done_and_the_other_refused(seed: int) -> None:
    chance = random.Random(seed)
    async with running_engine() as running:
        calls = Calls(running)
        for number in range(20):
            hashes = [b"1" * 32, b"2" * 32]
            chance.shuffle(hashes)
            sent = []
            for each in hashes:
                keyed = request(f"{number}", request_hash=each)
                sent.append(asyncio.create_task(chance.choice((calls.halt, calls.generate))(keyed=keyed)))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            first, other = await within(asyncio.gather(*sent, return_exceptions=True))
            assert isinstance(first, Done)
            assert not first.is_replayed
            assert isinstance(other, IdempotencyKeyReused)
        assert len(running.store.keys) == 20


async def test_failed_call_stores_no_key_and_can_be_repeated() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        with pytest.raises(NotEnoughBars):
            await calls.from_stored()
        assert running.store.keys == {}
        await running.publish(BARS)
        assert not (await calls.from_stored()).is_replayed
        assert (await calls.from_stored()).is_replayed


async def test_lost_commit_is_done_again_and_a_lost_response_is_found() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        running.store.faults += [Fault.BEFORE, Fault.AFTER]
        for signals in (0, 1):
            with pytest.raises(StorageUnavailable):
                await calls.generate()
            assert len(running.store.signals()) == signals
        assert (await calls.generate()).is_replayed
        assert len(running.store.signals()) == 1


async def test_call_goes_on_when_its_caller_has_gone_away() -> None:
    async with running_engine() as running:
        calls, lookups = Calls(running), []

        async def look_up(caller: str, key: str) -> None:
            lookups.append((caller, key))

        running.store.used_key = look_up  # type: ignore[method-assign]
        async with commit_held_up(running, BARS[0]):
            (first,) = await started(calls.generate())
            first.cancel()
            await asyncio.wait([first])
            (second,) = await started(calls.generate())
        assert (await second).is_replayed
        assert lookups == [("key:a", "k")], "the second waits for the first"
        assert len(running.store.signals()) == 1


Race = Callable[[Calls], Coroutine[Any, Any, Done]]


@pytest.mark.parametrize("race", [Calls.generate, Calls.halt])
async def test_call_that_another_server_has_committed_meanwhile_gets_the_response_of_that(race: Race) -> None:
    async with running_engine() as running:
        calls = Calls(running)
        async with commit_held_up(running, BARS[0]):
            (before,) = await started(running.engine.publish(walk(3, symbol="S1COP")))
            (raced,) = await started(race(calls))
            (after,) = await started(running.engine.publish(walk(3, symbol="S2COP")))
            running.store.keys["key:a", "k"] = NOW, UsedKey(METHOD, b"1" * 32, b"theirs")
        assert await raced == Done(b"theirs", is_replayed=True)
        assert [len(await each) for each in (before, after)] == [3, 3], "the calls beside it are done"
        assert running.store.signals() == []
        assert len(running.store.events) == 7
        assert not running.engine.account.halted


async def test_call_is_done_if_the_key_that_another_server_has_used_is_pruned_before_it_is_found() -> None:
    async with running_engine() as running:
        calls, store = Calls(running), running.store
        look_up = store.used_key

        async def pruned(caller: str, key: str) -> UsedKey | None:
            await store.prune_keys(NOW + timedelta(days=1), 1)
            return await look_up(caller, key)

        async with commit_held_up(running, BARS[0]):
            (raced,) = await started(calls.generate())
            store.keys["key:a", "k"] = NOW, UsedKey(METHOD, b"1" * 32, b"theirs")
            store.used_key = pruned  # type: ignore[method-assign]
        assert await raced == Done(respond(store.entries[-1].payload), is_replayed=False)
        assert len(store.signals()) == 1


async def test_key_that_another_server_has_used_for_another_request_is_refused() -> None:
    async with running_engine() as running:
        calls = Calls(running)
        async with commit_held_up(running, BARS[0]):
            (raced,) = await started(calls.generate())
            running.store.keys["key:a", "k"] = NOW, UsedKey("other", b"1" * 32, b"theirs")
        with pytest.raises(IdempotencyKeyReused):
            await raced
