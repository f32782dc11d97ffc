"""Requested signals, late bars, manual closes and reversals, in every order; old bars and absurd prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, bar, walk
from tests.support.running import Running, always, following, in_turn, running_engine

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.errors import InvalidRequest, PriceJump, ServiceError
from tradingsignals_server.domain.events import Disposition, Receipt
from tradingsignals_server.domain.positions import ExitReason, Position
from tradingsignals_server.domain.risk import RiskRules, Sizing
from tradingsignals_server.domain.signals import Action, Origin, Signal

WALK = walk(240)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Wall:
    """A wall clock that the test sets."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def __call__(self) -> datetime:
        """Now."""
        return self.time


def positions(running: Running) -> list[Position]:
    """Each position as it is now."""
    return list({held.position_id: held for held in running.store.position_changes()}.values())


def reasoning_has(made: Signal, part: str) -> bool:
    return any(part in sentence for sentence in made.decision.reasoning)


# ---------------------------------------------------------------------------------------------- before the entry


async def test_bar_that_closed_before_the_entry_does_not_stop_the_position() -> None:
    """Requested at 10:07; the bar of 10:00 to 10:05 arrives after that, and was far below the stop."""
    wall = Wall(WALK[60].close_time + 2 * MINUTE)
    async with running_engine(policy=in_turn(*[Action.HOLD] * 11, Action.BUY), clock=wall) as running:
        await running.publish(WALK[:60])
        made = running.signal(await running.engine.generate("USDCOP", Quote(WALK[59].close, atr=5.0)))
        assert made.timestamp == wall.time
        late = WALK[60]
        await running.publish([replace(late, low=late.low / 1.2)])
        (held,) = positions(running)
        assert (held.is_open, held.bars_held, held.entry_time) == (True, 0, wall.time)
        stopped = WALK[61]
        wall.time = stopped.close_time
        await running.publish([replace(stopped, low=stopped.low / 1.2)])
        (held,) = positions(running)
        assert held.exit is not None
        assert (held.exit.reason, held.exit.time) == (ExitReason.STOP_LOSS, stopped.close_time)


async def test_bar_that_closed_before_the_entry_does_not_reverse_the_position() -> None:
    wall = Wall(WALK[60].close_time + 2 * MINUTE)
    policy = in_turn(*[Action.HOLD] * 11, Action.BUY, Action.SELL, Action.SELL)
    async with running_engine(policy=policy, rules=FAR, clock=wall) as running:
        await running.publish(WALK[:60])
        await running.engine.generate("USDCOP", Quote(WALK[59].close))
        await running.publish(WALK[60:61])
        assert [held.is_open for held in positions(running)] == [True]
        assert reasoning_has(running.store.signals()[-1], "The position was entered after this bar closed: it is kept")
        wall.time = WALK[61].close_time
        await running.publish(WALK[61:62])
        first, second = positions(running)
        assert first.exit is not None
        assert (first.exit.reason, first.exit.time) == (ExitReason.REVERSED, WALK[61].close_time)
        assert second.is_open


@pytest.mark.parametrize("replayed", [True, False])
async def test_time_of_a_replayed_or_simulated_market_is_that_of_its_newest_bar(
    replayed: bool,
) -> None:
    """The wall clock is years away from the market."""
    wall = Wall(datetime(2026, 11, 28, 12, 0, tzinfo=UTC))
    bars = [replace(one, simulated=not replayed) for one in WALK]
    policy = in_turn(*[Action.HOLD] * 11, Action.BUY, Action.SELL)
    async with running_engine(policy=policy, rules=FAR, clock=wall, market_is_replayed=replayed) as running:
        await running.publish(bars[:60])
        last_of_monday = running.signal(await running.engine.generate_from_stored("USDCOP", 60))
        assert reasoning_has(last_of_monday, "Outside the trading session: no position is opened or closed")
        await running.publish(bars[60:62])
        made = running.signal(await running.engine.generate_from_stored("USDCOP", 60))
        assert (made.timestamp, made.bar_age) == (bars[61].close_time, timedelta(0))
        await running.publish(bars[62:63])
        held = positions(running)[-1]
        assert held.is_open
        await running.engine.close_position(held.position_id, None)
        ended = next(one for one in positions(running) if one.position_id == held.position_id)
        assert ended.exit is not None
        assert (ended.exit.reason, ended.exit.time) == (ExitReason.MANUAL, bars[62].close_time)


