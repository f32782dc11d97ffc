"""The engine: results of commands, group commit, and independence of the symbols."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import NOW, bar, walk
from tests.support.memory_store import MemoryStore
from tests.support.running import (
    always,
    commit_held_up,
    dispositions,
    following,
    in_turn,
    of_symbol,
    running_engine,
    started,
)

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ingest import writer as writer_module
from tradingsignals_server.application.ingest.engine import COMMAND_BARS
from tradingsignals_server.domain.bars import HIGHEST_PRICE, LOWEST_PRICE, Bar
from tradingsignals_server.domain.errors import (
    InvalidBar,
    InvalidRequest,
    NotEnoughBars,
    Overloaded,
    PositionAlreadyClosed,
    PositionNotFound,
    ShuttingDown,
)
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate, Receipt
from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.positions import ExitReason, Position
from tradingsignals_server.domain.risk import RiskRules, Sizing
from tradingsignals_server.domain.signals import Action, Decision, Origin, Signal

WALK = walk(180)
OTHER = walk(180, seed=2, symbol="EURCOP")
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
DUPLICATE, LATE, WARMING_UP = Disposition.DUPLICATE, Disposition.LATE, Disposition.WARMING_UP


async def log_of(bars: Sequence[Bar], rules: RiskRules | None = None) -> list[Event]:
    """Return the log after these bars, published in one call."""
    async with running_engine(rules=rules) as running:
        await running.publish(bars)
        return running.store.events


# ------------------------------------------------------------------------------------------------------- results


async def test_each_bar_gets_its_receipt_once_it_is_durable() -> None:
    async with running_engine() as running:
        receipts = await running.publish(WALK[:60])
        signals = {made.bar_time: made.signal_id for made in running.store.signals()}
        assert len(signals) == 11
        for receipt, one in zip(receipts, WALK, strict=False):
            assert (receipt.symbol, receipt.time) == (one.symbol, one.time)
            assert receipt.signal_id == signals.get(one.time)
            assert (receipt.disposition is Disposition.ACCEPTED) == (one.time in signals)
            assert receipt.sequence == len(running.store.events) == running.log_tail.newest


async def test_bar_that_has_not_closed_is_refused_and_the_others_are_processed() -> None:
    """The same holds for a bar of the year 2099 between good ones: it is neither stored nor the newest."""
    far = replace(WALK[29], time=datetime(2099, 1, 5, 13, 0, tzinfo=UTC))
    unfinished = bar(NOW)
    async with running_engine() as running:
        results = await running.engine.publish([*WALK[:30], far, unfinished, *WALK[30:60]])
        expected = ["WARMING_UP"] * 30 + ["INVALID_BAR"] * 2 + ["WARMING_UP"] * 19 + ["ACCEPTED"] * 11
        assert dispositions(results) == expected
        assert isinstance(results[30], InvalidBar)
        assert results[30].message == "time: the bar ends at 2099-01-05T13:05:00Z, which is in the future"
        assert await running.engine.last_bar("USDCOP") == WALK[59]
        log = running.store.events
    assert log == await log_of(WALK[:60])


async def test_no_bars_cause_no_commit() -> None:
    async with running_engine() as running:
        assert await running.engine.publish([]) == []
        assert running.store.commits == []


async def test_repeated_bar_is_a_duplicate_and_changes_nothing() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:60])
        log = list(running.store.events)
        again = await running.publish([WALK[59], WALK[3], replace(WALK[4], simulated=True)])
        assert dispositions(again) == [DUPLICATE] * 3
        assert [receipt.sequence for receipt in again] == [len(log)] * 3
        assert running.store.events == log


async def test_bar_twice_in_one_batch_is_a_duplicate() -> None:
    async with running_engine() as running:
        results = await running.publish([WALK[0], WALK[0], WALK[1], WALK[0]])
        assert dispositions(results) == [WARMING_UP, DUPLICATE, WARMING_UP, DUPLICATE]
        assert running.store.commits == [2]
        assert {result.sequence for result in results} == {2}


@pytest.mark.parametrize("together", [True, False])
async def test_different_bar_for_the_same_time_is_a_conflict(together: bool) -> None:
    other = replace(WALK[1], volume=5.0)
    async with running_engine() as running:
        calls = [[WALK[0], WALK[1], other, WALK[2]]] if together else [WALK[:2], [other, WALK[2]]]
        results = [result for bars in calls for result in await running.engine.publish(bars)]
        assert dispositions(results) == [WARMING_UP, WARMING_UP, "BAR_CONFLICT", WARMING_UP]
        assert [update.bar for update in running.store.market_updates()] == WALK[:3]


@pytest.mark.parametrize("together", [True, False])
async def test_bar_older_than_the_last_is_stored_as_late(together: bool) -> None:
    on_time, late = [*WALK[:55], *WALK[56:60]], WALK[55]
    async with running_engine() as running:
        calls = [[*on_time, late, late]] if together else [on_time, [late], [late]]
        results = [result for bars in calls for result in await running.engine.publish(bars)]
        assert dispositions(results)[-2:] == [LATE, DUPLICATE]
        assert running.store.events[-1] == MarketUpdate(late, LATE)
        after = await running.publish([WALK[60]])
        log = await log_of([*on_time, WALK[60]])
        assert [event for event in running.store.events if event != MarketUpdate(late, LATE)] == log
        assert after[0].signal_id is not None


async def test_newest_bar_is_known_after_a_restart() -> None:
    store = MemoryStore()
    async with running_engine(store) as running:
        assert await running.engine.last_bar("USDCOP") is None
        await running.publish(WALK[:3])
        assert await running.engine.last_bar("USDCOP") == WALK[2]
    async with running_engine(store) as running:
        assert await running.engine.last_bar("USDCOP") == WALK[2]
        assert [state.symbol for state in running.engine.states()] == ["USDCOP"]


# -------------------------------------------------------------------------------------------------- group commit


async def test_commands_queued_during_a_commit_share_the_next_one() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            waiting = await started(*(running.publish([one]) for one in WALK[1:21]))
            assert not first.done()
            assert running.log_tail.newest == 0, "nothing is published before it is committed"
        await asyncio.gather(first, *waiting)
        assert running.store.commits == [1, 20]
        assert [update.bar for update in running.store.market_updates()] == WALK[:21]


async def test_commit_is_bounded_and_keeps_the_order() -> None:
    bars = [bar(n) for n in range(700)]
    async with running_engine() as running:
        await running.publish(bars)
        assert [update.bar for update in running.store.market_updates()] == bars
        assert len(running.store.commits) >= 3
        assert max(running.store.commits) < writer_module.BATCH_BARS + COMMAND_BARS


async def test_duplicates_need_no_commit() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:2])
        await running.publish(WALK[:2])
        assert running.store.commits == [2]


# -------------------------------------------------------------------------------------------------- single calls


async def test_requested_signal_is_stored_and_traded() -> None:
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        quote = Quote(4250.5, rsi=35.5, macd=-2.3, macd_signal=-1.8, atr=5.0)
        assert await running.engine.generate("EURUSD", quote) == b"1", "the message at the first sequence"
        (made,) = running.store.signals()
        assert (made.action, made.timestamp, made.origin) == (Action.BUY, NOW, Origin.REQUEST)
        assert [held.signal_id for held in running.store.positions()] == [made.signal_id]
        assert await running.engine.generate("EURUSD", Quote(4250.5, atr=5.0)) == b"3"
        again = running.store.signals()[1]
        assert again.signal_id != made.signal_id
        assert again.decision.reasoning[-1] == "Already long: the position is kept"


async def test_signal_from_stored_bars_equals_that_of_the_newest_bar() -> None:
    async with running_engine() as running:
        with pytest.raises(NotEnoughBars):
            await running.engine.generate_from_stored("USDCOP", 100)
        await running.publish(WALK[:120])
        live = running.store.signals()[-1]
        made = running.signal(await running.engine.generate_from_stored("USDCOP", 100))
        assert (made.probabilities, made.indicators, made.bar_time) == (
            live.probabilities,
            live.indicators,
            live.bar_time,
        )
        assert (made.origin, made.timestamp) == (Origin.DATABASE, NOW)
        assert made.entry_price == WALK[119].close
        other = running.signal(await running.engine.generate_from_stored("USDCOP", 60))
        assert other.indicators.ema_50 != made.indicators.ema_50


@pytest.mark.parametrize("price", [None, 4444.0])
async def test_position_is_closed_manually(price: float | None) -> None:
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        await running.publish(WALK[:52])
        held = running.store.positions()[0]
        payload = await running.engine.close_position(held.position_id, price)
        ended = running.store.positions()[0]
        assert payload == running.store.entries[-1].payload
        assert ended.exit is not None
        assert (ended.exit.reason, ended.exit.time) == (ExitReason.MANUAL, NOW)
        assert ended.exit.price == (WALK[51].close if price is None else price)
        with pytest.raises(PositionAlreadyClosed):
            await running.engine.close_position(held.position_id, price)
        with pytest.raises(PositionNotFound):
            await running.engine.close_position(UUID(int=1), price)


async def test_of_two_calls_that_close_a_position_one_succeeds() -> None:
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        await running.publish(WALK[:52])
        name = running.store.positions()[0].position_id
        async with commit_held_up(running, WALK[52]) as first:
            closing = await started(*(running.engine.close_position(name, price) for price in (4000.0, 4001.0)))
        await first
        one, other = await asyncio.gather(*closing, return_exceptions=True)
        assert isinstance(one, bytes)
        assert isinstance(other, PositionAlreadyClosed)
        assert [p.exit.price for p in running.store.position_changes() if p.exit is not None] == [4000.0]


async def test_position_reversed_meanwhile_counts_as_closed() -> None:
    async with running_engine(policy=in_turn(Action.BUY, Action.BUY, Action.BUY, Action.SELL), rules=FAR) as running:
        await running.publish(WALK[:51])
        name = running.store.positions()[0].position_id
        async with commit_held_up(running, WALK[51]) as first:
            reversing, closing = await started(
                running.engine.publish([WALK[52]]), running.engine.close_position(name, None)
            )
        await asyncio.gather(first, reversing)
        with pytest.raises(PositionAlreadyClosed):
            await closing
        assert [(p.action, p.is_open) for p in running.store.positions()] == [(Action.BUY, False), (Action.SELL, True)]


async def test_calls_that_share_a_commit_get_their_own_results() -> None:
    async with running_engine(policy=always(Action.BUY), rules=FAR) as running:
        await running.publish(WALK[:52])
        name = running.store.positions()[0].position_id
        async with commit_held_up(running, WALK[52]) as first:
            (bars,) = await started(running.engine.publish(WALK[53:55]))
            (closing,) = await started(running.engine.close_position(name, None))
            (call,) = await started(running.engine.generate("USDCOP", Quote(4000.0)))
        await asyncio.gather(first, bars)
        payload, signal = await closing, await call
        log = running.store.entries
        assert len(running.store.commits) == 3
        (closed,) = [n for n, p in enumerate(running.store.events, 1) if isinstance(p, Position) and not p.is_open]
        assert payload == log[closed - 1].payload
        assert running.signal(signal) == running.store.signals()[-1]


# ------------------------------------------------------------------------------------ a full queue, and stopping


async def test_full_queue_refuses_calls_and_blocks_publishers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_PENDING", 2)
    monkeypatch.setattr(writer_module, "BATCH_BARS", 2)
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            publishers = await started(*(running.publish([one]) for one in WALK[1:7]))
            with pytest.raises(Overloaded) as caught:
                await running.engine.generate("USDCOP", Quote(4000.0))
            assert caught.value.metadata == {"limit": "2"}
            assert not any(task.done() for task in publishers)
        await asyncio.gather(first, *publishers)
        assert [update.bar for update in running.store.market_updates()] == WALK[:7]


async def test_stopping_processes_the_queue_and_refuses_later_commands() -> None:
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            waiting = await started(running.engine.publish(WALK[1:3]), running.engine.publish(WALK[3:4]))
            (stopping,) = await started(running.engine.stop())
            assert dispositions(await running.engine.publish([WALK[4]])) == ["SHUTTING_DOWN"]
            with pytest.raises(ShuttingDown):
                await running.engine.generate("USDCOP", Quote(4000.0))
            assert not running.writer.done()
        await stopping
        await running.writer
        for publisher in (first, *waiting):
            assert set(dispositions(await publisher)) == {WARMING_UP}
        assert [update.bar for update in running.store.market_updates()] == WALK[:4]
        with pytest.raises(ShuttingDown) as caught:
            await running.engine.generate("USDCOP", Quote(4000.0))
        assert caught.value.metadata == {"sequence": "4"}


async def test_stopping_ends_publishers_blocked_by_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_PENDING", 2)
    async with running_engine() as running:
        async with commit_held_up(running, WALK[0]) as first:
            publishers = await started(*(running.engine.publish([one]) for one in WALK[1:7]))
            (stopping,) = await started(running.engine.stop())
        await asyncio.gather(first, stopping)
        results = [dispositions(await publisher)[0] for publisher in publishers]
        assert set(results) <= {WARMING_UP, "SHUTTING_DOWN"}
        stored = [update.bar for update in running.store.market_updates()]
        acknowledged = [one for one, result in zip(WALK[1:7], results, strict=True) if result == WARMING_UP]
        assert set(acknowledged) <= set(stored)
        assert len(acknowledged) >= 2


# ------------------------------------------------------------------------------------------- what must always hold


@st.composite
def interleaved(draw: st.DrawFn) -> list[list[Bar]]:
    """The bars of two symbols, each in its order, in calls of any size."""
    sides = draw(st.lists(st.booleans(), min_size=120, max_size=120))
    left, right = iter(WALK[: sides.count(True)]), iter(OTHER[: sides.count(False)])
    bars = [next(left if side else right) for side in sides]
    cuts = sorted(draw(st.sets(st.integers(1, 119), max_size=8)))
    return [bars[start:end] for start, end in zip([0, *cuts], [*cuts, 120], strict=True)]


@settings(max_examples=25)
@given(calls=interleaved(), at_once=st.booleans())
async def test_symbols_do_not_affect_each_other(calls: list[list[Bar]], at_once: bool) -> None:
    async with running_engine() as running:
        if at_once:
            await asyncio.gather(*(running.publish(bars) for bars in calls))
        else:
            for bars in calls:
                await running.publish(bars)
    for symbol in ("USDCOP", "EURCOP"):
        alone = await log_of([one for bars in calls for one in bars if one.symbol == symbol])
        assert of_symbol(running.store.events, symbol) == alone


@settings(max_examples=25)
@given(cuts=st.sets(st.integers(1, 179), max_size=6), sizing=st.sampled_from([Sizing.CONFIDENCE, Sizing.KELLY]))
@pytest.mark.slow
async def test_restart_at_any_bar_changes_nothing(cuts: set[int], sizing: Sizing) -> None:
    rules, store = RiskRules(sizing=sizing, trailing_stop_atr=1.0), MemoryStore()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 180], strict=True):
        async with running_engine(store, rules=rules) as running:
            await running.publish(WALK[start:end])
    assert store.events == await log_of(WALK, rules)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 119), st.floats(3000.0, 5000.0)), max_size=6))
@pytest.mark.slow
async def test_requested_signals_do_not_change_those_of_the_bars(requested: list[tuple[int, float]]) -> None:
    async with running_engine(policy=following()) as running:
        for n, one in enumerate(WALK[:120]):
            await running.publish([one])
            for price in (price for at, price in requested if at == n):
                await running.engine.generate("USDCOP", Quote(price))
                if n >= 50:
                    await running.engine.generate_from_stored("USDCOP", 50)
    undisturbed = [made for made in await log_of(WALK[:120]) if isinstance(made, Signal)]
    of_bars = [made for made in running.store.signals() if made.origin is Origin.BAR]
    assert [_seen(made) for made in of_bars] == [_seen(made) for made in undisturbed]


def _seen(made: Signal) -> tuple[object, ...]:
    """Return all of a signal that does not depend on the position."""
    levels = (made.decision.stop_loss, made.decision.take_profit, made.decision.position_size)
    return (made.signal_id, made.timestamp, made.action, made.probabilities, made.indicators, made.bar_time, levels)


figures = st.sampled_from([LOWEST_PRICE, 1.0, 4000.0, HIGHEST_PRICE]) | st.floats(LOWEST_PRICE, HIGHEST_PRICE)
quotes = st.fixed_dictionaries(
    {"close_price": figures},
    optional=dict.fromkeys(("open_price", "bb_upper", "ema_20", "ema_50", "atr", "macd", "volume"), figures)
    | {"macd_signal": figures.map(lambda figure: -figure), "rsi": st.floats(0.0, 100.0)},
)


@given(quotes, st.sampled_from(Sizing), figures, st.sampled_from([0, 60]))
async def test_every_accepted_quote_leads_to_finite_numbers(
    given_: dict[str, float], sizing: Sizing, next_price: float, stored: int
) -> None:
    """The same holds at the bounds of a price, and for the position that follows."""
    rules = RiskRules(sizing=sizing, max_price_jump=0.0, max_bar_age=timedelta(0))
    times = [WALK[stored].time + timedelta(minutes=1)]
    async with running_engine(policy=always(Action.BUY), rules=rules, clock=lambda: times[-1]) as running:
        await running.publish(WALK[:stored])
        try:
            made = running.signal(await running.engine.generate("USDCOP", Quote(**given_)))
        except InvalidRequest:
            assert stored * given_["bb_upper"], "a band below the lower one of the bars"
            return
        assert all(math.isfinite(number) for number in numbers_of(made.decision))
        assert all(math.isfinite(number) for number in numbers_of(made.indicators))
        times.append(NOW)
        await running.publish([bar(WALK[stored].time, next_price)])
        for held in running.store.position_changes():
            assert all(math.isfinite(number) for number in numbers_of(held))


def numbers_of(value: Decision | Indicators | Position) -> list[float]:
    return [number for field in fields(value) if isinstance(number := getattr(value, field.name), float)]


async def test_receipts_are_in_the_order_of_the_bars() -> None:
    """A call that makes several commands, with a conflict in the middle."""
    bars = [bar(n) for n in range(200)]
    bars.insert(100, bar(99, 101.0))
    async with running_engine() as running:
        results = await running.engine.publish(bars)
    assert dispositions(results)[100] == "BAR_CONFLICT"
    assert [result.time for result in results if isinstance(result, Receipt)] == [bar(n).time for n in range(200)]
