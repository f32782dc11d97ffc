"""Requests that are staged together: computed in one micro-batch, each with the result that it has alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import SURE, walk
from tests.support.running import (
    Running,
    ScriptedPolicy,
    always,
    commit_held_up,
    following,
    in_turn,
    running_engine,
    started,
)

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ports.policy import PolicyOutput
from tradingsignals_server.domain.errors import NotEnoughBars, PositionAlreadyClosed, PriceJump
from tradingsignals_server.domain.events import Event
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

WALK = walk(80)
FAR = RiskRules(atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
BARS = 56


class WatchedPolicy(ScriptedPolicy):
    """A policy that holds, and records the sizes of its micro-batches."""

    def __init__(self) -> None:
        super().__init__(lambda _: SURE[Action.HOLD])
        self.shown: list[int] = []

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        self.shown.append(len(observations))
        return super().decide_batch(observations, states)


@dataclass(frozen=True, slots=True)
class Call:
    """A command of a caller: a kind, and where its price lies."""

    kind: str
    offset: int = 0

    async def run(self, running: Running, bar: int) -> object:
        """Run the call; `bar` is the next bar of the symbol."""
        engine, price = running.engine, WALK[BARS].close + self.offset
        if self.kind != "close":
            await asyncio.sleep(0)  # a close reads the store first
        match self.kind:
            case "quote":
                return await engine.generate("USDCOP", Quote(price))
            case "stored":
                return await engine.generate_from_stored("USDCOP", 50)
            case "bar":
                return await engine.publish([WALK[bar]])
        return await engine.close_position(running.store.positions()[-1].position_id, price)


def ticking(start: datetime) -> Callable[[], datetime]:
    """Return a clock that shows a second more at every look."""
    shown = [start]

    def now() -> datetime:
        shown.append(shown[-1] + timedelta(seconds=1))
        return shown[-1]

    return now


def comparable(event: Event) -> Event:
    """Return the event without the ids of requests, which are random, and of their positions."""
    none = UUID(int=0)
    if isinstance(event, Signal):
        return replace(event, signal_id=none)
    if isinstance(event, Position):
        ended = event.exit and replace(event.exit, signal_id=None)
        return replace(event, position_id=none, signal_id=none, exit=ended)
    return event


async def test_requests_staged_together_share_a_micro_batch() -> None:
    policy = WatchedPolicy()
    async with running_engine(policy=policy) as running:
        await running.publish(WALK[:BARS])
        async with commit_held_up(running, WALK[BARS]):
            policy.shown.clear()
            quotes = [running.engine.generate("USDCOP", Quote(WALK[BARS].close + n)) for n in range(5)]
            calls = await started(*quotes, running.engine.generate_from_stored("USDCOP", 50))
            assert policy.shown == [6]
            assert running.pipeline.live.meter.count == BARS + 1 - 49 + 6, "none is inferred twice"
        await asyncio.gather(*calls)


kinds = st.sampled_from(["quote", "quote", "stored", "bar"])
calls_ = st.lists(st.builds(Call, kinds, st.integers(-30, 30)), min_size=2, max_size=12)


@given(calls_)
async def test_requests_staged_together_have_the_results_of_one_after_the_other(calls: list[Call]) -> None:
    clock = WALK[70].close_time + timedelta(seconds=20)
    bars = [BARS + 1 + sum(call.kind == "bar" for call in calls[:n]) for n in range(len(calls))]
    logs, results = [], []
    for together in (True, False):
        async with running_engine(policy=following(), rules=FAR, clock=lambda: clock) as running:
            await running.publish(WALK[:BARS])
            assert running.store.positions()
            if together:
                async with commit_held_up(running, WALK[BARS]) as first:
                    tasks = await started(*(call.run(running, bar) for call, bar in zip(calls, bars, strict=True)))
                await first
                found = await asyncio.gather(*tasks, return_exceptions=True)
            else:
                await running.publish([WALK[BARS]])
                found = []
                for call, bar in zip(calls, bars, strict=True):
                    found += await asyncio.gather(call.run(running, bar), return_exceptions=True)
            logs.append([comparable(event) for event in running.store.events])
            results.append([type(one) for one in found])
    assert logs[0] == logs[1]
    assert results[0] == results[1]


async def test_refused_request_leaves_those_behind_it_unchanged() -> None:
    async with running_engine(policy=always(Action.HOLD)) as running:
        await running.publish(WALK[:BARS])
        async with commit_held_up(running, WALK[BARS]):
            calls = await started(
                running.engine.generate("USDCOP", Quote(1.0)),
                running.engine.generate_from_stored("EURUSD", 50),
                running.engine.generate("USDCOP", Quote(WALK[BARS].close)),
            )
        jump, few, made = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(jump, PriceJump)
        assert isinstance(few, NotEnoughBars)
        assert isinstance(made, bytes)


@pytest.mark.parametrize("reversals", [False, True])
async def test_request_behind_a_close_by_hand_is_not_earlier_than_it(*, reversals: bool) -> None:
    side = in_turn(
        *[Action.BUY] * (BARS + 1 - 49), *([Action.SELL, Action.BUY] * 5 if reversals else [Action.BUY] * 10)
    )
    clock = ticking(WALK[BARS].close_time)
    async with running_engine(policy=side, rules=replace(FAR, max_bar_age=timedelta(0)), clock=clock) as running:
        await running.publish(WALK[:BARS])
        async with commit_held_up(running, WALK[BARS]):
            kinds = ["quote", "close", "quote", "quote", "quote"]
            calls = await started(*(Call(kind).run(running, BARS) for kind in kinds))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, bytes | PositionAlreadyClosed) for one in found)
        changes = running.store.position_changes()
        times = [change.entry_time if change.exit is None else change.exit.time for change in changes]
        assert times == sorted(times)
        signals = {signal.signal_id: signal.timestamp for signal in running.store.signals()}
        assert all(signals[change.signal_id] == change.entry_time for change in changes)