async def test_before_the_first_bar_of_a_replayed_market_nothing_is_opened() -> None:
    """Its entry would be at the wall clock, and no bar of years ago could ever end it."""
    wall = Wall(WALK[60].time)
    async with running_engine(policy=always(Action.BUY), clock=wall, market_is_replayed=True) as running:
        made = running.signal(await running.engine.generate("USDCOP", Quote(4000.0, atr=5.0)))
        assert made.action is Action.BUY
        assert reasoning_has(made, "No bar of this replayed or simulated market has come yet: no position is opened")
        assert positions(running) == []


async def test_manual_close_is_not_before_the_entry_whatever_the_clock() -> None:
    """The wall clock of this server is two seconds behind that of the publisher."""
    wall = Wall(WALK[49].close_time - 2 * SECOND)
    async with running_engine(policy=always(Action.BUY), rules=FAR, clock=wall) as running:
        await running.publish(WALK[:50])
        (held,) = positions(running)
        await running.engine.close_position(held.position_id, None)
        (ended,) = positions(running)
        assert ended.exit is not None
        assert ended.exit.time == ended.entry_time == WALK[49].close_time


steps = st.lists(
    st.tuples(st.sampled_from(["bar", "bar", "bar", "late", "quote", "stored", "close"]), st.integers(0, 700)),
    min_size=1,
    max_size=14,
)


@given(steps, st.booleans(), st.sampled_from([0.0, 0.5, 1.5]), st.integers(0, 10**6))
async def test_no_exit_is_before_its_entry_and_each_position_ends_once(
    ordered: list[tuple[str, int]], replayed: bool, trailing: float, seed: int
) -> None:
    """Bars come when they have closed or up to some minutes later, with requests of any kind between them."""
    bars, rules = (
        walk(110, seed=seed),
        RiskRules(trailing_stop_atr=trailing, atr_multiplier_sl=0.5, min_risk_reward=0.1),
    )
    wall, published = Wall(bars[62].close_time), 62
    async with running_engine(policy=following(), rules=rules, clock=wall, market_is_replayed=replayed) as running:
        await running.publish(bars[:published])
        for what, seconds in ordered:
            wall.time += timedelta(seconds=seconds)
            match what:
                case "bar" | "late":
                    ready = [one for one in bars[published:] if one.close_time <= wall.time]
                    ready = ready if what == "bar" else ready[:1]
                    await running.publish(ready)
                    published += len(ready)
                case "quote":
                    await running.engine.generate("USDCOP", Quote(bars[published - 1].close * 1.0002))
                case "stored":
                    await running.engine.generate_from_stored("USDCOP", 50)
                case _:
                    for held in [one for one in positions(running) if one.is_open]:
                        await running.engine.close_position(held.position_id, None)
        _check(running.store.position_changes())


def _check(changes: Sequence[Position]) -> None:
    ended: set[UUID] = set()
    for held in changes:
        assert held.position_id not in ended, "a position ends once"
        if held.exit is not None:
            ended.add(held.position_id)
            assert held.exit.time >= held.entry_time
    assert len({held.position_id for held in changes} - ended) <= 1, "a symbol holds one position"


# ------------------------------------------------------------------------------------- old bars, closed markets


