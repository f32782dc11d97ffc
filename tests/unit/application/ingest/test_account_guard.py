"""The account that the protections look at: of the staged log, dropped with a failed commit, and of all servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.support.builders import MONDAY, NOW, signal, walk
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import Fault, MemoryStore
from tests.support.running import Running, always, commit_held_up, dispositions, in_turn, running_engine, started

from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.event_log.tailer import LogReader
from tradingsignals_server.application.ingest.account_guard import AccountSource
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.account_errors import TradingIsHalted
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.events import TradingControl
from tradingsignals_server.domain.positions import open_position
from tradingsignals_server.domain.protections import Protections
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
ONE = replace(FAR, protections=Protections(max_open_positions=1))
FIRST, SECOND = walk(80), walk(80, seed=2, symbol="EURCOP")
FULL = "1 position is open, and the limit is 1: no position is opened"
HALT = TradingControl(True, "news", "ana", NOW)
HALTED = "Trading is halted by hand (news): no position is opened"

OF_ANOTHER_SERVER = open_position(signal(symbol="GBPUSD"), FAR, MONDAY)


@asynccontextmanager
async def guarded_engine(
    store: MemoryStore, rules: RiskRules = FAR, policy: Policy | None = None
) -> AsyncIterator[Running]:
    """Run an engine that reads its account from the store, as a server does."""
    accounts = AccountSource(MemoryOutcomes(store), LOG_DECODERS)
    async with running_engine(store, policy or always(Action.BUY), rules, accounts=accounts) as running:
        yield running


def reasons(store: MemoryStore, symbol: str = "EURCOP") -> list[str]:
    """Return the last sentence of each BUY and SELL of a symbol."""
    return [
        one.decision.reasoning[-1] for one in store.signals() if one.symbol == symbol and one.action is not Action.HOLD
    ]


def is_that_of_log(running: Running, store: MemoryStore, rules: RiskRules) -> bool:
    """Return whether the account is that of the whole log. Positions that are read from it lack what is not sent."""
    folded, found = Account.opened(100_000.0).guarded(store.events, rules.protections), running.engine.account
    assert found.open_positions.keys() == folded.open_positions.keys()
    return replace(found, open_positions={}) == replace(folded, open_positions={})


def opened(store: MemoryStore) -> set[str]:
    return {held.symbol for held in store.positions() if held.is_open}


def alternating(*lines: Sequence[Bar]) -> list[Bar]:
    return [bar for bars in zip(*lines, strict=True) for bar in bars]


async def test_second_bar_of_a_batch_sees_what_the_first_one_opened() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, ONE) as running:
        await running.publish([*FIRST[:49], *SECOND[:49]])
        await running.publish(alternating(FIRST[49:50], SECOND[49:50]))
        assert store.commits[-1] == 5, "one commit: two bars, two signals and one position"
    assert opened(store) == {"USDCOP"}
    assert reasons(store) == [FULL]


async def test_bars_staged_while_a_commit_runs_see_what_it_opens() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, ONE) as running:
        await running.publish([*FIRST[:49], *SECOND[:49]])
        async with commit_held_up(running, FIRST[49]):
            (behind,) = await started(running.publish(SECOND[49:51]))
        await behind
    assert opened(store) == {"USDCOP"}
    assert reasons(store) == [FULL, FULL]


async def test_account_is_dropped_with_a_commit_that_fails() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, ONE) as running:
        await running.publish([*FIRST[:49], *SECOND[:49]])
        before = running.engine.account
        store.faults.append(Fault.BEFORE)
        async with commit_held_up(running, FIRST[49]) as first:
            (behind,) = await started(running.engine.publish(SECOND[49:50]))
        assert dispositions([*await first, *await behind]) == ["STORAGE_UNAVAILABLE"] * 2
        assert running.engine.account == before
        await running.publish(SECOND[49:50])
    assert opened(store) == {"EURCOP"}, "nothing is left of the position of the first symbol"


async def test_account_has_what_a_commit_stored_whose_result_was_lost() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, ONE) as running:
        await running.publish([*FIRST[:49], *SECOND[:49]])
        store.faults.append(Fault.AFTER)
        assert dispositions(await running.engine.publish(FIRST[49:50])) == ["STORAGE_UNAVAILABLE"]
        await running.publish(SECOND[49:50])
    assert opened(store) == {"USDCOP"}
    assert reasons(store) == [FULL]


async def test_command_that_fails_half_way_leaves_no_trace_in_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, ONE) as running:
        await running.publish([*FIRST[:49], *SECOND[:49]])
        make_step, over = running.pipeline.on_bar, FIRST[50]

        def failing(state: object, bar: Bar, account: Account | None = None) -> object:
            if bar is over:
                raise RuntimeError("a step fails")
            return make_step(state, bar, account)  # type: ignore[arg-type]  # as given

        monkeypatch.setattr(running.pipeline, "on_bar", failing)
        with pytest.raises(RuntimeError):
            await running.engine.publish(FIRST[49:51])
        await running.publish(SECOND[49:50])
    assert opened(store) == {"EURCOP"}


async def test_account_after_a_restart_is_that_of_the_stored_log() -> None:
    store = MemoryStore(encode)
    limits = replace(FAR, protections=Protections(max_open_positions=1, max_daily_loss_pct=0.5, cooldown_after_stops=9))
    async with guarded_engine(store, limits) as running:
        await running.publish([*FIRST[:55], *SECOND[:49]])
        before = running.engine.account
    async with guarded_engine(store, limits) as restarted:
        await restarted.publish(SECOND[49:50])
        assert reasons(store) == [FULL]
        assert is_that_of_log(restarted, store, limits)
        assert restarted.engine.account.realised == before.realised


async def test_position_of_another_server_counts_as_soon_as_its_entry_arrives() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, ONE) as running:
        await running.publish(SECOND[:49])
        store.put([OF_ANOTHER_SERVER], NOW)
        await LogReader(store, running.log_tail).catch_up()
        await running.publish(SECOND[49:50])
        assert reasons(store) == [FULL]
        assert is_that_of_log(running, store, ONE)


async def test_own_entries_behind_those_of_another_server_count_before_the_tail_has_them() -> None:
    store = MemoryStore(encode)
    two = replace(FAR, protections=Protections(max_open_positions=2))
    async with guarded_engine(store, two) as running:
        await running.publish([*FIRST[:49], *SECOND[:49]])
        store.put([OF_ANOTHER_SERVER], NOW)  # its entry has not arrived
        await running.publish(FIRST[49:50])
        await running.publish(SECOND[49:50])
        await LogReader(store, running.log_tail).catch_up()
        await running.publish(SECOND[50:51])
        found = running.engine.account
        assert is_that_of_log(running, store, two)
    assert reasons(store) == ["Goes long", "Already long: the position is kept"]
    assert len(found.open_positions) == 3, "two servers opened the last permitted position at once"


# -------------------------------------------------------------------------------------------------- the kill switch


async def test_halted_engine_makes_signals_and_opens_nothing_until_it_is_resumed() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store) as running:
        await running.publish(SECOND[:49])
        halted = await running.engine.control_trading("news", "ana", halted=True)
        assert (halted.halted, halted.halt_reason, halted.halted_by, halted.halted_at) == (True, "news", "ana", NOW)
        await running.publish(SECOND[49:52])
        assert opened(store) == set()
        assert not (await running.engine.control_trading("", "", halted=False)).halted
        await running.publish(SECOND[52:53])
    assert reasons(store) == [HALTED] * 3 + ["Goes long"]
    assert opened(store) == {"EURCOP"}


async def test_halt_changes_neither_action_nor_levels_nor_size() -> None:
    def facts(signal: Signal) -> tuple[object, ...]:
        made = signal.decision
        return made.action, made.confidence, made.stop_loss, made.take_profit, made.position_size

    stores = MemoryStore(encode), MemoryStore(encode)
    for store, is_halted in zip(stores, (True, False), strict=True):
        async with guarded_engine(store) as running:
            if is_halted:
                await running.engine.control_trading("news", "ana", halted=True)
            await running.publish(SECOND[:60])
    assert list(map(facts, stores[0].signals())) == list(map(facts, stores[1].signals()))


async def test_halted_engine_closes_by_an_opposite_signal_and_opens_nothing() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store, policy=in_turn(Action.BUY, Action.BUY, Action.SELL)) as running:
        await running.publish(SECOND[:51])
        await running.engine.control_trading("news", "ana", halted=True)
        assert opened(store) == {"EURCOP"}, "a halt closes nothing"
        await running.publish(SECOND[51:52])
    assert opened(store) == set()
    assert [one.decision.reasoning[-2:] for one in store.signals()][-1] == ("Closes the opposite position", HALTED)


async def test_requested_signal_opens_nothing_while_trading_is_halted() -> None:
    store = MemoryStore(encode)
    rules = replace(FAR, max_price_jump=0.0)
    async with guarded_engine(store, rules) as running:
        await running.publish(SECOND[:60])
        await running.engine.control_trading("news", "ana", halted=True)
        await running.engine.generate("EURUSD", Quote(1.1, atr=0.01))
    assert reasons(store, "EURUSD") == [HALTED]


async def test_halting_again_keeps_the_first_reason() -> None:
    async with guarded_engine(MemoryStore(encode)) as running:
        first = await running.engine.control_trading("news", "ana", halted=True)
        assert await running.engine.control_trading("other news", "bob", halted=True) == first
        assert running.engine.account == first


@pytest.mark.parametrize("halted", [True, False])
async def test_last_call_counts_if_the_server_has_not_read_that_of_another_one(halted: bool) -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store) as running:
        await running.engine.control_trading("news", "ana", halted=halted)
        store.put([TradingControl(not halted, "", "bob", NOW)], NOW)  # its entry has not arrived
        answered = await running.engine.control_trading("news", "ana", halted=halted)
        assert answered.halted is halted
        await LogReader(store, running.log_tail).catch_up()
        assert running.engine.account.halted is halted
    assert Account.opened(100_000.0).guarded(store.events, FAR.protections).halted is halted


async def test_halt_survives_a_restart_before_and_after_the_account_is_stored() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store) as running:
        await running.engine.control_trading("news", "ana", halted=True)
        await running.publish(SECOND[:50])
    async with guarded_engine(store) as restarted:
        await restarted.publish(SECOND[50:51])
        assert restarted.engine.account.halted
    outcomes = MemoryOutcomes(store)
    await outcomes.restart_ledger(1, Account.opened(100_000.0).after(HALT), "USD")
    outcomes.place = replace(outcomes.place, sequence=len(store.events))
    accounts = AccountSource(outcomes, LOG_DECODERS)
    async with running_engine(store, always(Action.BUY), FAR, accounts=accounts) as again:
        await again.publish(SECOND[51:52])
    assert reasons(store) == [HALTED] * 3


async def test_halt_of_another_server_is_effective_as_soon_as_its_entry_arrives() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store) as running:
        await running.publish(SECOND[:49])
        store.put([HALT], NOW)
        await LogReader(store, running.log_tail).catch_up()
        assert running.engine.account.halted, "before the next command"
        await running.publish(SECOND[49:50])
        store.put([TradingControl(False, "", "bob", NOW)], NOW)
        await LogReader(store, running.log_tail).catch_up()
        await running.publish(SECOND[50:51])
    assert reasons(store) == [HALTED, "Goes long"]


async def test_halt_whose_commit_fails_is_not_in_force() -> None:
    store = MemoryStore(encode)
    async with guarded_engine(store) as running:
        await running.publish(SECOND[:49])
        store.faults.append(Fault.BEFORE)
        with pytest.raises(Exception, match="the database cannot be reached"):
            await running.engine.control_trading("news", "ana", halted=True)
        assert not running.engine.account.halted
        await running.publish(SECOND[49:50])
    assert reasons(store) == ["Goes long"]


async def test_halt_by_setting_cannot_be_resumed() -> None:
    store = MemoryStore(encode)
    rules = replace(FAR, protections=Protections(trading_halted=True))
    async with guarded_engine(store, rules) as running:
        await running.publish(SECOND[:50])
        with pytest.raises(TradingIsHalted):
            await running.engine.control_trading("", "", halted=False)
    assert reasons(store) == ["Trading is halted by the setting TRADING_HALTED: no position is opened"]


async def test_shadow_is_scored_while_trading_is_halted() -> None:
    store = MemoryStore(encode)
    async with running_engine(store, always(Action.HOLD), FAR, shadow=always(Action.BUY)) as running:
        await running.engine.control_trading("news", "ana", halted=True)
        await running.publish(SECOND[:52])
    assert any(not isinstance(one.event, Signal) for one in store.shadow_events), "it has no account to protect"