@pytest.mark.parametrize(
    ("later", "trades"),
    [(timedelta(0), True), (15 * MINUTE, True), (15 * MINUTE + SECOND, False), (200 * MINUTE, False)],
)
async def test_decision_on_old_bars_states_it_and_trades_nothing(later: timedelta, trades: bool) -> None:
    wall = Wall(WALK[61].close_time + later)
    async with running_engine(policy=in_turn(*[Action.HOLD] * 13, Action.BUY, Action.BUY), clock=wall) as running:
        await running.publish(WALK[:62])
        made = running.signal(await running.engine.generate_from_stored("USDCOP", 60))
        assert made.bar_age == later
        assert made.action is Action.BUY
        assert reasoning_has(made, f"The newest bar closed at {WALK[61].close_time:%Y-%m-%d %H:%M} UTC")
        assert bool(positions(running)) == trades
        assert (
            reasoning_has(made, "The bars are older than 15 min of trading: no position is opened or closed") != trades
        )
        quoted = running.signal(await running.engine.generate("USDCOP", Quote(4000.0, rsi=20.0, atr=5.0)))
        assert reasoning_has(quoted, "older than 15 min") != trades, "the caller's own figures do not make bars younger"
        assert bool(positions(running)) == trades


@pytest.mark.parametrize(("minutes", "trades"), [(3, True), (15, True), (16, False)])
async def test_bars_do_not_age_overnight(minutes: int, trades: bool) -> None:
    """The newest bar is the last of Monday's session; it is Tuesday, some minutes after the opening."""
    wall = Wall(WALK[60].time + minutes * MINUTE)
    async with running_engine(policy=in_turn(*[Action.HOLD] * 11, Action.BUY), clock=wall) as running:
        await running.publish(WALK[:60])
        await running.engine.generate("USDCOP", Quote(4000.0))
        assert bool(positions(running)) == trades


async def test_whole_sessions_that_are_missing_count() -> None:
    wall = Wall(WALK[180].time + MINUTE)
    async with running_engine(policy=in_turn(*[Action.HOLD] * 11, Action.BUY), clock=wall) as running:
        await running.publish(WALK[:60])
        made = running.signal(await running.engine.generate("USDCOP", Quote(4000.0)))
        assert reasoning_has(made, "older than 15 min")
        assert positions(running) == []


async def test_outside_the_session_nothing_is_opened_or_closed_by_a_signal() -> None:
    async with running_engine(policy=in_turn(Action.BUY, Action.SELL, Action.SELL)) as running:
        await running.publish(WALK[:50])
        assert NOW.weekday() == 5
        for made in (
            running.signal(await running.engine.generate("USDCOP", Quote(4000.0))),
            running.signal(await running.engine.generate_from_stored("USDCOP", 50)),
        ):
            assert (made.action, made.origin is Origin.BAR) == (Action.SELL, False)
            assert reasoning_has(made, "Outside the trading session: no position is opened or closed")
        assert [held.is_open for held in positions(running)] == [True]


async def test_old_bars_trade_without_an_age_limit() -> None:
    rules = RiskRules(max_bar_age=timedelta(0))
    wall = Wall(WALK[61].close_time + 60 * MINUTE)
    async with running_engine(policy=in_turn(*[Action.HOLD] * 13, Action.BUY), rules=rules, clock=wall) as running:
        await running.publish(WALK[:62])
        await running.engine.generate_from_stored("USDCOP", 60)
        assert len(positions(running)) == 1


async def test_symbol_without_bars_is_decided_on_the_quote_alone() -> None:
    async with running_engine(policy=always(Action.BUY)) as running:
        made = running.signal(await running.engine.generate("EURUSD", Quote(1.1, atr=0.001)))
        assert made.bar_age is None
        assert reasoning_has(made, "No bar of the symbol is stored: the decision rests on the quote alone")
        assert len(positions(running)) == 1


async def test_bars_of_long_ago_that_are_processed_open_positions() -> None:
    async with running_engine(policy=always(Action.BUY)) as running:
        await running.publish(WALK[:50])
        (made,) = running.store.signals()
        assert made.bar_age == timedelta(0)
        assert len(positions(running)) == 1


async def test_size_of_zero_closes_the_opposite_position_and_opens_none() -> None:
    """Every trade loses, so after 20 of them Kelly's fraction is 0."""
    rules = replace(FAR, sizing=Sizing.KELLY, spread=Charges.flat(100.0))
    async with running_engine(policy=in_turn(*[Action.BUY, Action.SELL] * 35), rules=rules) as running:
        await running.publish(WALK[:118])
        nothing = [made for made in running.store.signals() if made.decision.position_size == 0.0]
        assert len(nothing) > 20
        assert {made.action for made in nothing} == {Action.BUY, Action.SELL}
        assert all(made.decision.stop_loss is not None for made in nothing)
        assert all(reasoning_has(made, "Sizing by kelly comes to 0: no position is opened") for made in nothing)
        assert not {made.signal_id for made in nothing} & {held.signal_id for held in positions(running)}
        last = positions(running)[-1]
        assert last.exit is not None
        assert last.exit.signal_id in {made.signal_id for made in nothing}


# ------------------------------------------------------------------------------------------------- absurd prices


@pytest.mark.parametrize("price", [1.79e306, 1.7e308, 1e12, 6000.1, 2666.0, 1e-9])
async def test_price_that_is_absurd_beside_the_last_one_is_refused(price: float) -> None:
    wall = Wall(WALK[49].close_time)
    market = [bar(one.time, 4000.0, high=4001.0, low=3999.0) for one in WALK[:50]]
    async with running_engine(policy=always(Action.BUY), clock=wall) as running:
        await running.publish(market)
        (held,) = positions(running)
        if price <= 1e12:
            with pytest.raises(PriceJump) as caught:
                await running.engine.close_position(held.position_id, price)
            assert caught.value.metadata == {"symbol": "USDCOP", "last_price": "4000"}
            assert [violation.field for violation in caught.value.violations] == ["price"]
        for given_ in ({"close_price": price}, {"close_price": 4000.0, "high_price": max(price, 6001.0)}):
            with pytest.raises(InvalidRequest):
                await running.engine.generate("USDCOP", Quote(**given_))
        assert positions(running) == [held]
        await running.engine.close_position(held.position_id, 5999.0)


async def test_price_that_is_absurd_beside_the_entry_is_refused_if_there_is_no_bar() -> None:
    wall = Wall(WALK[49].close_time)
    async with running_engine(policy=always(Action.BUY), clock=wall) as running:
        await running.engine.generate("EURUSD", Quote(1.1, atr=0.001))
        (held,) = positions(running)
        for price in (1e12, 1.7, 0.7, 1e-9):
            with pytest.raises(PriceJump):
                await running.engine.close_position(held.position_id, price)
            with pytest.raises(PriceJump):
                await running.engine.generate("EURUSD", Quote(price, atr=0.001))
        wall.time += 10 * MINUTE
        (refused,) = await running.engine.publish([bar(WALK[50].time, 1e12, symbol="EURUSD")])
        assert isinstance(refused, PriceJump)
        assert positions(running) == [held]
        await running.engine.close_position(held.position_id, 1.2)


async def test_bar_that_jumps_is_refused_and_the_others_are_not() -> None:
    absurd = replace(WALK[30], high=1e9)
    bars = [*WALK[:30], absurd, *WALK[31:35]]
    async with running_engine() as running:
        results = await running.engine.publish(bars)
        refused = [(bars[i], one) for i, one in enumerate(results) if isinstance(one, ServiceError)]
        assert [(one, type(error)) for one, error in refused] == [(absurd, PriceJump)]
        assert sum(isinstance(one, Receipt) for one in results) == 34
        assert [one.disposition for one in await running.publish(WALK[34:35])] == [Disposition.DUPLICATE]


async def test_jump_over_a_closed_market_is_accepted() -> None:
    """Shares are split and currencies devalued while a market is closed, and no refusal lasts longer than an hour."""
    split = [_at(one, 0.1) for one in WALK[60:70]]
    async with running_engine() as running:
        await running.publish([*WALK[:60], *split])
        crashed = [_at(one, 0.01) for one in WALK[70:90]]
        results = await running.engine.publish(crashed)
        assert [isinstance(one, PriceJump) for one in results] == [True] * 12 + [False] * 8


@pytest.mark.parametrize("later", [1, 12, 165])
async def test_absurd_bar_is_refused_late_too_and_the_right_one_is_stored(later: int) -> None:
    """Stored as late, it would make the right bar a conflict for ever."""
    absurd = _at(WALK[70], 9.0)
    async with running_engine() as running:
        await running.publish(WALK[:70])
        (refused,) = await running.engine.publish([absurd])
        await running.publish(WALK[71 : 71 + later])
        again, right = await running.engine.publish([absurd, WALK[70]])
        assert isinstance(refused, PriceJump)
        assert isinstance(again, PriceJump)
        assert again.metadata["last_price"] == f"{WALK[69].close:g}"
        assert isinstance(right, Receipt)
        assert right.disposition is Disposition.LATE


async def test_absurd_late_bar_is_refused_in_the_batch_of_the_bars_next_to_it() -> None:
    async with running_engine() as running:
        await running.publish(WALK[50:60])
        results = await running.engine.publish([WALK[10], _at(WALK[11], 9.0), *WALK[12:14], _at(WALK[9], 9.0)])
        assert [isinstance(one, PriceJump) for one in results] == [False, True, False, False, True]
        await running.publish([WALK[9], WALK[11]])


async def test_late_history_of_another_time_may_have_any_price() -> None:
    async with running_engine() as running:
        await running.publish(WALK[40:60])
        receipts = await running.publish([_at(one, 0.1) for one in WALK[:28]])
        assert {one.disposition for one in receipts} == {Disposition.LATE}


async def test_bars_refused_after_a_real_break_are_stored_late() -> None:
    crashed = [_at(one, 0.1) for one in WALK[70:100]]
    async with running_engine() as running:
        await running.publish(WALK[:70])
        refused = [one for one in await running.engine.publish(crashed) if isinstance(one, PriceJump)]
        assert len(refused) == 12
        receipts = await running.publish(crashed[:12])
        assert {one.disposition for one in receipts} == {Disposition.LATE}


async def test_late_bar_may_have_any_price_without_a_limit() -> None:
    async with running_engine(rules=replace(FAR, max_price_jump=0.0)) as running:
        await running.publish([*WALK[:60], *WALK[61:70]])
        assert [one.disposition for one in await running.publish([_at(WALK[60], 9.0)])] == [Disposition.LATE]


@pytest.mark.parametrize(("price", "refused"), [(1e12, True), (4000.0 * 21, True), (4000.0 / 21, True), (400.0, False)])
async def test_position_is_not_filled_at_an_absurd_price_after_a_break(price: float, refused: bool) -> None:
    market = [bar(one.time, 4000.0, high=4001.0, low=3999.0) for one in WALK[:50]]
    wall = Wall(WALK[-1].close_time)
    async with running_engine(policy=always(Action.BUY), clock=wall) as running:
        await running.publish(market)
        (held,) = positions(running)
        (result,) = await running.engine.publish([bar(WALK[65].time, price)])
        assert isinstance(result, PriceJump) is refused
        assert (positions(running) == [held]) is refused


def _at(one: Bar, share: float) -> Bar:
    return replace(one, open=one.open * share, high=one.high * share, low=one.low * share, close=one.close * share)


async def test_band_beyond_the_stored_opposite_band_is_refused() -> None:
    async with running_engine(clock=Wall(WALK[60].time)) as running:
        await running.publish(WALK[:60])
        for field, price in (("bb_upper", 1.0), ("bb_lower", 1e6)):
            with pytest.raises(InvalidRequest) as caught:
                await running.engine.generate("USDCOP", Quote(4000.0, **{field: price}))
            assert [violation.field for violation in caught.value.violations] == [field]
        assert await running.engine.generate("USDCOP", Quote(4000.0, bb_upper=2.0, bb_lower=1.0))
